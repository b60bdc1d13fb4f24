import { afterAll, onTestFinished } from 'vitest';
import { makeTempFolder, removeTempFolder } from './temp-folder.ts';

const ofThisFile = new Set<string>();

/**
 * A new folder under the system's temporary one, removed after the test, or after the file when
 * called from `beforeAll`. The removal fails, and with it the test, while something is mounted there.
 */
export function tempDir(name: string): string {
  const folder = makeTempFolder(name);
  try {
    onTestFinished(() => removeTempFolder(folder));
  } catch {
    // Not inside a test: vitest has no "current test" in beforeAll.
    ofThisFile.add(folder);
  }
  return folder;
}

/** Called by setup.ts, before the hooks of the test file: after-hooks run in reverse order. */
export function removeAfterFile(): void {
  afterAll(() => {
    for (const folder of ofThisFile) removeTempFolder(folder);
    ofThisFile.clear();
  });
}
