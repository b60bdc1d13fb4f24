import { decodeMountField } from './mountinfo.ts';
import type { Tree } from './tree.ts';

/** The kernel's mark on a node that was removed from /dev while it was swapped to. */
const DELETED = ' (deleted)';

/**
 * Nodes of the block devices that the kernel swaps to, from /proc/swaps (proc(5)); swap files aren't in it: they
 * show as the mount of their device. None where the kernel was built without swap.
 */
export function readSwapDevices(tree: Tree): string[] {
  const bytes = tree.whole('proc/swaps');
  return bytes ? parseSwaps(bytes) : [];
}

/** A heading, then lines of `Filename Type Size Used Priority`; blanks inside the name are `\040`. */
export function parseSwaps(text: string | Uint8Array): string[] {
  const bytes = typeof text === 'string' ? Buffer.from(text) : Buffer.from(text);
  const lines = bytes.toString('latin1').split('\n').slice(1);
  const found: string[] = [];
  for (const line of lines) {
    const [name, type] = line.split(/[\t ]+/);
    if (!name?.startsWith('/') || type !== 'partition') continue;
    const node = decodeMountField(name);
    found.push(node.endsWith(DELETED) ? node.slice(0, -DELETED.length) : node);
  }
  return found;
}
