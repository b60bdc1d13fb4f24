/** Goal: the socket has its mode before anybody can connect, a dead agent's is replaced, a living one's never. */
import { lstatSync, mkdirSync, readdirSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { tempDir } from '../../test/support/temp-dir.ts';
import { bindUnixSocket, listenOn } from './unix-socket.ts';

function makeServer(): Server {
  const server = createServer((socket) => socket.end());
  onTestFinished(() => void server.close());
  return server;
}

/** A socket file that nobody listens on, as a SIGKILL leaves it. */
async function leaveDeadSocket(at: string): Promise<void> {
  const server = createServer();
  await listenOn(server, `${at}.old`);
  renameSync(`${at}.old`, at);
  await new Promise((resolve) => server.close(resolve));
}

const modeOf = (at: string): number => lstatSync(at).mode & 0o777;

test('owner and group may connect, nobody else, whatever the umask', async () => {
  const folder = tempDir('socket');
  const before = process.umask(0);
  onTestFinished(() => void process.umask(before));
  for (const umask of [0, 0o077, 0o777]) {
    process.umask(umask);
    const at = path.join(folder, `s${umask}`);
    await bindUnixSocket(makeServer(), at);
    expect(modeOf(at), umask.toString(8)).toBe(0o660);
  }
  process.umask(before);
  // Nothing of the making is left beside them.
  expect(readdirSync(folder).sort()).toEqual(['s0', 's511', 's63']);
});

test('the group is the one asked for, by number or by name', async () => {
  const folder = tempDir('socket');
  for (const [group, gid] of [
    ['0', 0],
    ['daemon', 1],
  ] as const) {
    const at = path.join(folder, group);
    await bindUnixSocket(makeServer(), at, group);
    expect(statSync(at).gid).toBe(gid);
    expect(modeOf(at)).toBe(0o660);
  }
  const unknown = bindUnixSocket(makeServer(), path.join(folder, 'x'), 'no-such-group');
  await expect(unknown).rejects.toMatchObject({
    code: 'ConfigInvalid',
    hint: expect.stringContaining('groupadd'),
  });
});

test("a dead agent's socket is replaced", async () => {
  const at = path.join(tempDir('socket'), 's');
  await leaveDeadSocket(at);
  const { ino } = lstatSync(at);
  await bindUnixSocket(makeServer(), at);
  expect(lstatSync(at).ino).not.toBe(ino);
  expect(modeOf(at)).toBe(0o660);
});

test('a living one is left alone', async () => {
  const at = path.join(tempDir('socket'), 's');
  await bindUnixSocket(makeServer(), at);
  const { ino } = lstatSync(at);
  await expect(bindUnixSocket(makeServer(), at)).rejects.toMatchObject({
    code: 'Locked',
    message: `another process answers on ${at}`,
  });
  expect(lstatSync(at).ino).toBe(ino);
});

test('what is no socket is left alone', async () => {
  const folder = tempDir('socket');
  const file = path.join(folder, 'file');
  writeFileSync(file, 'precious');
  const directory = path.join(folder, 'directory');
  mkdirSync(directory);
  for (const at of [file, directory]) {
    await expect(bindUnixSocket(makeServer(), at)).rejects.toMatchObject({
      code: 'ConfigInvalid',
      message: `${at} is there already and isn't a socket`,
    });
  }
  expect(readdirSync(folder).sort()).toEqual(['directory', 'file']);
});

test('the folder of the socket is made, and only that one', async () => {
  const at = path.join(tempDir('socket'), 'holdfast', 's');
  const remove = await bindUnixSocket(makeServer(), at);
  expect(statSync(path.dirname(at)).mode & 0o777).toBe(0o755);
  expect(lstatSync(at).isSocket()).toBe(true);
  await remove();
});

test('a path that no socket can have is refused with its numbers', async () => {
  const folder = tempDir('socket');
  const missing = bindUnixSocket(makeServer(), path.join(folder, 'none/deeper', 's'));
  await expect(missing).rejects.toMatchObject({
    code: 'ConfigInvalid',
    message: expect.stringContaining("doesn't exist"),
  });
  // The second is short enough itself, but not the path beside it that it is made at.
  const deep = path.join(folder, 'd'.repeat(104 - folder.length));
  mkdirSync(deep);
  for (const long of [path.join(folder, 'x'.repeat(107)), path.join(deep, 's')]) {
    await expect(bindUnixSocket(makeServer(), long)).rejects.toMatchObject({
      code: 'ConfigInvalid',
      message: expect.stringMatching(/is \d+ bytes long, Linux takes 107/),
    });
  }
  expect(readdirSync(folder)).toEqual([path.basename(deep)]);
  expect(readdirSync(deep)).toEqual([]);
});

test('removing takes away our own socket only', async () => {
  const at = path.join(tempDir('socket'), 's');
  const removeFirst = await bindUnixSocket(makeServer(), at);
  renameSync(at, `${at}.moved`);
  const removeSecond = await bindUnixSocket(makeServer(), at);
  await removeFirst();
  expect(lstatSync(at).isSocket()).toBe(true);
  await removeSecond();
  await removeSecond();
  expect(() => lstatSync(at)).toThrow('ENOENT');
});
