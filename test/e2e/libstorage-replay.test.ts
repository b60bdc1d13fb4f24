/**
 * Goal: libStorage's own client gets from us what it got from its own server. Every request of two
 * recorded conversations is played in order over a real unix socket, and status, content type, header
 * names and body (as text: member order and indentation too) must be those of the recording, except
 * for the differences listed in libstorage-differences.ts, each of which must really be one.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { isUuid } from '../../src/base/ids.ts';
import {
  comparedNames,
  recordedFullClient,
  recordedWalk,
  type Exchange,
  type RecordedAnswer,
} from '../fixtures/wire/libstorage/exchanges.ts';
import { startHttpAgent } from '../support/http-agent.ts';
import { call, type Answer } from '../support/http-call.ts';
import { DIFFERENCES, LEFT_OUT, type Difference } from './libstorage-differences.ts';

const FULL_CLIENT = recordedFullClient();
const WALK = recordedWalk();
const WALK_NUMBERS = 107;

test('every recorded exchange is replayed or left out for a reason', () => {
  const played = WALK.map(({ label }) => Number.parseInt(label, 10));
  const leftOut = LEFT_OUT.flatMap(({ numbers: [first, last] }) =>
    Array.from({ length: last - first + 1 }, (_, index) => first + index),
  );
  const all = Array.from({ length: WALK_NUMBERS }, (_, index) => index + 1);
  expect([...new Set(played), ...leftOut].sort((a, b) => a - b)).toEqual(all);
  expect(WALK).toHaveLength(87);
  expect(FULL_CLIENT).toHaveLength(21);
  for (const { numbers, reason } of LEFT_OUT) {
    console.log(`left out: ${numbers.join(' to ')} (${reason})`);
  }
});

test('a difference is for an exchange that exists', () => {
  const labels = [...WALK, ...FULL_CLIENT].map(({ label }) => label);
  expect(labels).toEqual(expect.arrayContaining(DIFFERENCES.flatMap(({ exchanges }) => exchanges)));
});

test('docs/api.md tells each difference', () => {
  const docs = readFileSync('docs/api.md', 'utf8');
  const told = DIFFERENCES.map(({ reason }) => (docs.includes(`| ${reason} |`) ? '' : reason));
  expect(told.filter((reason) => reason !== '')).toEqual([]);
});

test('the client that walks over every route', async () => {
  expect(await replay(WALK)).toBe(87);
});

test('the full client creates, mounts, unmounts and removes a volume', async () => {
  expect(await replay(FULL_CLIENT)).toBe(21);
});

/** @returns how many exchanges were played */
async function replay(conversation: readonly Exchange[]): Promise<number> {
  const service = { name: 'vfs', driver: 'dir', path: 'vfs', presentAs: 'vfs' } as const;
  const { socket, folder, core } = await startHttpAgent({ services: [service] });
  const names = new ChosenNames(folder, core.identity.replicaId);
  let played = 0;
  for (const exchange of conversation) {
    const { label, request } = exchange;
    const answer = await call(socket, {
      method: request.method,
      path: names.toOurs(request.path),
      headers: request.headers,
      body: request.method === 'POST' || request.method === 'PUT' ? request.body : undefined,
    });
    names.learn(exchange, answer);
    const got = shownAnswer(answer, names);
    const differences = DIFFERENCES.filter(({ exchanges }) => exchanges.includes(label));
    expect.soft({ label, ...got }).toEqual({ label, ...expected(exchange.answer, differences) });
    for (const difference of differences) {
      const others = differences.filter((other) => other !== difference);
      const needless = { label, needless: difference.reason, ...expected(exchange.answer, others) };
      expect.soft({ label, needless: difference.reason, ...got }).not.toEqual(needless);
    }
    played += 1;
  }
  return played;
}

function expected(recorded: RecordedAnswer, differences: readonly Difference[]): RecordedAnswer {
  return differences.reduce((answer, { change }) => change(answer), recorded);
}

function shownAnswer({ status, headers, text }: Answer, names: ChosenNames): RecordedAnswer {
  const headerNames = comparedNames(Object.keys(headers));
  if (headerNames.includes('libstorage-servername')) {
    expect(headers['libstorage-servername']).toMatch(/^holdfast-[0-9a-f]{8}$/);
  }
  const contentType = headers['content-type'] ?? '';
  return { status, contentType, headerNames, body: names.toRecorded(text) };
}

/**
 * What a server is free to choose: ids of volumes and names of devices. Each is learned where it is
 * first told, when a volume is created and attached, and must be the same ever after.
 */
class ChosenNames {
  readonly #folder: string;
  readonly #ids = new Map<string, string>();
  readonly #devices = new Map<string, string>();
  readonly #replicaId: string;

  constructor(folder: string, replicaId: string) {
    this.#folder = folder;
    this.#replicaId = replicaId;
  }

  learn({ label, request, answer }: Exchange, ours: Answer): void {
    if (answer.status === 201) {
      const id = idOf(ours.text);
      assert.ok(isUuid(id), `${label}: ${id}`);
      this.#ids.set(id, idOf(answer.body));
    } else if (answer.status === 200 && request.path.endsWith('?attach')) {
      const device = deviceOf(ours.text);
      assert.ok(device.startsWith(`${this.#folder}/`), `${label}: ${device}`);
      this.#devices.set(device, deviceOf(answer.body));
    }
  }

  toOurs(text: string): string {
    return [...this.#ids].reduce((all, [ours, recorded]) => all.replaceAll(recorded, ours), text);
  }

  toRecorded(text: string): string {
    // Devices first: a directory's name has its volume's id in it.
    return [...this.#devices, ...this.#ids, [this.#replicaId, 'OUR REPLICA ID'] as const].reduce(
      (all, [ours, recorded]) => all.replaceAll(ours, recorded),
      text,
    );
  }
}

function idOf(body: string): string {
  return (JSON.parse(body) as { id: string }).id;
}

function deviceOf(body: string): string {
  const { volume } = JSON.parse(body) as { volume: { attachments: { deviceName: string }[] } };
  return volume.attachments[0]?.deviceName ?? '';
}
