/** Goal: systeminformation only ever adds to what we know, and no failure or delay of its reaches the agent. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { HostFacts } from '../host.ts';
import { readInventory, type Inventory } from './inventory.ts';

const ARM: HostFacts = {
  hostname: 'edge-7',
  os: 'Debian',
  kernel: '6.1',
  arch: 'aarch64',
  cpu: 'aarch64',
  cores: 4,
  memoryBytes: 1 << 30,
};
const PC: HostFacts = {
  ...ARM,
  arch: 'x86_64',
  cpu: 'AMD EPYC',
  manufacturer: 'HP',
  model: 'MicroServer',
};

function inventory(
  facts: Partial<Record<'cpuMaker' | 'brand' | 'maker' | 'model', string>>,
): () => Promise<Inventory> {
  const { cpuMaker = '', brand = '', maker = '', model = '' } = facts;
  return async () => ({
    cpu: async () => ({ manufacturer: cpuMaker, brand }),
    system: async () => ({ manufacturer: maker, model }),
  });
}

afterEach(() => vi.useRealTimers());

describe('readInventory', () => {
  it('adds what is missing', async () => {
    const pi = inventory({
      cpuMaker: 'ARM',
      brand: 'Cortex-A72',
      maker: 'Raspberry Pi Foundation',
      model: 'BCM2711',
    });
    expect(await readInventory(ARM, pi)).toEqual({
      ...ARM,
      cpu: 'ARM Cortex-A72',
      manufacturer: 'Raspberry Pi Foundation',
      model: 'BCM2711',
    });
  });

  it('overwrites nothing', async () => {
    const other = inventory({ cpuMaker: 'AMD', brand: 'EPYC', maker: 'Hewlett', model: 'Other' });
    expect(await readInventory(PC, other)).toEqual(PC);
  });

  it('takes its dashes and empty strings for nothing', async () => {
    expect(
      await readInventory(ARM, inventory({ maker: '-', model: ' ', brand: 'Unknown' })),
    ).toEqual(ARM);
  });

  it('is the base when it can not be loaded, throws, or answers nonsense', async () => {
    const broken = async () => Promise.reject(new Error('no such module'));
    const nonsense = async () =>
      ({ cpu: async () => undefined, system: async () => null }) as unknown as Inventory;
    expect(await readInventory(ARM, broken)).toBe(ARM);
    expect(await readInventory(ARM, nonsense)).toBe(ARM);
  });

  it('is the base when it does not answer in time', async () => {
    vi.useFakeTimers();
    const answer = readInventory(ARM, () => new Promise<never>(() => undefined));
    await vi.runAllTimersAsync();
    expect(await answer).toBe(ARM);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('works with the real one', async () => {
    const facts = await readInventory(ARM);
    expect(facts.cpu).not.toBe(ARM.arch);
    expect(facts).toMatchObject({ hostname: 'edge-7', cores: 4 });
  });
});
