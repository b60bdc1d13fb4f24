/** Goal: a device that doesn't answer holds nobody up, and is never taken for a device without a file. */
import { expect, it } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import type { FileIdentity } from './hostops.ts';
import { LoopFiles } from './loop-files.ts';

const FILE: FileIdentity = { dev: 1, ino: 2 };

function failing(code: string): LoopFiles {
  return new LoopFiles(new FakeClock(), () =>
    Promise.reject(Object.assign(new Error(code), { code })),
  );
}

it.each(['EACCES', 'EPERM', 'ENOENT', 'ESTALE', 'ENOTCONN', 'EIO'])(
  '%s: not told',
  async (code) => {
    expect(await failing(code).of('/dev/loop0')).toBeUndefined();
  },
);

it('any other failure is one', async () => {
  await expect(failing('EAGAIN').of('/dev/loop0')).rejects.toMatchObject({ code: 'EAGAIN' });
});

it('a silent device is asked once, however often its file is wanted, until it answers', async () => {
  const clock = new FakeClock();
  const answers: ((file: FileIdentity) => void)[] = [];
  const files = new LoopFiles(clock, () => new Promise((resolve) => answers.push(resolve)));
  const first = files.of('/dev/loop0');
  clock.advance(2_000);
  expect(await first).toBeUndefined();
  expect(await files.of('/dev/loop0')).toBeUndefined();
  expect(answers).toHaveLength(1);
  answers[0]!(FILE);
  await Promise.resolve();
  const second = files.of('/dev/loop0');
  answers[1]!(FILE);
  expect(await second).toEqual(FILE);
  expect(clock.sleeps).toEqual([]);
});
