import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * SIGSTOP that has taken hold: the signal reaches the threads one after the other, and a busy machine's server
 * may answer a call that came after it. SIGCONT has to follow.
 */
export async function freeze(pid: number): Promise<void> {
  process.kill(pid, 'SIGSTOP');
  while (!isFrozen(pid)) await sleep(1);
}

/** The state is what follows the name in parentheses: proc(5), /proc/pid/stat. */
function isFrozen(pid: number): boolean {
  const threads = `/proc/${pid}/task`;
  return readdirSync(threads).every((thread) => {
    const stat = readFileSync(`${threads}/${thread}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).startsWith('T');
  });
}
