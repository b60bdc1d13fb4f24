import type { FirmwareFacts } from './dmi.ts';
import type { Tree } from './tree.ts';

/** Files that container managers leave in the root they make (systemd's detect-virt looks for the same). */
const CONTAINER_MARKS: ReadonlyArray<readonly [string, string]> = [
  ['run/.containerenv', 'podman'],
  ['.dockerenv', 'docker'],
];

/** By what a hypervisor's firmware calls itself, maker first, then model. */
const HYPERVISORS: ReadonlyArray<readonly [RegExp, string]> = [
  [/^(QEMU|KVM|OpenStack|KubeVirt)/i, 'kvm'],
  [/^Amazon EC2/i, 'amazon'],
  [/^Google Compute Engine/i, 'google'],
  [/^VMware|^VMW/i, 'vmware'],
  [/^(innotek GmbH|VirtualBox)/i, 'virtualbox'],
  [/^(Xen|HVM domU)/i, 'xen'],
  [/^Virtual Machine$/i, 'hyperv'],
  [/^Parallels/i, 'parallels'],
  [/^BHYVE/i, 'bhyve'],
  [/^Apple Virtualization/i, 'apple'],
];

/**
 * `docker`, `kvm`, `vm` (a hypervisor that doesn't say its name), or undefined on bare metal. A container
 * says so before the machine it runs on does. For people: nothing depends on it.
 */
export function readVirtual(
  tree: Tree,
  { manufacturer = '', model = '' }: FirmwareFacts,
  cpuFlags: readonly string[] | undefined,
): string | undefined {
  const container = tree.text('run/systemd/container');
  if (container !== undefined) return container;
  for (const [mark, name] of CONTAINER_MARKS) if (tree.exists(mark)) return name;
  // CPUID leaf 1, ECX bit 31: a bare-metal instance has its cloud's firmware but not this.
  const isGuest = cpuFlags?.includes('hypervisor');
  if (isGuest === false) return undefined;
  for (const [pattern, name] of HYPERVISORS) {
    if (pattern.test(manufacturer) || pattern.test(model)) return name;
  }
  return isGuest ? 'vm' : undefined;
}
