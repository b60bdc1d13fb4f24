/** Goal: who starts the agent by hand sees its state, reasons and places; a program gets one JSON line. */
import { expect, it } from 'vitest';
import { GiB } from '../base/bytes.ts';
import type { AgentCore } from './core.ts';
import { startReport } from './report.ts';

/** Only what the report reads. */
const CORE = {
  version: '1.2.3',
  epoch: 'boot.1',
  identity: { replicaId: 'r-1' },
  hostFacts: { hostname: 'edge', os: 'Debian 12', cores: 2, memoryBytes: 4 * GiB },
  state: () => ({ state: 'degraded', since: '', reasons: ['volume "a": late'] }),
  engine: { stats: async () => ({ backend: 'sqlite', revision: 7, keys: 3 }) },
  devices: {
    list: () => [
      { name: 'sda', sizeBytes: 2 * GiB, present: true },
      { name: 'gone', sizeBytes: GiB, present: false },
    ],
  },
  volumes: {
    services: [{ name: 'fast', driver: 'dir', path: '/srv/fast' }],
    list: async () => [{ status: { mountPoint: '/m' } }, { status: {} }],
  },
} as unknown as AgentCore;
const PATHS = { configFile: '/c', configExplicit: false, stateDir: '/state', socket: '/s.sock' };

it('for people', async () => {
  expect((await startReport(CORE, PATHS, 412.4, 'table')).split('\n')).toEqual([
    'holdfast 1.2.3 is degraded after 412 ms',
    '  because  volume "a": late',
    '  host     edge, Debian 12, 2 cores, 4 GiB (replica r-1)',
    '  engine   sqlite, revision 7, 3 keys',
    '  devices  sda 2 GiB',
    '  service  fast: dir volumes in /srv/fast',
    '  volumes  2 (1 mounted)',
    '  state    /state',
    '  socket   /s.sock',
    '',
  ]);
});

it('for programs', async () => {
  const text = await startReport(CORE, PATHS, 412.4, 'json');
  expect(text.indexOf('\n')).toBe(text.length - 1);
  expect(JSON.parse(text)).toEqual({
    version: '1.2.3',
    state: 'degraded',
    reasons: ['volume "a": late'],
    readyMs: 412,
    replicaId: 'r-1',
    epoch: 'boot.1',
    socket: '/s.sock',
    stateDir: '/state',
  });
});
