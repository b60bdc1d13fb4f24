'use strict';
/*
 * Adds to package-lock.json the platform packages that npm left out: when a registry lacks some of a
 * package's optional binaries (a mirror that carries Linux only), `npm install` writes a lock file
 * without them, and then `npm ci` refuses that very file ("Missing: … from lock file"). Entries made
 * here have no integrity, and are only ever fetched on the platform that they are for. Run it after
 * each change of dependencies; test/architecture.test.ts says when it was forgotten.
 */
const fs = require('node:fs');
const path = require('node:path');

const file = path.resolve(__dirname, '../package-lock.json');
const lock = JSON.parse(fs.readFileSync(file, 'utf8'));
const OS = /\b(android|darwin|freebsd|linux|openharmony|win32)\b/;
const CPU = /\b(arm64|arm|x64|ia32|ppc64|riscv64|s390x|loong64|wasm32)\b/;
const LIBC = { gnu: 'glibc', musl: 'musl' };

let added = 0;
for (const parent of Object.values(lock.packages)) {
  for (const [name, version] of Object.entries(parent.optionalDependencies ?? {})) {
    const at = `node_modules/${name}`;
    if (lock.packages[at] !== undefined) continue;
    const [os, cpu] = [OS.exec(name)?.[1], CPU.exec(name)?.[1]];
    if (os === undefined || cpu === undefined || !/^\d/.test(version)) {
      throw new Error(`${name}@${version}: not a platform package that this script understands`);
    }
    const libc = LIBC[/-(gnu|musl)/.exec(name)?.[1]];
    lock.packages[at] = {
      version,
      cpu: [cpu],
      ...(parent.dev ? { dev: true } : {}),
      ...(libc && os === 'linux' ? { libc: [libc] } : {}),
      optional: true,
      os: [os],
    };
    added += 1;
  }
}
if (added > 0) {
  const sorted = Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1));
  lock.packages = Object.fromEntries(sorted);
  fs.writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
}
console.log(`${added} platform packages added to package-lock.json`);
