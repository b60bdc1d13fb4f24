/** What a virtual host finds at boot; its init runs `boot.sh` first (scripts/host-root). */
import { copyFileSync, realpathSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { compiledProgram, projectRoot } from '../support/compiled.ts';
import type { Port } from './network.ts';

/** Where docs/install.md puts a checkout. */
const INSTALLED = '/usr/lib/holdfast';
/** Of the checkout, as they are here and now: a guest can only read them. */
const FOLDERS = ['bin', 'dist', 'native', 'node_modules', 'packaging'];
const NODE = '/opt/node';
/** Where init has mounted the folder with these files. */
const HERE = '/mnt';
const UNIT = 'holdfast-guest.service';

/**
 * `boot.sh` runs as root before systemd: it shows the guest this checkout, built, at the place where it is
 * installed, with the Node.js that runs the test, and has systemd start the guest's end of the line.
 * @throws when dist/ is older than the sources
 */
export function writeBootFiles(folder: string, port: Port | undefined): void {
  const inGuest = ['test/host/wire.ts', 'test/host/kv-writer.ts', 'test/support/http-call.ts'];
  compiledProgram('test/host/guest.ts', ['src', 'native', ...inGuest]);
  const shown = FOLDERS.map((name) => [path.join(projectRoot, name), `${INSTALLED}/${name}`]);
  shown.push([path.dirname(process.execPath), NODE]);
  const units = '/etc/systemd/system';
  const lines = [
    'set -e',
    ...shown.map(
      ([from, at]) => `mkdir -p ${at}; mount -t hostfs -o 'ro,${realpathSync(from!)}' none ${at}`,
    ),
    `cp ${HERE}/package.json ${INSTALLED}/`,
    `ln -sf ${NODE}/${path.basename(process.execPath)} /usr/local/bin/node`,
    `ln -sf ${INSTALLED}/bin/holdfast /usr/bin/holdfast`,
    ...(port ? [`ip address add ${port.address}/24 dev vec0`, 'ip link set vec0 up'] : []),
    `mkdir -p /etc/holdfast ${units}/basic.target.wants`,
    `cp ${INSTALLED}/packaging/systemd/holdfast.service ${HERE}/${UNIT} ${units}/`,
    `ln -sf ${units}/${UNIT} ${units}/basic.target.wants/`,
    '',
  ];
  writeFileSync(path.join(folder, 'boot.sh'), lines.join('\n'));
  writeFileSync(path.join(folder, UNIT), GUEST_UNIT);
  copyFileSync(path.join(projectRoot, 'package.json'), path.join(folder, 'package.json'));
}

/** No default dependencies: the line stays until the very end of a shutdown. */
const GUEST_UNIT = `[Unit]
Description=Commands of the test that boots this host
DefaultDependencies=no
After=sysinit.target

[Service]
ExecStart=/usr/local/bin/node ${INSTALLED}/dist/test/host/guest.js
Environment=HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C
StandardInput=tty-force
StandardOutput=tty
StandardError=journal+console
TTYPath=/dev/ttyS0
KillMode=process
`;
