import { watchUevents } from '../../../native/index.ts';

/**
 * Calls `hint` when the kernel says that a block device came, went or changed, or that it said more than could
 * be heard: in each case a scan tells what is true. @throws the errno where netlink can't be used
 * @returns what stops it
 */
export function watchBlockDevices(hint: () => void): () => void {
  return watchUevents('block', hint);
}
