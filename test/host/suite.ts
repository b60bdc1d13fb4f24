/** What the tests on virtual hosts share: when they are skipped, and how long they may take. */
import { noVirtualHost } from './root-image.ts';

/** For `vi.setConfig`: each takes seconds, and many of them beside others on a busy machine. */
export const SLOW = { testTimeout: 240_000, hookTimeout: 240_000 };

/** Why no virtual host can run here, to end the name of a suite with; empty when one can. */
export const missing = after(noVirtualHost());

/** Why a test that takes long is left out: a run of everything has the short ones. Set by `npm run test:host`. */
export const leftOut =
  process.env['HOLDFAST_HOST_TESTS'] === 'all' ? undefined : 'only in npm run test:host';

function after(reason: string | undefined): string {
  return reason === undefined ? '' : `: ${reason}`;
}
