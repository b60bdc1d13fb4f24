import { readFingerprint } from './host-fingerprint.ts';
import type { HostFingerprint } from './host.ts';
import { compareHosts, PART_NAMES, type HostComparison, type HostPart } from './same-host.ts';
import { Tree } from './sources/tree.ts';

/** One fact of the fingerprint, then and now. */
export interface ExplainedPart {
  readonly part: string;
  /** `partly`: some network cards of several. `unknown`: one side doesn't have it, so it has no vote. */
  readonly likeness: 'same' | 'partly' | 'different' | 'unknown';
  readonly stored?: string;
  readonly now?: string;
}

export interface HostExplanation {
  readonly relation: HostComparison['relation'];
  readonly parts: readonly ExplainedPart[];
}

/** Whether this machine is the one of a fingerprint, and by what. Nothing is stored. */
export async function explainHost(stored: HostFingerprint, root = '/'): Promise<HostExplanation> {
  const now = await readFingerprint(new Tree(root));
  const { relation, equal, replaced } = compareHosts(stored, now);
  const parts = (Object.keys(PART_NAMES) as HostPart[]).map((part): ExplainedPart => {
    const isEqual = equal.includes(part);
    const isReplaced = replaced.includes(part);
    const likeness = isEqual
      ? isReplaced
        ? 'partly'
        : 'same'
      : isReplaced
        ? 'different'
        : 'unknown';
    return { part: PART_NAMES[part], likeness, ...valuesOf(part, stored, now) };
  });
  return { relation, parts };
}

function valuesOf(part: HostPart, stored: HostFingerprint, now: HostFingerprint) {
  const [was, is] = [stored, now].map((one) => [one[part] ?? []].flat().join(' '));
  return { ...(was ? { stored: was } : {}), ...(is ? { now: is } : {}) };
}
