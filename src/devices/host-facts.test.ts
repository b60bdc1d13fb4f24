/** Goal: what people read about a machine is what its own files say, and every file may be missing. */
import { hostname, release } from 'node:os';
import { describe, expect, it } from 'vitest';
import { plant } from '../../test/fixtures/sys/tree.ts';
import { tempDir } from '../../test/support/temp-dir.ts';
import { readHostFacts } from './host-facts.ts';

function factsOf(files: Record<string, string>) {
  const root = tempDir('facts');
  plant(root, files);
  return readHostFacts(root);
}

/** A processor's lines fill most of a page; a server has hundreds of them. */
const cpuinfo = (lines: string): string =>
  `${lines}\nflags\t\t: fpu hypervisor ${'x'.repeat(2000)}\n\n`.repeat(64);

describe('readHostFacts', () => {
  it('reads a machine', () => {
    expect(
      factsOf({
        'proc/sys/kernel/hostname': 'edge-7\n',
        'proc/sys/kernel/osrelease': '6.1.0-28-amd64\n',
        'proc/cpuinfo': cpuinfo('processor\t: 0\nmodel name\t: Intel(R) N100'),
        'proc/meminfo': 'MemTotal:        8008044 kB\nMemFree:          100 kB\n',
        'sys/devices/system/cpu/online': '0-3,8,10-11\n',
        'etc/os-release': 'NAME="Debian"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
        'sys/class/dmi/id/sys_vendor': 'QEMU\n',
        'sys/class/dmi/id/product_name': 'Standard PC\n',
      }),
    ).toMatchObject({
      hostname: 'edge-7',
      kernel: '6.1.0-28-amd64',
      cpu: 'Intel(R) N100',
      memoryBytes: 8008044 * 1024,
      cores: 7,
      os: 'Debian GNU/Linux 12 (bookworm)',
      manufacturer: 'QEMU',
      model: 'Standard PC',
      virtual: 'kvm',
    });
  });

  it('falls back to what Node knows where a file is missing, and leaves out what nobody knows', () => {
    const facts = factsOf({});
    expect(facts).toMatchObject({ hostname: hostname(), kernel: release(), cpu: facts.arch });
    expect(facts.cores).toBeGreaterThan(0);
    expect(facts.memoryBytes).toBeGreaterThan(0);
    expect(facts).not.toHaveProperty('manufacturer');
  });

  it.each([
    ["PRETTY_NAME='Alpine Linux v3.20'", 'Alpine Linux v3.20'],
    ['PRETTY_NAME=Yocto', 'Yocto'],
    ['PRETTY_NAME="The \\"Edge\\" OS"', 'The "Edge" OS'],
  ])('reads os-release as a shell would: %s', (line, os) => {
    expect(factsOf({ 'usr/lib/os-release': `ID=x\n${line}\n` }).os).toBe(os);
  });

  it.each(['', 'none\n', '0-\n', '-3\n'])('does not believe %j processors', (online) => {
    expect(factsOf({ 'sys/devices/system/cpu/online': online }).cores).toBe(factsOf({}).cores);
  });

  it('knows this host', () => {
    expect(readHostFacts()).toMatchObject({ hostname: hostname(), kernel: release() });
  });
});
