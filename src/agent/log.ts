import { pino, type Logger } from 'pino';
import { MiB } from '../base/bytes.ts';

/** sd-daemon(3) priorities, so that `journalctl -p err` works; pino's own levels beside them. */
const PRIORITY: Record<string, string> = {
  debug: '<7>',
  info: '<6>',
  warn: '<4>',
  error: '<3>',
  fatal: '<2>',
};

/** Lines kept for a log that takes none; what is over it is lost. */
const UNWRITTEN_BYTES_MAX = 1 * MiB;

/**
 * One JSON object a line on stderr (stdout belongs to the start-up report). Under systemd each line
 * carries its priority as `<N>`. No transports: they are worker threads. A log that can't be written
 * (a file on a full disk, a reader that is gone) ends no agent.
 */
export function createLogger(level: string, underJournal: boolean): Logger {
  const options = {
    level,
    base: undefined,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  // Also for libraries that write there themselves.
  if (process.stderr.listenerCount('error') === 0) process.stderr.on('error', () => undefined);
  if (!underJournal) {
    const stderr = pino.destination({ fd: 2, sync: true, maxLength: UNWRITTEN_BYTES_MAX });
    return pino(
      options,
      stderr.on('error', () => undefined),
    );
  }
  return pino(options, {
    write(line: string) {
      const label = /"level":"(\w+)"/.exec(line)?.[1] ?? 'info';
      process.stderr.write((PRIORITY[label] ?? '<6>') + line);
    },
  });
}
