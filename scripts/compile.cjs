'use strict';
/*
 * Compiles into dist/ without emptying it first, because an agent or a test may be running from
 * there: tsc writes over what is there, then whatever has no source any more is deleted. Files under
 * src/ that aren't TypeScript (.proto, .sql …) are copied beside the code that reads them.
 *
 * A file named schema.ts holds nothing but data, built with TypeBox so that its types can be derived.
 * What it exports is written out as that data: an agent that starts neither loads nor runs TypeBox
 * (measured: 700 files, 200 ms and 5 MB of 90).
 */
const assert = require('node:assert');
const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { pathToFileURL } = require('node:url');

const root = path.resolve(__dirname, '..');
const dist = path.join(root, 'dist');

function filesUnder(folder) {
  return fs
    .readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)));
}

function copyAssets() {
  const src = path.join(root, 'src');
  for (const file of filesUnder(src).filter((name) => !name.endsWith('.ts'))) {
    const target = path.join(dist, 'src', file);
    fs.mkdirSync(path.dirname(target), { recursive: true });
    fs.copyFileSync(path.join(src, file), target);
  }
}

function deleteStale() {
  for (const file of filesUnder(dist)) {
    if (file.startsWith('.')) continue;
    const source = path.join(root, file.replace(/\.js(\.map)?$/, '.ts'));
    if (!fs.existsSync(source)) fs.rmSync(path.join(dist, file));
  }
}

async function freezeSchemas() {
  const src = path.join(dist, 'src');
  for (const file of filesUnder(src).filter((name) => path.basename(name) === 'schema.js')) {
    const full = path.join(src, file);
    const lines = Object.entries(await import(pathToFileURL(full))).map(([name, value]) => {
      const text = JSON.stringify(value);
      assert.deepEqual(JSON.parse(text), value, `${file}: ${name} is more than data`);
      return `export const ${name} = ${text};\n`;
    });
    fs.writeFileSync(full, lines.join(''));
  }
}

const tsc = path.join(root, 'node_modules/.bin/tsc');
const { status } = spawnSync(tsc, ['-p', root], { stdio: ['ignore', 'inherit', 'inherit'] });
if (status !== 0) process.exit(status ?? 1);
copyAssets();
deleteStale();
freezeSchemas().catch((error) => {
  console.error(`scripts/compile.cjs: ${error.stack}`);
  process.exitCode = 1;
});
