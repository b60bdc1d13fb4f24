import type { IdleResult } from './idle.ts';

/** What is wrong with it, a line each; none = healthy offline, and idle means idle. */
export function faultsOf(result: IdleResult): string[] {
  const {
    interfaces,
    ready,
    mounted,
    served,
    syncState,
    revisions,
    bytesWritten,
    bytesOfOnePut,
    events,
  } = result;
  const faults: [boolean, string][] = [
    [interfaces.join() !== 'lo', `it had a network: ${interfaces.join(', ')}`],
    [!ready, 'READY=1 was not received'],
    [mounted !== 2, `${mounted} of 2 boot volumes are mounted`],
    [!served, 'a put and a get were not served'],
    [syncState !== 'offline', `the sync target is ${syncState}, not offline`],
    [revisions !== 0, `${revisions} revisions were written while idle: ${events.join('; ')}`],
    [bytesOfOnePut <= 0, 'one put wrote nothing: the disk that was watched is not the one in use'],
    [bytesWritten !== 0, `${bytesWritten} bytes were written to the disk while idle`],
  ];
  return faults.filter(([wrong]) => wrong).map(([, text]) => text);
}
