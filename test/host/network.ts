import { execFileSync } from 'node:child_process';
import { TEMP_PREFIX } from '../support/temp-folder.ts';

/** Of one network; another one has the same, in another namespace. */
const SUBNET = '10.77.0';
const BRIDGE = 'bridge';
/** Addresses for this many hosts; ours is .1. */
const PORTS_MAX = 200;

/** Where one host is plugged in. */
export interface Port {
  readonly namespace: string;
  /** The tap device in the namespace, e.g. `tap2`. */
  readonly tap: string;
  /** For the host, e.g. `10.77.0.2` in a /24. */
  readonly address: string;
  /** Its network card's, as the factory would have set it. */
  readonly mac: string;
}

let networks = 0;

/** A switch in a network namespace of its own, with virtual hosts on it and nothing else. */
export class Network implements Disposable {
  readonly namespace: string;
  #ports = 0;

  constructor() {
    networks += 1;
    this.namespace = `${TEMP_PREFIX}net-${process.pid}-${networks}`;
    run('ip', 'netns', 'add', this.namespace);
    this.#ip('link', 'set', 'lo', 'up');
    this.#ip('link', 'add', BRIDGE, 'type', 'bridge');
    this.#ip('address', 'add', `${SUBNET}.1/24`, 'dev', BRIDGE);
    this.#ip('link', 'set', BRIDGE, 'up');
  }

  /** A socket in the wall, for one host. @throws when there are no more */
  port(): Port {
    this.#ports += 1;
    const number = this.#ports + 1;
    if (number > PORTS_MAX) throw new Error(`${this.namespace} has ${PORTS_MAX - 1} ports`);
    const tap = `tap${number}`;
    this.#ip('tuntap', 'add', tap, 'mode', 'tap');
    this.#ip('link', 'set', tap, 'master', BRIDGE, 'up');
    // Locally administered, or it would be taken for one that many cards share.
    const mac = `02:77:00:00:00:${number.toString(16).padStart(2, '0')}`;
    return { namespace: this.namespace, tap, address: `${SUBNET}.${number}`, mac };
  }

  /** Pulls the cable of a host out, and puts it in again. */
  setCable({ tap }: Port, state: 'in' | 'out'): void {
    this.#ip('link', 'set', tap, state === 'in' ? 'up' : 'down');
  }

  [Symbol.dispose](): void {
    run('ip', 'netns', 'delete', this.namespace);
  }

  #ip(...args: string[]): void {
    run('ip', '-n', this.namespace, ...args);
  }
}

function run(command: string, ...args: string[]): void {
  execFileSync(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
}
