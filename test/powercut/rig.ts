/**
 * A disk whose power can be cut, without a virtual machine.
 *
 *   temp folder / pool.img -> loop -> XFS with reflink, at pool/
 *                 pool/disk.img -> loop, direct I/O -> ext4, at disk/     what `folder` is on
 *                 pool/cut-N.img, a clone -> loop -> ext4, at cut-N/      what a cut finds
 *
 * With direct I/O nothing is in disk.img but what ext4 sent to its disk, so a clone of that file
 * (FICLONE is atomic: XFS waits for writes in flight and holds off new ones) is what the disk held at
 * that instant. Mounting it replays the journal, as after a real cut.
 *
 * Caveat: a drive's own volatile cache isn't modelled: what was sent counts as kept. That the sync
 * reaches the disk as a flush is seen in the block statistics instead (block-stat.ts).
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmdirSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { loopAttach, loopDetach, mount, umount } from '../../native/index.ts';
import { MiB } from '../../src/base/bytes.ts';
import { makeTempFolder, removeTempFolder } from '../support/temp-folder.ts';

/** mkfs.xfs refuses less than 300 MiB. Sparse: it takes what is written. */
const POOL_BYTES = 1024 * MiB;
const DISK_BYTES = 256 * MiB;
/** XFS' own block: a cloned file takes direct I/O in whole blocks only, so the disk and its ext4 have no smaller one. */
const BLOCK_BYTES = 4096;

/** The disk as a cut left it, mounted read-write. */
export interface CutDisk extends AsyncDisposable {
  /** What was in the rig's `folder`. */
  readonly folder: string;
}

export class Rig implements AsyncDisposable {
  /** Not on the disk: for lists and notes that outlive a cut. */
  readonly outside: string;
  readonly #undo = new UndoStack();
  #device = '';
  #cuts = 0;

  private constructor() {
    this.outside = makeTempFolder('powercut');
    this.#undo.add(() => removeTempFolder(this.outside));
  }

  /** Needs root. @throws with the tool's own words; nothing is left behind then */
  static async create(): Promise<Rig> {
    const rig = new Rig();
    try {
      await rig.#build();
      return rig;
    } catch (thrown) {
      await rig[Symbol.asyncDispose]();
      throw thrown;
    }
  }

  async #build(): Promise<void> {
    const pool = path.join(this.outside, 'pool');
    const image = path.join(this.outside, 'pool.img');
    makeImage(image, POOL_BYTES);
    const { path: below } = await loopAttach({ backingFile: image });
    this.#undo.add(() => loopDetach(below));
    run('mkfs.xfs', ['-q', '-m', 'reflink=1', below]);
    await mountAt(this.#undo, below, pool, 'xfs');

    const disk = path.join(pool, 'disk.img');
    makeImage(disk, DISK_BYTES);
    this.#device = await attach(this.#undo, disk);
    // Without the lazy parts: a kernel thread that still zeroes inode tables would write while idle.
    const eager = ['-E', 'lazy_itable_init=0,lazy_journal_init=0'];
    run('mkfs.ext4', ['-q', '-b', `${BLOCK_BYTES}`, ...eager, this.#device]);
    await mountAt(this.#undo, this.#device, this.folder, 'ext4');
  }

  /** The root of the disk that gets cut. */
  get folder(): string {
    return path.join(this.outside, 'disk');
  }

  /** The loop device under `folder`, e.g. `/dev/loop1`. */
  get device(): string {
    return this.#device;
  }

  /**
   * The clone is complete before this call gives the event loop its turn, so whatever the caller
   * knew when calling was known before the cut. The live disk goes on.
   */
  async cut(): Promise<CutDisk> {
    this.#cuts += 1;
    const image = path.join(this.outside, 'pool', `cut-${this.#cuts}.img`);
    const folder = path.join(this.outside, `cut-${this.#cuts}`);
    const undo = new UndoStack();
    undo.add(() => rmSync(image, { force: true }));
    try {
      run('cp', ['--reflink=always', path.join(this.outside, 'pool/disk.img'), image]);
      this.#undo.add(() => undo.run());
      await mountAt(undo, await attach(undo, image), folder, 'ext4');
    } catch (thrown) {
      await undo.run();
      throw thrown;
    }
    return { folder, [Symbol.asyncDispose]: () => undo.run() };
  }

  /** Unmounts, detaches and removes all of it, cuts included. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#undo.run();
  }
}

/** Last done, first undone; each step is tried whatever became of the others. */
class UndoStack {
  readonly #steps: (() => void | Promise<void>)[] = [];

  add(step: () => void | Promise<void>): void {
    this.#steps.push(step);
  }

  /** Does nothing the second time. @throws AggregateError */
  async run(): Promise<void> {
    const failures: unknown[] = [];
    for (let step = this.#steps.pop(); step; step = this.#steps.pop()) {
      try {
        await step();
      } catch (thrown) {
        failures.push(thrown);
      }
    }
    if (failures.length > 0)
      throw new AggregateError(failures, `not undone: ${failures.join('; ')}`);
  }
}

function makeImage(file: string, sizeBytes: number): void {
  writeFileSync(file, '');
  truncateSync(file, sizeBytes);
}

/** @throws when the device got no direct I/O: a cut of such a disk would find too much */
async function attach(undo: UndoStack, backingFile: string): Promise<string> {
  const { path: device, directIo } = await loopAttach({ backingFile, blockSize: BLOCK_BYTES });
  undo.add(() => loopDetach(device));
  if (!directIo) throw new Error(`${device} over ${backingFile} has no direct I/O`);
  return device;
}

async function mountAt(
  undo: UndoStack,
  source: string,
  target: string,
  type: string,
): Promise<void> {
  mkdirSync(target);
  undo.add(() => rmdirSync(target));
  await mount({ source, target, type });
  undo.add(() => umount(target));
}

function run(command: string, args: readonly string[]): void {
  execFileSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
}
