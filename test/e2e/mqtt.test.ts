/**
 * Goal: a real broker always ends up with what is true of the agent and nothing else: after changes, lost
 * connections, a broker that forgot everything, and starts of a killed agent.
 */
import { describe, expect, it } from 'vitest';
import type { AgentEvent } from '../../src/agent/agent.ts';
import type { AgentCore } from '../../src/agent/core.ts';
import type {
  DevicePayload,
  InfoPayload,
  StatePayload,
  VolumePayload,
} from '../../src/agent/faces/mqtt/topics.ts';
import { KiB } from '../../src/base/bytes.ts';
import { serverMissing, startMosquitto, type Mosquitto } from '../servers/index.ts';
import { FeedRun, Listener, makeHost, retained, startCore, until, Wire } from './mqtt-rig.ts';

const missing = serverMissing('mosquitto');

/** Every document there should be, by topic. */
async function expectedTopics({ devices, volumes }: AgentCore): Promise<string[]> {
  const things = [
    ...devices.list().map(({ id }) => `devices/${id}`),
    ...(await volumes.list()).map(({ spec }) => `volumes/${spec.id}`),
  ];
  return ['info', 'state', 'sync', ...things].toSorted();
}

/** PUBLISH packets that the broker took from clients so far. */
function publishesTaken(broker: Mosquitto): number {
  return broker.output.match(/Received PUBLISH from holdfast-/g)?.length ?? 0;
}

function tell(agent: AgentCore, count: number): Promise<unknown> {
  return Promise.all(
    Array.from({ length: count }, (_, n) =>
      agent.events.append({ type: 'test.happened', subject: `thing-${n}`, message: `number ${n}` }),
    ),
  );
}

describe.skipIf(missing !== undefined)(`documents ${missing ?? ''}`, () => {
  it('has every document retained, as the agent would say it', async () => {
    await using broker = await startMosquitto();
    const host = await makeHost();
    const agent = await startCore(host);
    const volume = await agent.volumes.create({ name: 'photos/2026 +#', sizeBytes: 1024 ** 2 });
    await using feed = new FeedRun(agent, broker.url);
    await feed.reached('connected');
    const documents = await retained(broker.url, host.replicaId);
    expect(Object.keys(documents).toSorted()).toEqual(await expectedTopics(agent));
    expect(JSON.parse(documents['state']!) as StatePayload).toEqual({
      ...agent.state(),
      epoch: agent.epoch,
      version: agent.version,
    });
    const info = JSON.parse(documents['info']!) as InfoPayload;
    expect(info).toMatchObject({ replicaId: host.replicaId, host: agent.hostFacts });
    expect(info.services).toEqual([{ name: 'local', driver: 'dir' }]);
    expect(JSON.parse(documents['sync']!)).toEqual({ targets: [] });
    const shown = JSON.parse(documents[`volumes/${volume.spec.id}`]!) as VolumePayload;
    expect(shown).toMatchObject({ name: 'photos/2026 +#', driver: 'dir', phase: 'ready' });
    const [device] = agent.devices.list();
    const told = JSON.parse(documents[`devices/${device!.id}`]!) as DevicePayload;
    expect(told).toMatchObject({ name: device!.name, sizeBytes: device!.sizeBytes, present: true });
    expect(told).not.toHaveProperty('diskseq');
  });

  it('publishes a change once, and only what changed', async () => {
    await using broker = await startMosquitto();
    const agent = await startCore(await makeHost());
    const { spec } = await agent.volumes.create({ name: 'a' });
    await using feed = new FeedRun(agent, broker.url);
    await feed.reached('connected');
    await using listener = await Listener.start(broker.url);
    const topic = `holdfast/${agent.identity.replicaId}`;
    await until('retained came', () => listener.of(`${topic}/volumes/${spec.id}`).length === 1);
    const before = publishesTaken(broker);

    agent.setReason('disk', 'sda is ill');
    agent.changed('info');
    agent.changed('sync');
    await until('degraded', () => listener.json<StatePayload>(`${topic}/state`).length === 2);
    expect(listener.json<StatePayload>(`${topic}/state`).at(-1)).toMatchObject({
      state: 'degraded',
      reasons: ['sda is ill'],
    });
    const attached = { id: 'instance-1', driver: 'libstorage', service: 'local' };
    await agent.volumes.attach(spec.id, attached);
    await until('attached', () => listener.of(`${topic}/volumes/${spec.id}`).length === 2);
    const [, last] = listener.json<VolumePayload>(`${topic}/volumes/${spec.id}`);
    expect(last?.attachments).toMatchObject([{ instanceId: 'instance-1' }]);
    // A marker behind everything: what was on its way is at the broker when this is.
    await tell(agent, 1);
    await until('event', () => listener.of(`${topic}/events`).length === 1);
    expect(publishesTaken(broker) - before).toBe(3);
  });

  it('is silent and writes nothing while nothing happens', async () => {
    await using broker = await startMosquitto();
    const host = await makeHost();
    const agent = await startCore(host);
    await using feed = new FeedRun(agent, broker.url);
    await feed.reached('connected');
    await tell(agent, 1);
    // The position of that event is saved once, after it.
    await until('position is saved', async () => (await savedPosition(agent)) === 1);
    const before = { published: publishesTaken(broker), revision: host.engine.revision };
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    const after = { published: publishesTaken(broker), revision: host.engine.revision };
    expect(after).toEqual(before);
  });

  it('keeps `sync` to its pace under load, and the last value wins', async () => {
    await using broker = await startMosquitto();
    const agent = await startCore(await makeHost());
    let cursor = 0;
    agent.setTarget('etcd', () => ({
      target: 'etcd',
      type: 'etcd',
      endpoints: ['127.0.0.1:2379'],
      state: 'behind',
      cursor,
      localRevision: 1000,
      lagRevisions: 1000 - cursor,
      parked: 0,
    }));
    await using feed = new FeedRun(agent, broker.url, { times: { syncIntervalMs: 200 } });
    await feed.reached('connected');
    await using listener = await Listener.start(broker.url);
    const topic = `holdfast/${agent.identity.replicaId}/sync`;
    const startedAtMs = performance.now();
    for (cursor = 1; cursor < 1000; cursor += 1) {
      agent.changed('sync');
      if (cursor % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    agent.changed('sync');
    const last = () => listener.json<{ targets: [{ cursor: number }] }>(topic).at(-1);
    await until('the last value', () => last()?.targets[0].cursor === 1000);
    const intervals = (performance.now() - startedAtMs) / 200;
    // The retained one, one at once, and one per interval begun.
    expect(listener.of(topic).length).toBeLessThanOrEqual(3 + Math.ceil(intervals));
  });

  it('clears a volume that is removed, also while the feed was away', async () => {
    await using broker = await startMosquitto();
    await using wire = await Wire.to(broker.port);
    const host = await makeHost();
    const agent = await startCore(host);
    const first = await agent.volumes.create({ name: 'first' });
    const second = await agent.volumes.create({ name: 'second' });
    await using feed = new FeedRun(agent, wire.url);
    await feed.reached('connected');
    await agent.volumes.remove(first.spec.id);
    const topics = async () => Object.keys(await retained(broker.url, host.replicaId));
    await until('cleared', async () => !(await topics()).includes(`volumes/${first.spec.id}`));

    wire.close();
    wire.cut();
    await feed.reached('offline');
    await agent.volumes.remove(second.spec.id);
    expect(await topics()).toContain(`volumes/${second.spec.id}`);
    wire.open();
    await feed.reached('connected');
    await until('cleared', async () => !(await topics()).includes(`volumes/${second.spec.id}`));
    expect((await topics()).toSorted()).toEqual(await expectedTopics(agent));
  });

  it('fills a broker that was killed and forgot everything', async () => {
    await using broker = await startMosquitto();
    const host = await makeHost();
    const agent = await startCore(host);
    await agent.volumes.create({ name: 'a' });
    await using feed = new FeedRun(agent, broker.url);
    await feed.reached('connected');
    const before = await retained(broker.url, host.replicaId);
    expect(Object.keys(before).toSorted()).toEqual(await expectedTopics(agent));
    await broker.kill();
    await feed.reached('offline');
    await broker.restart();
    await feed.reached('connected');
    expect(await retained(broker.url, host.replicaId)).toEqual(before);
    expect(feed.changes.map(({ to }) => to)).toEqual([
      'connecting',
      'connected',
      'offline',
      'connected',
    ]);
  });
});

describe.skipIf(missing !== undefined)(`the life of state ${missing ?? ''}`, () => {
  const states = (listener: Listener, topic: string) =>
    listener.json<StatePayload>(topic).map(({ state, epoch }) => `${state} ${epoch.at(-1)}`);

  it.each([
    ['killed', (wire: Wire) => wire.cut()],
    ['without power', (wire: Wire) => wire.freeze()],
  ])('%s: lost after the will delay, and the next start wins', async (_name, strike) => {
    await using broker = await startMosquitto();
    await using wire = await Wire.to(broker.port);
    await using listener = await Listener.start(broker.url);
    const host = await makeHost();
    const topic = `holdfast/${host.replicaId}/state`;
    const feed = new FeedRun(await startCore(host, 1), wire.url, { keepaliveSeconds: 1 });
    await feed.reached('connected');
    wire.close();
    strike(wire);
    await until('lost', () => states(listener, topic).at(-1) === 'lost 1');
    await feed.stop();

    await using next = new FeedRun(await startCore(host, 2), broker.url);
    await next.reached('connected');
    expect(states(listener, topic)).toEqual(['ready 1', 'lost 1', 'ready 2']);
  });

  it('says nothing of a loss that is over within the will delay', async () => {
    await using broker = await startMosquitto();
    await using wire = await Wire.to(broker.port);
    await using listener = await Listener.start(broker.url);
    const host = await makeHost();
    const topic = `holdfast/${host.replicaId}/state`;
    const times = { willDelaySeconds: 3, sessionExpirySeconds: 5 };
    const first = new FeedRun(await startCore(host, 1), wire.url, { times });
    await first.reached('connected');
    wire.close();
    wire.cut();
    await first.stop();
    await using next = new FeedRun(await startCore(host, 2), broker.url, { times });
    await next.reached('connected');
    // Well past the first one's will delay.
    await new Promise((resolve) => setTimeout(resolve, 4_500));
    expect(states(listener, topic)).toEqual(['ready 1', 'ready 2']);
  });

  it('takes back its own topic from an old will that comes late', async () => {
    await using broker = await startMosquitto();
    await using listener = await Listener.start(broker.url);
    const host = await makeHost();
    const topic = `holdfast/${host.replicaId}/state`;
    await using feed = new FeedRun(await startCore(host, 2), broker.url);
    await feed.reached('connected');
    await listener.publish(topic, JSON.stringify({ state: 'lost', epoch: 'x.1', version: '0' }));
    await until('taken back', () => states(listener, topic).length === 3);
    expect(states(listener, topic)).toEqual(['ready 2', 'lost 1', 'ready 2']);
    await listener.publish(topic, '');
    await until('there again', () => states(listener, topic).length === 4);
    expect(JSON.parse((await retained(broker.url, host.replicaId))['state']!)).toMatchObject({
      state: 'ready',
    });
  });

  it('says stopping when it is stopped, and the will is dropped', async () => {
    await using broker = await startMosquitto();
    await using listener = await Listener.start(broker.url);
    const host = await makeHost();
    const topic = `holdfast/${host.replicaId}/state`;
    const feed = new FeedRun(await startCore(host, 1), broker.url);
    await feed.reached('connected');
    await feed.stop();
    expect(feed.state).toBe('stopped');
    // The session's end comes with the DISCONNECT: nothing is left that could fire.
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    expect(states(listener, topic)).toEqual(['ready 1', 'stopping 1']);
  });

  it('gives way to a copy of itself, and names it', async () => {
    await using broker = await startMosquitto();
    const host = await makeHost();
    const times = { refusedRetryMs: 60_000, healthyAfterMs: 60_000 };
    await using one = new FeedRun(await startCore(host, 1), broker.url, { times });
    await one.reached('connected');
    await using two = new FeedRun(await startCore(host, 2), broker.url, { times });
    const refused = () => [one, two].filter(({ state }) => state === 'refused');
    await until('one is refused', () => refused().length === 1);
    const { error } = refused()[0]!.changes.at(-1)!;
    expect(error).toMatchObject({ code: 'Conflict' });
    expect(error?.hint).toContain('one replica id');
    await (one.state === 'refused' ? two : one).reached('connected');
  });
});

describe.skipIf(missing !== undefined)(`events ${missing ?? ''}`, () => {
  const seqs = (listener: Listener, { identity }: AgentCore) =>
    listener.json<AgentEvent>(`holdfast/${identity.replicaId}/events`).map(({ seq }) => seq);

  it('begins at the first start with what happens from then on, over a restart', async () => {
    await using broker = await startMosquitto();
    await using listener = await Listener.start(broker.url);
    const host = await makeHost();
    const agent = await startCore(host, 1);
    await tell(agent, 5);
    // Nobody answers at the first start: what happens now is told at the second.
    await using deaf = await Wire.to(broker.port);
    deaf.close();
    const first = new FeedRun(agent, deaf.url);
    await first.reached('offline');
    await tell(agent, 3);
    await first.stop();
    const again = await startCore(host, 2);
    const second = new FeedRun(again, broker.url);
    await second.reached('connected');
    await until('told', () => seqs(listener, agent).length === 3);
    expect(seqs(listener, agent)).toEqual([6, 7, 8]);
    await second.stop();
    const third = new FeedRun(await startCore(host, 3), broker.url);
    await third.reached('connected');
    await tell(again, 1);
    await until('told', () => seqs(listener, agent).includes(9));
    await third.stop();
    expect(seqs(listener, agent)).toEqual([6, 7, 8, 9]);
  });

  it('leaves none out when the connection is lost again and again', async () => {
    await using broker = await startMosquitto();
    await using wire = await Wire.to(broker.port);
    await using listener = await Listener.start(broker.url);
    const host = await makeHost();
    const agent = await startCore(host);
    const total = 400;
    await host.engine.put('mqtt/ack', Buffer.from('0'));
    await tell(agent, total);
    // The documents and a few batches of events, the last of them cut in the middle.
    wire.clientBytesMax = 32 * KiB;
    await using feed = new FeedRun(agent, wire.url);
    await feed.reached('connected');
    await until('all came', () => new Set(seqs(listener, agent)).size === total);
    const all = seqs(listener, agent);
    const cuts = wire.connections - 1;
    expect(cuts).toBeGreaterThan(2);
    expect([...new Set(all)]).toEqual(Array.from({ length: total }, (_, n) => n + 1));
    // No more come twice than are in flight at a time.
    expect(all.length - total).toBeLessThanOrEqual(cuts * 16);
    await until('position is saved', async () => (await savedPosition(agent)) === total);
  });

  it('begins again with a ring that was emptied', async () => {
    await using broker = await startMosquitto();
    await using listener = await Listener.start(broker.url);
    const host = await makeHost();
    await host.engine.put('mqtt/ack', Buffer.from('500'));
    const agent = await startCore(host);
    await tell(agent, 2);
    await using feed = new FeedRun(agent, broker.url);
    await feed.reached('connected');
    await until('told', () => seqs(listener, agent).length === 2);
    expect(seqs(listener, agent)).toEqual([1, 2]);
  });
});

async function savedPosition({ engine }: AgentCore): Promise<number> {
  return Number(Buffer.from((await engine.get('mqtt/ack'))!.value).toString());
}
