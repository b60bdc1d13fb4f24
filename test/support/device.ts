import type { Device } from '../../src/devices/index.ts';

/** A SCSI disk as the registry has it, free for use; with `facts` it is another. */
export function disk(facts: Partial<Device> = {}): Device {
  return {
    id: 'scsi-wwid-naa.1_S1..000000000001',
    identity: { scheme: 'scsi-wwid', value: 'naa.1|S1', confidence: 'high' },
    recipe: 1,
    name: 'sda',
    path: '/dev/sda',
    major: 8,
    minor: 0,
    kind: 'disk',
    sizeBytes: 1 << 30,
    logicalBlockBytes: 512,
    physicalBlockBytes: 512,
    rotational: false,
    readOnly: false,
    removable: false,
    content: 'nothing',
    mountPoints: [],
    swap: false,
    children: [],
    holders: [],
    slaves: [],
    present: true,
    facts: [],
    history: [],
    ...facts,
  };
}
