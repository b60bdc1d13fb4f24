import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { makeTempFolder, removeTempFolder } from '../support/temp-folder.ts';
import { writeBootFiles } from './boot-files.ts';
import { Channel, type Command, type Result } from './channel.ts';
import { Machine } from './machine.ts';
import type { Port } from './network.ts';
import { rootImage } from './root-image.ts';
import { ScsiDisks, type Disk, type DiskOptions } from './scsi-disks.ts';

/** A boot takes seconds; on a busy machine, with other guests beside it, many more. */
const BOOT_DEADLINE_MS = 110_000;
const COMMAND_DEADLINE_MS = 60_000;

export interface HostOptions {
  /** Default 512: systemd, an agent, and the file systems' caches. */
  readonly memoryMiB?: number;
  /** Of a Network, where its network card is plugged in. Default: it has none. */
  readonly port?: Port;
  /** A host that is off: this one starts with a copy of its root disk. */
  readonly cloneOf?: Host;
}

export interface RunOptions {
  readonly timeoutMs?: number;
}

export interface StartOptions {
  /** Each piece of its output as it comes. What was called with before a power cut was known before it. */
  readonly onStdout?: (text: string) => void;
}

/**
 * A whole Linux host of its own, as a process on this one: kernel, systemd, udev, disks
 * that are plugged and pulled, a power cord to cut. This checkout, built, is installed in it (docs/install.md); the
 * agent is not started. Nothing here needs vitest.
 */
export class Host implements AsyncDisposable {
  /** Of its disks; removed with it. */
  readonly folder: string;
  readonly #options: HostOptions;
  readonly #disks: ScsiDisks;
  #machine: Machine | undefined;
  #channel: Channel | undefined;

  private constructor(options: HostOptions) {
    this.#options = options;
    this.folder = makeTempFolder('host');
    this.#disks = new ScsiDisks(this);
    if (options.cloneOf)
      execFileSync('cp', ['--sparse=always', options.cloneOf.#rootDisk, this.#rootDisk]);
  }

  /** What differs from the image. */
  get #rootDisk(): string {
    return path.join(this.folder, 'root.cow');
  }

  /** Resolves when it takes commands: udev runs, other services may still be starting. @throws with its console */
  static async boot(options: HostOptions = {}): Promise<Host> {
    const host = new Host(options);
    try {
      await host.powerOn();
      return host;
    } catch (thrown) {
      await host.close();
      throw thrown;
    }
  }

  /** After `powerCut` or `shutDown`: the next boot, from the same root disk. */
  async powerOn(): Promise<void> {
    const { folder } = this;
    const { memoryMiB = 512, port } = this.#options;
    writeBootFiles(folder, port);
    const rootDisk = `${this.#rootDisk},${rootImage()}`;
    const machine = await Machine.start({ folder, rootDisk, memoryMiB, port });
    this.#machine = machine;
    this.#channel = new Channel(machine.line);
    const late = new AbortController();
    const ready = await Promise.race([
      this.#channel.ready,
      sleep(BOOT_DEADLINE_MS, false, { signal: late.signal }).catch(() => false),
    ]);
    late.abort();
    if (ready) return;
    await machine.cutPower();
    throw new Error(`the virtual host did not boot; its console:\n${machine.console}`);
  }

  /** The last words of its kernel and of init. */
  get console(): string {
    return this.#machine?.console ?? '';
  }

  /** With `sh -c`, as root, and waits for its end. @throws when the host goes off meanwhile, or at the deadline */
  async run(text: string, { timeoutMs = COMMAND_DEADLINE_MS }: RunOptions = {}): Promise<Result> {
    const command = this.start(text);
    const timer = setTimeout(() => command.kill(), timeoutMs);
    const result = await command.exited;
    clearTimeout(timer);
    if (result) return result;
    throw new Error(`the host went off while this ran: ${text}\n${this.console}`);
  }

  /** The same, for what has to work. @returns its stdout, without the last line end @throws with what it said */
  async check(text: string, options?: RunOptions): Promise<string> {
    const { code, stdout, stderr } = await this.run(text, options);
    if (code === 0) return stdout.trimEnd();
    throw new Error(`exit code ${code} from: ${text}\n${stderr}${stdout}`);
  }

  /** What `check` printed, as JSON. */
  async json<T>(text: string): Promise<T> {
    return JSON.parse(await this.check(text)) as T;
  }

  /** Starts it and lets it run. */
  start(text: string, { onStdout }: StartOptions = {}): Command {
    if (!this.#channel || !this.#machine?.isOn)
      throw new Error(`the host is off; not run: ${text}`);
    return this.#channel.start(text, onStdout);
  }

  async write(file: string, content: string): Promise<void> {
    const base64 = Buffer.from(content).toString('base64');
    await this.check(
      `mkdir -p '${path.posix.dirname(file)}' && echo ${base64} | base64 -d >'${file}'`,
    );
  }

  /** A SCSI disk, new or pulled before. Resolves when udev has made its links. */
  plug(disk: Disk | DiskOptions): Promise<Disk> {
    return this.#disks.plug(disk);
  }

  /** Pulls it, whatever uses it. What was written to it is there when it is plugged in again. */
  unplug(disk: Disk): Promise<void> {
    return this.#disks.unplug(disk);
  }

  /** SIGKILL for all of it: what wasn't written through to the root disk is gone. Its SCSI disks are unplugged then. */
  async powerCut(): Promise<void> {
    await this.#machine?.cutPower();
  }

  /** As with the command: services are stopped, file systems unmounted. */
  async shutDown(): Promise<void> {
    this.start('systemctl poweroff');
    await this.#machine?.off;
  }

  /** The end of it, running or not: nothing is left. */
  async close(): Promise<void> {
    await this.powerCut();
    removeTempFolder(this.folder);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
