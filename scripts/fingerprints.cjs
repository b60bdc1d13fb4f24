'use strict';
/*
 * Prints, as lines for the shell's `eval`, what scripts/setup compares with its stamps: a hash of
 * all that each step depends on. CommonJS and old syntax: it must run, and say so, on an old Node.
 *
 * NODE_OK       yes | no: this Node is one that Holdfast runs on
 * NODE_DIR      folder whose include/node holds this Node's own headers; empty when there are none
 * FP_MODULES    node_modules is right for this (dependencies, lock file, Node's ABI)
 * FP_ADDON      native/build is right for this (C++ sources, Node's ABI)
 * FP_DIST       dist/ is right for this (TypeScript sources, assets, compiler options, how it is made)
 */
const crypto = require('crypto');
const fs = require('fs');
const path = require('path');

const root = path.resolve(__dirname, '..');
const [major, minor] = process.versions.node.split('.').map(Number);
const oldest = { major: 20, minor: 19 };

function filesUnder(folder, wanted) {
  const found = [];
  const entries = fs.existsSync(folder) ? fs.readdirSync(folder, { withFileTypes: true }) : [];
  for (const entry of entries) {
    const full = path.join(folder, entry.name);
    if (entry.isDirectory()) {
      if (entry.name !== 'build' && entry.name !== 'fixtures')
        found.push(...filesUnder(full, wanted));
    } else if (wanted(entry.name)) found.push(full);
  }
  return found;
}

function hash(files, facts) {
  const sum = crypto.createHash('sha256').update(JSON.stringify(facts));
  for (const file of files.sort()) {
    sum.update(`\n${path.relative(root, file)}\n`).update(fs.readFileSync(file));
  }
  return sum.digest('hex').slice(0, 32);
}

/** Where this Node keeps its headers: beside itself, or where Debian's libnode-dev puts them. */
function headers() {
  const beside = path.resolve(fs.realpathSync(process.execPath), '../..');
  return [beside, '/usr'].find((dir) => matches(path.join(dir, 'include/node/node_version.h')));
}

function matches(header) {
  if (!fs.existsSync(header)) return false;
  const text = fs.readFileSync(header, 'utf8');
  const number = (name) => Number((new RegExp(`#define ${name} (\\d+)`).exec(text) || [])[1]);
  return number('NODE_MAJOR_VERSION') === major && number('NODE_MINOR_VERSION') === minor;
}

const pkg = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8'));
const abi = [process.versions.modules, process.arch];
const { dependencies, devDependencies, overrides, allowScripts } = pkg;
const isTypeScript = (name) => name.endsWith('.ts');
const values = {
  NODE_OK: major > oldest.major || (major === oldest.major && minor >= oldest.minor) ? 'yes' : 'no',
  NODE_DIR: headers() || '',
  FP_MODULES: hash(
    [path.join(root, 'package-lock.json'), path.join(root, '.npmrc')],
    [abi, dependencies, devDependencies, overrides, allowScripts],
  ),
  FP_ADDON: hash(
    filesUnder(path.join(root, 'native'), (name) => /\.(cc|cpp|c|h|hpp|gyp|gypi)$/.test(name)),
    [abi, dependencies['node-addon-api']],
  ),
  FP_DIST: hash(
    [
      ...filesUnder(path.join(root, 'src'), () => true),
      ...['native', 'test', 'bench'].flatMap((d) => filesUnder(path.join(root, d), isTypeScript)),
      path.join(root, 'tsconfig.json'),
      path.join(root, 'vitest.config.ts'),
      path.join(root, 'scripts/compile.cjs'),
    ],
    [devDependencies.typescript],
  ),
};
for (const name of Object.keys(values)) console.log(`${name}='${values[name]}'`);
