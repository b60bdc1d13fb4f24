import type { Reporter, SerializedError, TestCase, TestModule } from 'vitest/node';

/**
 * The last line of a run, alone on it and without colours, for programs:
 * `tests: 12 passed, 0 failed, 3 skipped`. Before it, every skipped test with its reason.
 */
export class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], strayErrors: readonly SerializedError[]): void {
    const tests = modules.flatMap((module) => [...module.children.allTests()]);
    const count = (state: string): number =>
      tests.filter((test) => test.result().state === state).length;
    const skipped = tests.filter((test) => test.result().state === 'skipped');
    // A file that can't be loaded, a hook around several tests, an error outside of any: no test counts it.
    const groups = modules.flatMap((module) => [module, ...module.children.allSuites()]);
    const untold = groups.reduce((sum, group) => sum + group.errors().length, strayErrors.length);
    const lines = [
      ...reasons(skipped),
      `tests: ${count('passed')} passed, ${count('failed') + untold} failed, ${skipped.length} skipped`,
    ];
    // At the very end: after what vitest and the leak check (registered before this) have to say.
    process.on('exit', () => process.stdout.write(`\n${lines.join('\n')}\n`));
  }
}

/** `skipped: native/loop.test.ts: need root (10 tests)` */
function reasons(skipped: readonly TestCase[]): string[] {
  const counts = new Map<string, number>();
  for (const test of skipped) {
    const line = `skipped: ${test.module.relativeModuleId}: ${reasonOf(test)}`;
    counts.set(line, (counts.get(line) ?? 0) + 1);
  }
  return [...counts].map(([line, tests]) => `${line} (${tests} ${tests === 1 ? 'test' : 'tests'})`);
}

/** What `test.skip(reason)` was told, or else the name, where `describe.skipIf` has its reason. */
function reasonOf(test: TestCase): string {
  const result = test.result();
  const note = result.state === 'skipped' ? result.note : undefined;
  if (note !== undefined) return `${test.fullName}: ${note}`;
  return test.parent.type === 'suite' ? test.parent.fullName : test.fullName;
}
