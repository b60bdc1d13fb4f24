/** Goal: the host is looked at when the agent is up, at every period, and soon after a volume changed; idle it writes nothing. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, it, onTestFinished } from 'vitest';
import { FakeClock } from '../../test/support/fake-clock.ts';
import { openEngine, type Engine } from '../engine/index.ts';
import { Rescan, type WatchHardware } from './rescan.ts';

const STEP_MS = 250;

async function startRescan() {
  const engine: Engine = await openEngine({ backend: 'memory', path: 'x' });
  const clock = new FakeClock();
  let scans = 0;
  let looks = 0;
  let hint = (): void => undefined;
  let isWatching = false;
  const found: string[] = [];
  const watchHardware: WatchHardware = (call) => {
    hint = call;
    isWatching = true;
    return () => (isWatching = false);
  };
  const devices = {
    scan: async () => {
      scans += 1;
      return found.splice(0);
    },
  };
  const core = { engine, devices } as unknown as ConstructorParameters<typeof Rescan>[0];
  const rescan = new Rescan(core, 60, async () => void (looks += 1), watchHardware, clock);
  const stop = new AbortController();
  const running = rescan.run(stop.signal);
  onTestFinished(async () => {
    stop.abort();
    await running;
    expect(isWatching).toBe(false);
    await engine.close();
  });
  /** In steps, so that a sleep that follows another begins in between. */
  const pass = async (ms: number, stepMs = STEP_MS): Promise<void> => {
    for (let passed = 0; passed < ms; passed += stepMs) {
      await nextTurn();
      clock.advance(stepMs);
      await nextTurn();
    }
  };
  return { engine, found, pass, rescan, ring: () => hint(), counts: () => [scans, looks] };
}

it('looks once the boot volumes are up, then once a period', async () => {
  const { pass, counts } = await startRescan();
  await pass(1_000);
  expect(counts()).toEqual([1, 1]);
  await pass(58_000);
  expect(counts()).toEqual([1, 1]);
  await pass(3_000);
  expect(counts()).toEqual([2, 2]);
});

it('looks soon after volumes changed, once for a burst of them', async () => {
  const { pass, counts, engine } = await startRescan();
  await pass(1_000);
  for (let n = 0; n < 10; n += 1) await engine.put(`volumes/${n}`, Buffer.from('x'));
  await pass(1_000);
  expect(counts()).toEqual([2, 2]);
  await engine.put('kv/other', Buffer.from('x'));
  await pass(1_000);
  expect(counts()).toEqual([2, 2]);
});

it('follows a changed period', async () => {
  const { pass, counts, rescan } = await startRescan();
  rescan.setPeriod(5);
  await pass(1_000);
  await pass(6_000);
  expect(counts()).toEqual([2, 2]);
});

it('scans ten milliseconds after a hint, and in a storm of them every tenth of a second', async () => {
  const { pass, counts, ring } = await startRescan();
  await pass(1_000);
  ring();
  await pass(8, 2);
  expect(counts()).toEqual([1, 1]);
  await pass(4, 2);
  expect(counts()).toEqual([2, 1]);
  for (let ms = 0; ms < 1_000; ms += 2) {
    ring();
    await pass(2, 2);
  }
  const [scans] = counts();
  expect(scans).toBeGreaterThan(2 + 8);
  expect(scans).toBeLessThan(2 + 11);
  await pass(200, 2);
  const [last, looks] = counts();
  expect([last! - scans!, looks]).toEqual([1, 1]);
});

it('looks at the volumes when a hint was right', async () => {
  const { pass, counts, found, ring } = await startRescan();
  await pass(1_000);
  found.push('a disk that came');
  ring();
  await pass(1_000);
  expect(counts()).toEqual([3, 2]);
});
