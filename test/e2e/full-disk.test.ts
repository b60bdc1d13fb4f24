/** Goal: a host whose state disk is full comes up with its boot volumes, says what is wrong, and mends itself when there is room. */
import { execFileSync } from 'node:child_process';
import {
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  statfsSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import type { StatusReply, VolumeBody } from '../../src/agent/faces/agent-api/schema.ts';
import { MiB } from '../../src/base/bytes.ts';
import { AgentProcess } from '../support/agent-process.ts';
import { tempDir } from '../support/temp-dir.ts';

const isRoot = process.getuid?.() === 0;

describe.skipIf(!isRoot)('a full state disk (needs root: a file system of its own)', () => {
  it('holds up no boot volume', async () => {
    const disk = smallDisk();
    const folder = path.join(disk, 'agent');
    mkdirSync(folder);
    const config = 'devices: { rescanSeconds: 5 }\n';
    const agent = await AgentProcess.start({ folder, config });
    onTestFinished(() => agent.remove());
    const create = [
      'volume',
      'create',
      'v',
      '--service',
      'loop',
      '--size',
      '8M',
      '--mount-at-boot',
    ];
    const { status } = await agent.json<VolumeBody>(...create, '--mount');
    writeFileSync(path.join(status.mountPoint!, 'f'), 'kept', { flush: true });
    await agent.child.waitUntil('the ballast is there', () =>
      exists(path.join(agent.stateDir, 'ballast')),
    );
    await agent.stop();
    // As after a power cut: nothing is mounted any more.
    execFileSync('umount', [status.mountPoint!]);
    execFileSync('losetup', ['--detach', status.device!]);

    fill(path.join(disk, 'full'));
    expect(freeBytes(disk)).toBeLessThan(64 * 1024);
    await agent.start();
    expect(readFileSync(path.join(status.mountPoint!, 'f'), 'utf8')).toBe('kept');
    const now = (): Promise<StatusReply> => agent.json<StatusReply>('status');
    await agent.child.waitUntil('it says so', async () => (await now()).state === 'degraded');
    expect((await now()).reasons).toEqual([expect.stringContaining('nearly full')]);

    rmSync(path.join(disk, 'full'));
    await agent.child.waitUntil('it is well again', async () => (await now()).state === 'ready');
    expect(exists(path.join(agent.stateDir, 'ballast'))).toBe(true);
  });
});

/** 96 MiB of ext4, none of it reserved for root. */
function smallDisk(): string {
  const outside = tempDir('full-disk');
  const [image, at] = [path.join(outside, 'image'), path.join(outside, 'disk')];
  writeFileSync(image, '');
  truncateSync(image, 96 * MiB);
  mkdirSync(at);
  execFileSync('mkfs.ext4', ['-q', '-m', '0', '-b', '4096', image]);
  execFileSync('mount', ['-o', 'loop', image, at]);
  onTestFinished(() => void execFileSync('umount', [at]));
  return at;
}

function fill(file: string): void {
  const fd = openSync(file, 'w');
  const block = Buffer.alloc(4096, 1);
  try {
    for (;;) writeSync(fd, block);
  } catch (thrown) {
    expect(thrown).toMatchObject({ code: 'ENOSPC' });
  } finally {
    closeSync(fd);
  }
}

function freeBytes(folder: string): number {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}

function exists(file: string): boolean {
  try {
    return readFileSync(file).length > 0;
  } catch {
    return false;
  }
}
