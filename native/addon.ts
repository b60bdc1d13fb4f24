/** Finds and loads the compiled addon, on the first call that needs it. */
import { createRequire } from 'node:module';
import type { LoopDevice, LoopFile, LoopOptions, MountOptions, UeventListener } from './index.ts';

/** What `addon.cc` exports. Wrong arguments throw a TypeError at once, even where a promise is returned. */
export interface Addon {
  mount(options: MountOptions): Promise<void>;
  umount(target: string, lazy: boolean): Promise<void>;
  loopAttach(options: LoopOptions): Promise<LoopDevice>;
  loopDetach(path: string, expected?: LoopFile): Promise<void>;
  loopStatus(path: string): Promise<LoopFile | undefined>;
  blockDeviceSize(path: string): Promise<number>;
  sdNotify(socket: string, message: string): void;
  lockFile(path: string): number | undefined;
  watchUevents(subsystem: string, listener: UeventListener): () => void;
}

let loaded: Addon | undefined;

/** @throws Error with code `ADDON_NOT_BUILT` and the command that builds it. */
export function addon(): Addon {
  loaded ??= load();
  return loaded;
}

function load(): Addon {
  try {
    return createRequire(import.meta.url)('#addon') as Addon;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.split('\n', 1)[0] : String(cause);
    throw Object.assign(
      new Error(`the native addon can't be loaded (${reason}); run scripts/setup to build it`, {
        cause,
      }),
      { code: 'ADDON_NOT_BUILT' },
    );
  }
}
