/**
 * Goal: what the recorded exchanges (test/e2e/libstorage-replay.test.ts) don't show: several services,
 * two clients that want the same volume, real loop devices, odd names, and what is unrouted.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { GiB } from '../../../base/bytes.ts';
import { startHttpAgent, type HttpAgent } from '../../../../test/support/http-agent.ts';
import { call, callJson } from '../../../../test/support/http-call.ts';

interface WireVolume {
  readonly id: string;
  readonly name: string;
  readonly attachmentState?: number;
  readonly attachments?: { readonly deviceName: string; readonly instanceID: { id: string } }[];
}
interface WireError {
  readonly message: string;
  readonly status: number;
  readonly error: Record<string, unknown>;
}

const SERVICES = [
  { name: 'Gold', driver: 'dir', path: 'gold' },
  { name: 'silver', driver: 'dir', path: 'silver', presentAs: 'vfs' },
] as const;

const as = (...ids: string[]): string[] => ids.flatMap((id) => ['Libstorage-Instanceid', id]);

async function create({ socket }: HttpAgent, service: string, name: string): Promise<WireVolume> {
  const answer = await callJson<WireVolume>(socket, {
    method: 'POST',
    path: `/volumes/${service}`,
    json: { name },
  });
  expect(answer.status).toBe(201);
  return answer.json;
}

function post<T>({ socket }: HttpAgent, path: string, headers: string[] = [], json: object = {}) {
  return callJson<T>(socket, { method: 'POST', path, headers, json });
}

test('a volume is found by id and by name, within its own service only', async () => {
  const agent = await startHttpAgent({ services: SERVICES });
  const { socket } = agent;
  const name = 'Ünïcode/..\u{1F600} 100%';
  const { id } = await create(agent, 'gold', name);
  const named = `/volumes/GOLD/${encodeURIComponent(name.toUpperCase())}?byName`;
  expect(await callJson(socket, { path: named })).toMatchObject({
    status: 200,
    json: { id, name },
  });
  expect(await call(socket, { path: `/volumes/gold/${id}` })).toMatchObject({ status: 200 });
  for (const route of [
    `/volumes/silver/${id}`,
    `/volumes/silver/${encodeURIComponent(name)}?byName`,
    // An id is no name, and a name no id.
    `/volumes/gold/${id}?byName`,
    `/volumes/gold/${encodeURIComponent(name)}`,
    // Ids have case.
    `/volumes/gold/${id.toUpperCase()}`,
  ]) {
    const { status, json } = await callJson<WireError>(socket, { path: route });
    const resourceID = decodeURIComponent(route.split(/[/?]/)[3] ?? '');
    expect(json, route).toEqual({
      message: 'resource not found',
      status: 404,
      error: { resourceID },
    });
    expect(status).toBe(404);
  }
});

test('every action on a volume of another service is 404 and does nothing', async () => {
  const agent = await startHttpAgent({ services: SERVICES });
  const { id } = await create(agent, 'gold', 'data');
  const actions = [
    { method: 'POST', path: `/volumes/silver/${id}?attach` },
    { method: 'POST', path: `/volumes/silver/${id}?detach` },
    { method: 'DELETE', path: `/volumes/silver/${id}?force` },
  ];
  for (const action of actions) {
    const answer = await call(agent.socket, { ...action, headers: as('vfs=me') });
    expect(answer.status, action.path).toBe(404);
  }
  const { status } = await agent.core.volumes.get(id);
  expect(status).toMatchObject({ phase: 'ready', attachments: [] });
});

test('one instance has a volume at a time: another gets 409, or with force takes it', async () => {
  const agent = await startHttpAgent({ services: SERVICES });
  const { id } = await create(agent, 'gold', 'data');
  const route = `/volumes/gold/${id}`;
  const first = await post<{ volume: WireVolume }>(agent, `${route}?attach`, as('dir=one'));
  // Again by the same, in another case: the very same attachment, not a second one.
  const again = await post<{ volume: WireVolume }>(agent, `${route}?attach`, as('dir=ONE'));
  expect(again.status).toBe(200);
  expect(again.json.volume).toEqual(first.json.volume);

  const refused = await post<WireError>(agent, `${route}?attach`, as('dir=two'));
  expect(refused.status).toBe(409);
  expect(refused.json).toMatchObject({
    status: 409,
    message: expect.stringContaining('is attached to one'),
    error: { code: 'Conflict', retry: 'later', hint: expect.stringContaining('force') },
  });
  const removed = await callJson<WireError>(agent.socket, { method: 'DELETE', path: route });
  expect(removed.json).toMatchObject({ status: 409, error: { code: 'Conflict' } });

  // Somebody else's attachment isn't theirs to end, not even by force.
  const others = await post<WireVolume>(agent, `${route}?detach`, as('dir=two'), { force: true });
  expect(others.status).toBe(205);
  expect(others.json).toMatchObject({
    attachmentState: 4,
    attachments: [{ instanceID: { id: 'one' } }],
  });

  const forced = await post<{ volume: WireVolume }>(agent, `${route}?attach`, as('dir=two'), {
    force: true,
  });
  expect(forced.json.volume.attachmentState).toBe(2);
  expect(forced.json.volume.attachments).toMatchObject([{ instanceID: { id: 'two' } }]);
  const seen = await callJson<WireVolume>(agent.socket, {
    path: `${route}?attachments=1`,
    headers: as('dir=one'),
  });
  expect(seen.json.attachmentState).toBe(4);
});

test('detach of a service and of all leaves alone what others have', async () => {
  const agent = await startHttpAgent({ services: SERVICES });
  const mine = await create(agent, 'gold', 'mine');
  const others = await create(agent, 'gold', 'others');
  const far = await create(agent, 'silver', 'far');
  const me = as('dir=me', 'vfs=me');
  await post(agent, `/volumes/gold/${mine.id}?attach`, me);
  await post(agent, `/volumes/gold/${others.id}?attach`, as('dir=other'));
  await post(agent, `/volumes/silver/${far.id}?attach`, me);

  const gold = await post<Record<string, WireVolume>>(agent, '/volumes/gold?detach', me);
  expect(gold.status).toBe(205);
  const states = Object.entries(gold.json).map(([id, one]) => [id, one.attachmentState]);
  expect(Object.fromEntries(states)).toEqual({ [mine.id]: 3, [others.id]: 4 });

  // The reference puts every service's volumes under the last one's name.
  const all = await post<Record<string, Record<string, WireVolume>>>(agent, '/volumes?detach', me);
  expect(all.status).toBe(205);
  expect(Object.keys(all.json)).toEqual(['Gold', 'silver']);
  expect(Object.keys(all.json['Gold']!)).toEqual([mine.id, others.id]);
  expect(all.json['silver']).toMatchObject({ [far.id]: { attachmentState: 3 } });
});

test('detaching all needs an instance ID for each service, before anything is detached', async () => {
  const agent = await startHttpAgent({ services: SERVICES });
  const { id } = await create(agent, 'gold', 'data');
  await post(agent, `/volumes/gold/${id}?attach`, as('dir=me'));
  const answer = await post<WireError>(agent, '/volumes?detach', as('dir=me'));
  expect(answer.status).toBe(400);
  expect(answer.json).toEqual({
    message: 'missing instance ID',
    status: 400,
    error: { service: 'silver' },
  });
  expect((await agent.core.volumes.get(id)).status.attachments).toHaveLength(1);
});

test('a loop volume is a block device while it is attached, formatted and by the id asked for', async () => {
  const services = [{ name: 'edge', driver: 'loop', path: 'images', presentAs: 'isilon' }] as const;
  const agent = await startHttpAgent({ services });
  const { id } = await create(agent, 'edge', 'blocks');
  const me = as('isilon:edge=me');
  const route = `/volumes/edge/${id}`;
  // What a failure leaves must not keep the image's folder.
  onTestFinished(async () => {
    await agent.core.volumes.detach(id).catch(() => undefined);
  });
  const answer = await post<{ volume: WireVolume; attachToken: string }>(
    agent,
    `${route}?attach`,
    me,
  );
  const device = answer.json.volume.attachments?.[0]?.deviceName ?? '';
  expect(answer.json.attachToken).toBe('');
  expect(device).toMatch(/^\/dev\/loop\d+$/);
  const sys = `/sys/block/${path.basename(device)}`;
  expect(readFileSync(`${sys}/loop/backing_file`, 'utf8')).toContain(id);
  expect(Number(readFileSync(`${sys}/size`, 'utf8')) * 512).toBe(GiB);

  expect(await post(agent, `${route}?detach`, me)).toMatchObject({
    status: 205,
    json: { attachmentState: 3 },
  });
  const backing = `${sys}/loop/backing_file`;
  expect(existsSync(backing) && readFileSync(backing, 'utf8').includes(id)).toBe(false);
  expect(await call(agent.socket, { method: 'DELETE', path: route })).toMatchObject({
    status: 204,
    text: '',
  });
});

test("one volume that can't be detached doesn't keep the others", async () => {
  const agent = await startHttpAgent({
    services: [{ name: 'edge', driver: 'loop', path: 'images' }],
  });
  const { volumes } = agent.core;
  const me = as('loop=me');
  const busy = await create(agent, 'edge', 'busy');
  const free = await create(agent, 'edge', 'free');
  onTestFinished(async () => {
    for (const { id } of [busy, free]) await volumes.detach(id).catch(() => undefined);
  });
  const attached = await post<{ volume: WireVolume }>(agent, `/volumes/edge/${busy.id}?attach`, me);
  await post(agent, `/volumes/edge/${free.id}?attach`, me);
  const target = path.join(agent.folder, 'elsewhere');
  mkdirSync(target);
  execFileSync('mount', [attached.json.volume.attachments![0]!.deviceName, target]);
  const attachmentsOf = async (id: string) => (await volumes.get(id)).status.attachments.length;
  try {
    const refused = await post<WireError>(agent, '/volumes/edge?detach', me);
    expect(refused.status).toBe(409);
    expect(refused.json.message).toBe(
      `1 of 2 volumes of service "edge" could not be detached: volume "busy" is still mounted at ${target}`,
    );
    expect([await attachmentsOf(busy.id), await attachmentsOf(free.id)]).toEqual([1, 0]);
  } finally {
    execFileSync('umount', [target]);
  }
  expect(await post(agent, '/volumes/edge?detach', me)).toMatchObject({ status: 205 });
  expect(await attachmentsOf(busy.id)).toBe(0);
});

test('a name that is taken is 409, one that is none is 400, and neither leaves anything', async () => {
  const agent = await startHttpAgent({ services: SERVICES });
  await create(agent, 'gold', 'data');
  const before = await agent.engine.stats();
  // Names are the host's: also in another service, also in another case.
  const taken = await post<WireError>(agent, '/volumes/silver', [], { name: 'DATA' });
  expect(taken.json).toMatchObject({ status: 409, error: { code: 'AlreadyExists' } });
  for (const name of ['', ' ', 'x'.repeat(300), 'a\0b', '0199a000-0000-7000-8000-000000000001']) {
    const answer = await post<WireError>(agent, '/volumes/gold', [], { name });
    expect(answer.status, JSON.stringify(name)).toBe(400);
    expect(answer.json).toMatchObject({ status: 400, error: { code: 'InvalidArgument' } });
  }
  const huge = await post<WireError>(agent, '/volumes/gold', [], {
    name: 'big',
    opts: { a: 'x'.repeat(20_000) },
  });
  expect(huge.json.message).toMatch(/fields have \d+ bytes/);
  expect(await agent.engine.stats()).toEqual({ ...before, oldestAgeMs: expect.any(Number) });
});

test('what is not routed is plain text, without a server name', async () => {
  const { socket } = await startHttpAgent();
  const unrouted = [
    { method: 'GET', path: '/nope' },
    { method: 'GET', path: '//services' },
    { method: 'GET', path: '/services/' },
    { method: 'GET', path: '/volumes/local/' },
    { method: 'GET', path: '/snapshots' },
    { method: 'GET', path: '/tasks' },
    { method: 'GET', path: '/help' },
    { method: 'PUT', path: '/volumes/local' },
    { method: 'DELETE', path: '/volumes/local' },
    { method: 'POST', path: '/services' },
    { method: 'POST', path: '/volumes' },
    { method: 'POST', path: '/volumes/local/x' },
    { method: 'POST', path: '/volumes/local/x?copy' },
    { method: 'POST', path: '/volumes/local/x?snapshot' },
    { method: 'OPTIONS', path: '/volumes' },
  ];
  for (const request of unrouted) {
    const { status, headers, text } = await call(socket, request);
    expect({ status, text }, `${request.method} ${request.path}`).toEqual({
      status: 404,
      text: '404 page not found\n',
    });
    expect(headers['content-type']).toBe('text/plain; charset=utf-8');
    expect(headers).not.toHaveProperty('libstorage-servername');
  }
  const head = await call(socket, { method: 'HEAD', path: '/volumes' });
  expect(head.status).toBe(404);
});

test('a query that would change the answer is refused, never ignored', async () => {
  const agent = await startHttpAgent();
  for (const route of [
    '/volumes?async',
    '/volumes/local?filter=(name=x)',
    '/volumes/local/x?async',
  ]) {
    const answer = await callJson<WireError>(agent.socket, { path: route });
    expect(answer.json, route).toMatchObject({ status: 501, error: { query: expect.any(String) } });
  }
  const created = await post<WireError>(agent, '/volumes/local?async', [], { name: 'data' });
  expect(created.status).toBe(501);
  expect(await agent.core.volumes.list()).toEqual([]);
});

test('every failure is JSON with message and status, and has the server name', async () => {
  const agent = await startHttpAgent();
  const id = '0199a000-0000-7000-8000-000000000001';
  const failures = [
    { method: 'GET', path: '/services/nope' },
    { method: 'GET', path: '/services/local?instance' },
    { method: 'GET', path: '/volumes/nope' },
    { method: 'POST', path: '/volumes/nope', body: '{"name":"x"}' },
    { method: 'POST', path: '/volumes/local', body: '{"name":' },
    { method: 'POST', path: '/volumes/local', body: 'null' },
    { method: 'POST', path: '/volumes/local', body: '[]' },
    { method: 'POST', path: '/volumes/local', body: '{"__proto__":{},"name":"x"}' },
    { method: 'POST', path: '/volumes/local?detach', body: '{"force":1}', headers: as('dir=me') },
    {
      method: 'POST',
      path: `/volumes/local/${id}?attach`,
      body: '{"nextDevice":"x"}',
      headers: as('dir=me'),
    },
    { method: 'DELETE', path: `/volumes/local/${id}?force=maybe` },
    { method: 'GET', path: '/services', headers: ['Libstorage-Tx', 'garbage'] },
    { method: 'GET', path: '/services', headers: as('vfs=good', 'garbage') },
  ];
  for (const failure of failures) {
    const { status, headers, json } = await callJson<WireError>(agent.socket, failure);
    const label = `${failure.method} ${failure.path} ${failure.body ?? ''}`;
    expect(status, label).toBeGreaterThanOrEqual(400);
    expect(status, label).toBeLessThan(500);
    expect(json, label).toMatchObject({ status, message: expect.stringMatching(/.{10}/) });
    expect(headers['content-type'], label).toBe('application/json');
    expect(headers['libstorage-servername'], label).toMatch(/^holdfast-/);
  }
});

test('a content type says nothing: the body is JSON', async () => {
  const { socket } = await startHttpAgent();
  for (const [index, type] of [
    'text/plain',
    'application/x-www-form-urlencoded',
    'garbage',
    '/',
  ].entries()) {
    const headers = ['Content-Type', type];
    const body = JSON.stringify({ name: `v${index}` });
    const answer = await call(socket, { method: 'POST', path: '/volumes/local', headers, body });
    expect(answer.status, type).toBe(201);
  }
});
