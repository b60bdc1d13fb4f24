import type { Reporter, TestModule, TestSuite } from 'vitest/node';

/** What a contract's suite is called: `store contract: sqlite`. */
const CONTRACT = /^(.+ contract): (.+)$/;

/**
 * After a run, how many cases of each contract each implementation ran, so that one that ran fewer is seen:
 * `store contract: sqlite 40 passed; lmdb 39 passed, 1 skipped`.
 */
export class ContractCounts implements Reporter {
  onTestRunEnd(modules: readonly TestModule[]): void {
    const lines = new Map<string, string[]>();
    for (const suite of modules.flatMap((module) => [...module.children.suites()])) {
      const [, contract, name] = CONTRACT.exec(suite.name) ?? [];
      if (contract === undefined) continue;
      lines.set(contract, [...(lines.get(contract) ?? []), `${name} ${counts(suite)}`]);
    }
    for (const [contract, told] of lines) {
      process.stdout.write(`${contract}: ${told.join('; ')}\n`);
    }
  }
}

function counts(suite: TestSuite): string {
  const states = [...suite.children.allTests()].map((test) => test.result().state);
  return ['passed', 'failed', 'skipped']
    .map((state) => ({ state, count: states.filter((one) => one === state).length }))
    .filter(({ state, count }) => state === 'passed' || count > 0)
    .map(({ state, count }) => `${count} ${state}`)
    .join(', ');
}
