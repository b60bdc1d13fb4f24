import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { projectRoot } from '../support/compiled.ts';

/**
 * The root file system that virtual hosts start from, made by scripts/setup --tests.
 * @throws Error with one line that says what is missing
 */
export function rootImage(): string {
  const script = path.join(projectRoot, 'scripts/host-root');
  try {
    return execFileSync(script, ['--where'], { encoding: 'utf8', stdio: 'pipe' }).trimEnd();
  } catch (thrown) {
    throw new Error((thrown as { stderr: string }).stderr.trimEnd(), { cause: thrown });
  }
}

/** Why no virtual host can run here; undefined when one can. For the name of a skipped suite. */
export function noVirtualHost(): string | undefined {
  try {
    rootImage();
    return undefined;
  } catch (thrown) {
    return (thrown as Error).message;
  }
}
