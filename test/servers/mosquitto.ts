import { execFile, execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { Child } from '../support/child.ts';
import { makeTempFolder, removeTempFolder } from '../support/temp-folder.ts';
import { findCommand, requireServer } from './binaries.ts';
import { freePort } from './ports.ts';

const run = promisify(execFile);
const START_TRIES = 5;
const USERNAME = 'holdfast';
/** Exit status of mosquitto_sub when `-W` seconds passed (mosquitto_sub(1)): the usual end. */
const EXIT_TIMED_OUT = 27;

export interface MosquittoOptions {
  /** Only `holdfast` with this password may connect; default: anybody. */
  readonly password?: string;
  /** Default: a free one. */
  readonly port?: number;
  /** Answer every CONNECT with "not authorised" (MQTT 5 reason 0x87, MQTT 3.1.1 code 5). */
  readonly refuse?: boolean;
  /** Further lines of mosquitto.conf(5), e.g. `acl_file …`. */
  readonly config?: readonly string[];
}

export interface MqttMessage {
  readonly topic: string;
  readonly payload: Buffer;
  readonly retained: boolean;
  readonly qos: number;
}

export interface SubscribeOptions {
  /** Stop after so many messages; default: after `seconds`. */
  readonly count?: number;
  /** Stop listening after so long, 1 or more whole seconds (mosquitto_sub's -W); default 2. */
  readonly seconds?: number;
}

/** A real mosquitto on loopback, without persistence: a restart forgets messages and sessions. */
export interface Mosquitto extends AsyncDisposable {
  /** `mqtt://127.0.0.1:<port>` */
  readonly url: string;
  readonly port: number;
  /** The name that goes with `password`. */
  readonly username: string;
  /** Of the process now running; changes with `restart`. */
  readonly pid: number;
  /** What it logged since its last start, with every CONNECT and PUBLISH (`log_type all`). */
  readonly output: string;
  /** SIGTERM, waits, removes its folder. Idempotent. */
  stop(): Promise<void>;
  /** SIGKILL, waits; the port stays for `restart`. Clients get no will, no DISCONNECT. */
  kill(): Promise<void>;
  /** Kills it if it runs, then starts it on the same port. */
  restart(): Promise<void>;
  /** What a subscriber of the filter gets, in order: retained messages first. */
  sub(filter: string, options?: SubscribeOptions): Promise<MqttMessage[]>;
}

/** Resolves when it accepts connections. @throws with what to install when mosquitto is missing. */
export async function startMosquitto(options: MosquittoOptions = {}): Promise<Mosquitto> {
  requireServer('mosquitto');
  const folder = makeTempFolder('mosquitto');
  try {
    for (let attempt = 1; ; attempt++) {
      const port = options.port ?? (await freePort());
      configure(folder, port, options);
      try {
        return new RunningMosquitto(folder, port, options, await launch(folder));
      } catch (error) {
        const taken = error instanceof Error && error.message.includes('Address already in use');
        if (!taken || options.port !== undefined || attempt === START_TRIES) throw error;
      }
    }
  } catch (error) {
    removeTempFolder(folder);
    throw error;
  }
}

function configure(folder: string, port: number, options: MosquittoOptions): void {
  const anonymous = options.password === undefined && options.refuse !== true;
  const lines = [
    `listener ${port} 127.0.0.1`,
    `allow_anonymous ${anonymous}`,
    'log_dest stderr',
    'log_type all',
    'persistence false',
    // Started as root it would become `mosquitto`, who may not read our folder.
    'user root',
    ...(options.config ?? []),
  ];
  if (options.password !== undefined && options.refuse !== true) {
    const file = path.join(folder, 'passwords');
    const command = findCommand('mosquitto_passwd') ?? 'mosquitto_passwd';
    execFileSync(command, ['-b', '-c', file, USERNAME, options.password]);
    lines.push(`password_file ${file}`);
  }
  writeFileSync(path.join(folder, 'mosquitto.conf'), `${lines.join('\n')}\n`);
}

async function launch(folder: string): Promise<Child> {
  const config = path.join(folder, 'mosquitto.conf');
  const child = await Child.start(findCommand('mosquitto') ?? 'mosquitto', ['-c', config]);
  try {
    // Logged after the listener is open; an open port alone could be somebody else's.
    await child.waitUntil('it runs', () => /mosquitto version \S+ running/.test(child.output));
    return child;
  } catch (error) {
    await child.kill();
    throw error;
  }
}

class RunningMosquitto implements Mosquitto {
  readonly url: string;
  readonly port: number;
  readonly username = USERNAME;
  readonly #folder: string;
  readonly #options: MosquittoOptions;
  #child: Child;

  constructor(folder: string, port: number, options: MosquittoOptions, child: Child) {
    this.#folder = folder;
    this.#options = options;
    this.#child = child;
    this.port = port;
    this.url = `mqtt://127.0.0.1:${port}`;
  }

  get pid(): number {
    return this.#child.pid;
  }

  get output(): string {
    return this.#child.output;
  }

  async stop(): Promise<void> {
    await this.#child.stop();
    removeTempFolder(this.#folder);
  }

  async kill(): Promise<void> {
    await this.#child.kill();
  }

  async restart(): Promise<void> {
    await this.#child.kill();
    this.#child = await launch(this.#folder);
  }

  async sub(filter: string, options: SubscribeOptions = {}): Promise<MqttMessage[]> {
    // Payload in hex and topic last: neither newlines nor spaces in them can break a line apart.
    const args = ['-h', '127.0.0.1', '-p', String(this.port), '-V', 'mqttv5', '-q', '1'];
    args.push('-t', filter, '-F', '%r %q %x %t', '-W', String(options.seconds ?? 2));
    if (options.count !== undefined) args.push('-C', String(options.count));
    const { password } = this.#options;
    if (password !== undefined) args.push('-u', USERNAME, '-P', password);
    return parseMessages(await subscribe(args));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

async function subscribe(args: readonly string[]): Promise<string> {
  const command = findCommand('mosquitto_sub') ?? 'mosquitto_sub';
  try {
    return (await run(command, args, { maxBuffer: 64 * 1024 * 1024 })).stdout;
  } catch (error) {
    const ended = error as { code?: unknown; stdout?: string };
    if (ended.code === EXIT_TIMED_OUT) return ended.stdout ?? '';
    throw error;
  }
}

function parseMessages(text: string): MqttMessage[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const fields = /^(\d) (\d) ([0-9a-f]*) (.*)$/.exec(line);
      if (!fields) throw new Error(`mosquitto_sub printed ${JSON.stringify(line)}`);
      const [, retained, qos, payload = '', topic = ''] = fields;
      return {
        topic,
        payload: Buffer.from(payload, 'hex'),
        retained: retained === '1',
        qos: Number(qos),
      };
    });
}
