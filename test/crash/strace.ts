/** A program under strace(1), which can kill it, or let a call fail, at the nth system call of a kind. */
import { readFileSync } from 'node:fs';
import { Child, type ChildExit } from '../support/child.ts';

/** All by which a file's bytes, length or name change, or get to the disk. */
export const WRITING_CALLS = [
  'mkdir',
  'write',
  'pwrite64',
  'writev',
  'pwritev',
  'copy_file_range',
  'sendfile',
  'fallocate',
  'ftruncate',
  'fsync',
  'fdatasync',
  'rename',
  'unlink',
  'rmdir',
] as const;
/** How a program says that a phase begins: it asks for a file that isn't there. */
const MARKING_CALLS = ['access', 'faccessat', 'faccessat2'];

export interface Call {
  readonly thread: string;
  readonly name: string;
  /** The file that it names first, by path or by descriptor; empty for none. */
  readonly file: string;
  /** Counted per thread and name, from 1: what strace's `when` goes by. */
  readonly when: number;
  /** It never came back: the program was killed in it. */
  readonly isLast: boolean;
}

export interface Traced {
  readonly exit: ChildExit;
  /** Of standard output, all. */
  readonly output: string;
  readonly stderr: string;
  readonly calls: readonly Call[];
}

export interface TraceOptions {
  /** The only files whose calls are seen; all of them when it is left out. */
  readonly files?: readonly string[] | undefined;
  /** Kinds of calls that are seen, all that write when it is left out. */
  readonly kinds?: readonly string[] | undefined;
  /** For `-e inject`, e.g. `fsync:signal=SIGKILL:when=3`. */
  readonly inject?: string | undefined;
  readonly env?: NodeJS.ProcessEnv | undefined;
  /** Where the trace may be written. */
  readonly log: string;
}

/** Resolves when the program and all that it started have ended. */
export async function trace(command: readonly string[], options: TraceOptions): Promise<Traced> {
  const { files = [], kinds = WRITING_CALLS, inject, env, log } = options;
  const args = [
    ...'-f -qq -y -s 0 -e signal=none'.split(' '),
    '-o',
    log,
    '-e',
    `trace=${[...kinds, ...MARKING_CALLS].join()}`,
    ...(inject === undefined ? [] : ['-e', `inject=${inject}`]),
    ...files.flatMap((file) => ['-P', file]),
    ...command,
  ];
  let output = '';
  const child = await Child.start('strace', args, {
    ...(env === undefined ? {} : { env }),
    onStdout: (chunk) => {
      output += chunk;
    },
  });
  const exit = await child.exited;
  return { exit, output, stderr: child.output, calls: parse(readFileSync(log, 'utf8')) };
}

/** `123 fsync(4</a/b>) = 0`, or in two lines: `123 fsync(4</a/b> <unfinished ...>`, `123 <... fsync resumed>) = 0`. */
function parse(log: string): Call[] {
  const calls: Call[] = [];
  const counts = new Map<string, number>();
  const open = new Map<string, number>();
  for (const line of log.split('\n')) {
    const [, thread = '', rest = ''] = /^(\d+) +(.*)$/.exec(line) ?? [];
    const name = /^(\w+)\(/.exec(rest)?.[1];
    if (name === undefined) {
      if (/ = \S*\d/.test(rest)) open.delete(thread);
      continue;
    }
    const when = (counts.get(`${thread} ${name}`) ?? 0) + 1;
    counts.set(`${thread} ${name}`, when);
    const file = /^\w+\((?:\d+<|AT_FDCWD<[^>]*>, ")?"?([^">]*)/.exec(rest)?.[1] ?? '';
    if (!/\) += -?\d/.test(rest)) open.set(thread, calls.length);
    calls.push({ thread, name, file, when, isLast: false });
  }
  const last = new Set(open.values());
  return calls.map((call, i) => ({ ...call, isLast: last.has(i) }));
}
