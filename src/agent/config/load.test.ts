import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { HoldfastError } from '../../base/errors.ts';
import { explainConfig } from './explain.ts';
import { loadConfig, type LoadedConfig } from './load.ts';

/**
 * Goal: any file a tired operator can write is either the configuration they meant, or an error that
 * names file, line, column and the nearest right thing. Method: real files in a temporary folder.
 */
describe('loadConfig', () => {
  let folder: string;
  const stateDir = '/var/lib/holdfast-test';
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'holdfast-test-config-'));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  async function load(files: Record<string, string>, isRoot = false): Promise<LoadedConfig> {
    for (const [name, text] of Object.entries(files)) {
      await mkdir(dirname(join(folder, name)), { recursive: true });
      await writeFile(join(folder, name), text);
    }
    const path = join(folder, 'config.yaml');
    return loadConfig({ path, explicit: false, dirs: { stateDir }, isRoot });
  }

  async function problem(text: string | Record<string, string>): Promise<string> {
    const files = typeof text === 'string' ? { 'config.yaml': text } : text;
    const error = await load(files).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(HoldfastError);
    expect((error as HoldfastError).code).toBe('ConfigInvalid');
    return (error as HoldfastError).message.replaceAll(`${folder}/`, '');
  }

  test('no file: the defaults, with a loop service only for root', async () => {
    const { config, files } = await load({});
    expect(files).toEqual([]);
    expect(config).toEqual({
      engine: { backend: 'sqlite', historyHours: 24 },
      http: {},
      log: { level: 'info' },
      devices: { rescanSeconds: 60, ignore: ['ram', 'unconfigured'] },
      volumes: {
        services: [{ name: 'dir', driver: 'dir', path: `${stateDir}/volumes/dir` }],
        bootDeadlineSeconds: 30,
      },
      sync: { root: 'holdfast', targets: [] },
    });
    const asRoot = await load({}, true);
    expect(asRoot.config.volumes.services.map(({ name, fsType }) => [name, fsType])).toEqual([
      ['dir', undefined],
      ['loop', 'ext4'],
    ]);
  });

  test('an explicit file must exist', async () => {
    const path = join(folder, 'other.yaml');
    await expect(loadConfig({ path, explicit: true, dirs: { stateDir } })).rejects.toMatchObject({
      code: 'ConfigInvalid',
      message: `${path}: there is no such file`,
    });
  });

  test('drop-ins merge: maps deeply, services by name, targets by id, other lists replaced', async () => {
    const { config, files } = await load({
      'config.yaml':
        'log: {level: warn}\nvolumes:\n  services:\n    - {name: fast, driver: dir, path: /a}\n' +
        'sync:\n  targets:\n    - {type: etcd, endpoints: ["a:1", "b:2"]}\n',
      'config.d/20-late.yaml': 'sync: {targets: [{id: etcd, endpoints: ["c:3"]}]}\n',
      'config.d/10-early.yaml':
        'volumes:\n  bootDeadlineSeconds: 5\n  services:\n    - {name: slow, driver: dir, path: /b}\n' +
        '    - {name: fast, presentAs: ebs}\n',
      'config.d/.hidden.yaml': 'nonsense: 1\n',
      'config.d/backup.yaml~': 'nonsense: 1\n',
    });
    expect(files.map((file) => file.slice(folder.length + 1))).toEqual([
      'config.yaml',
      'config.d/10-early.yaml',
      'config.d/20-late.yaml',
    ]);
    expect(config.log.level).toBe('warn');
    expect(config.volumes).toEqual({
      bootDeadlineSeconds: 5,
      services: [
        { name: 'fast', driver: 'dir', path: '/a', presentAs: 'ebs' },
        { name: 'slow', driver: 'dir', path: '/b' },
      ],
    });
    expect(config.sync.targets).toEqual([{ id: 'etcd', type: 'etcd', endpoints: ['c:3'] }]);
  });

  test('a section whose lines are all commented out, an empty file, a null', async () => {
    const { config } = await load({
      'config.yaml': 'log:\n  # level: debug\nmqtt: {url: "mqtt://h:1"}\n',
      'config.d/a.yaml': '',
      'config.d/b.yaml': 'mqtt: null\n',
    });
    expect(config.log.level).toBe('info');
    expect(config.mqtt).toBeUndefined();
  });

  test('explain says where each value came from', async () => {
    const loaded = await load({
      'config.yaml': 'volumes:\n  services:\n    - name: fast\n      driver: dir\n      path: /a\n',
      'config.d/a.yaml': 'log:\n  level: debug\nvolumes: {services: [{name: fast, path: /b}]}\n',
    });
    const explained = Object.fromEntries(
      explainConfig(loaded).map(({ key, value, origin }) => [
        key,
        [value, origin.replace(`${folder}/`, '')],
      ]),
    );
    expect(explained).toMatchObject({
      'log.level': ['debug', 'config.d/a.yaml:2:10'],
      'volumes.services[fast].driver': ['dir', 'config.yaml:4:15'],
      'volumes.services[fast].path': ['/b', 'config.d/a.yaml:3:41'],
      'engine.backend': ['sqlite', 'default'],
      'sync.targets': [[], 'default'],
    });
  });

  const services = (...items: string[]): string =>
    `volumes:\n  services:\n${items.map((item) => `    - {${item}}\n`).join('')}`;

  test.each<[string, string, string]>([
    [
      'a typo',
      'log:\n  levle: info\n',
      'config.yaml:2:3: unknown key `log.levle`; did you mean `level`?',
    ],
    ['another case', 'Log: {}\n', 'config.yaml:1:1: unknown key `Log`; did you mean `log`?'],
    [
      'a far-off key',
      'zzzzzzzz: 1\n',
      'config.yaml:1:1: unknown key `zzzzzzzz`; known here: engine, http',
    ],
    ['an unknown key with nothing', 'foo:\n', 'config.yaml:1:1: unknown key `foo`'],
    [
      'a key of Object.prototype',
      '__proto__: {a: 1}\n',
      'config.yaml:1:1: unknown key `__proto__`',
    ],
    [
      'a key in a list',
      services('name: a, driver: dir, path: /a, pth: 1'),
      'config.yaml:3:40: unknown key',
    ],
    [
      'a wrong type',
      'devices:\n  rescanSeconds: often\n',
      'config.yaml:2:18: `devices.rescanSeconds` must be a whole number, it is "often"',
    ],
    ['a fraction', 'devices: {rescanSeconds: 7.5}\n', 'must be a whole number, it is 7.5'],
    [
      'too small',
      'devices:\n  rescanSeconds: 4\n',
      'config.yaml:2:18: `devices.rescanSeconds` must be at least 5, it is 4',
    ],
    ['negative', 'volumes: {bootDeadlineSeconds: -1}\n', 'must be at least 1, it is -1'],
    ['not a number', 'devices: {rescanSeconds: .nan}\n', 'must be a whole number'],
    [
      'not in the list',
      'engine: {backend: rocksdb}\n',
      '`engine.backend` must be one of sqlite, lmdb, it is "rocksdb"',
    ],
    [
      'a kind that must not be left out',
      'devices: {ignore: [disk]}\n',
      'config.yaml:1:20: `devices.ignore` must be one of loop, nbd, ram, zram, rom, unconfigured, it is "disk"',
    ],
    ['a list for a map', 'engine: [a]\n', 'config.yaml:1:9: `engine` must be a map of keys'],
    ['no map at all', '- a\n', 'config.yaml:1:1: the file must hold'],
    ['missing driver', services('name: a, path: /a'), '`volumes.services` needs `driver`'],
    [
      'a relative path',
      services('name: a, driver: dir, path: data/x'),
      'config.yaml:3:36: `volumes.services.path` must be an absolute path, it is "data/x"',
    ],
    [
      'a name with a slash',
      services('name: a/b, driver: dir, path: /a'),
      '`volumes.services.name` must be 1 to 64 letters',
    ],
    [
      'two of one name',
      services('name: a, driver: dir, path: /a', 'name: A, driver: dir, path: /b'),
      'config.yaml:4:14: service `A` is there twice',
    ],
    [
      'a path in another',
      services('name: a, driver: dir, path: /x', 'name: b, driver: dir, path: /y/../x/z'),
      'overlaps /x of service `a`',
    ],
    [
      'a path in the engine',
      services(`name: a, driver: dir, path: ${stateDir}/engine/v`),
      "overlaps the engine's folder",
    ],
    ['the root folder', services('name: a, driver: dir, path: /'), "overlaps the engine's folder"],
    [
      'a sibling is fine but fsType on dir is not',
      services('name: a, driver: dir, path: /a, fsType: xfs'),
      '`fsType` is for the loop driver only',
    ],
    [
      'a root with a slash',
      'sync: {root: a/b}\n',
      'config.yaml:1:14: `sync.root` must be one key segment',
    ],
    [
      'a root with a wildcard',
      'mqtt: {url: "mqtt://h:1", root: "a+"}\n',
      '`mqtt.root` must be one topic segment',
    ],
    [
      'a root like $SYS',
      'mqtt: {url: "mqtt://h:1", root: $SYS}\n',
      '`mqtt.root` must be one topic segment',
    ],
    [
      'a web url for mqtt',
      'mqtt: {url: "http://h:1"}\n',
      'config.yaml:1:13: `mqtt.url` must begin with mqtt:// or mqtts://',
    ],
    ['no host', 'mqtt: {url: "mqtt://"}\n', '`mqtt.url`'],
    ['a CA without TLS', 'mqtt: {url: "mqtt://h:1", caFile: /ca.pem}\n', 'needs an mqtts:// url'],
    [
      'no endpoints',
      'sync: {targets: [{type: etcd, endpoints: []}]}\n',
      '`sync.targets.endpoints` must be a list of at least 1',
    ],
    [
      'an endpoint without port',
      'sync: {targets: [{type: etcd, endpoints: [host]}]}\n',
      'endpoint has no port',
    ],
    [
      'a public listener',
      'http: {listen: "0.0.0.0:80"}\n',
      '"0.0.0.0:80" isn\'t a loopback address',
    ],
    ['a listener without port', 'http: {listen: "127.0.0.1"}\n', "isn't host:port"],
    ['a custom tag', 'log: !!js/function "x"\n', 'config.yaml:1:6: Unresolved tag'],
    ['two documents', 'log: {}\n---\nlog: {}\n', 'config.yaml:2:1:'],
    ['one key twice', 'log: {}\nlog: {}\n', 'config.yaml:2:1: Map keys must be unique'],
    ['broken YAML', 'log: {level: info\nengine: {}\n', 'config.yaml:2:'],
    ['a tab', 'log:\n\tlevel: info\n', 'config.yaml:2:'],
    ['an alias that holds itself', 'log: &a [*a]\n', 'nested more than'],
    ['an alias to nothing', 'log: *a\n', 'config.yaml:1:6'],
    ['brackets without end', '['.repeat(20_000), 'config.yaml'],
  ])('%s', async (_what, text, expected) => {
    expect(await problem(text)).toContain(expected);
  });

  test('all problems are told at once, each on its line', async () => {
    const text = 'log:\n  level: loud\nfoo: 1\ndevices: {rescanSeconds: 1}\n';
    expect((await problem(text)).split('\n')).toHaveLength(3);
  });

  test('an alias bomb ends at the limit', async () => {
    const levels = Array.from(
      { length: 9 },
      (_, i) => `  l${i}: &l${i} [${Array(9).fill(i ? `*l${i - 1}` : 'x')}]\n`,
    );
    expect(await problem(`log:\n${levels.join('')}`)).toContain('more than 10000 values');
  });

  test('too large, not UTF-8, a folder, a fifo: errors, at once', async () => {
    expect(await problem(`# ${'x'.repeat(1024 * 1024)}\n`)).toContain('at most 1048576');
    const path = join(folder, 'config.yaml');
    await writeFile(path, Buffer.from([0x6c, 0xff, 0xfe]));
    await expect(load({})).rejects.toThrow('not UTF-8 text');
    await rm(path);
    execFileSync('mkfifo', [path]);
    await expect(load({})).rejects.toThrow('not a regular file');
    await rm(path);
    await mkdir(path);
    await expect(load({})).rejects.toThrow('not a regular file');
  });

  test('a password in the wrong place is never repeated', async () => {
    const secret = 'hunter2';
    for (const text of [
      `mqtt: {url: "mqtt://me:${secret}@h:1"}\n`,
      `mqtt: {url: "mqtt://h:1", password: ${secret}}\n`,
      `mqtt: {url: "mqtt://h:1", username: a, passwordFile: ${secret}}\n`,
      `sync: {targets: [{type: etcd, endpoints: ["http://me:${secret}@h:1"]}]}\n`,
      `mqtt: {url: "mqtt://h:1", password: "${secret}\n`,
    ]) {
      const message = await problem(text);
      expect(message).not.toContain(secret);
    }
    expect(await problem(`mqtt: {url: "mqtt://h:1", password: x}\n`)).toContain(
      'did you mean `passwordFile`?',
    );
  });
});
