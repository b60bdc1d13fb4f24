import type { Fact, FactName } from './device.ts';
import { fileSystemOf, mountedType, writtenOn, type Observation } from './observation.ts';

type Reading = readonly [FactName, string | undefined, Fact['source']];

/** What the sources say of one device, one fact each; what is unknown has none. */
export function factsOf(seen: Observation, nowIso: string): Fact[] {
  return [...hardwareFacts(seen), ...contentFacts(seen)].flatMap(([name, value, source]) =>
    value === undefined ? [] : [{ name, value, source, since: nowIso }],
  );
}

function hardwareFacts({ block }: Observation): Reading[] {
  return [
    ['name', block.name, 'sysfs'],
    ['size', `${block.sizeBytes}`, 'sysfs'],
    ['read-only', block.readOnly ? 'yes' : 'no', 'sysfs'],
    ['model', block.model, 'sysfs'],
    ['serial', block.serial, 'sysfs'],
    ['wwid', block.wwid, 'sysfs'],
    ['backing-file', block.backingFile, 'sysfs'],
    ['map-name', block.dmName, 'sysfs'],
    ['dm-uuid', block.dmUuid, 'sysfs'],
    ['md-uuid', block.mdUuid, 'sysfs'],
  ];
}

function contentFacts(seen: Observation): Reading[] {
  const { source, ...written } = writtenOn(seen);
  const partitionSource = seen.block.partUuid === undefined ? source : 'sysfs';
  const isMountsWord = mountedType(seen) !== undefined || written.fsType === undefined;
  return [
    ['partition-uuid', written.partUuid, partitionSource],
    ['partition-table', written.partitionTable, source],
    ['partition-table-uuid', written.partitionTableUuid, source],
    ['content', fileSystemOf(seen)?.type, isMountsWord ? 'mountinfo' : source],
    ['label', written.fsLabel, source],
    ['content-uuid', written.fsUuid, source],
    ['content-sub-uuid', written.fsUuidSub, source],
  ];
}

/** The facts of now; of those that have not changed, it is kept since when they are so. */
export function carryOn(before: readonly Fact[], now: readonly Fact[]): Fact[] {
  return now.map((fact) => {
    const same = before.find((one) => one.name === fact.name && one.value === fact.value);
    return same ? { ...fact, since: same.since } : fact;
  });
}

/** `name sda -> sdb, serial S1 -> (unknown)`; empty when both say the same. */
export function differencesOf(before: readonly Fact[], now: readonly Fact[]): string[] {
  const names = new Set([...before, ...now].map(({ name }) => name));
  const differences: string[] = [];
  for (const name of names) {
    const [was, is] = [before, now].map((facts) => valueOf(facts, name));
    if (was !== is) differences.push(`${name} ${was ?? UNKNOWN} -> ${is ?? UNKNOWN}`);
  }
  return differences;
}

const UNKNOWN = '(none)';

export function valueOf(facts: readonly Fact[], name: FactName): string | undefined {
  return facts.find((fact) => fact.name === name)?.value;
}
