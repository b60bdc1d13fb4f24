/**
 * Goal: the unit does what docs/install.md says, under a real systemd: READY after the boot volumes, an earned
 * watchdog, a stop that unmounts nothing, no restart where a person is needed; and after a power cut the host
 * comes back by itself with every acknowledged write. Method: a virtual host that is cut off while it writes.
 */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { KvListReply, StatusReply } from '../../src/agent/faces/agent-api/schema.ts';
import { Host } from './host.ts';
import { leftOut, missing, SLOW } from './suite.ts';

const ACKS_BEFORE_CUT = 300;
/** One stall of the machine isn't a hang of the agent: it pings every two seconds then. */
const WATCHDOG_SECONDS = 4;

vi.setConfig(SLOW);

describe.skipIf(missing !== '')(`holdfast.service${missing}`, () => {
  let host: Host;
  beforeAll(async () => {
    host = await Host.boot();
  });
  afterAll(() => host?.close());

  async function show(...properties: string[]): Promise<Record<string, string>> {
    const text = await host.check(`systemctl show holdfast -p ${properties.join(',')}`);
    return Object.fromEntries(text.split('\n').map((line) => line.split(/=(.*)/s, 2)));
  }
  const until = (condition: string) => host.check(`until ${condition}; do sleep 0.1; done`);
  const mountOf = (name: string) =>
    host.check(`findmnt -rno ID,SOURCE "$(holdfast volume mount ${name})"`);

  it('is ready when systemctl start returns', async () => {
    await host.check('systemctl enable --now holdfast');
    expect(await show('ActiveState', 'SubState', 'StatusText', 'NRestarts')).toEqual({
      ActiveState: 'active',
      SubState: 'running',
      StatusText: 'ready',
      NRestarts: '0',
    });
    const status = await host.json<StatusReply>('holdfast status -o json');
    expect(status).toMatchObject({ state: 'ready', hostname: 'edge' });
    expect(await host.check('holdfast doctor')).not.toContain('FAIL');
    expect(await host.check('stat -c %a /var/lib/holdfast /run/holdfast/holdfast.sock')).toBe(
      '700\n660',
    );
  });

  it('makes and mounts loop volumes where everybody sees them', async () => {
    await host.check(
      'holdfast volume create data --service loop --size 32M --mount-at-boot --mount',
    );
    expect(await mountOf('data')).toMatch(/ \/dev\/loop\d+$/);
  });

  it('is killed by the watchdog when it hangs, comes back, and its mounts stay', async (test) => {
    if (leftOut !== undefined) return test.skip(leftOut);
    const unit = '/etc/systemd/system/holdfast.service.d/watchdog.conf';
    await host.write(unit, `[Service]\nWatchdogSec=${WATCHDOG_SECONDS}\nRestartSec=1\n`);
    const mount = await mountOf('data');
    await host.check('systemctl daemon-reload && systemctl restart holdfast');
    const { MainPID } = await show('MainPID');
    await host.check(`kill -STOP ${MainPID}`);
    await until(`[ "$(systemctl show -P NRestarts holdfast)" = 1 ]`);
    await until('systemctl is-active -q holdfast');
    expect(await host.check('journalctl -u holdfast -o cat')).toContain('Watchdog timeout');
    expect((await show('MainPID'))['MainPID']).not.toBe(MainPID);
    expect(await mountOf('data')).toBe(mount);
    await host.check(`rm ${unit} && systemctl daemon-reload && systemctl restart holdfast`);
  });

  it('stops cleanly and unmounts nothing', async () => {
    const mount = await mountOf('data');
    await host.check('systemctl stop holdfast');
    expect(await show('ActiveState', 'Result', 'ExecMainStatus')).toEqual({
      ActiveState: 'inactive',
      Result: 'success',
      ExecMainStatus: '0',
    });
    expect(await host.check(`findmnt -rno ID,SOURCE | grep -c '^${mount}$'`)).toBe('1');
  });

  it('is not restarted when the configuration is wrong', async (test) => {
    if (leftOut !== undefined) return test.skip(leftOut);
    await host.write('/etc/holdfast/config.yaml', 'engine:\n  backend: paper\n');
    expect((await host.run('systemctl start holdfast')).code).toBe(1);
    expect(await show('ActiveState', 'ExecMainStatus', 'NRestarts')).toEqual({
      ActiveState: 'failed',
      ExecMainStatus: '78',
      NRestarts: '0',
    });
    expect(await host.check('journalctl -u holdfast -o cat')).toContain('paper');
    await host.check('rm /etc/holdfast/config.yaml && systemctl reset-failed holdfast');
  });

  it('loses no acknowledged write in a power cut, and is back after it by itself', async () => {
    await host.check('systemctl start holdfast');
    const acknowledged = new Set<string>();
    let enough = (): void => undefined;
    const reached = new Promise<void>((resolve) => (enough = resolve));
    let rest = '';
    const writer = host.start('exec node /usr/lib/holdfast/dist/test/host/kv-writer.js', {
      onStdout(text) {
        const lines = (rest + text).split('\n');
        rest = lines.pop()!;
        for (const line of lines) acknowledged.add(`cut/${line}`);
        if (acknowledged.size >= ACKS_BEFORE_CUT) enough();
      },
    });
    const ended = writer.exited.then((result) => {
      if (acknowledged.size < ACKS_BEFORE_CUT) throw new Error(`the writer: ${result?.stderr}`);
    });
    await Promise.race([reached, ended]);
    await host.powerCut();
    await host.powerOn();
    await until('systemctl is-active -q holdfast');
    const kept = await host.json<KvListReply['kvs']>('holdfast kv ls cut -o json');
    const keys = new Set(kept.map(({ key }) => key));
    expect([...acknowledged].filter((key) => !keys.has(key))).toEqual([]);
    expect(keys.size).toBeLessThanOrEqual(acknowledged.size + 4);
    expect(await mountOf('data')).toMatch(/ \/dev\/loop\d+$/);
    expect(await host.json('holdfast kv check -o json')).toMatchObject({ errors: 0 });
    console.log(`${acknowledged.size} acknowledged before the cut, ${keys.size} found after it`);
  });
});
