import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { Child, type ChildExit } from './child.ts';
import { compiledProgram, projectRoot } from './compiled.ts';
import { callJson, type Answer } from './http-call.ts';
import { makeTempFolder } from './temp-folder.ts';

const run = promisify(execFile);
const removeFolder = path.join(projectRoot, 'scripts/remove-folder.cjs');

export interface AgentOptions {
  /** YAML of `config.yaml`; default: all defaults. */
  readonly config?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Put before the agent's own command line, e.g. `['ip', 'netns', 'exec', 'x']`. */
  readonly wrapper?: readonly string[];
  readonly args?: readonly string[];
  /** Keep the state of an earlier agent: its folder. Default: a new temporary one. */
  readonly folder?: string;
}

/** What execFile throws. */
interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CliResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * The real agent as a process, from dist/, with its state in one temporary folder. It dies with the
 * process that started it. Nothing here needs vitest: the demo and the benches use it too.
 */
export class AgentProcess {
  readonly folder: string;
  readonly socket: string;
  readonly stateDir: string;
  readonly configFile: string;
  readonly #options: AgentOptions;
  #child: Child | undefined;

  constructor(options: AgentOptions = {}) {
    this.#options = options;
    this.folder = options.folder ?? makeTempFolder('agent');
    this.socket = path.join(this.folder, 's.sock');
    this.stateDir = path.join(this.folder, 'state');
    this.configFile = path.join(this.folder, 'config.yaml');
    writeFileSync(this.configFile, options.config ?? '');
  }

  /** Resolves when it is ready. @throws with its last words when it isn't within 30 s. */
  static async start(options: AgentOptions = {}): Promise<AgentProcess> {
    const agent = new AgentProcess(options);
    try {
      await agent.start();
      return agent;
    } catch (thrown) {
      await agent.remove();
      throw thrown;
    }
  }

  /** @param env beside the one it was made with, for this start only */
  async start(env: NodeJS.ProcessEnv = {}): Promise<void> {
    await this.launch(env);
    await this.child.waitUntil('it is ready', () => this.isReady());
  }

  /** Starts it and waits for nothing. */
  async launch(envNow: NodeJS.ProcessEnv = {}): Promise<void> {
    const { wrapper = [], args = [], env } = this.#options;
    const own = [command(), 'agent', ...this.#places(), ...args];
    const [first, ...rest] = [...wrapper, ...own];
    this.#child = await Child.start(first!, rest, {
      env: { PATH: process.env['PATH'], HOME: this.folder, ...env, ...envNow },
    });
  }

  get child(): Child {
    if (!this.#child) throw new Error('the agent was not started');
    return this.#child;
  }

  async isReady(): Promise<boolean> {
    try {
      return (await this.call('GET', '/readyz')).status === 200;
    } catch {
      return false;
    }
  }

  /** SIGTERM, and its exit. */
  stop(): Promise<ChildExit> {
    return this.child.stop();
  }

  kill(): Promise<ChildExit> {
    return this.child.kill();
  }

  /** The `holdfast` command against this agent; never throws for an exit code. */
  cli(...args: readonly string[]): Promise<CliResult> {
    return this.cliWith('', ...args);
  }

  /** The same with something on standard input. */
  async cliWith(input: string | Uint8Array, ...args: readonly string[]): Promise<CliResult> {
    const all = [...this.#places(), ...args];
    try {
      const running = run(command(), all, { timeout: 60_000 });
      // One that doesn't read it to its end is fine.
      running.child.stdin?.on('error', () => undefined).end(input);
      const { stdout, stderr } = await running;
      return { code: 0, stdout, stderr };
    } catch (thrown) {
      const { code, signal, stdout, stderr } = thrown as Ended;
      if (typeof code === 'number') return { code, stdout, stderr };
      throw new Error(`holdfast ${args.join(' ')}: ended by ${signal}: ${stderr}`, {
        cause: thrown,
      });
    }
  }

  /** The same as a process of its own, for verbs that go on. It dies with us. */
  spawnCli(...args: readonly string[]): Promise<Child> {
    return Child.start(command(), [...this.#places(), ...args]);
  }

  /** The answer of the command as JSON. @throws when it fails */
  async json<T>(...args: readonly string[]): Promise<T> {
    const { code, stdout, stderr } = await this.cli(...args, '-o', 'json');
    if (code !== 0) throw new Error(`holdfast ${args.join(' ')}: exit ${code}: ${stderr}`);
    return JSON.parse(stdout) as T;
  }

  /** One HTTP call over the socket; the answer's body is decoded. */
  call<T = unknown>(
    method: string,
    url: string,
    json?: unknown,
    headers: readonly string[] = [],
  ): Promise<Answer & { json: T }> {
    return callJson<T>(this.socket, { method, path: url, json, headers });
  }

  /** Kills it, unmounts and detaches whatever it left, deletes its folder. */
  async remove(): Promise<void> {
    await this.#child?.kill();
    await run(process.execPath, [removeFolder, '--lazy', this.folder]);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.remove();
  }

  #places(): string[] {
    const { configFile, stateDir, socket } = this;
    return ['--config', configFile, '--state-dir', stateDir, '--socket', socket];
  }
}

/** The command as a user runs it. @throws when dist/ is older than the sources */
function command(): string {
  compiledProgram('src/agent/cli/main.ts', ['src', 'native']);
  return path.join(projectRoot, 'bin/holdfast');
}
