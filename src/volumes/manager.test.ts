/** Goal: each verb twice is as once, names are unique whatever comes at once, nothing that holds data is removed, and the record follows what is there. */
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { dataIn } from '../../test/crash/volume-view.ts';
import { tempDir } from '../../test/support/temp-dir.ts';
import { newId } from '../base/ids.ts';
import { openEngine, type Engine } from '../engine/index.ts';
import { VolumeManager, type VolumeManagerOptions } from './manager.ts';

const ME = { id: 'Client-1', driver: 'd', service: 's' };
const OTHER = { id: 'client-2', driver: 'd', service: 's' };

interface Bench {
  readonly engine: Engine;
  readonly folder: string;
  /** The directories of service `s`, sorted. */
  readonly directories: () => string[];
  readonly events: string[];
  readonly start: (options?: Partial<VolumeManagerOptions>) => VolumeManager;
}

async function bench(): Promise<Bench> {
  const folder = tempDir('manager');
  const engine = await openEngine({ backend: 'memory', path: folder });
  onTestFinished(() => engine.close());
  const events: string[] = [];
  const start = (options: Partial<VolumeManagerOptions> = {}): VolumeManager =>
    new VolumeManager({
      engine,
      services: [{ name: 's', driver: 'dir', path: path.join(folder, 's') }],
      mountRoot: path.join(folder, 'mounts'),
      bootId: 'boot-1',
      onEvent: ({ type }) => events.push(type),
      ...options,
    });
  const directories = (): string[] => dataIn(path.join(folder, 's'));
  return { engine, folder, directories, events, start };
}

const code = (wanted: string) => expect.objectContaining({ code: wanted });

describe('verbs', () => {
  test('a whole life, each verb twice: the second writes nothing', async () => {
    const { engine, directories, events, start } = await bench();
    const volumes = start();
    const { spec, status } = await volumes.create({ name: 'Data', sizeBytes: 1000 });
    expect(status).toEqual({ phase: 'ready', attachments: [] });
    expect(directories()).toEqual([spec.id]);
    const twice = async (verb: () => Promise<unknown>): Promise<void> => {
      const first = await verb();
      const { revision } = engine;
      expect(await verb()).toEqual(first);
      expect(engine.revision).toBe(revision);
    };
    await twice(() => volumes.mount('data'));
    expect((await volumes.get(spec.id)).status.mountPoint).toMatch(new RegExp(`/s/${spec.id}$`));
    await twice(() => volumes.unmount('DATA'));
    await twice(() => volumes.attach('data', ME));
    await twice(() => volumes.detach('data', ME));
    await volumes.remove(spec.id.toUpperCase());
    await expect(volumes.remove('data')).rejects.toThrow(code('NotFound'));
    expect(directories()).toEqual([]);
    expect((await engine.list('')).kvs.map(({ key }) => key)).toEqual(['services/s']);
    expect(events).toEqual(
      ['created', 'mounted', 'unmounted', 'attached', 'detached', 'removed'].map(
        (verb) => `volume.${verb}`,
      ),
    );
  });

  test('of twenty creates of one name at once exactly one wins, whatever the case', async () => {
    const { directories, start } = await bench();
    const volumes = start();
    const names = Array.from({ length: 20 }, (_, index) => (index % 2 ? 'Straße' : 'STRASSE'));
    const results = await Promise.allSettled(names.map((name) => volumes.create({ name })));
    const lost = results.filter((result) => result.status === 'rejected');
    expect(lost.map(({ reason }) => (reason as { code: string }).code)).toEqual(
      Array(19).fill('AlreadyExists'),
    );
    expect(await volumes.list()).toHaveLength(1);
    expect(directories()).toHaveLength(1);
  });

  test('a name is free again once its volume is gone', async () => {
    const { start } = await bench();
    const volumes = start();
    const first = await volumes.create({ name: 'a' });
    await volumes.remove('A');
    const second = await volumes.create({ name: 'A' });
    expect(second.spec.id).not.toBe(first.spec.id);
  });

  test.each(['../../etc', 'a/b', '..', '📦', '$(id)'])('%j is a name and no path', async (name) => {
    const { directories, start } = await bench();
    const volumes = start();
    const { spec } = await volumes.create({ name });
    expect(directories()).toEqual([spec.id]);
    expect((await volumes.get(name)).spec.id).toBe(spec.id);
    await volumes.remove(name);
  });

  test('what is not there is told with the nearest that is', async () => {
    const { start } = await bench();
    const volumes = start();
    await volumes.create({ name: 'database' });
    await expect(volumes.get('databse')).rejects.toMatchObject({
      code: 'NotFound',
      hint: 'did you mean "database"?',
    });
    await expect(volumes.mount(newId())).rejects.toThrow(code('NotFound'));
    await expect(volumes.mount('x'.repeat(5000))).rejects.toThrow(code('NotFound'));
    await expect(volumes.get('')).rejects.toThrow(code('NotFound'));
  });

  test('more than the file system holds is refused, and nothing is left', async () => {
    const { engine, directories, start } = await bench();
    await expect(start().create({ name: 'a', sizeBytes: 2 ** 52 })).rejects.toThrow(
      code('NoSpace'),
    );
    expect((await engine.list('')).kvs).toEqual([]);
    expect(directories()).toEqual([]);
  });
});

describe('attachments', () => {
  test('one instance at a time; force takes it away', async () => {
    const { start } = await bench();
    const volumes = start();
    await volumes.create({ name: 'a' });
    const attached = await volumes.attach('a', ME);
    expect(attached.status.attachments).toMatchObject([
      { instanceId: 'Client-1', deviceName: expect.stringContaining(attached.spec.id) as string },
    ]);
    await expect(volumes.attach('a', OTHER)).rejects.toThrow(code('Conflict'));
    await volumes.attach('a', { ...ME, id: 'CLIENT-1' });
    const taken = await volumes.attach('a', OTHER, { force: true });
    expect(taken.status.attachments.map(({ instanceId }) => instanceId)).toEqual(['client-2']);
    expect((await volumes.detach('a', ME)).status.attachments).toHaveLength(1);
    expect((await volumes.detach('a')).status.attachments).toEqual([]);
  });

  test('end with the boot that they were made in, and so does a mount', async () => {
    const { start } = await bench();
    const volumes = start();
    await volumes.create({ name: 'a' });
    await volumes.attach('a', ME);
    await volumes.mount('a');
    const next = start({ bootId: 'boot-2' });
    await next.recover();
    expect((await next.get('a')).status).toEqual({ phase: 'ready', attachments: [] });
  });
});

describe('remove', () => {
  test('is refused while mounted, whatever is said, and while attached unless forced', async () => {
    const { directories, start } = await bench();
    const volumes = start();
    await volumes.create({ name: 'a' });
    const { status } = await volumes.mount('a');
    writeFileSync(path.join(status.mountPoint!, 'file'), 'x');
    await expect(volumes.remove('a', { force: true })).rejects.toThrow(code('Conflict'));
    await volumes.attach('a', ME);
    await volumes.unmount('a');
    await expect(volumes.remove('a')).rejects.toThrow(code('Conflict'));
    expect(directories()).toHaveLength(1);
    await volumes.remove('a', { force: true });
    expect(directories()).toEqual([]);
  });

  test('is refused when the data is not there: a disk may be unplugged; force forgets it', async () => {
    const { engine, folder, start } = await bench();
    const volumes = start();
    await volumes.create({ name: 'a' });
    renameSync(path.join(folder, 's'), path.join(folder, 'unplugged'));
    mkdirSync(path.join(folder, 's'));
    await expect(volumes.remove('a')).rejects.toThrow(code('Unavailable'));
    await volumes.remove('a', { force: true });
    expect((await engine.list('')).kvs.map(({ key }) => key)).toEqual(['services/s']);
  });
});

describe('a service whose file system is not mounted', () => {
  /** Its disk goes: the path leads to an empty folder on the file system below, until `plug`. */
  async function unplugged() {
    const { folder, start, ...rest } = await bench();
    const [place, away] = [path.join(folder, 's'), path.join(folder, 'away')];
    const volumes = start();
    const { spec } = await volumes.create({ name: 'a' });
    const unplug = (): void => {
      renameSync(place, away);
      mkdirSync(place);
    };
    const plug = (): void => {
      rmSync(place, { recursive: true });
      renameSync(away, place);
    };
    return { ...rest, start, volumes, spec, unplug, plug };
  }

  test('takes no volume and mounts none, and goes on when it is there again', async () => {
    const { volumes, directories, unplug, plug, spec } = await unplugged();
    unplug();
    for (const refused of [
      volumes.create({ name: 'b' }),
      volumes.mount('a'),
      volumes.remove('a'),
    ]) {
      await expect(refused).rejects.toThrow(code('Unavailable'));
    }
    expect(directories()).toEqual([]);
    plug();
    await volumes.create({ name: 'b' });
    expect((await volumes.mount('a')).status.mountPoint).toContain(spec.id);
  });

  test('is not where an interrupted removal ends: it waits for the disk, then removes', async () => {
    const { start, directories, unplug, plug, spec, engine } = await unplugged();
    const crashed = start({ onStep: () => Promise.reject(new Error('crash')) });
    // The engine refuses as well, so that neither the end nor the way back is recorded: a crash.
    const txn = engine.txn.bind(engine);
    let begun = false;
    engine.txn = async (conditions, ops) => {
      if (begun) throw new Error('crash');
      begun = true;
      return txn(conditions, ops);
    };
    await expect(crashed.remove('a')).rejects.toThrow('crash');
    engine.txn = txn;

    unplug();
    const next = start();
    await next.recover();
    expect(next.stuck()).toEqual([
      expect.objectContaining({ operation: 'remove', volumeId: spec.id }),
    ]);
    plug();
    expect(directories()).toEqual([spec.id]);
    await start().recover();
    expect([directories(), await next.list()]).toEqual([[], []]);
  });

  test('its marker is one, however many first volumes come at once, and is taken over by a new state', async () => {
    const { folder, start } = await bench();
    const volumes = start();
    await Promise.all(Array.from({ length: 8 }, (_, n) => volumes.create({ name: `v${n}` })));
    await volumes.create({ name: 'last' });
    const other = await openEngine({ backend: 'memory', path: folder });
    onTestFinished(() => other.close());
    await start({ engine: other }).create({ name: 'of a new state' });
    await volumes.create({ name: 'still' });
    expect(await volumes.list()).toHaveLength(10);
  });
});

describe('reconcile', () => {
  test('writes nothing when nothing changed', async () => {
    const { engine, start } = await bench();
    const volumes = start();
    await volumes.create({ name: 'a' });
    await volumes.create({ name: 'b' });
    await volumes.mount('b');
    const { revision } = engine;
    await volumes.reconcile();
    await start().recover();
    expect(engine.revision).toBe(revision);
  });

  test('a vanished directory is noted once, hurts nobody else, and is cured when it is back', async () => {
    const { engine, folder, start } = await bench();
    const volumes = start();
    const { spec } = await volumes.create({ name: 'a' });
    await volumes.create({ name: 'b' });
    const at = path.join(folder, 's', spec.id);
    renameSync(at, path.join(folder, 'moved'));
    await volumes.reconcile();
    expect((await volumes.get('a')).status.condition).toMatchObject({ code: 'DataMissing' });
    const { revision } = engine;
    await volumes.reconcile();
    expect(engine.revision).toBe(revision);
    await expect(volumes.mount('a')).rejects.toThrow(code('Corrupt'));
    await volumes.mount('b');
    renameSync(path.join(folder, 'moved'), at);
    await volumes.reconcile();
    expect((await volumes.get('a')).status.condition).toBeUndefined();
    await volumes.mount('a');
  });

  test('a service that is not configured (any more) leaves its volumes as they are', async () => {
    const { directories, start } = await bench();
    await start().create({ name: 'a' });
    const without = start({ services: [] });
    await without.recover();
    expect((await without.get('a')).status.condition).toMatchObject({
      code: 'ServiceNotConfigured',
    });
    await expect(without.mount('a')).rejects.toThrow(code('Unavailable'));
    await expect(without.remove('a', { force: true })).rejects.toThrow(code('Unavailable'));
    await expect(without.create({ name: 'b' })).rejects.toThrow(code('NotFound'));
    expect(directories()).toHaveLength(1);
    const [service] = start().services;
    without.addService(service!);
    await without.reconcile();
    expect((await without.get('a')).status.condition).toBeUndefined();
    await without.remove('a');
  });
});

describe('boot', () => {
  test('what is marked is mounted, with a verdict each', async () => {
    const { folder, start } = await bench();
    const volumes = start();
    await volumes.create({ name: 'up', mountAtBoot: true });
    await volumes.create({ name: 'not asked' });
    const gone = await volumes.create({ name: 'gone', mountAtBoot: true });
    renameSync(path.join(folder, 's', gone.spec.id), path.join(folder, 'elsewhere'));
    const next = start({ bootId: 'boot-2' });
    await next.recover();
    const verdicts = await next.mountAtBoot(10_000);
    const results = verdicts.map(({ name, error }) => `${name}: ${error?.code ?? 'mounted'}`);
    expect(results.toSorted()).toEqual(['gone: Corrupt', 'up: mounted']);
    expect((await next.get('up')).status.mountPoint).toBeDefined();
    expect((await next.get('not asked')).status.mountPoint).toBeUndefined();
  });
});

test('a closed manager begins nothing', async () => {
  const { start } = await bench();
  const volumes = start();
  await volumes.create({ name: 'a' });
  await volumes.close();
  await expect(volumes.mount('a')).rejects.toThrow(code('Unavailable'));
  await expect(volumes.create({ name: 'b' })).rejects.toThrow(code('Unavailable'));
});
