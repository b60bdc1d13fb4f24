/**
 * Goal: a host keeps one replica id through restarts and repairs, and two hosts never share one.
 * Method: planted trees as hosts, a store that counts what is written.
 */
import { describe, expect, it } from 'vitest';
import { isUuid } from '../base/ids.ts';
import { plant } from '../../test/fixtures/sys/tree.ts';
import { MemoryFacts } from '../../test/support/memory-facts.ts';
import { tempDir } from '../../test/support/temp-dir.ts';
import { knowHost } from './host-identity.ts';

const MACHINE_ID = '4b7e0d6f9d3c4c6db6f1a2b3c4d5e6f7';

interface Machine {
  readonly uuid?: string;
  readonly board?: string;
  readonly mac?: string;
  readonly disk?: string;
  readonly machineId?: string;
}

const EDGE: Machine = {
  uuid: '4c4c4544-0042-3510-8052-b4c04f4d3132',
  board: 'CZ1234ABCD',
  mac: 'b4:2e:99:00:00:01',
  disk: 'naa.5000c500a1b2c3d4',
  machineId: MACHINE_ID,
};
const OTHER: Machine = {
  uuid: '11112222-0042-3510-8052-b4c04f4d3132',
  board: 'CZ9876WXYZ',
  mac: 'b4:2e:99:00:00:02',
  disk: 'naa.5000c500ffffff00',
  machineId: MACHINE_ID,
};

function hostOf({ uuid = '', board = '', mac, disk, machineId = '' }: Machine): string {
  const root = tempDir('host');
  plant(root, {
    'sys/class/dmi/id/product_uuid': uuid,
    'sys/class/dmi/id/board_serial': board,
    'etc/machine-id': machineId,
  });
  if (mac) {
    plant(root, {
      'sys/class/net/eth0/address': mac,
      'sys/class/net/eth0/addr_assign_type': '0\n',
      'sys/class/net/eth0/device/uevent': '',
    });
  }
  if (disk) {
    const sda = 'sys/class/block/sda';
    plant(
      root,
      {
        [`${sda}/uevent`]: 'MAJOR=8\nMINOR=0\nDEVTYPE=disk\n',
        [`${sda}/wwid`]: disk,
        'proc/self/mountinfo': '27 1 8:0 / / rw - ext4 /dev/sda rw\n',
      },
      { [`${sda}/device`]: '../..' },
    );
  }
  return root;
}

/** A store as the host's first start leaves it. */
async function stateOf(machine: Machine) {
  const store = new MemoryFacts();
  const { identity } = await knowHost({ store, root: hostOf(machine) });
  return { store, identity };
}

describe('the first start', () => {
  it('mints an id, bound to what the machine is made of', async () => {
    const store = new MemoryFacts();
    const { identity, outcome, note } = await knowHost({ store, root: hostOf(EDGE) });
    expect([outcome, note]).toEqual(['minted', undefined]);
    expect(isUuid(identity.replicaId)).toBe(true);
    expect(identity.replicaId[14]).toBe('7');
    expect(identity.fingerprint).toMatchObject({
      productUuid: EDGE.uuid,
      boardSerial: EDGE.board,
      macs: [EDGE.mac],
      rootDisk: `scsi-wwid-${EDGE.disk}`,
    });
    expect(await store.loadHost()).toEqual(identity);
  });

  it('never lets the machine-id out', async () => {
    const { store } = await stateOf(EDGE);
    expect(JSON.stringify(await store.loadHost())).not.toContain(MACHINE_ID);
  });

  it('says so when there is nothing to bind the id to', async () => {
    const { note } = await knowHost({ store: new MemoryFacts(), root: hostOf({}) });
    expect(note).toContain('would go unnoticed');
  });

  it('works where there is nothing at all', async () => {
    const { identity } = await knowHost({ store: new MemoryFacts(), root: tempDir('empty') });
    expect(identity.fingerprint).toEqual({ macs: [] });
  });
});

describe('a later start', () => {
  it.each([
    ['that machine', EDGE],
    ['a machine that shows nothing', {}],
  ])('of %s is the same and writes nothing', async (_, machine) => {
    const { store, identity } = await stateOf(machine);
    const again = await knowHost({ store, root: hostOf(machine) });
    expect(again).toEqual({ identity, outcome: 'same' });
    expect(store.hostSaves).toBe(1);
  });

  it('after a repair keeps the id, takes the new part and names it', async () => {
    const { store, identity } = await stateOf(EDGE);
    const root = hostOf({ ...EDGE, mac: OTHER.mac! });
    const verdict = await knowHost({ store, root });
    expect(verdict).toMatchObject({
      outcome: 'parts-replaced',
      note: 'replaced since the last start: network cards; still the same: product UUID, board serial number, root disk, machine-id',
      identity: {
        replicaId: identity.replicaId,
        mintedAt: identity.mintedAt,
        fingerprint: { macs: [OTHER.mac] },
      },
    });
    expect(await store.loadHost()).toEqual(verdict.identity);
    expect(await knowHost({ store, root })).toMatchObject({ outcome: 'same' });
    expect(store.hostSaves).toBe(2);
  });

  it('with a new system is the same, and says why it wrote', async () => {
    const { store, identity } = await stateOf(EDGE);
    const root = hostOf({ ...EDGE, machineId: 'f'.repeat(32) });
    const { outcome, note, identity: now } = await knowHost({ store, root });
    expect([outcome, now.replicaId]).toEqual(['same', identity.replicaId]);
    expect(note).toContain('installed anew');
    expect(store.hostSaves).toBe(2);
  });

  it('that can see nothing keeps the id and every fact', async () => {
    const { store, identity } = await stateOf(EDGE);
    const { note, ...verdict } = await knowHost({ store, root: hostOf({}) });
    expect(verdict).toEqual({ identity, outcome: 'same' });
    expect(note).toContain('kept on trust');
    expect(store.hostSaves).toBe(1);
  });

  it('with junk in the firmware goes by what is left', async () => {
    const junk = { ...EDGE, uuid: '03000200-0400-0500-0006-000700080009', board: 'Default string' };
    const { store, identity } = await stateOf(junk);
    expect(identity.fingerprint).not.toHaveProperty('productUuid');
    // A clone has the same junk, and it must not speak for it.
    const clone = { ...junk, mac: OTHER.mac!, disk: OTHER.disk! };
    await expect(knowHost({ store, root: hostOf(clone) })).rejects.toMatchObject({
      code: 'StateMismatch',
    });
  });
});

describe('the state of another host (a cloned disk)', () => {
  it('is refused, with what differs and the way out; nothing is written', async () => {
    const { store, identity } = await stateOf(EDGE);
    await expect(knowHost({ store, root: hostOf(OTHER) })).rejects.toMatchObject({
      code: 'StateMismatch',
      message:
        `this state belongs to another host, replica ${identity.replicaId}: different here: ` +
        `product UUID (was ${EDGE.uuid}, is ${OTHER.uuid}), board serial number (was ${EDGE.board}, is ${OTHER.board}), ` +
        `network cards (was ${EDGE.mac}, is ${OTHER.mac}), ` +
        `root disk (was scsi-wwid-${EDGE.disk}, is scsi-wwid-${OTHER.disk}); the same: machine-id`,
      hint: expect.stringContaining('holdfast agent --adopt-state'),
    });
    expect(await store.loadHost()).toEqual(identity);
    expect(store.hostSaves).toBe(1);
  });

  it('is taken over under a new id when that is asked for, once', async () => {
    const { store, identity: old } = await stateOf(EDGE);
    const root = hostOf(OTHER);
    const { identity, outcome, note } = await knowHost({ store, root, adopt: true });
    expect(outcome).toBe('adopted');
    expect(identity.replicaId).not.toBe(old.replicaId);
    expect(identity.clonedFrom).toBe(old.replicaId);
    expect(note).toContain(old.replicaId);
    expect(await knowHost({ store, root, adopt: true })).toEqual({ identity, outcome: 'same' });
  });

  it('is not what `adopt` makes of a host’s own state', async () => {
    const { store, identity } = await stateOf(EDGE);
    const verdict = await knowHost({ store, root: hostOf(EDGE), adopt: true });
    expect(verdict).toEqual({ identity, outcome: 'same' });
  });
});
