/** One place with volumes that lives through any number of crashes, and the files that must survive them. */
import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import { assert } from 'vitest';
import { MiB } from '../../src/base/bytes.ts';
import type { Volume } from '../../src/volumes/index.ts';
import { mountsUnder } from '../support/temp-folder.ts';
import { attachedFiles, expectedView, kernelView, type VolumeSiteFolders } from './volume-view.ts';
import { VolumeProcess } from './volume-process.ts';
import type { WorkerSite } from './volume-worker.ts';

const PAYLOAD_BYTES = MiB;

export class VolumeSite {
  readonly folders: VolumeSiteFolders;
  readonly #store: string;
  readonly #bootId: string;
  /** Volume id -> checksum of the file in it that was synced. */
  readonly #payloads: Map<string, string>;

  constructor(folder: string, bootId = 'this-boot', payloads = new Map<string, string>()) {
    this.#bootId = bootId;
    this.#payloads = payloads;
    const at = (name: string): string => path.join(folder, name);
    this.folders = {
      images: at('images'),
      directories: at('directories'),
      mountRoot: at('mounts'),
    };
    this.#store = at('store');
  }

  /** The files as they are known now. */
  get payloads(): Map<string, string> {
    return new Map(this.#payloads);
  }

  /** Whatever a failed test left of mounts and devices, so that its failure is told and not that of the next. */
  tearDown(): void {
    tearDown(this.folders.mountRoot);
    tearDown(this.folders.images);
  }

  /** A new agent, which recovers first. @throws Died when it was killed while recovering */
  async start(armed: Pick<WorkerSite, 'kill' | 'fail'> = {}): Promise<VolumeProcess> {
    const worker = this.spawn(armed);
    await worker.call('recover');
    return worker;
  }

  spawn(armed: Pick<WorkerSite, 'kill' | 'fail'> = {}): VolumeProcess {
    return new VolumeProcess({
      ...armed,
      store: this.#store,
      bootId: this.#bootId,
      mountRoot: this.folders.mountRoot,
      services: [
        { name: 'loop', driver: 'loop', path: this.folders.images },
        { name: 'dir', driver: 'dir', path: this.folders.directories },
      ],
    });
  }

  /** A file with known content, durable. The volume is mounted. */
  writePayload({ spec, status }: Volume): void {
    const bytes = randomBytes(PAYLOAD_BYTES);
    const file = openSync(path.join(status.mountPoint!, 'payload'), 'w');
    writeSync(file, bytes);
    fsyncSync(file);
    closeSync(file);
    this.#payloads.set(spec.id, checksum(bytes));
  }

  /** Fine for a volume in which nothing was written. The volume is mounted. */
  checkPayload({ spec, status }: Volume): void {
    const wanted = this.#payloads.get(spec.id);
    if (wanted === undefined) return;
    const found = checksum(readFileSync(path.join(status.mountPoint!, 'payload')));
    assert.strictEqual(found, wanted, `the file in ${spec.id}`);
  }

  /** Records, journal, kernel and folders agree, and every acknowledged volume is among them with its data. */
  async check(worker: VolumeProcess, acknowledged: readonly Volume[]): Promise<readonly Volume[]> {
    const volumes = await worker.call('list');
    const restless = volumes.filter(({ status }) => status.phase !== 'ready');
    assert.strictEqual(await worker.call('journal'), 0, 'entries in the journal');
    assert.deepEqual(restless, [], 'volumes that are not at rest');
    const { mountPoints, ...view } = kernelView(this.folders);
    const { mountPoints: expectedPoints, ...expected } = expectedView(this.folders, volumes);
    assert.deepEqual(view, expected);
    // An earlier boot's mount points stay until the next unmount; of a removed volume none does.
    const ids = volumes.map(({ spec }) => spec.id).sort();
    if (this.#bootId === 'this-boot') assert.deepEqual(mountPoints, expectedPoints);
    else assert.includeMembers(ids, [...mountPoints]);
    for (const { spec } of acknowledged) {
      assert.deepEqual(volumes.find((volume) => volume.spec.id === spec.id)?.spec, spec);
    }
    for (const volume of volumes) {
      if (volume.status.mountPoint !== undefined) this.checkPayload(volume);
    }
    return volumes;
  }

  /** Mounts what isn't, reads its file, and removes it. */
  async readAndRemove(worker: VolumeProcess, { spec }: Volume): Promise<void> {
    this.checkPayload(await worker.call('mount', spec.id));
    await worker.call('detach', spec.id);
    await worker.call('unmount', spec.id);
    await worker.call('remove', spec.id);
  }
}

/** Unmounts and detaches all that lies in the folder, as the kernel tells it. */
export function tearDown(folder: string): void {
  for (const at of mountsUnder(folder)) execFileSync('umount', [at]);
  for (const { device, file } of attachedFiles()) {
    if (file.startsWith(`${folder}/`)) execFileSync('losetup', ['--detach', device]);
  }
}

function checksum(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
