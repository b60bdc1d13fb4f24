import type { Claim, ClaimRequest } from './claims.ts';
import type { DeviceEvent } from './compare.ts';
import type { Device } from './device.ts';
import type { User, Verdict } from './usability.ts';

/** What the faces see of the devices. */
export interface Devices {
  list(): readonly Device[];
  /** By id or kernel name. @throws NotFound */
  get(ref: string): Device;
  /**
   * One pass over sysfs that begins after the call; stores only what changed; returns the events it led to.
   * @throws HostFailed; whatever the store throws
   */
  scan(): Promise<readonly DeviceEvent[]>;
  /**
   * Deletes the record of a device that isn't there. When it comes back it is a new one.
   * @throws NotFound, Conflict while it is there or claimed
   */
  forget(ref: string): Promise<Device>;
  /** Whether it is free, with every reason; `users` are those that the kernel doesn't know of. */
  judge(device: Device, users?: readonly User[]): Verdict;
  claimOf(device: Device): ClaimState | undefined;
  /**
   * Looks at the hardware, then takes a device that is free for an owner. Of a device that the owner has already,
   * the claim is checked again: to be called before each use.
   * @throws NotFound, InvalidArgument, Conflict with every reason
   */
  claim(ref: string, request: ClaimRequest): Promise<ClaimState>;
  /** @throws NotFound; Conflict when another has it and `force` isn't set */
  release(
    ref: string,
    options: { readonly owner: string; readonly force?: boolean },
  ): Promise<void>;
}

/** A claim, and why it doesn't hold, if so. */
export type ClaimState = Claim & { readonly problem?: string };
