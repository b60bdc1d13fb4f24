import { closeSync, fsyncSync, openSync } from 'node:fs';

/** Of a folder: the names in it are durable only then. @throws the system's error */
export function syncPath(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
