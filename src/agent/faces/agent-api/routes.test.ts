/** Goal: each route but kv's does what its reference says, and refuses what it can't do in one shape. */
import { rmSync } from 'node:fs';
import { request } from 'node:http';
import { expect, test, vi } from 'vitest';
import { startHttpAgent } from '../../../../test/support/http-agent.ts';
import { call, callJson } from '../../../../test/support/http-call.ts';
import type {
  DeviceBody,
  DevicesReply,
  ErrorBody,
  EventsReply,
  HostReply,
  ProbeReply,
  RescanReply,
  ServicesReply,
  StatusReply,
  SyncReply,
  VolumeBody,
  VolumesReply,
} from './schema.ts';

const V1 = '/agent/v1';

test('status, host, services, sync', async () => {
  const { core, socket, folder } = await startHttpAgent();
  const { replicaId } = core.identity;
  const status = await callJson<StatusReply>(socket, { path: `${V1}/status` });
  expect(status.json).toMatchObject({
    version: core.version,
    epoch: core.epoch,
    state: 'ready',
    reasons: [],
    replicaId,
    hostname: 'edge-1',
    pid: process.pid,
    engine: { backend: 'memory', incarnation: core.engine.incarnation },
    services: [{ name: 'local', driver: 'dir', path: `${folder}/local`, volumes: 0 }],
    volumes: { total: 0, mounted: 0, failed: 0 },
    devices: { present: core.devices.list().length, absent: 0 },
    sync: [],
    components: [],
  });
  expect(status.headers['content-type']).toBe('application/json; charset=utf-8');
  const host = await callJson<HostReply>(socket, { path: `${V1}/host` });
  expect(host.json).toEqual({ identity: core.identity, facts: core.hostFacts });
  const services = await callJson<ServicesReply>(socket, { path: `${V1}/services` });
  expect(services.json).toEqual({
    services: [{ name: 'local', driver: 'dir', path: `${folder}/local` }],
  });
  expect((await callJson<SyncReply>(socket, { path: `${V1}/sync` })).json).toEqual({ targets: [] });
});

test('a sync target is shown as it is', async () => {
  const { core, socket } = await startHttpAgent();
  const target = {
    target: 'central',
    type: 'etcd',
    endpoints: ['http://10.0.0.1:2379'],
    state: 'offline',
    cursor: 7,
    localRevision: 9,
    lagRevisions: 2,
    lastAckAt: '2026-01-01T00:00:00.000Z',
    lastError: { code: 'NotReachable', message: 'refused', at: '2026-01-02T00:00:00.000Z' },
    parked: 1,
  } as const;
  core.setTarget('central', () => target);
  const { json } = await callJson<SyncReply>(socket, { path: `${V1}/sync` });
  expect(json).toEqual({ targets: [target] });
  const status = await callJson<StatusReply>(socket, { path: `${V1}/status` });
  expect(status.json.sync).toEqual([target]);
});

test('devices: list, one by id, name and path, rescan', async () => {
  const { core, socket } = await startHttpAgent();
  const { json } = await callJson<DevicesReply>(socket, { path: `${V1}/devices` });
  expect(json.devices.map(({ verdict: _, ...device }) => device)).toEqual(core.devices.list());
  expect(json.devices.length).toBeGreaterThan(3);
  for (const device of json.devices) {
    for (const ref of [device.id, device.name, device.path]) {
      const one = await callJson<DeviceBody>(socket, {
        path: `${V1}/devices/${encodeURIComponent(ref)}`,
      });
      expect(one.json, ref).toEqual(device);
    }
  }
  const verdicts = Object.fromEntries(json.devices.map(({ name, verdict }) => [name, verdict]));
  expect(verdicts['dm-1']).toMatchObject({
    free: false,
    reasons: expect.arrayContaining([
      { code: 'mounted', against: true, message: 'it is mounted at /, /mnt/with space' },
    ]),
  });
  // Nothing changed since the scan at the start.
  const rescan = await callJson<RescanReply>(socket, {
    method: 'POST',
    path: `${V1}/devices/rescan`,
  });
  expect(rescan).toMatchObject({ status: 200, json: { events: [] } });
  const missing = await callJson<ErrorBody>(socket, { path: `${V1}/devices/nope` });
  expect(missing).toMatchObject({ status: 404, json: { code: 'NotFound', retry: 'never' } });
});

test('a device that is gone is forgotten, one that is there is not; ?look looks first', async () => {
  const { core, socket, folder } = await startHttpAgent();
  const { id } = core.devices.get('dm-2');
  const gone = { method: 'DELETE', path: `${V1}/devices/${id}` } as const;
  const refused = await callJson<ErrorBody>(socket, gone);
  expect(refused).toMatchObject({ status: 409, json: { code: 'Conflict', retry: 'later' } });
  rmSync(`${folder}/host/sys/class/block/dm-2`);
  const stale = await callJson<DeviceBody>(socket, { path: `${V1}/devices/${id}` });
  expect(stale.json.present).toBe(true);
  const looked = await callJson<DeviceBody>(socket, { path: `${V1}/devices/${id}?look` });
  expect(looked.json).toMatchObject({ present: false, verdict: { free: false } });
  expect((await call(socket, gone)).status).toBe(204);
  expect((await call(socket, gone)).status).toBe(404);
  rmSync(`${folder}/host/sys/class/block/dm-1`);
  const { json } = await callJson<DevicesReply>(socket, { path: `${V1}/devices?look=true` });
  expect(json.devices.some((device) => device.id === id)).toBe(false);
  expect(json.devices.find(({ name }) => name === 'dm-1')).toMatchObject({ present: false });
});

test('a device that is not free is not claimed; nobody releases what nobody has', async () => {
  const { socket } = await startHttpAgent();
  const path = `${V1}/devices/dm-1/claim`;
  const json = { owner: 'me' };
  const refused = await callJson<ErrorBody>(socket, { method: 'POST', path, json });
  expect(refused).toMatchObject({ status: 409, json: { code: 'Conflict' } });
  expect(refused.json.message).toContain('is not free: it is mounted at /, /mnt/with space');
  const nobody = await callJson<ErrorBody>(socket, { method: 'DELETE', path: `${path}?owner=me` });
  expect(nobody).toMatchObject({ status: 404, json: { code: 'NotFound' } });
  for (const wrong of [{}, { owner: '' }, { owner: 'me', more: 1 }]) {
    const { status } = await callJson(socket, { method: 'POST', path, json: wrong });
    expect(status, JSON.stringify(wrong)).toBe(400);
  }
});

test('a volume from creation to removal', async () => {
  const { core, socket } = await startHttpAgent();
  const json = { name: 'data', sizeBytes: 1024, fields: { owner: 'root' }, mountAtBoot: true };
  const created = await callJson<VolumeBody>(socket, {
    method: 'POST',
    path: `${V1}/volumes`,
    json,
  });
  expect(created.status).toBe(201);
  const { id } = created.json.spec;
  expect(created.json.spec).toMatchObject({ ...json, service: 'local', driver: 'dir' });
  expect(created.json).toEqual(await core.volumes.get(id));
  const all = await callJson<VolumesReply>(socket, { path: `${V1}/volumes?service=LOCAL` });
  expect(all.json.volumes).toEqual([created.json]);
  for (const ref of [id, 'DATA']) {
    const one = await callJson<VolumeBody>(socket, { path: `${V1}/volumes/${ref}` });
    expect(one.json, ref).toEqual(created.json);
  }
  const mounted = await callJson<VolumeBody>(socket, {
    method: 'POST',
    path: `${V1}/volumes/data/mount`,
  });
  expect(mounted.status).toBe(200);
  const unmounted = await callJson<VolumeBody>(socket, {
    method: 'POST',
    path: `${V1}/volumes/data/unmount`,
  });
  expect(unmounted.status).toBe(200);
  const removed = await call(socket, { method: 'DELETE', path: `${V1}/volumes/data` });
  expect(removed).toMatchObject({ status: 204, text: '' });
  expect(await call(socket, { path: `${V1}/volumes/${id}` })).toMatchObject({ status: 404 });
});

test('a loop volume is mounted where it says', async () => {
  const services = [{ name: 'loop', driver: 'loop', path: 'images' }] as const;
  const { core, socket } = await startHttpAgent({ services });
  const json = { name: 'blocks', sizeBytes: 16 * 1024 * 1024 };
  await callJson(socket, { method: 'POST', path: `${V1}/volumes`, json });
  try {
    const { json: volume } = await callJson<VolumeBody>(socket, {
      method: 'POST',
      path: `${V1}/volumes/blocks/mount`,
    });
    const { spec, status } = volume;
    expect(status.mountPoint).toContain(spec.id);
    expect(status.device).toMatch(/^\/dev\/loop/);
    expect(volume).toEqual(await core.volumes.get(spec.id));
    const refused = await callJson<ErrorBody>(socket, {
      method: 'DELETE',
      path: `${V1}/volumes/blocks?force`,
    });
    expect(refused.json).toMatchObject({ code: 'Conflict', hint: 'unmount it first' });
    expect(refused.status).toBe(409);
  } finally {
    await core.volumes.unmount('blocks');
  }
});

test('remove takes force in three spellings, and an attached volume needs it', async () => {
  const { core, socket } = await startHttpAgent();
  const me = { id: 'me', driver: 'dir', service: '' };
  for (const [query, status] of [
    ['', 409],
    ['?force=false', 409],
    ['?force=yes', 400],
    ['?force', 204],
    ['?force=true', 204],
  ] as const) {
    const name = `v${query}`;
    await core.volumes.create({ name });
    await core.volumes.attach(name, me);
    const path = `${V1}/volumes/${encodeURIComponent(name)}${query}`;
    expect((await call(socket, { method: 'DELETE', path })).status, query).toBe(status);
  }
});

test('a name is never a path: a volume may be called anything', async () => {
  const { socket } = await startHttpAgent();
  const names = [
    'a/b',
    '..',
    '.',
    '%',
    '\u{1F600}',
    'a b+c?d#e',
    "';--",
    '%2e%2e',
    'x'.repeat(128),
  ];
  for (const name of names) {
    const json = { name };
    const created = await callJson<VolumeBody>(socket, {
      method: 'POST',
      path: `${V1}/volumes`,
      json,
    });
    expect(created.json).toMatchObject({ spec: json });
    const path = `${V1}/volumes/${encodeURIComponent(name)}`;
    expect((await callJson<VolumeBody>(socket, { path })).json, name).toEqual(created.json);
    expect((await call(socket, { method: 'DELETE', path })).status, name).toBe(204);
  }
});

const REFUSED = [
  [
    'POST',
    '/volumes',
    { name: 'a', siz: 1 },
    'InvalidArgument',
    'body has an unknown property "siz"',
  ],
  [
    'POST',
    '/volumes',
    { name: 'a', sizeByte: 1 },
    'InvalidArgument',
    'unknown property "sizeByte"',
  ],
  ['POST', '/volumes', {}, 'InvalidArgument', 'body must have "name"'],
  ['POST', '/volumes', [], 'InvalidArgument', 'body must be object'],
  [
    'POST',
    '/volumes',
    { name: 'a', sizeBytes: '1' },
    'InvalidArgument',
    '"sizeBytes" must be integer',
  ],
  ['POST', '/volumes', { name: 'a', sizeBytes: -1 }, 'InvalidArgument', '"sizeBytes" must be >= 0'],
  [
    'POST',
    '/volumes',
    { name: 'a', sizeBytes: 2 ** 63 },
    'InvalidArgument',
    '"sizeBytes" must be <=',
  ],
  ['POST', '/volumes', { name: 'a', sizeBytes: 0 }, 'InvalidArgument', 'must be above 0'],
  [
    'POST',
    '/volumes',
    { name: 'a', fields: { a: 1 } },
    'InvalidArgument',
    '"fields.a" must be string',
  ],
  [
    'POST',
    '/volumes',
    { name: 'a', fsType: 'ext4' },
    'InvalidArgument',
    'have no file system of their own',
  ],
  ['POST', '/volumes', { name: 'a', service: 'nope' }, 'NotFound', 'no volume service "nope"'],
  ['POST', '/volumes', { name: '' }, 'InvalidArgument', 'a volume needs a name'],
  ['POST', '/volumes', undefined, 'InvalidArgument', 'body must be object'],
  [
    'GET',
    '/volumes?servce=x',
    undefined,
    'InvalidArgument',
    'query has an unknown property "servce"',
  ],
  ['GET', '/volumes?service=nope', undefined, 'NotFound', 'no volume service "nope"'],
  ['GET', '/volumes/nope', undefined, 'NotFound', 'no volume "nope"'],
  ['POST', '/volumes/nope/mount', undefined, 'NotFound', 'no volume "nope"'],
  ['POST', '/volumes/nope/unmount', undefined, 'NotFound', 'no volume "nope"'],
  ['DELETE', '/volumes/nope', undefined, 'NotFound', 'no volume "nope"'],
  ['GET', '/status?verbose', undefined, 'InvalidArgument', 'unknown property "verbose"'],
  ['GET', '/host?a=1', undefined, 'InvalidArgument', 'unknown property "a"'],
  ['GET', '/events?after=-1', undefined, 'InvalidArgument', '"after" must be >= 0'],
  ['GET', '/events?limit=0', undefined, 'InvalidArgument', '"limit" must be >= 1'],
  ['GET', '/events?limit=10001', undefined, 'InvalidArgument', '"limit" must be <= 10000'],
  ['GET', '/events?waitSeconds=0', undefined, 'InvalidArgument', '"waitSeconds" must be >= 1'],
  ['GET', '/events?waitSeconds=61', undefined, 'InvalidArgument', '"waitSeconds" must be <= 60'],
  ['GET', '/events?limit=many', undefined, 'InvalidArgument', '"limit" must be integer'],
  ['GET', '/nope', undefined, 'NotFound', 'no route GET /agent/v1/nope'],
  ['PATCH', '/volumes', undefined, 'NotFound', 'no route PATCH /agent/v1/volumes'],
  ['GET', '/volumes/', undefined, 'InvalidArgument', '"ref" must NOT have fewer than 1 characters'],
] as const;

test('what is refused: a code, a sentence, nothing changed', async () => {
  const { socket, engine } = await startHttpAgent();
  const before = engine.revision;
  for (const [method, path, json, code, message] of REFUSED) {
    const answer = await callJson<ErrorBody>(socket, { method, path: V1 + path, json });
    const { status, json: body } = answer;
    expect({ status, ...body }, `${method} ${path} ${JSON.stringify(json)}`).toMatchObject({
      status: code === 'NotFound' ? 404 : 400,
      code,
      message: expect.stringContaining(message),
      retry: 'never',
    });
  }
  expect(engine.revision).toBe(before);
});

test('a misspelled property gets the nearest name', async () => {
  const { socket } = await startHttpAgent();
  const json = { name: 'a', mountAtBot: true };
  const answer = await callJson<ErrorBody>(socket, { method: 'POST', path: `${V1}/volumes`, json });
  expect(answer.json.hint).toBe('did you mean "mountAtBoot"?');
});

test('a body that is no JSON, or not said to be, is refused with what to do', async () => {
  const { socket } = await startHttpAgent();
  const send = async (body: string, type: string) => {
    const headers = ['Content-Type', type];
    const answer = await call(socket, { method: 'POST', path: `${V1}/volumes`, headers, body });
    return { status: answer.status, ...(JSON.parse(answer.text) as ErrorBody) };
  };
  expect(await send('{"name":', 'application/json')).toMatchObject({
    status: 400,
    message: "the body isn't valid JSON",
  });
  expect(await send('', 'application/json')).toMatchObject({
    status: 400,
    code: 'InvalidArgument',
  });
  expect(await send('{"name":"a"}', 'text/html')).toMatchObject({
    status: 400,
    hint: 'send Content-Type: application/json',
  });
  expect(await send('{"name":"a","__proto__":{"x":1}}', 'application/json')).toMatchObject({
    status: 400,
  });
});

test('events, oldest first, in pages', async () => {
  const { core, socket } = await startHttpAgent();
  for (const subject of ['one', 'two', 'three']) {
    await core.events.append({
      type: 'test.happened',
      subject,
      message: subject,
      data: { subject },
    });
  }
  const get = async (query: string) => {
    const { json } = await callJson<EventsReply>(socket, { path: `${V1}/events${query}` });
    return json.events.map(({ seq, subject }) => `${seq} ${subject}`);
  };
  expect(await get('')).toEqual(['1 one', '2 two', '3 three']);
  expect(await get('?limit=2')).toEqual(['1 one', '2 two']);
  expect(await get('?after=2&limit=2')).toEqual(['3 three']);
  const { json } = await callJson<EventsReply>(socket, { path: `${V1}/events` });
  expect(json.events).toEqual(await core.events.after(0, 10));
  expect(json.last).toBe(3);
});

test('a request that waits is answered by the next event, at once when there is one, or with none', async () => {
  const { core, engine, socket, http } = await startHttpAgent();
  const watched = vi.spyOn(engine, 'watch');
  const happens = (subject: string) =>
    core.events.append({ type: 'test.happened', subject, message: subject });
  const ask = (query: string) => callJson<EventsReply>(socket, { path: `${V1}/events?${query}` });
  const waiting = ask('waitSeconds=60');
  await vi.waitFor(() => expect(watched).toHaveBeenCalledTimes(1));
  await happens('one');
  expect((await waiting).json).toMatchObject({ events: [{ seq: 1, subject: 'one' }], last: 1 });
  expect((await ask('waitSeconds=60')).json).toMatchObject({ events: [{ seq: 1 }], last: 1 });
  expect((await ask('after=1&waitSeconds=1')).json).toEqual({ events: [], last: 1 });
  // One that waits does not keep the server from closing.
  const last = ask('after=1&waitSeconds=60').catch(() => undefined);
  await vi.waitFor(() => expect(watched).toHaveBeenCalledTimes(4));
  await http.close(60_000);
  await last;
});

test('too many that wait are refused, and there is room again when they go', async () => {
  const { engine, socket } = await startHttpAgent();
  const watched = vi.spyOn(engine, 'watch');
  const path = `${V1}/events?waitSeconds=60`;
  const waiting = Array.from({ length: 64 }, () =>
    request({ socketPath: socket, path, agent: false })
      .on('error', () => undefined)
      .end(),
  );
  await vi.waitFor(() => expect(watched).toHaveBeenCalledTimes(64));
  const refused = await callJson<ErrorBody>(socket, { path });
  expect(refused).toMatchObject({ status: 503, json: { code: 'Unavailable', retry: 'later' } });
  for (const one of waiting) one.destroy();
  const isServed = async (): Promise<void> => {
    const { status } = await call(socket, { path: `${V1}/events?waitSeconds=1` });
    expect(status).toBe(200);
  };
  await vi.waitFor(isServed, 10_000);
});

test('the probes: alive as long as the engine answers, ready when local things are served', async () => {
  const { core, engine, socket } = await startHttpAgent();
  const probe = async (path: string) => {
    const { status, json } = await callJson<ProbeReply>(socket, { path });
    return { status, ...json };
  };
  expect(await probe('/healthz')).toEqual({ status: 200, state: 'ready', reasons: [] });
  expect(await probe('/readyz')).toEqual({ status: 200, state: 'ready', reasons: [] });
  core.setReason('x', 'volume data1 is stuck');
  const degraded = { state: 'degraded', reasons: ['volume data1 is stuck'] };
  expect(await probe('/healthz')).toEqual({ status: 200, ...degraded });
  expect(await probe('/readyz')).toEqual({ status: 200, ...degraded });
  core.enter('stopping');
  expect(await probe('/readyz')).toMatchObject({ status: 503, state: 'stopping' });
  expect(await probe('/healthz')).toMatchObject({ status: 200 });
  await engine.close();
  const dead = await probe('/healthz');
  expect(dead.status).toBe(503);
  expect(dead.reasons.at(-1)).toMatch(/^the engine can't read: /);
});
