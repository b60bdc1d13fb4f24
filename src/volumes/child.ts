import { spawn } from 'node:child_process';
import { messageOf, HoldfastError } from '../base/errors.ts';
import { guarded } from '../base/guarded.ts';

/** What of a tool's output is kept for the error message. */
const OUTPUT_BYTES_MAX = 64 * 1024;

export interface ChildResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ChildOptions {
  readonly deadlineMs: number;
  readonly signal: AbortSignal;
  /** Exit codes that are answers, not failures; default only 0. */
  readonly accept?: readonly number[];
}

/**
 * Runs a tool to its end, killed at its deadline, at the signal and with the agent.
 * @throws DeadlineExceeded, Cancelled, NotSupported (not installed), NoSpace, HostFailed with its words
 */
export async function runChild(
  command: string,
  args: readonly string[],
  options: ChildOptions,
): Promise<ChildResult> {
  if (options.signal.aborted) throw cancelled(options.signal, `${command} was not started`);
  const deadline = AbortSignal.timeout(options.deadlineMs);
  const killer = AbortSignal.any([deadline, options.signal]);
  const result = await collect(command, args, killer);
  if (deadline.aborted) {
    throw new HoldfastError(
      'DeadlineExceeded',
      `${command} was killed after ${options.deadlineMs} ms`,
    );
  }
  if (options.signal.aborted) throw cancelled(options.signal, `${command} was killed`);
  if ((options.accept ?? [0]).includes(result.exitCode)) return result;
  throw failureOf(command, result);
}

/** Who aborts the signal may say why with an error of ours. */
function cancelled({ reason }: AbortSignal, what: string): HoldfastError {
  const ours = reason instanceof HoldfastError ? reason : undefined;
  const why = ours?.message ?? 'the operation was cancelled';
  return new HoldfastError(ours?.code ?? 'Cancelled', `${what}: ${why}`, { cause: reason });
}

/** Where tools are when the agent's own PATH lacks it (an empty part would mean the working directory). */
const TOOL_FOLDERS = '/usr/sbin:/sbin:/usr/bin:/bin';

function collect(
  command: string,
  args: readonly string[],
  killer: AbortSignal,
): Promise<ChildResult> {
  return new Promise((resolve, reject) => {
    // After a SIGKILL of the agent the next one redoes the step, and a survivor would write into it.
    const child = spawn('setpriv', guarded('KILL', [command, ...args]), {
      stdio: ['ignore', 'pipe', 'pipe'],
      // Tools must speak English for us to read them; nothing else of our environment is theirs.
      env: { PATH: [process.env['PATH'], TOOL_FOLDERS].filter(Boolean).join(':'), LC_ALL: 'C' },
    });
    const kill = (): void => void child.kill('SIGKILL');
    killer.addEventListener('abort', kill, { once: true });
    const output = { stdout: '', stderr: '' };
    for (const stream of ['stdout', 'stderr'] as const) {
      child[stream].setEncoding('utf8').on('data', (text: string) => {
        if (output[stream].length < OUTPUT_BYTES_MAX) output[stream] += text;
      });
    }
    child.on('error', (cause) => {
      killer.removeEventListener('abort', kill);
      reject(
        new HoldfastError(
          'HostFailed',
          `cannot start setpriv for ${command}: ${messageOf(cause)}`,
          { cause, hint: 'install util-linux' },
        ),
      );
    });
    child.on('close', (exitCode) => {
      killer.removeEventListener('abort', kill);
      resolve({ exitCode: exitCode ?? KILLED, ...output });
    });
  });
}

/** Stands for "ended by a signal"; no tool here exits with it. */
const KILLED = 137;
const NOT_FOUND = 127;

function failureOf(command: string, { exitCode, stderr, stdout }: ChildResult): HoldfastError {
  if (exitCode === NOT_FOUND) {
    return new HoldfastError('NotSupported', `${command} is not installed`, {
      hint: `install the package that has ${command}`,
    });
  }
  const words = (stderr.trim() || stdout.trim() || 'it said nothing').slice(0, WORDS_MAX);
  const code = /no space left/i.test(words) ? 'NoSpace' : 'HostFailed';
  return new HoldfastError(code, `${command} failed (exit ${exitCode}): ${words}`);
}
/** Characters of a tool's complaint in our message: enough for its reason, without its usage page. */
const WORDS_MAX = 400;
