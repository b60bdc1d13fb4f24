import type { DeviceBody } from '../faces/agent-api/schema.ts';
import { deviceRow } from './device-text.ts';

/** A device with what stands on it: its partitions, its holders, the loops whose files lie on it. */
export interface DeviceNode {
  readonly device: DeviceBody;
  readonly children: readonly DeviceNode[];
  /** It stands on several devices and was shown whole at the first of them. */
  readonly repeated: boolean;
}

/** The devices from the bottom up, in the order they came in. A device of a damaged tree that stands on itself is shown once. */
export function treeOf(devices: readonly DeviceBody[]): DeviceNode[] {
  const byName = new Map(devices.map((device) => [device.name, device]));
  const above = new Map<string, DeviceBody[]>();
  const roots: DeviceBody[] = [];
  for (const device of devices) {
    const below = belowOf(device).filter((name) => byName.has(name) && name !== device.name);
    if (below.length === 0) roots.push(device);
    for (const name of below) above.set(name, [...(above.get(name) ?? []), device]);
  }
  const shown = new Set<string>();
  const nodeOf = (device: DeviceBody): DeviceNode => {
    if (shown.has(device.name)) return { device, children: [], repeated: true };
    shown.add(device.name);
    return { device, children: (above.get(device.name) ?? []).map(nodeOf), repeated: false };
  };
  const tree = roots.map(nodeOf);
  // What stands in a circle is below no root, and must not be missing.
  for (const device of devices) if (!shown.has(device.name)) tree.push(nodeOf(device));
  return tree;
}

function belowOf({ parent, slaves, backingDevice }: DeviceBody): string[] {
  const below = [parent, ...slaves, backingDevice].filter((name) => name !== undefined);
  return [...new Set(below)];
}

/** A line for each node, the name behind branches. */
export function treeRows(nodes: readonly DeviceNode[]): string[][] {
  return nodes.flatMap((node) => rowsOf(node, '', ''));
}

function rowsOf(
  { device, children, repeated }: DeviceNode,
  here: string,
  below: string,
): string[][] {
  const named = device.kind === 'dm' && device.layerName ? ` ${device.layerName}` : '';
  const row = deviceRow(device, `${here}${device.name}${named}${repeated ? ' (see above)' : ''}`);
  return [
    row,
    ...children.flatMap((child, index) =>
      index === children.length - 1
        ? rowsOf(child, `${below}└─`, `${below}  `)
        : rowsOf(child, `${below}├─`, `${below}│ `),
    ),
  ];
}
