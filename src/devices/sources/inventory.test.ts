/** Goal: systeminformation only ever adds to what we know, and no failure or delay of its reaches the agent. */
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { compiledProgram } from '../../../test/support/compiled.ts';
import { tempDir } from '../../../test/support/temp-dir.ts';
import type { HostFacts } from '../host.ts';
import { askChild, readInventory, type Inventory } from './inventory.ts';

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
    cpu: { manufacturer: cpuMaker, brand },
    system: { manufacturer: maker, model },
  });
}

const SOURCES = 'src/devices/sources';

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
    const nonsense = async () => ({ cpu: undefined, system: null }) as unknown as Inventory;
    expect(await readInventory(ARM, broken)).toBe(ARM);
    expect(await readInventory(ARM, nonsense)).toBe(ARM);
  });

  it('is the base when its process says nothing that can be read, or fails', async () => {
    const program = path.join(tempDir('inventory'), 'child.mjs');
    for (const code of ['console.log("{")', 'process.exit(1)', 'console.log("x".repeat(1e6))']) {
      writeFileSync(program, code);
      expect(await readInventory(ARM, () => askChild(program))).toBe(ARM);
    }
  });

  it('works with the real one', async () => {
    const program = compiledProgram(`${SOURCES}/inventory-child.ts`, []);
    const facts = await readInventory(ARM, () => askChild(program));
    expect(facts.cpu).not.toBe(ARM.arch);
    expect(facts).toMatchObject({ hostname: 'edge-7', cores: 4 });
  });
});
