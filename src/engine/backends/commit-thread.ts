/**
 * Commits on a thread of their own: a sync takes 0.2 ms on a good disk, 50 ms on a worn one and seconds on
 * a dying one, and folding back a WAL takes as long again. The main loop goes on meanwhile.
 *
 * The thread opens the store a second time in the same process (commit-main.ts) and only writes; reads stay
 * where they are, on the main thread's own handle. It starts with the first commit: a store that is only
 * looked into has none. One that dies (out of memory) fails its commit; the next commit starts another.
 */
import { Worker } from 'node:worker_threads';
import { fileURLToPath } from 'node:url';
import { HoldfastError, messageOf, type ErrorBody } from '../../base/errors.ts';
import { packWrites } from './packed-writes.ts';
import type {
  Backend,
  Durability,
  Entry,
  Folded,
  RangeQuery,
  ScanQuery,
  Table,
  Take,
  Visit,
  Write,
} from '../backend.ts';
import type { FileBackend } from './store-file.ts';

/** The store as one thread has it open. */
export interface StoreHandle extends Backend {
  /** From now on reads see what other handles have committed. */
  refresh(): void;
}

/** What the thread opens. */
export interface CommitTarget {
  readonly backend: FileBackend;
  readonly file: string;
  /** The store's folder. */
  readonly folder: string;
  readonly durability: Durability;
}

export type CommitRequest =
  | { readonly type: 'commit'; readonly packed: ArrayBuffer; readonly relaxed: boolean }
  /** Takes relaxed commits to the disk. */
  | { readonly type: 'sync' }
  /** Closes the store; the thread has nothing else to do then. */
  | { readonly type: 'close' };

/** The answer to each request. */
export interface CommitReply {
  readonly error?: ErrorBody;
}

/** An idle agent has no thread (8 MB); the commit that wakes it waits 60 ms for a new one. */
const REST_AFTER_MS = 10_000;
/** Its garbage is short-lived: packed writes. A small young generation keeps an idle agent small. */
const YOUNG_GENERATION_MIB = 2;

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: HoldfastError) => void;
}

class CommitThread {
  readonly #target: CommitTarget;
  #worker: Worker | undefined;
  /** One commit at a time: the engine has one writer. */
  #waiter: Waiter | undefined;
  #idle: NodeJS.Timeout | undefined;
  /** It is ending, as nothing was committed for a while. */
  #resting: Promise<void> | undefined;
  #hasFailed = false;

  constructor(target: CommitTarget) {
    this.#target = target;
  }

  /** @throws what the backend's commit throws; HostFailed when the thread died: what it wrote is not known then */
  async commit(writes: readonly Write[], relaxed: boolean): Promise<void> {
    await this.#resting;
    await this.#ask({ type: 'commit', packed: packWrites(writes), relaxed });
  }

  async sync(): Promise<void> {
    await this.#resting;
    await this.#ask({ type: 'sync' });
  }

  /** Resolves when its handle on the store is closed. */
  async close(): Promise<void> {
    await this.#resting;
    await this.#end();
  }

  async #end(): Promise<void> {
    if (!this.#worker) return;
    await this.#ask({ type: 'close' });
    clearTimeout(this.#idle);
    const worker = this.#worker;
    // This end is meant: it is no death.
    this.#worker = undefined;
    await worker.terminate();
  }

  /** What a failed commit left is for a person to see, and its handle knows of it. */
  #restLater(): void {
    if (this.#hasFailed) return;
    this.#idle = setTimeout(() => {
      const end = this.#end().catch(() => undefined);
      this.#resting = end.finally(() => {
        this.#resting = undefined;
      });
    }, REST_AFTER_MS).unref();
  }

  #ask(request: CommitRequest): Promise<void> {
    return new Promise((resolve, reject) => {
      clearTimeout(this.#idle);
      this.#waiter = { resolve, reject };
      this.#worker ??= this.#start();
      // An engine that is only open keeps nobody's process alive; a commit under way does.
      this.#worker.ref();
      this.#worker.postMessage(request, 'packed' in request ? [request.packed] : []);
    });
  }

  #start(): Worker {
    const worker = new Worker(fileURLToPath(import.meta.resolve('#commit-main')), {
      name: 'commit',
      workerData: this.#target,
      // Those of the program (`--eval` …) are not for this thread.
      execArgv: [],
      // Otherwise Node makes the standard output of a program that embeds the engine non-blocking.
      stdout: true,
      stderr: true,
      resourceLimits: { maxYoungGenerationSizeMb: YOUNG_GENERATION_MIB },
    });
    worker.on('message', ({ error }: CommitReply) => this.#settle(error && errorOf(error)));
    worker.on('error', (thrown) => this.#died(worker, messageOf(thrown)));
    worker.on('exit', (code) => this.#died(worker, `it ended with code ${code}`));
    return worker;
  }

  #settle(error: HoldfastError | undefined): void {
    const waiter = this.#waiter;
    this.#waiter = undefined;
    this.#worker?.unref();
    if (error) {
      this.#hasFailed = true;
      waiter?.reject(error);
    } else {
      waiter?.resolve();
      this.#restLater();
    }
  }

  #died(worker: Worker, how: string): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    this.#settle(
      new HoldfastError('HostFailed', `the thread that writes the store died: ${how}`, {
        hint: 'the next write starts another; if it comes again, look at memory and disk (dmesg)',
      }),
    );
  }
}

/** Reads on `handle`, commits on a thread of its own. */
export class ThreadedBackend implements Backend {
  readonly name: string;
  readonly costlyCommits: boolean;
  readonly #handle: StoreHandle;
  readonly #thread: CommitThread;
  readonly sync: (() => Promise<void>) | undefined;

  constructor(handle: StoreHandle, target: CommitTarget) {
    this.name = handle.name;
    this.costlyCommits = handle.costlyCommits;
    this.#handle = handle;
    this.#thread = new CommitThread(target);
    this.sync = handle.sync && (() => this.#thread.sync());
  }

  get(table: Table, key: Uint8Array): Uint8Array | undefined {
    return this.#handle.get(table, key);
  }

  find<T>(key: string, take: Take<T>): T | undefined {
    return this.#handle.find(key, take);
  }

  range(query: RangeQuery): Entry[] {
    return this.#handle.range(query);
  }

  scan(query: ScanQuery, visit: Visit): void {
    this.#handle.scan(query, visit);
  }

  read<T>(work: () => T): T {
    return this.#handle.read(work);
  }

  async commit(writes: readonly Write[], relaxed = false): Promise<void> {
    // What no reader holds on to may be written over.
    this.#handle.refresh();
    try {
      await this.#thread.commit(writes, relaxed);
    } finally {
      this.#handle.refresh();
    }
  }

  fold(): Folded {
    return this.#handle.fold?.() ?? 'nothing to gain';
  }

  sizeBytes(): number {
    return this.#handle.sizeBytes();
  }

  async close(): Promise<void> {
    try {
      await this.#thread.close();
    } finally {
      await this.#handle.close();
    }
  }
}

function errorOf({ code, message, hint, retry }: ErrorBody): HoldfastError {
  return new HoldfastError(code, message, { hint, retry });
}
