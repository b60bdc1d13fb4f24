import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { hasErrno, HoldfastError, messageOf } from '../../base/errors.ts';
import type { ServiceConfig } from '../../volumes/index.ts';
import { checkMeaning, defaultEngineDir } from './check.ts';
import type { Config } from './config.ts';
import { mergeLocated } from './merge.ts';
import { validateShape, type Problem } from './validate.ts';
import { emptyMap, formatOrigin, readYamlFile, type LocatedMap } from './yaml-file.ts';

/** Files in config.d: a folder with more is not meant for us. */
const DROP_INS_MAX = 100;
/** Problems shown at once: after these, most are consequences. */
const PROBLEMS_SHOWN_MAX = 20;

export interface ConfigDirs {
  /** Holds the default services. */
  readonly stateDir: string;
  /** Where no service may keep its volumes; default `<stateDir>/engine`. */
  readonly engineDir?: string;
}

export interface LoadOptions {
  /** `config.yaml`; `config.d` lies beside it. */
  readonly path: string;
  /** True when somebody named the file: then it must exist. */
  readonly explicit: boolean;
  readonly dirs: ConfigDirs;
  /** Whether the loop driver can work here; default: whether we are root. */
  readonly isRoot?: boolean;
}

export interface LoadedConfig {
  readonly config: Config;
  /** Files that were read, in the order they were merged. */
  readonly files: readonly string[];
  /** Where each value was written: for `explainConfig`. */
  readonly tree: LocatedMap;
}

/**
 * `config.yaml` and then each `config.d/*.yaml` in the order of their names, merged, validated,
 * defaults filled in. Nothing is created or changed.
 * @throws ConfigInvalid: every problem on a line of its own, as file:line:column: what is wrong
 */
export async function loadConfig(options: LoadOptions): Promise<LoadedConfig> {
  const { path, explicit, dirs } = options;
  const main = await readYamlFile(path);
  if (main === undefined && explicit) {
    throw new HoldfastError('ConfigInvalid', `${path}: there is no such file`, {
      hint: 'name another with --config or HOLDFAST_CONFIG, or create it (docs/config.md)',
    });
  }
  let tree = main ?? emptyMap(path);
  const files = main === undefined ? [] : [path];
  for (const file of await dropIns(dropInFolder(path))) {
    const over = await readYamlFile(file);
    if (over === undefined) continue;
    tree = mergeLocated(tree, over);
    files.push(file);
  }
  const shaped = validateShape(tree);
  if ('problems' in shaped) throw problemsError(shaped.problems);
  const isRoot = options.isRoot ?? process.geteuid?.() === 0;
  const config = withServices(shaped.config, dirs.stateDir, isRoot);
  const engineDir = dirs.engineDir ?? defaultEngineDir(dirs.stateDir);
  const problems = checkMeaning(config, tree, engineDir);
  if (problems.length > 0) throw problemsError(problems);
  return { config, files, tree };
}

export function dropInFolder(configFile: string): string {
  return join(dirname(configFile), 'config.d');
}

/** Editors keep their locks and backups as dot files and with other endings. */
export function isDropInName(name: string): boolean {
  return name.endsWith('.yaml') && !name.startsWith('.');
}

async function dropIns(folder: string): Promise<string[]> {
  let names: string[];
  try {
    names = (await readdir(folder)).filter(isDropInName).toSorted();
  } catch (thrown) {
    if (hasErrno(thrown, 'ENOENT')) return [];
    throw new HoldfastError('ConfigInvalid', `${folder}: cannot be read: ${messageOf(thrown)}`, {
      cause: thrown,
    });
  }
  if (names.length > DROP_INS_MAX) {
    throw new HoldfastError(
      'ConfigInvalid',
      `${folder}: ${names.length} files, at most ${DROP_INS_MAX}`,
    );
  }
  return names.map((name) => join(folder, name));
}

/** The services of a host whose owner said nothing about them. */
function withServices(config: Config, stateDir: string, isRoot: boolean): Config {
  if (config.volumes.services.length > 0) return config;
  const services: ServiceConfig[] = [
    { name: 'dir', driver: 'dir', path: join(stateDir, 'volumes/dir') },
  ];
  if (isRoot) {
    const path = join(stateDir, 'volumes/loop');
    services.push({ name: 'loop', driver: 'loop', path, fsType: 'ext4' });
  }
  return { ...config, volumes: { ...config.volumes, services } };
}

function problemsError(problems: readonly Problem[]): HoldfastError {
  const lines = problems.map(({ origin, message }) => `${formatOrigin(origin)}: ${message}`);
  const shown = [...new Set(lines)].slice(0, PROBLEMS_SHOWN_MAX);
  if (shown.length < lines.length) shown.push(`and ${lines.length - shown.length} more`);
  return new HoldfastError('ConfigInvalid', shown.join('\n'), {
    hint: 'correct the file; `holdfast config check` tries it without starting anything',
  });
}
