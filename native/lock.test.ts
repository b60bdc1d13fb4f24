/** Goal: one holder at a time, and the kernel frees the lock however the holder dies. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, statSync, symlinkSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { lockFile } from './index.ts';
import { Scratch } from './scratch.ts';

const HOLDER = `
const fd = require(process.argv[1]).lockFile(process.argv[2]);
console.log(fd === undefined ? 'refused' : 'held');
setInterval(() => {}, 1000);
`;
const ADDON = fileURLToPath(new URL('build/Release/holdfast.node', import.meta.url));

describe('lockFile', () => {
  let scratch: Scratch;
  beforeEach(() => {
    scratch = new Scratch();
  });
  afterEach(() => scratch[Symbol.dispose]());

  it('is refused while another process holds it, and free once that was killed', async () => {
    const path = `${scratch.dir}/lock`;
    const holder = spawn(process.execPath, ['-e', HOLDER, ADDON, path]);
    try {
      expect(String((await once(holder.stdout, 'data'))[0])).toBe('held\n');
      expect(lockFile(path)).toBeUndefined();
    } finally {
      holder.kill('SIGKILL');
      await once(holder, 'exit');
    }
    const fd = lockFile(path);
    expect(fd).toBeTypeOf('number');
    expect(lockFile(path)).toBeUndefined();
    expect(statSync(path).mode & 0o777).toBe(0o600);
    closeSync(fd!);
  });

  it('throws on what is no lock file', () => {
    expect(() => lockFile(scratch.dir)).toThrow(
      expect.objectContaining({ code: 'EISDIR', syscall: 'open' }),
    );
    expect(() => lockFile('/dev/null')).toThrow('not a regular file');
    expect(() => lockFile(`${scratch.dir}/none/lock`)).toThrow(
      expect.objectContaining({ code: 'ENOENT' }),
    );
    symlinkSync('/etc/passwd', `${scratch.dir}/link`);
    expect(() => lockFile(`${scratch.dir}/link`)).toThrow(
      expect.objectContaining({ code: 'ELOOP' }),
    );
  });
});
