/**
 * Goal: what gets installed is right before anybody installs it: the default configuration says what
 * holds without it, and the unit passes systemd's own check and keeps our promises about mounts.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { loadConfig, type LoadedConfig } from '../src/agent/config/index.ts';
import { ConfigSchema } from '../src/agent/config/schema.ts';
import { HoldfastError, type ErrorCode } from '../src/base/errors.ts';
import { findCommand } from './servers/index.ts';
import { schemaKeys } from './support/schema-keys.ts';
import { tempDir } from './support/temp-dir.ts';

const ROOT = path.resolve(import.meta.dirname, '..');
const CONFIG = path.join(ROOT, 'packaging/config.yaml');
const UNIT = readFileSync(path.join(ROOT, 'packaging/systemd/holdfast.service'), 'utf8');

describe('packaging/config.yaml', () => {
  const text = readFileSync(CONFIG, 'utf8');
  /** Every example line taken out of its comment; prose begins with `# `, one blank. */
  const examples = text.replaceAll(/^#(?=\S| {2})/gm, '');

  async function load(file: string): Promise<LoadedConfig> {
    const options = { explicit: true, dirs: { stateDir: '/var/lib/holdfast' }, isRoot: true };
    return await loadConfig({ path: file, ...options });
  }

  it('changes nothing as it is', async () => {
    const file = path.join(tempDir('config'), 'config.yaml');
    copyFileSync(CONFIG, file);
    const nothing = path.join(tempDir('config'), 'config.yaml');
    writeFileSync(nothing, '');
    expect((await load(file)).config).toEqual((await load(nothing)).config);
  });

  it('is valid with every example in force, and has every key', async () => {
    const file = path.join(tempDir('config'), 'config.yaml');
    writeFileSync(file, examples);
    const { config } = await load(file);
    expect(config.volumes.services.map(({ name }) => name)).toEqual(['dir', 'loop']);
    const shown = new Set(keysOf(parse(examples)));
    const missing = schemaKeys(ConfigSchema).filter(({ key }) => !shown.has(key));
    expect(missing).toEqual([]);
  });

  it('shows the defaults that hold', () => {
    const shown = parse(examples) as Record<string, unknown>;
    for (const { key, schema } of schemaKeys(ConfigSchema)) {
      if (schema.default === undefined || typeof schema.default === 'object') continue;
      const value = key.split('.').reduce<unknown>((at, part) => firstOf(at)?.[part], shown);
      expect([key, value]).toEqual([key, schema.default]);
    }
  });
});

function firstOf(value: unknown): Record<string, unknown> | undefined {
  return (Array.isArray(value) ? value[0] : value) as Record<string, unknown> | undefined;
}

/** `a`, `a.b` for every key; the items of a list have no step of their own. */
function keysOf(value: unknown, at = ''): string[] {
  if (Array.isArray(value)) return value.flatMap((item) => keysOf(item, at));
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, child]) => {
    const key = at === '' ? name : `${at}.${name}`;
    return [key, ...keysOf(child, key)];
  });
}

describe('packaging/systemd/holdfast.service', () => {
  const settings = new Map(
    [...UNIT.matchAll(/^(\w+)=(.*)$/gm)].map(([, name, value]) => [name, value ?? '']),
  );

  it('passes systemd-analyze verify where the command is installed', (test) => {
    const analyze = findCommand('systemd-analyze');
    if (analyze === undefined)
      return test.skip('systemd-analyze not installed: apt-get install systemd');
    const verify = (unit: string): string => {
      const folder = tempDir('unit');
      const file = path.join(folder, 'holdfast.service');
      const command = path.join(ROOT, 'bin/holdfast');
      writeFileSync(file, unit.replace('=/usr/bin/holdfast ', `=${command} `));
      const args = ['verify', '--man=no', '--recursive-errors=no', file];
      try {
        execFileSync(analyze, args, { stdio: 'pipe', encoding: 'utf8' });
        return '';
      } catch (error) {
        return (error as { stderr: string }).stderr;
      }
    };
    expect(verify(UNIT)).toBe('');
    expect(verify(UNIT.replace('WatchdogSec=', 'WatchdogSecs='))).toContain('WatchdogSecs');
  });

  it('has no directive that gives it a mount namespace of its own', () => {
    const forbidden =
      /^(Private\w+|ProtectSystem|ProtectHome|ProtectKernel\w+|ProtectControlGroups|ProtectProc|ProcSubset|ReadWritePaths|ReadOnlyPaths|InaccessiblePaths|ExecPaths|NoExecPaths|Bind\w*Paths|TemporaryFileSystem|RootDirectory|RootImage|MountImages|Extension\w+|MountFlags|MountAPIVFS|DynamicUser|LogNamespace|MemoryDenyWriteExecute)$/;
    expect([...settings.keys()].filter((name) => forbidden.test(name ?? ''))).toEqual([]);
    expect(settings.size).toBeGreaterThan(20);
  });

  it('waits for no network', () => {
    expect([...UNIT.matchAll(/^(After|Wants|Requires)=.*$/gm)]).toEqual([]);
    expect(settings.get('Before')).toContain('docker.service');
  });

  it('is restarted except where the error table says that it won’t help', () => {
    const codes: ErrorCode[] = ['ConfigInvalid', 'StateMismatch'];
    const exits = codes.map((code) => new HoldfastError(code, '').exitCode);
    expect(exits.map(String)).toEqual(codes.map(() => settings.get('RestartPreventExitStatus')));
    expect(settings.get('Restart')).toBe('always');
  });

  it('gives a stop its ten seconds', () => {
    expect(Number.parseInt(settings.get('TimeoutStopSec') ?? '', 10)).toBeGreaterThan(10);
  });

  it('has what the agent relies on', () => {
    const needed = [
      'Type',
      'NotifyAccess',
      'KillMode',
      'RuntimeDirectoryPreserve',
      'StateDirectory',
    ];
    expect(needed.map((name) => settings.get(name))).toEqual([
      'notify',
      'main',
      'process',
      'restart',
      'holdfast',
    ]);
  });
});
