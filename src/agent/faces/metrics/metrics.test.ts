/** Goal: one scrape is valid Prometheus text with the documented names, and no client can add labels to it. */
import { copyFileSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { GiB } from '../../../base/bytes.ts';
import { startHttpAgent } from '../../../../test/support/http-agent.ts';
import { call } from '../../../../test/support/http-call.ts';

const NAMES = [
  'holdfast_agent_state',
  'holdfast_build_info',
  'holdfast_component_restarts',
  'holdfast_component_running',
  'holdfast_devices_absent',
  'holdfast_devices_present',
  'holdfast_devices_quarantined',
  'holdfast_engine_compacted_revision',
  'holdfast_engine_keys',
  'holdfast_engine_log_entries',
  'holdfast_engine_revision',
  'holdfast_engine_size_bytes',
  'holdfast_http_request_duration_seconds',
  'holdfast_http_requests_total',
  'holdfast_process_resident_bytes',
  'holdfast_process_uptime_seconds',
  'holdfast_sync_cursor_revision',
  'holdfast_sync_lag_revisions',
  'holdfast_sync_parked_entries',
  'holdfast_sync_state',
  'holdfast_volumes',
  'holdfast_volumes_mounted',
  'holdfast_volumes_size_bytes',
  'holdfast_volumes_with_condition',
];

interface Scrape {
  /** Of the `# TYPE` lines. */
  readonly types: ReadonlyMap<string, string>;
  /** `name{labels}` as it stands -> value. */
  readonly samples: ReadonlyMap<string, number>;
}

const LABEL = /[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"/;
const SAMPLE = new RegExp(
  `^([a-zA-Z_:][a-zA-Z0-9_:]*(?:\\{(?:${LABEL.source}(?:,${LABEL.source})*)?\\})?) (\\S+)$`,
);

/** The text format 0.0.4, strictly: every line is a comment we know or a sample, none is there twice. */
function parse(text: string): Scrape {
  expect(text.endsWith('\n')).toBe(true);
  const types = new Map<string, string>();
  const helped = new Set<string>();
  const samples = new Map<string, number>();
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const [, kind, name, rest] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? [];
    if (kind === 'HELP') helped.add(name!);
    else if (kind === 'TYPE') {
      expect(types.has(name!), `${name} has two types`).toBe(false);
      types.set(name!, rest!);
    } else {
      const [, sample, value] = SAMPLE.exec(line) ?? [];
      expect(sample, `not a sample: ${line}`).toBeDefined();
      expect(samples.has(sample!), `twice: ${sample}`).toBe(false);
      samples.set(sample!, Number(value));
      const family = sample!.replace(/\{.*/, '').replace(/_(bucket|sum|count)$/, '');
      expect([...types.keys()], line).toContain(family);
    }
  }
  expect([...helped].sort()).toEqual([...types.keys()].sort());
  return { types, samples };
}

async function scrape(socket: string): Promise<Scrape> {
  const { status, headers, text } = await call(socket, { path: '/metrics' });
  expect(status).toBe(200);
  expect(headers['content-type']).toMatch(/^text\/plain; version=0\.0\.4/);
  return parse(text);
}

test('the documented names, all of them and no others', async () => {
  const { socket } = await startHttpAgent();
  const { types } = await scrape(socket);
  expect([...types.keys()].sort()).toEqual(NAMES);
  const docs = readFileSync('docs/api.md', 'utf8');
  for (const name of NAMES) expect(docs).toContain(`\`${name.replace(/^holdfast_/, '')}\``);
});

/** sdb of the recorded host says of itself what sda does. */
function giveTwoDisksOneIdentity(folder: string): void {
  const pci = `${folder}/host/sys/devices/pci0000:00/0000:00:17.0`;
  for (const name of ['wwid', 'vpd_pg80']) {
    const [sda, sdb] = [1, 2].map(
      (n) => `${pci}/ata${n}/host${n}/target${n}:0:0/${n}:0:0:0/${name}`,
    );
    copyFileSync(sda!, sdb!);
  }
}

test('the numbers are those of the agent', async () => {
  const services = [
    { name: 'gold', driver: 'dir', path: 'gold' },
    { name: 'silver', driver: 'dir', path: 'silver' },
  ] as const;
  const { core, socket, engine, folder } = await startHttpAgent({ services });
  giveTwoDisksOneIdentity(folder);
  await core.devices.scan();
  await core.volumes.create({ name: 'a', service: 'gold', sizeBytes: 2 * GiB });
  await core.volumes.create({ name: 'b', service: 'gold', sizeBytes: 3 * GiB });
  core.setReason('x', 'a "quoted" reason');
  core.setTarget('centr"al\\', () => ({
    target: 'centr"al\\',
    type: 'etcd',
    endpoints: [],
    state: 'behind',
    cursor: 7,
    localRevision: 9,
    lagRevisions: 2,
    parked: 1,
  }));
  const { samples } = await scrape(socket);
  const value = (sample: string): number | undefined => samples.get(`holdfast_${sample}`);
  expect(value('agent_state{state="degraded"}')).toBe(1);
  expect(value('agent_state{state="ready"}')).toBe(0);
  expect(value('volumes{service="gold",phase="ready"}')).toBe(2);
  expect(value('volumes{service="silver",phase="ready"}')).toBe(0);
  expect(value('volumes_size_bytes{service="gold"}')).toBe(5 * GiB);
  expect(value('volumes_mounted{service="gold"}')).toBe(0);
  expect(value('engine_revision')).toBe(engine.revision);
  expect(value('engine_keys')).toBe((await engine.stats()).keys);
  const present = core.devices.list().filter((device) => device.present);
  expect(value('devices_present')).toBe(present.length);
  expect(value('devices_quarantined')).toBe(2);
  expect(value('sync_lag_revisions{target="centr\\"al\\\\"}')).toBe(2);
  expect(value('sync_state{target="centr\\"al\\\\",state="behind"}')).toBe(1);

  // A label that is gone is gone: nothing piles up.
  core.setTarget('centr"al\\', undefined);
  const later = await scrape(socket);
  expect([...later.samples.keys()].filter((name) => name.includes('target='))).toEqual([]);
});

test('requests are counted by route, and whatever a client makes up is one label', async () => {
  const { socket } = await startHttpAgent();
  for (let index = 0; index < 20; index += 1) {
    await call(socket, { path: `/agent/v1/volumes/made-up-${index}` });
    await call(socket, { path: `/volumes/local/made-up-${index}?attachments=${index}` });
    await call(socket, { path: `/made-up-${index}` });
    await call(socket, { path: `/agent/v1/made-up-${index}` });
    await call(socket, { path: `/volumes/%zz${index}` });
    await call(socket, { method: index % 2 ? 'MKCOL' : 'PURGE', path: '/' });
  }
  const { samples } = await scrape(socket);
  const counted = [...samples].filter(([name]) => name.startsWith('holdfast_http_requests_total'));
  expect([...samples.keys()].filter((name) => name.includes('made-up'))).toEqual([]);
  expect(Object.fromEntries(counted)).toEqual({
    'holdfast_http_requests_total{method="GET",route="/agent/v1/volumes/:ref",status="404"}': 20,
    'holdfast_http_requests_total{method="GET",route="/volumes/:service/:volume",status="400"}':
      expect.any(Number),
    'holdfast_http_requests_total{method="GET",route="/volumes/:service/:volume",status="404"}':
      expect.any(Number),
    'holdfast_http_requests_total{method="other",route="unrouted",status="404"}': 60,
  });
});
