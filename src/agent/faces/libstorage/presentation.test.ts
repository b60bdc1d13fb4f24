/** Goal: a service shows itself as its clients know it, and finds its own among a client's instance IDs. */
import { expect, test } from 'vitest';
import type { ServiceConfig } from '../../../volumes/index.ts';
import { parseInstanceId } from './headers.ts';
import {
  findInstanceId,
  instanceInfo,
  present,
  requireInstanceId,
  serviceInfo,
  toInstance,
} from './presentation.ts';

const edge: ServiceConfig = { name: 'Edge', driver: 'loop', path: '/srv', presentAs: 'isilon' };
const local: ServiceConfig = { name: 'local', driver: 'dir', path: '/srv' };

const host = {
  identity: { replicaId: 'replica', mintedAt: '', fingerprint: { macs: [] } },
  hostFacts: {
    hostname: 'edge-1',
    os: '',
    kernel: '',
    arch: '',
    cpu: '',
    cores: 1,
    memoryBytes: 1,
  },
};

const client = (...lines: string[]) => ({
  serverName: 'holdfast-test',
  instanceIds: lines.map((line) => parseInstanceId(line)!),
});

test('the driver is the configured one, or the one that clients have an executor for', () => {
  expect(serviceInfo(present(edge))).toEqual({
    name: 'Edge',
    driver: {
      name: 'isilon',
      type: 'block',
      nextDevice: { ignore: true, prefix: '', pattern: '' },
    },
  });
  expect(serviceInfo(present(local))).toMatchObject({ driver: { name: 'dir', type: 'object' } });
});

test.for([
  // The service's own ID wins over its driver's, wherever it stands, in any case.
  [['isilon=by-driver', 'x:EDGE=by-service'], 'by-service'],
  [['other=x', 'ISILON=by-driver'], 'by-driver'],
  // One for another service of the same driver still says which host it is.
  [['isilon:elsewhere=by-driver'], 'by-driver'],
  [['other=x'], undefined],
  [[], undefined],
] as const)('of %j the service takes %s', ([lines, id]) => {
  expect(findInstanceId(client(...lines), present(edge))?.id).toBe(id);
});

test('without an ID of its own the service names itself in the refusal', () => {
  expect(() => requireInstanceId(client('other=x'), present(edge))).toThrow(
    expect.objectContaining({
      status: 400,
      message: 'missing instance ID',
      fields: { service: 'Edge' },
    }),
  );
});

test('who sends no id is this host', () => {
  const id = parseInstanceId('isilon=,,WyIxMjcuMC4wLjEvOCJd')!;
  expect(toInstance(host, id)).toEqual({ id: 'replica', driver: 'isilon', service: '' });
  expect(instanceInfo(host, present(edge), id)).toEqual({
    instanceID: { id: 'replica', driver: 'isilon', service: '' },
    name: 'edge-1',
    providerName: '',
  });
});

test('fields are told only when there are some', () => {
  const id = parseInstanceId('dir=me,zone=2')!;
  expect(instanceInfo(host, present(local), id)).toMatchObject({
    instanceID: { id: 'me', fields: { zone: '2' } },
  });
  expect(toInstance(host, id)).toEqual({ id: 'me', driver: 'dir', service: '' });
});
