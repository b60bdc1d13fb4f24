/**
 * Goal: a write or a sync that fails, or comes out short, is never acknowledged, costs nothing that was, and
 * leaves a store that goes on or says why it can't. After a failed sync the kernel may have thrown the pages
 * away, so nothing may rest on what was written before it.
 * Method: strace(1) lets calls fail, a limit on the file's size makes real short writes, and a disk that has
 * promised more than there is below it makes fdatasync(2) itself fail.
 */
import { cpSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { isRoot, run, Scratch } from '../../native/scratch.ts';
import { loopAttach, mount, umount } from '../../native/index.ts';
import { MiB } from '../../src/base/bytes.ts';
import { openEngine, type Engine } from '../../src/engine/index.ts';
import { Child } from '../support/child.ts';
import { compiledProgram } from '../support/compiled.ts';
import { tempDir } from '../support/temp-dir.ts';
import { fillUp, freeBytes } from './fill-up.ts';
import { checkStore } from './processes.ts';
import { STORE_FILE, type FileBackend } from './store-files.ts';
import { trace } from './strace.ts';
import { Account, type Ack } from './told.ts';
import { valueOf } from './values.ts';
import { verify } from './verify.ts';

const BACKENDS = ['sqlite', 'lmdb'] as const;
const NEEDS = ['src/engine', 'src/base', 'test/crash/phases.ts', 'test/crash/values.ts'];

/** The calls that fail, and which of them; `+`: and all that come after it. */
const FAILURES: Readonly<Record<FileBackend, Readonly<Record<string, readonly string[]>>>> = {
  sqlite: {
    'fsync:error=EIO': ['2', '5', '4+'],
    'pwrite64:error=EIO': ['1', '40', '30+'],
    'pwrite64:error=ENOSPC': ['25', '25+'],
  },
  lmdb: {
    'fdatasync:error=EIO': ['2', '5', '4+'],
    // Among these are pages, and the one that makes a commit count.
    'pwrite64:error=EIO': ['1', '2', '3', '4', '5'],
    'writev:error=EIO': ['3'],
    'writev:error=ENOSPC': ['2', '3+'],
  },
};

/** Of the database alone are the calls that fold a WAL in. */
type Files = 'all files' | 'the database';

function failuresOf(backend: FileBackend): (readonly [inject: string, of: Files])[] {
  const all = Object.entries(FAILURES[backend]).flatMap(([call, whens]) =>
    whens.map((when) => [`${call}:when=${when}`, 'all files'] as const),
  );
  return backend === 'lmdb' ? all : [...all, ['fsync:error=EIO:when=1', 'the database']];
}

describe.each(BACKENDS)('%s', (backend) => {
  let made: string;
  let before: Account;
  beforeAll(async () => {
    made = path.join(tempDir('made'), 'engine');
    const { output } = await step([], made, ['--kill', 'put/begin']);
    before = Account.parse(output);
  });

  const stepper = (store: string, skip = 'fold'): string[] => {
    const program = compiledProgram('test/crash/stepper.ts', NEEDS);
    const args = ['--backend', backend, '--path', store, '--skip', skip, '--marks', '/'];
    return [process.execPath, program, ...args];
  };

  async function step(
    wrapper: readonly string[],
    store: string,
    args: readonly string[] = [],
  ): Promise<{ output: string; stderr: string }> {
    let output = '';
    const [command, ...rest] = [...wrapper, ...stepper(store), ...args];
    const child = await Child.start(command!, rest, {
      onStdout: (chunk) => {
        output += chunk;
      },
    });
    await child.exited;
    return { output, stderr: child.output };
  }

  async function expectNothingLost(store: string, output: string): Promise<Account> {
    const account = Account.of(before);
    account.addAll(Account.parse(output));
    const listFile = path.join(path.dirname(store), 'account');
    const report = await checkStore({ backend, path: store, account, listFile, epoch: 'next' });
    expect(report).toMatchObject({ lost: 0, broken: 0, messages: [] });
    return account;
  }

  test.each(failuresOf(backend))('%s of %s', async (inject, of) => {
    const folder = tempDir('failing');
    const store = path.join(folder, 'engine');
    cpSync(made, store, { recursive: true });
    const file = path.join(store, STORE_FILE[backend]);
    const log = path.join(folder, 'trace');
    const isFolding = of === 'the database';
    const files = isFolding ? [file] : [file, `${file}-wal`];
    const command = stepper(store, isFolding ? '' : 'fold');
    const { output, stderr, exit } = await trace(command, { files, inject, log });
    expect(exit.signal).toBeNull();
    expect(readFileSync(log, 'utf8')).toContain('(INJECTED)');
    // A phase that met it was refused, with a code that says so.
    expect(stderr).toMatch(/\b\w+: (HostFailed|NoSpace|Unavailable): /);
    await expectNothingLost(store, output);
  });

  test('writes that come out short', async () => {
    for (const more of [100, 5000, 30_000]) {
      const store = path.join(tempDir('short'), 'engine');
      cpSync(made, store, { recursive: true });
      const sizes = readdirSync(store).map((name) => statSync(path.join(store, name)).size);
      const limit = `--fsize=${Math.max(...sizes) + more}`;
      const { output, stderr } = await step(['prlimit', limit, '--'], store);
      expect(stderr).toMatch(/\b\w+: (HostFailed|NoSpace): /);
      await expectNothingLost(store, output);
    }
  });
});

const DISK_BYTES = 32 * MiB;
/** Below the disk there is room for this much: less than the disk has. */
const BELOW_BYTES = 20 * MiB;
const PUTS_MAX = 3000;

describe.runIf(isRoot).each(BACKENDS)(
  '%s on a disk that loses writes (needs root: mounts)',
  (backend) => {
    let scratch: Scratch;
    let engine: Engine | undefined;
    beforeEach(() => {
      scratch = new Scratch();
      engine = undefined;
    });
    afterEach(async () => {
      await engine?.close().catch(() => undefined);
      scratch[Symbol.dispose]();
    });

    test('a failed sync is no acknowledgement, and nothing before it is lost', async () => {
      const below = scratch.folder('below');
      const disk = scratch.folder('disk');
      const sized = { source: 'tmpfs', target: below, type: 'tmpfs', data: `size=${BELOW_BYTES}` };
      await mount(sized);
      const backingFile = path.join(below, 'disk.img');
      run('truncate', ['-s', `${DISK_BYTES}`, backingFile]);
      const { path: source } = await loopAttach({ backingFile });
      // All that is not data has its place below before it fills up.
      run('mkfs.ext4', ['-q', '-E', 'lazy_itable_init=0,lazy_journal_init=0,nodiscard', source]);
      await mount({ source, target: disk, type: 'ext4' });
      const store = { backend, path: path.join(disk, 'engine') };
      engine = await openEngine(store);
      const acks: Ack[] = [];
      await put(engine, acks, 50, 'first');
      const ballast = path.join(below, 'ballast');
      fillUp(ballast, BELOW_BYTES);
      expect(freeBytes(below)).toBe(0);

      const refused = await put(engine, acks, PUTS_MAX, 'lost').catch((thrown: unknown) => thrown);
      // What fdatasync(2) answers for a disk that is full below is up to the kernel. After ENOSPC the writer
      // makes room and tries again, and that is refused.
      const codes = /^(HostFailed|NoSpace|Unavailable)$/;
      expect(refused).toMatchObject({ code: expect.stringMatching(codes) });
      run('rm', [ballast]);
      const next = put(engine, acks, 20, 'after');
      await expect(next).rejects.toMatchObject({ code: 'Unavailable' });
      await engine.close();

      engine = await openEngine(store);
      expect(await verify(engine, acks)).toMatchObject({ lost: 0, broken: 0, messages: [] });
      await put(engine, acks, 50, 'reopened');
      await engine.close();
      engine = undefined;

      // Only what is on the disk comes back: with its mount the file system's cache is gone.
      await umount(disk);
      await mount({ source, target: disk, type: 'ext4' });
      engine = await openEngine(store);
      expect(await verify(engine, acks)).toMatchObject({ lost: 0, broken: 0, messages: [] });
      await put(engine, acks, 20, 'again');
    });
  },
);

/** One at a time, until one is refused. @throws what it was refused with */
async function put(engine: Engine, acks: Ack[], count: number, epoch: string): Promise<void> {
  for (let i = 0; i < count; i += 1) {
    const key = `put/${i}`;
    const serial = `${epoch}.${i}`;
    const revision = await engine.put(key, valueOf(key, serial));
    acks.push({ revision, ops: [[key, serial]] });
  }
}
