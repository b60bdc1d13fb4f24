/**
 * Goal: etcd with users and with TLS works, and each way of getting it wrong is told in words that name
 * what to change, without ever showing the password.
 * Method: a real etcd with authentication on, and one with certificates of a CA made here by openssl.
 */
import { execFile } from 'node:child_process';
import { chmod, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { serverMissing, startEtcd, type Etcd } from '../servers/index.ts';
import { tempDir } from '../support/temp-dir.ts';
import { Follower, openTempEngine, placeOf, text } from './sync-rig.ts';

const run = promisify(execFile);
const missing = serverMissing('etcd');
const PASSWORD = 'c0rrect horse';

describe.skipIf(missing !== undefined)(`etcd with users ${missing ?? ''}`, () => {
  let etcd: Etcd;
  const place = placeOf();
  const root = ['--user', `root:${PASSWORD}`];
  beforeAll(async () => {
    etcd = await startEtcd();
    await etcd.etcdctl(['user', 'add', `root:${PASSWORD}`]);
    await etcd.etcdctl(['user', 'add', `edge:${PASSWORD}`]);
    await etcd.etcdctl(['user', 'add', `guest:${PASSWORD}`]);
    await etcd.etcdctl(['user', 'grant-role', 'root', 'root']);
    await etcd.etcdctl(['role', 'add', 'host']);
    const subtree = `/${place.root}/hosts/${place.replicaId}/`;
    await etcd.etcdctl(['role', 'grant-permission', '--prefix=true', 'host', 'readwrite', subtree]);
    await etcd.etcdctl(['user', 'grant-role', 'edge', 'host']);
    await etcd.etcdctl(['auth', 'enable']);
  });
  afterAll(() => etcd?.stop());

  it('needs no more than readwrite on its own subtree, and outlives its token', async () => {
    await using engine = await openTempEngine();
    const auth = { username: 'edge', password: PASSWORD };
    await using follower = new Follower(engine, etcd.endpoint, { place, auth });
    await engine.put('kv/a', text('1'));
    await follower.converged();
    // Simple tokens live in the server's memory: after a restart the old one is unknown.
    await etcd.restart();
    await engine.put('kv/a', text('2'));
    await follower.converged();
    const key = `/${place.root}/hosts/${place.replicaId}/kv/a`;
    expect(await etcd.etcdctl([...root, 'get', key, '--print-value-only'])).toBe('2\n');
    expect(follower.states).not.toContain('refused');
  });

  it.each([
    ['a wrong password', { username: 'edge', password: 'hunter2' }, /authentication failed/],
    ['an unknown user', { username: 'nobody', password: 'hunter2' }, /authentication failed/],
    ['no user at all', undefined, /user name is empty/],
    ['a user without the right', { username: 'guest', password: PASSWORD }, /permission denied/],
  ])('%s: refused, with what to change', async (_name, auth, message) => {
    await using engine = await openTempEngine();
    await using follower = new Follower(engine, etcd.endpoint, { place, auth });
    await follower.reached('refused');
    const { error } = follower.changes.find(({ to }) => to === 'refused')!;
    expect(error?.code).toBe('PermissionDenied');
    expect(error?.message).toMatch(message);
    expect(error?.hint).toMatch(/passwordFile|grant/);
    expect(JSON.stringify(error)).not.toContain('hunter2');
  });
});

describe.skipIf(missing !== undefined)(`etcd with TLS ${missing ?? ''}`, () => {
  let etcd: Etcd;
  let folder: string;
  const pem = (name: string): Promise<Buffer> => readFile(path.join(folder, name));
  beforeAll(async () => {
    folder = tempDir('tls');
    await makeAuthority(folder, 'ca');
    await makeAuthority(folder, 'other-ca');
    await makeCertificate(folder, 'server', 'ca');
    await makeCertificate(folder, 'client', 'ca');
    const file = (name: string): string => path.join(folder, name);
    const tls = {
      certFile: file('server.pem'),
      keyFile: file('server.key'),
      caFile: file('ca.pem'),
    };
    etcd = await startEtcd({ tls });
  });
  afterAll(() => etcd?.stop());

  it('replicates with our own CA and a client certificate', async () => {
    await using engine = await openTempEngine();
    const tls = {
      ca: await pem('ca.pem'),
      cert: await pem('client.pem'),
      key: await pem('client.key'),
    };
    await using follower = new Follower(engine, etcd.tlsEndpoint, { tls });
    await engine.put('kv/a', text('1'));
    await follower.converged();
    const key = `/holdfast/hosts/${follower.place.replicaId}/kv/a`;
    expect(await etcd.etcdctl(['get', key, '--print-value-only'])).toBe('1\n');
  });

  it.each([
    ['a CA that did not sign it', 'other-ca.pem', true, /certificate|issuer/i],
    ['no CA where Node knows none', undefined, true, /certificate|self.signed|issuer/i],
    ['no client certificate', 'ca.pem', false, /certificate|alert|closed|dropped|reset/i],
  ])('%s: offline, and the hint names the TLS options', async (_name, ca, withClient, message) => {
    await using engine = await openTempEngine();
    const tls = {
      ca: ca === undefined ? undefined : await pem(ca),
      cert: withClient ? await pem('client.pem') : undefined,
      key: withClient ? await pem('client.key') : undefined,
    };
    await using follower = new Follower(engine, etcd.tlsEndpoint, { tls });
    await follower.reached('offline');
    const { error } = follower.changes.find(({ to }) => to === 'offline')!;
    expect(error?.code).toBe('NotReachable');
    expect(error?.message).toMatch(message);
    expect(error?.hint).toContain('tls.caFile');
  });

  it('plain text to a TLS port, and TLS to a plain one: offline', async () => {
    await using engine = await openTempEngine();
    const tls = { ca: await pem('ca.pem') };
    await using plain = new Follower(engine, etcd.tlsEndpoint.replace('https', 'http'));
    await using secure = new Follower(engine, `127.0.0.1:${etcd.clientPort}`, { tls, id: 'two' });
    await Promise.all([plain.reached('offline'), secure.reached('offline')]);
    for (const { changes } of [plain, secure]) {
      const { error } = changes.find(({ to }) => to === 'offline')!;
      expect(error?.code).toBe('NotReachable');
      expect(error?.hint).toMatch(/https:\/\/|speaks TLS/);
    }
  });

  it('material that is no PEM is refused, before anything is sent', async () => {
    await using engine = await openTempEngine();
    const tls = {
      ca: Buffer.from('not a certificate'),
      cert: Buffer.from('x'),
      key: Buffer.from('y'),
    };
    await using follower = new Follower(engine, etcd.tlsEndpoint, { tls });
    await follower.reached('refused');
    expect(follower.replicator.status().lastError).toMatchObject({ code: 'ConfigInvalid' });
  });
});

async function openssl(folder: string, ...args: string[]): Promise<void> {
  await run('openssl', args, { cwd: folder });
}

const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

async function makeAuthority(folder: string, name: string): Promise<void> {
  const out = ['-keyout', `${name}.key`, '-out', `${name}.pem`, '-days', '2'];
  await openssl(folder, 'req', '-x509', ...NEW_KEY, ...out, '-subj', `/CN=holdfast test ${name}`);
}

async function makeCertificate(folder: string, name: string, authority: string): Promise<void> {
  await writeFile(
    path.join(folder, `${name}.ext`),
    'subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n',
  );
  const request = ['-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`];
  await openssl(folder, 'req', '-new', ...NEW_KEY, ...request);
  const signer = ['-CA', `${authority}.pem`, '-CAkey', `${authority}.key`, '-CAcreateserial'];
  const made = [
    '-in',
    `${name}.csr`,
    '-out',
    `${name}.pem`,
    '-days',
    '2',
    '-extfile',
    `${name}.ext`,
  ];
  await openssl(folder, 'x509', '-req', ...signer, ...made);
  await chmod(path.join(folder, `${name}.key`), 0o600);
}
