'use strict';
/*
 * remove-folder.cjs [--lazy] FOLDER
 *
 * Deletes a folder that may have volumes mounted in it, without ever reaching into a mount: unmounts
 * everything at or under it as the kernel lists it, detaches the loop devices whose images lie in it,
 * and only then deletes, staying on the folder's own file system. Stops, and deletes nothing, when
 * something is in use. `--lazy` unmounts even then (MNT_DETACH). Prints what it did, a line each.
 */
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const lazy = process.argv[2] === '--lazy';
const folder = process.argv[lazy ? 3 : 2];
process.env.PATH = `${process.env.PATH ?? ''}:/usr/sbin:/sbin`;

let deleting = false;

function main() {
  if (!folder || !path.isAbsolute(folder)) throw new Error('usage: [--lazy] /absolute/folder');
  const real = fs.existsSync(folder) ? fs.realpathSync(folder) : path.resolve(folder);
  if (real === '/') throw new Error('refusing to remove /');
  const inside = (at) => at === real || at.startsWith(`${real}/`);

  for (const at of mountPoints().filter(inside).reverse()) {
    execFileSync('umount', [...(lazy ? ['--lazy'] : []), '--', at], { stdio: 'pipe' });
    console.log(`unmounted ${at}`);
  }
  for (const { device, file } of loopDevices().filter((loop) => inside(loop.file))) {
    if (!lazy && isClaimed(device)) {
      throw new Error(`${device} (${file}) is still in use, mounted elsewhere or in a container`);
    }
    execFileSync('losetup', ['--detach', device], { stdio: 'pipe' });
    console.log(`detached ${device} (${file})`);
  }
  const left = mountPoints().filter(inside);
  if (left.length > 0) throw new Error(`still mounted: ${left.join(', ')}`);
  if (!fs.existsSync(real)) return;
  deleting = true;
  execFileSync('rm', ['--recursive', '--force', '--one-file-system', '--', real], {
    stdio: 'pipe',
  });
  console.log(`removed ${real}`);
}

/** In mount order; proc(5) writes blanks, tabs, newlines and backslashes in octal. */
function mountPoints() {
  return fs
    .readFileSync('/proc/self/mountinfo', 'latin1')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => unescapeOctal(line.split(' ')[4]));
}

function unescapeOctal(latin1) {
  const bytes = latin1.replace(/\\([0-7]{3})/g, (_, octal) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

function loopDevices() {
  const names = fs.readdirSync('/sys/block').filter((name) => name.startsWith('loop'));
  return names.flatMap((name) => {
    try {
      const text = fs.readFileSync(`/sys/block/${name}/loop/backing_file`, 'utf8');
      const file = text.replace(/\n$/, '').replace(/ \(deleted\)$/, '');
      return [{ device: `/dev/${name}`, file }];
    } catch {
      return []; // Not attached, or detached since the listing.
    }
  });
}

/**
 * Whether it is mounted, by whomever: mounts in other namespaces are in no list of ours, and losetup
 * "detaches" such a device at once and without a word, leaving it attached to what we'd delete.
 */
function isClaimed(device) {
  try {
    fs.closeSync(fs.openSync(device, fs.constants.O_RDONLY | fs.constants.O_EXCL));
    return false;
  } catch (error) {
    if (error.code === 'EBUSY') return true;
    throw error;
  }
}

try {
  main();
} catch (error) {
  const said = error.stderr?.toString().trim();
  console.error(
    `${path.basename(__filename)}: ${said || error.message}; ${deleting ? 'some of it was deleted' : 'nothing was deleted'}`,
  );
  process.exit(1);
}
