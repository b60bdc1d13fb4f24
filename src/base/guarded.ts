/**
 * A child that must not outlive us: PR_SET_PDEATHSIG (prctl(2)) has the kernel send it a signal when we die,
 * except when we die between fork and prctl. Hence the shell compares its parent with our pid before it
 * execs the command.
 */
const GUARD = '[ "$PPID" = "$1" ] || exit 125; shift; exec "$@"';

/** What `setpriv` (util-linux) is to be started with, so that it becomes that command. */
export function guarded(signal: 'KILL' | 'TERM', argv: readonly string[]): string[] {
  const shell = ['sh', '-c', GUARD, 'sh', String(process.pid)];
  return ['--pdeathsig', signal, '--', ...shell, ...argv];
}
