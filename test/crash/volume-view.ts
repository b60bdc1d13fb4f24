/** What the kernel and the folders say is there of volumes: nothing here asks our own records. */
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { mountPoints } from '../support/temp-folder.ts';
import { MARKER } from '../../src/volumes/places.ts';
import type { Volume } from '../../src/volumes/index.ts';

/** A folder of its own with a loop and a dir service below. */
export interface VolumeSiteFolders {
  readonly images: string;
  readonly directories: string;
  readonly mountRoot: string;
}

export interface View {
  /** Entries of the services' folders: `<id>.img`, `<id>`, and whatever doesn't belong there. */
  readonly images: readonly string[];
  readonly directories: readonly string[];
  /** Images that a loop device holds, one entry per device. */
  readonly attached: readonly string[];
  readonly mounted: readonly string[];
  /** Entries of the mount root. */
  readonly mountPoints: readonly string[];
}

export function kernelView(site: VolumeSiteFolders): View {
  const under = (folder: string, file: string): boolean => file.startsWith(`${folder}/`);
  return {
    images: dataIn(site.images),
    directories: dataIn(site.directories),
    attached: attachedFiles()
      .map(({ file }) => file)
      .filter((file) => under(site.images, file))
      .sort(),
    mounted: mountPoints()
      .filter((at) => under(site.mountRoot, at))
      .sort(),
    mountPoints: dataIn(site.mountRoot),
  };
}

/** What has to be there, and nothing else, when these are all the volumes. */
export function expectedView(site: VolumeSiteFolders, volumes: readonly Volume[]): View {
  const loops = volumes.filter(({ spec }) => spec.driver === 'loop');
  const mounted = loops.filter(({ status }) => status.mountPoint !== undefined);
  const attached = loops.filter(
    ({ status }) => status.mountPoint !== undefined || status.attachments.length > 0,
  );
  const ids = (some: readonly Volume[]): string[] => some.map(({ spec }) => spec.id).sort();
  return {
    images: ids(loops).map((id) => `${id}.img`),
    directories: ids(volumes.filter(({ spec }) => spec.driver === 'dir')),
    attached: ids(attached).map((id) => path.join(site.images, `${id}.img`)),
    mounted: ids(mounted).map((id) => path.join(site.mountRoot, id, 'data')),
    mountPoints: ids(mounted),
  };
}

/** As losetup(8) reads it: one entry per attached device. */
export function attachedFiles(): { device: string; file: string }[] {
  const files: { device: string; file: string }[] = [];
  for (const name of readdirSync('/sys/block')) {
    try {
      const file = readFileSync(`/sys/block/${name}/loop/backing_file`, 'utf8').trim();
      files.push({ device: `/dev/${name}`, file });
    } catch {
      continue; // No loop device, or nothing attached.
    }
  }
  return files;
}

/** What is in a service's folder beside its marker (src/volumes/places.ts). */
export function dataIn(folder: string): string[] {
  try {
    return readdirSync(folder)
      .filter((name) => name !== MARKER)
      .sort();
  } catch {
    return [];
  }
}
