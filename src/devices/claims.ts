import type { Clock } from '../base/clock.ts';
import { HoldfastError } from '../base/errors.ts';
import type { Device, DeviceIdentity } from './device.ts';
import { withoutUnknown } from './known.ts';
import { judge, type User } from './usability.ts';

/** One attach of a device: within a boot it changes when the device is plugged in anew. */
export interface Attach {
  readonly bootId: string;
  readonly diskseq?: number;
}

/** A device that somebody took for something, until it is released. */
export interface Claim extends Attach {
  /** Id of the device. */
  readonly device: string;
  /** Who has it, e.g. `volume service "disk"`. */
  readonly owner: string;
  /** As it was then. */
  readonly identity: DeviceIdentity;
  readonly claimedAt: string;
}

/** Where claims are kept, supplied by the agent. */
export interface ClaimStore {
  loadClaims(): Promise<readonly Claim[]>;
  saveClaim(claim: Claim): Promise<void>;
  deleteClaim(device: string): Promise<void>;
}

export interface ClaimRequest {
  readonly owner: string;
  /** Who else uses a device, that the kernel doesn't know of; asked after the scan. */
  readonly usersOf?: (device: Device) => readonly User[] | undefined;
}

const OWNER_LENGTH_MAX = 128;

/**
 * Who has which device. A claim is on the device that was there when it was made: `check` compares, each time
 * that the owner is about to use it. The registry calls this under its lock, after a scan.
 */
export class Claims {
  readonly #store: ClaimStore;
  readonly #clock: Clock;
  readonly #readBootId: () => string;
  #claims: ReadonlyMap<string, Claim> = new Map();

  constructor(store: ClaimStore, clock: Clock, readBootId: () => string) {
    this.#store = store;
    this.#clock = clock;
    this.#readBootId = readBootId;
  }

  async load(): Promise<void> {
    const claims = await this.#store.loadClaims();
    this.#claims = new Map(claims.map((claim) => [claim.device, claim]));
  }

  of(device: Device): Claim | undefined {
    return this.#claims.get(device.id);
  }

  /** Why the claim on a device doesn't hold now; undefined when it does, and when there is none. */
  problemOf(device: Device): string | undefined {
    const claim = this.of(device);
    return claim && claimProblem(claim, device, this.#attachOf(device));
  }

  /**
   * The claim of an owner on a device that is free. The owner's own, made before, is checked again instead.
   * @throws InvalidArgument, Conflict with every reason
   */
  async claim(device: Device, { owner, usersOf }: ClaimRequest): Promise<Claim> {
    checkOwner(owner);
    if (this.of(device)) return this.check(device, owner);
    const { free, reasons } = judge(device, { users: usersOf?.(device) });
    if (!free) {
      const why = reasons.filter(({ against }) => against).map(({ message }) => message);
      throw new HoldfastError('Conflict', `${nameOf(device)} is not free: ${why.join('; ')}`, {
        hint: 'holdfast device ls --free shows what is',
      });
    }
    const { id, identity } = device;
    const claimedAt = new Date(this.#clock.wallMs()).toISOString();
    return this.#save({ device: id, owner, identity, claimedAt, ...this.#attachOf(device) });
  }

  /**
   * To be asked before each use: is this still the device that was claimed? A claim that holds is one on this
   * attach from then on.
   * @throws NotFound when there is none; Conflict when another has it, or it is not that device any more
   */
  async check(device: Device, owner: string): Promise<Claim> {
    const claim = this.of(device);
    if (!claim) throw new HoldfastError('NotFound', `${nameOf(device)} is claimed by nobody`);
    if (claim.owner !== owner) throw anothers(device, claim);
    const attach = this.#attachOf(device);
    const problem = claimProblem(claim, device, attach);
    if (problem !== undefined) {
      throw new HoldfastError(
        'Conflict',
        `the claim on ${nameOf(device)} doesn't hold: ${problem}`,
        {
          hint: 'look at the device; if it is the right one, release it and claim it again',
        },
      );
    }
    return isSameAttach(claim, attach) ? claim : this.#save({ ...claim, ...attach });
  }

  /** @throws NotFound; Conflict when another has it and `force` isn't set */
  async release(device: Device, owner: string, force = false): Promise<Claim> {
    const claim = this.of(device);
    if (!claim) throw new HoldfastError('NotFound', `${nameOf(device)} is claimed by nobody`);
    if (claim.owner !== owner && !force) throw anothers(device, claim);
    await this.#store.deleteClaim(claim.device);
    const claims = new Map(this.#claims);
    claims.delete(claim.device);
    this.#claims = claims;
    return claim;
  }

  async #save(claim: Claim): Promise<Claim> {
    const known = withoutUnknown(claim);
    await this.#store.saveClaim(known);
    this.#claims = new Map(this.#claims).set(claim.device, known);
    return known;
  }

  #attachOf({ diskseq }: Device): Attach {
    return { bootId: this.#readBootId(), diskseq };
  }
}

/** Pure. A name that is likely to be another device's after the next attach holds for this one only. */
function claimProblem(claim: Claim, device: Device, attach: Attach): string | undefined {
  const { identity, quarantine, present } = device;
  if (quarantine) return `${quarantine.names.join(' and ')} claim its identity, ${quarantine.id}`;
  if (!present) return 'it is not here';
  const { scheme, value, confidence } = claim.identity;
  if (identity.scheme !== scheme || identity.value !== value) {
    return `it was ${scheme} ${value} when it was claimed and is ${identity.scheme} ${identity.value} now`;
  }
  if (confidence !== 'low' || isSameAttach(claim, attach)) return undefined;
  return 'it was attached anew since it was claimed, and its identity (confidence low) is no proof that it is the same';
}

/** What isn't known is not the same. */
function isSameAttach(one: Attach, other: Attach): boolean {
  if (one.bootId === '' || one.diskseq === undefined) return false;
  return one.bootId === other.bootId && one.diskseq === other.diskseq;
}

function checkOwner(owner: string): void {
  if (owner.trim() !== '' && owner.length <= OWNER_LENGTH_MAX) return;
  throw new HoldfastError(
    'InvalidArgument',
    `an owner has 1 to ${OWNER_LENGTH_MAX} characters, this one ${owner.length}`,
  );
}

function anothers(device: Device, { owner, claimedAt }: Claim): HoldfastError {
  const message = `${nameOf(device)} is claimed by ${JSON.stringify(owner)} since ${claimedAt}`;
  return new HoldfastError('Conflict', message, {
    hint: 'its owner releases it; holdfast device release --force does it over the owner’s head',
  });
}

function nameOf({ path, id }: Device): string {
  return `${path} (${id})`;
}
