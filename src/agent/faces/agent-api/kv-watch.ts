import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { MiB } from '../../../base/bytes.ts';
import { HoldfastError, toHoldfastError } from '../../../base/errors.ts';
import type { ChangeSet, Engine } from '../../../engine/index.ts';
import type { Agent } from '../../agent.ts';
import { isSet } from './flag.ts';
import { KvWatchQuery, type KvWatchLine } from './schema.ts';
import type { ApiInstance } from './type-provider.ts';
import { keyBody, kvBody, userSpanOrAll } from './user-keys.ts';

/** An idle watch says how far it has seen. Also, writing finds a dead client; reading finds nothing. */
const PROGRESS_SECONDS_DEFAULT = 15;
/** A client that took nothing for this long is gone or hung; it can go on from its last revision. */
const STALL_MS = 300_000;
/** Each holds one connection and at most one change set in memory. */
const WATCHES_MAX = 256;
/**
 * Lines that wait for slow readers, of all watches together. A line takes about ten times its length
 * until it is sent (change set, text, base64, JSON), so this bounds the memory of them at some 80 MiB.
 */
const WAITING_BYTES_MAX = 8 * MiB;

/** What all watches have in lines that wait for their readers. */
class Waiting {
  #bytes = 0;

  /** False when there is no room: then the watch has to end, and its reader goes on from its last revision. */
  take(bytes: number): boolean {
    if (this.#bytes > 0 && this.#bytes + bytes > WAITING_BYTES_MAX) return false;
    this.#bytes += bytes;
    return true;
  }

  give(bytes: number): void {
    this.#bytes -= bytes;
  }
}

/** `GET /kv/watch`: a line of JSON per revision, for as long as the client listens. */
export function kvWatchRoute(app: ApiInstance, agent: Agent, stopping: AbortSignal): void {
  let open = 0;
  const waiting = new Waiting();
  app.get('/kv/watch', { schema: { querystring: KvWatchQuery } }, async (request, reply) => {
    const { engine } = agent;
    const { from = engine.revision + 1, incarnation, previous, only, ...rest } = request.query;
    const { progressSeconds = PROGRESS_SECONDS_DEFAULT, ...keys } = rest;
    const span = userSpanOrAll(keys, 'query');
    if (incarnation !== undefined && incarnation !== engine.incarnation) throw anotherStore(engine);
    if (open >= WATCHES_MAX) {
      throw new HoldfastError(
        'Unavailable',
        `${open} watches are open, the most this agent serves`,
        {
          hint: 'watch a common prefix once instead of many small ones',
        },
      );
    }
    const { signal, abort } = endedBy(reply.raw, stopping);
    open += 1;
    try {
      const changes = engine.watch(span, {
        from: Math.max(from, 1),
        previousValues: isSet(previous),
        only,
        progressMs: progressSeconds * 1000,
        signal,
      });
      reply.hijack();
      const first = { revision: Math.max(from - 1, 0), incarnation: engine.incarnation };
      await stream(reply.raw, changes, { first, signal, stopping, waiting });
    } finally {
      open -= 1;
      abort();
    }
  });
}

/**
 * Aborted when the client is gone, the server stops, or by `abort`, which also takes the listener off
 * `stopping`: that lives as long as the process, and AbortSignal.any would make it remember each watch.
 */
function endedBy(raw: ServerResponse, stopping: AbortSignal) {
  const ended = new AbortController();
  const abort = (): void => {
    stopping.removeEventListener('abort', abort);
    ended.abort();
  };
  if (stopping.aborted) ended.abort();
  stopping.addEventListener('abort', abort);
  raw.once('close', abort);
  return { signal: ended.signal, abort };
}

function anotherStore({ incarnation, revision }: Engine): HoldfastError {
  return new HoldfastError(
    'Compacted',
    `the store is another one now, at revision ${revision} of incarnation ${incarnation}`,
    { hint: 'list what is there now, then go on from the revision of that list' },
  );
}

interface StreamOptions {
  /** Says that the watch is on, with the revision before the first one to come. */
  readonly first: Omit<KvWatchLine, 'changes'>;
  readonly signal: AbortSignal;
  readonly stopping: AbortSignal;
  readonly waiting: Waiting;
}

/**
 * One change set is fetched only when the line before it has left our buffer: a slow client is
 * caught up from the engine's log and never from our heap.
 */
async function stream(
  raw: ServerResponse,
  changes: AsyncIterable<ChangeSet>,
  { first, signal, stopping, waiting }: StreamOptions,
): Promise<void> {
  raw.writeHead(200, { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' });
  let writable = await write(raw, { ...first, changes: [] }, signal, waiting);
  try {
    for await (const set of changes) {
      if (!writable) break;
      writable = await write(raw, watchLine(set), signal, waiting);
    }
    if (stopping.aborted) throw new HoldfastError('Unavailable', 'the agent is stopping');
  } catch (thrown) {
    if (!raw.destroyed) raw.write(`${JSON.stringify(toHoldfastError(thrown))}\n`);
  } finally {
    if (!raw.destroyed) raw.end();
  }
}

/** @returns false when the client is gone or takes nothing any more */
async function write(
  raw: ServerResponse,
  line: KvWatchLine,
  signal: AbortSignal,
  waiting: Waiting,
): Promise<boolean> {
  if (raw.destroyed) return false;
  if (raw.write(`${JSON.stringify(line)}\n`)) return true;
  const bytes = raw.writableLength;
  if (!waiting.take(bytes)) {
    raw.destroy();
    return false;
  }
  // Not AbortSignal.timeout: on Node 20 the collector takes one away that only `any` knows.
  const stalled = setTimeout(() => raw.destroy(), STALL_MS);
  try {
    await once(raw, 'drain', { signal });
    return true;
  } catch {
    raw.destroy();
    return false;
  } finally {
    clearTimeout(stalled);
    waiting.give(bytes);
  }
}

function watchLine({ revision, changes }: ChangeSet): KvWatchLine {
  return {
    revision,
    changes: changes.map(({ type, kv, previous }) => {
      const body = { type, ...(type === 'put' ? kvBody(kv) : keyBody(kv)) };
      return previous === undefined ? body : { ...body, previous: kvBody(previous) };
    }),
  };
}
