/**
 * A store damaged again and again, each time on a fresh copy: `kv check` finds it, or the damage is harmless,
 * which reading all of the store against the account proves. Neither: it was silent.
 */
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { checkOnce } from './check-run.ts';
import { damage, type Damage } from './damage.ts';
import { checkStore, WriterProcess } from './processes.ts';
import { Random } from './random.ts';
import { STORE_FILE, type FileBackend } from './store-files.ts';
import { walCommits } from './wal-commits.ts';
import { Account } from './told.ts';

export interface DamageOptions {
  readonly backend: FileBackend;
  /** Of a process that was killed. */
  readonly store: string;
  /** All that was told of it. */
  readonly account: Account;
  /** A temporary one, for the copies. */
  readonly folder: string;
  readonly places: number;
  readonly seed: number;
  readonly signal?: AbortSignal | undefined;
  readonly progress?: (totals: DamageTotals) => void;
}

export interface DamageTotals {
  places: number;
  found: number;
  harmless: number;
  /** What was damaged without anybody noticing, in words. */
  readonly silent: string[];
}

interface Target {
  readonly name: string;
  readonly bytes: Buffer;
  /** From here on damage looks as a crash leaves it (sqlite-wal.ts). */
  readonly end: number;
}

/** Every so manieth place is in the WAL, where there is one. */
const WAL_ONE_IN = 4;
/** Enough that the log was compacted and the trees have branch pages. */
const ACKS_FOLDED = 3000;
const ACKS_IN_WAL = 300;

/** A store with a folded and compacted past, and a WAL of a process that was killed. @returns its account */
export async function makeKilledStore(
  backend: FileBackend,
  store: string,
  folder: string,
): Promise<Account> {
  const account = new Account();
  for (const [epoch, acks] of [
    ['a', ACKS_FOLDED],
    ['b', ACKS_IN_WAL],
  ] as const) {
    const of = { backend, path: store, seed: 1, epoch, compacts: true, account };
    const writer = await WriterProcess.start(of);
    try {
      await writer.acknowledged(acks);
    } finally {
      await writer.kill();
    }
    account.addAll(writer.account);
    if (epoch === 'b') break;
    const listFile = path.join(folder, 'account');
    // Who opens it and closes it folds the WAL in.
    const { told } = await checkStore({
      backend,
      path: store,
      account,
      listFile,
      epoch: 'folding',
    });
    account.addAll(told);
  }
  return account;
}

export async function damageStore(options: DamageOptions): Promise<DamageTotals> {
  const totals: DamageTotals = { places: 0, found: 0, harmless: 0, silent: [] };
  const random = new Random(options.seed);
  const targets = targetsOf(options);
  for (let i = 0; i < options.places && !options.signal?.aborted; i += 1) {
    const target = targets[i % WAL_ONE_IN === 0 ? targets.length - 1 : 0]!;
    const made = damageOf(target, random, Math.floor(i / (i % WAL_ONE_IN === 0 ? WAL_ONE_IN : 1)));
    const copy = path.join(options.folder, 'damaged');
    rmSync(copy, { recursive: true, force: true });
    cpSync(options.store, copy, { recursive: true });
    writeFileSync(path.join(copy, target.name), made.bytes);
    totals.places += 1;
    if (await checkOnce(copy)) totals.found += 1;
    else {
      const messages = await readThrough(copy, options);
      if (messages.length === 0) totals.harmless += 1;
      else totals.silent.push(`${target.name}: ${made.kind} at ${made.at}: ${messages.join('; ')}`);
    }
    options.progress?.(totals);
  }
  return totals;
}

function targetsOf({ backend, store }: DamageOptions): Target[] {
  const name = STORE_FILE[backend];
  const bytes = readFileSync(path.join(store, name));
  const main = { name, bytes, end: bytes.length };
  if (backend === 'lmdb') return [main];
  const wal = readFileSync(path.join(store, `${name}-wal`));
  // The last commit begins where the one before ends.
  return [main, { name: `${name}-wal`, bytes: wal, end: walCommits(wal).at(-2) ?? 0 }];
}

function damageOf({ bytes, end }: Target, random: Random, nth: number): Damage {
  const isWhole = end === bytes.length;
  for (let i = nth; ; i += 1) {
    const made = damage(bytes.subarray(0, end), random, i);
    if (isWhole) return made;
    if (made.kind === 'cut') continue;
    return { ...made, bytes: Buffer.concat([made.bytes, bytes.subarray(end)]) };
  }
}

async function readThrough(store: string, options: DamageOptions): Promise<readonly string[]> {
  const { lost, broken, messages } = await checkStore({
    backend: options.backend,
    path: store,
    account: options.account,
    listFile: path.join(options.folder, 'account'),
    epoch: 'damaged',
  });
  return lost + broken === 0 ? [] : messages;
}
