import { createRequire } from 'node:module';

const manifest = createRequire(import.meta.url)('#package') as { readonly version: string };

/** The package's version, read from the one place that states it. */
export const VERSION: string = manifest.version;
