import { InvalidArgumentError, type Command } from 'commander';
import { resolvePaths, type Paths } from '../paths.ts';
import { AgentClient } from './client.ts';
import { reportError, type Format } from './output.ts';

export interface GlobalOptions {
  readonly config?: string;
  readonly stateDir?: string;
  readonly socket?: string;
  readonly output: Format;
  readonly timeout: number;
}

/** What a verb works with. */
export interface Context {
  readonly paths: Paths;
  readonly client: AgentClient;
  readonly format: Format;
  readonly options: GlobalOptions;
}

/**
 * Wraps a verb's work: global options resolved, errors reported with their exit code. The exit code is
 * set, not forced, so that piped output is written to its end.
 */
export function verb<Args extends unknown[]>(
  work: (context: Context, ...args: Args) => Promise<void>,
): (...args: [...Args, ...unknown[]]) => Promise<void> {
  return async (...args) => {
    const command = args.at(-1) as Command;
    const options = command.optsWithGlobals<GlobalOptions>();
    const paths = resolvePaths(options);
    const client = new AgentClient(paths.socket, options.timeout * 1000);
    try {
      await work({ paths, client, format: options.output, options }, ...(args as unknown as Args));
    } catch (thrown) {
      process.exitCode = reportError(thrown, options.output);
    }
  };
}

/** An argument parser for a whole number from `min`, up to `max` if there is one. */
export function wholeNumber(min: number, max = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < min || value > max) {
      const range =
        max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;
      throw new InvalidArgumentError(`want a whole number ${range}.`);
    }
    return value;
  };
}

/** `path` with the defined parameters as a query. */
export function withQuery(
  path: string,
  query: Record<string, string | number | boolean | undefined>,
): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined) params.set(name, String(value));
  }
  const text = params.toString();
  return text === '' ? path : `${path}?${text}`;
}
