/**
 * Goal: several virtual hosts reach each other on a network that can be cut and made bad, and the copy of a host's
 * disk in another machine is noticed at its boot. Method: two hosts, the second with the disk of the first.
 */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { Host } from './host.ts';
import { Network, type Port } from './network.ts';
import { leftOut, missing, SLOW } from './suite.ts';

vi.setConfig(SLOW);
const skipped = missing || (leftOut ? `: ${leftOut}` : '');

describe.skipIf(skipped !== '')(`two hosts${skipped}`, () => {
  let network: Network;
  let ports: [Port, Port];
  let first: Host;
  let clone: Host;
  beforeAll(async () => {
    network = new Network();
    ports = [network.port(), network.port()];
    first = await Host.boot({ port: ports[0] });
    await first.check('systemctl enable --now holdfast');
    await first.shutDown();
    clone = await Host.boot({ port: ports[1], cloneOf: first });
    await first.powerOn();
  });
  afterAll(async () => {
    await clone?.close();
    await first?.close();
    network?.[Symbol.dispose]();
  });

  it('are there, and only the first one has an agent: the second is a clone, and says so', async () => {
    await first.check('until systemctl is-active -q holdfast; do sleep 0.1; done');
    await clone.check('until systemctl is-failed -q holdfast; do sleep 0.1; done');
    expect(await clone.check('systemctl show -P ExecMainStatus holdfast')).toBe('78');
    const log = await clone.check('journalctl -b -u holdfast -o cat');
    expect(log).toContain('network cards');
    expect(log).toContain(ports[0].mac);
    expect(log).toContain('--adopt-state');
    await clone.check(
      'timeout 60 holdfast agent --adopt-state >/tmp/log 2>&1 & until holdfast status; do sleep 0.1; done',
    );
    const id = 'holdfast status | grep ^host';
    expect(await clone.check(id)).not.toBe(await first.check(id));
  });

  it('reach each other until a cable is pulled, and again when it is back', async () => {
    const ping = `ping -c 1 -W 1 ${ports[1].address}`;
    expect((await first.run(ping)).code).toBe(0);
    network.setCable(ports[1], 'out');
    expect((await first.run(ping)).code).toBe(1);
    network.setCable(ports[1], 'in');
    await first.check(`until ${ping}; do sleep 0.1; done`);
  });

  it('can have a slow link', async () => {
    await clone.check('modprobe sch_netem && tc qdisc add dev vec0 root netem delay 300ms');
    const times = await first.check(`ping -c 2 ${ports[1].address} | tail -1`);
    expect(Number(/= ([\d.]+)/.exec(times)?.[1])).toBeGreaterThan(250);
  });
});
