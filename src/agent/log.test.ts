/** Goal: under the journal each line is one JSON object after its priority; less than the level is nothing. */
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { HoldfastError } from '../base/errors.ts';
import { createLogger } from './log.ts';

function lines(): string[] {
  const written: string[] = [];
  const spy = vi.spyOn(process.stderr, 'write').mockImplementation((chunk) => {
    written.push(String(chunk));
    return true;
  });
  onTestFinished(() => spy.mockRestore());
  return written;
}

describe('createLogger', () => {
  it('puts the priority of sd-daemon(3) before each line under the journal', () => {
    const written = lines();
    const log = createLogger('debug', true);
    log.debug('a');
    log.info('b');
    log.warn('c');
    log.error('d');
    log.fatal('e');
    expect(written.map((line) => line.slice(0, 3))).toEqual(['<7>', '<6>', '<4>', '<3>', '<2>']);
    expect(JSON.parse(written[1]!.slice(3))).toEqual({
      level: 'info',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT/) as string,
      msg: 'b',
    });
  });

  it('takes the priority from the level, whatever the message says', () => {
    const written = lines();
    createLogger('info', true).error({ note: '"level":"debug"' }, 'several\nlines');
    expect(written).toHaveLength(1);
    expect(written[0]).toMatch(/^<3>\{.*\}\n$/);
  });

  it('leaves out what is below its level, which may change while it runs', () => {
    const written = lines();
    const log = createLogger('warn', true);
    log.info('no');
    log.level = 'info';
    log.info('yes');
    expect(written.map((line) => (JSON.parse(line.slice(3)) as { msg: string }).msg)).toEqual([
      'yes',
    ]);
  });

  it('shows of an error its code, message and cause', () => {
    const written = lines();
    const cause = new Error('ENOENT');
    const err = new HoldfastError('NotFound', 'no volume x', { cause });
    createLogger('info', true).error({ err }, 'failed');
    expect(written[0]).toContain('no volume x');
    expect(written[0]).toContain('ENOENT');
  });
});
