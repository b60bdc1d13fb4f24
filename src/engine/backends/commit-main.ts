/** What runs on the thread of commit-thread.ts: the store's second handle, and its commits one after the other. */
import { parentPort, workerData } from 'node:worker_threads';
import { toHoldfastError } from '../../base/errors.ts';
import { unpackWrites } from './packed-writes.ts';
import type { CommitReply, CommitRequest, CommitTarget, StoreHandle } from './commit-thread.ts';

const target = workerData as CommitTarget;
const port = parentPort!;
let handle: StoreHandle | undefined;

async function open(): Promise<StoreHandle> {
  if (target.backend === 'sqlite') return (await import('./sqlite.ts')).connectSqlite(target);
  return (await import('./lmdb.ts')).connectLmdb(target);
}

async function answer(request: CommitRequest): Promise<CommitReply> {
  try {
    handle ??= await open();
    if (request.type === 'commit') {
      await handle.commit(unpackWrites(request.packed), request.relaxed);
    } else if (request.type === 'sync') await handle.sync?.();
    else await handle.close();
    return {};
  } catch (thrown) {
    return { error: toHoldfastError(thrown).toJSON() };
  }
}

port.on('message', (request: CommitRequest) => {
  void answer(request).then((reply) => port.postMessage(reply));
});
