/** Goal: what JavaScript can get wrong is a TypeError that names it, and reaches no syscall. */
import { describe, expect, it } from 'vitest';
import * as native from './index.ts';

// Every call takes what a caller without types could pass.
const door = native as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;

const PATHS: readonly [unknown, string][] = [
  [undefined, 'must be a string'],
  [42, 'must be a string'],
  ['', 'must not be empty'],
  ['/tmp/a\0b', 'must not contain a NUL byte'],
  [`/${'é'.repeat(2048)}`, 'has 4097 bytes; at most 4095 are possible'],
];

async function refusal(name: string, ...args: unknown[]): Promise<unknown> {
  try {
    return await door[name]?.(...args);
  } catch (error) {
    return error;
  }
}

describe('arguments of the addon', () => {
  it.each(PATHS)('refuses the path %j', async (path, reason) => {
    const calls = [
      refusal('umount', path),
      refusal('loopDetach', path),
      refusal('loopStatus', path),
      refusal('blockDeviceSize', path),
      refusal('lockFile', path),
      refusal('sdNotify', path, 'READY=1'),
      refusal('loopAttach', { backingFile: path }),
      refusal('mount', { source: path, target: '/tmp', type: 'tmpfs' }),
      refusal('mount', { source: '/tmp', target: path, type: 'tmpfs' }),
    ];
    for (const error of await Promise.all(calls)) {
      expect(error).toBeInstanceOf(TypeError);
      expect((error as Error).message).toContain(reason);
    }
  });

  it.each([
    ['options must be an object', 'mount', undefined],
    ['options must be an object', 'loopAttach', []],
    [
      'flags must be an array',
      'mount',
      { source: 'a', target: '/none', type: 'tmpfs', flags: 'bind' },
    ],
    [
      "unknown mount flag 'rdnoly'",
      'mount',
      { source: 'a', target: '/none', type: 'tmpfs', flags: ['rdnoly'] },
    ],
    ['flag must be a string', 'mount', { source: 'a', target: '/none', type: 'tmpfs', flags: [1] }],
    ['type must be given', 'mount', { source: 'a', target: '/none' }],
    ['type must be a string', 'mount', { source: 'a', target: '/none', type: null }],
    [
      'data has 4096 bytes',
      'mount',
      { source: 'a', target: '/none', type: 'tmpfs', data: 'x'.repeat(4096) },
    ],
    ['options must be an object', 'loopDetach', '/none', null],
    ['dev must be a number', 'loopDetach', '/none', {}],
    ['ino must be a number', 'loopDetach', '/none', { dev: 1, ino: '1' }],
    ['readOnly must be a boolean', 'loopAttach', { backingFile: '/none', readOnly: 1 }],
    ['directIo must be a boolean', 'loopAttach', { backingFile: '/none', directIo: 'no' }],
    ['blockSize must be', 'loopAttach', { backingFile: '/none', blockSize: 0 }],
    ['blockSize must be', 'loopAttach', { backingFile: '/none', blockSize: 1000 }],
    ['blockSize must be', 'loopAttach', { backingFile: '/none', blockSize: 8192 }],
    ['blockSize must be', 'loopAttach', { backingFile: '/none', blockSize: Number.NaN }],
    ['message must not be empty', 'sdNotify', '/none', ''],
  ])('says %j', async (message, name, ...args) => {
    const error = await refusal(name, ...args);
    expect(error).toBeInstanceOf(TypeError);
    expect((error as Error).message).toContain(message);
  });

  it('passes on what a getter throws', async () => {
    const broken = (key: string) => ({
      source: '/none',
      target: '/none',
      type: 'tmpfs',
      backingFile: '/none',
      get [key](): never {
        throw new RangeError(`getter ${key}`);
      },
    });
    for (const key of ['source', 'target', 'type', 'flags', 'data']) {
      expect(await refusal('mount', broken(key))).toMatchObject({
        name: 'RangeError',
        message: `getter ${key}`,
      });
    }
    for (const key of ['backingFile', 'readOnly', 'directIo', 'blockSize']) {
      expect(await refusal('loopAttach', broken(key))).toMatchObject({ name: 'RangeError' });
    }
  });
});
