import { defineConfig } from 'vitest/config';
import { ClosingLine } from './test/support/closing-line.ts';
import { ContractCounts } from './test/support/contract-counts.ts';

export default defineConfig({
  test: {
    include: ['src/**/*.test.ts', 'native/**/*.test.ts', 'test/**/*.test.ts'],
    exclude: ['dist/**', 'node_modules/**'],
    // Processes, not threads: native addons, and kill -9 on a worker, need their own.
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    globalSetup: ['test/support/fresh-dist.ts', 'test/support/leak-check.ts'],
    setupFiles: ['test/support/setup.ts'],
    reporters: ['default', new ContractCounts(), new ClosingLine()],
  },
});
