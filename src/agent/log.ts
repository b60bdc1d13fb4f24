import { pino, type Logger } from 'pino';

/** sd-daemon(3) priorities, so that `journalctl -p err` works; pino's own levels beside them. */
const PRIORITY: Record<string, string> = {
  debug: '<7>',
  info: '<6>',
  warn: '<4>',
  error: '<3>',
  fatal: '<2>',
};

/**
 * One JSON object a line on stderr (stdout belongs to the start-up report). Under systemd each line
 * carries its priority as `<N>`. No transports: they are worker threads.
 */
export function createLogger(level: string, underJournal: boolean): Logger {
  const options = {
    level,
    base: undefined,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  if (!underJournal) return pino(options, pino.destination({ fd: 2, sync: true }));
  return pino(options, {
    write(line: string) {
      const label = /"level":"(\w+)"/.exec(line)?.[1] ?? 'info';
      process.stderr.write((PRIORITY[label] ?? '<6>') + line);
    },
  });
}
