/**
 * Goal: a virtual host is a whole Linux with this checkout installed, a power cut takes from it exactly what
 * was not synced, and nothing of it is left, however it or its test ends.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { projectRoot } from '../support/compiled.ts';
import { leftIn, processesOf } from '../support/leaks.ts';
import { removeTempFolder } from '../support/temp-folder.ts';
import { Host } from './host.ts';
import { leftOut, missing, SLOW } from './suite.ts';

vi.setConfig(SLOW);

describe.skipIf(missing !== '')(`a virtual host${missing}`, () => {
  let host: Host;
  beforeAll(async () => {
    host = await Host.boot();
  });
  afterAll(() => host?.close());

  it('has a kernel, systemd and udev of its own, and this checkout', async () => {
    expect(await host.check('cat /proc/1/comm; findmnt -no SOURCE,FSTYPE /')).toMatch(
      /^systemd\n\/dev\/ubda +ext4$/,
    );
    expect(await host.check('cd / && holdfast --version')).toMatch(/^\d+\.\d+\.\d+$/);
    const { code, stderr } = await host.run('touch /usr/lib/holdfast/dist/x');
    expect([code, stderr]).toEqual([1, expect.stringContaining('Read-only')]);
    await expect(host.check('echo out; echo err >&2; exit 3')).rejects.toThrow(
      'exit code 3 from: echo out; echo err >&2; exit 3\nerr\nout\n',
    );
  });

  it('starts no failing unit', async () => {
    await host.run('systemctl is-system-running --wait');
    expect(await host.check('systemctl list-units --failed --no-legend --plain')).toBe('');
  });

  it('loses in a power cut what was not synced, and that only', async () => {
    await host.check('head -c 1M /dev/urandom >/root/synced; sync; echo no >/root/not-synced');
    const sum = await host.check('sha256sum /root/synced');
    await host.powerCut();
    expect(leftIn(host.folder)).toEqual([]);
    expect(() => host.start('true')).toThrow('the host is off');
    await host.powerOn();
    expect(await host.check('sha256sum /root/synced')).toBe(sum);
    expect((await host.run('test -s /root/not-synced')).code).toBe(1);
  });

  it('keeps all in a shut-down', async (test) => {
    if (leftOut !== undefined) return test.skip(leftOut);
    await host.check('echo yes >/root/not-synced');
    await host.shutDown();
    await host.powerOn();
    expect(await host.check('cat /root/not-synced')).toBe('yes');
  });

  it('leaves no process when its test is killed', async () => {
    const library = path.join(projectRoot, 'dist/test/host/host.js');
    const program = `import { Host } from '${library}';
      const host = await Host.boot();
      console.log(host.folder);
      host.start('exec sleep 600');
      setInterval(() => undefined, 1_000_000);`;
    const test = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [printed] = (await once(test.stdout, 'data')) as [Buffer];
    const folder = String(printed).trimEnd();
    expect(processesOf(folder).length).toBeGreaterThan(2);
    test.kill('SIGKILL');
    await expect.poll(() => processesOf(folder), { timeout: 10_000 }).toEqual([]);
    removeTempFolder(folder);
  });
});
