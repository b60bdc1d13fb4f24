import { access, constants, readFile, statfs } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { formatBytes } from '../base/bytes.ts';
import { hasErrno, messageOf, toHoldfastError } from '../base/errors.ts';
import { parseMountinfo } from '../devices/index.ts';
import type { AgentClient } from './cli/client.ts';
import { loadConfig, type Config } from './config/index.ts';
import type { StatusReply } from './faces/agent-api/schema.ts';
import { configOptions, type Paths } from './paths.ts';

export interface Finding {
  readonly check: string;
  /** `note`: works, but a person should know. */
  readonly verdict: 'good' | 'note' | 'bad';
  readonly finding: string;
  readonly hint?: string;
}

/** Less than this free under the state folder is worth a note: the engine needs room to delete, too. */
const FREE_BYTES_MIN = 64 * 1024 * 1024;
/** Before this the clock was never set (no battery, no NTP yet). */
const CLOCK_PLAUSIBLE_SINCE_MS = Date.UTC(2024, 0, 1);

/** Looks at everything a support call would ask for; changes nothing. */
export async function examine(paths: Paths, client: AgentClient): Promise<Finding[]> {
  const config = await checkConfig(paths);
  const loop = config.value?.volumes.services.some((service) => service.driver === 'loop') ?? false;
  return [
    config.finding,
    await checkStateFolder(paths),
    ...(await checkTools(loop)),
    await checkLoop(loop),
    checkClock(),
    await checkMountNamespace(),
    ...(await checkAgent(client)),
  ];
}

async function checkConfig(paths: Paths): Promise<{ finding: Finding; value?: Config }> {
  try {
    const { config, files } = await loadConfig(configOptions(paths));
    const read = files.length === 0 ? `defaults (no ${paths.configFile})` : files.join(', ');
    return { finding: { check: 'configuration', verdict: 'good', finding: read }, value: config };
  } catch (thrown) {
    return { finding: bad('configuration', thrown) };
  }
}

async function checkStateFolder({ stateDir }: Paths): Promise<Finding> {
  const check = 'state folder';
  try {
    await access(stateDir, constants.R_OK | constants.W_OK);
    const { bavail, bsize } = await statfs(stateDir);
    const freeBytes = bavail * bsize;
    const finding = `${stateDir}, ${formatBytes(freeBytes)} free`;
    if (freeBytes >= FREE_BYTES_MIN) return { check, verdict: 'good', finding };
    return {
      check,
      verdict: 'note',
      finding,
      hint: 'free some space: writes will be refused soon',
    };
  } catch (thrown) {
    return {
      check,
      verdict: 'note',
      finding: messageOf(thrown),
      hint: hasErrno(thrown, 'ENOENT')
        ? 'the agent makes it at its first start'
        : "run doctor as the agent's user, or name its folder with --state-dir",
    };
  }
}

async function checkTools(needed: boolean): Promise<Finding[]> {
  const packages = {
    'mkfs.ext4': 'e2fsprogs',
    'mkfs.xfs': 'xfsprogs',
    blkid: 'util-linux',
    setpriv: 'util-linux',
  };
  const findings = await Promise.all(
    Object.entries(packages).map(async ([tool, name]): Promise<Finding> => {
      const path = await which(tool);
      if (path !== undefined) return { check: tool, verdict: 'good', finding: path };
      const hint = `install it: apt-get install ${name}`;
      return { check: tool, verdict: needed ? 'bad' : 'note', finding: 'not installed', hint };
    }),
  );
  return findings;
}

async function checkLoop(needed: boolean): Promise<Finding> {
  const check = 'loop devices';
  try {
    await access('/dev/loop-control', constants.R_OK | constants.W_OK);
    return { check, verdict: 'good', finding: '/dev/loop-control' };
  } catch (thrown) {
    const hint =
      process.getuid?.() === 0
        ? 'load the module: modprobe loop'
        : 'loop volumes need root to be mounted';
    return { check, verdict: needed ? 'bad' : 'note', finding: messageOf(thrown), hint };
  }
}

function checkClock(): Finding {
  const plausible = Date.now() >= CLOCK_PLAUSIBLE_SINCE_MS;
  return {
    check: 'clock',
    verdict: plausible ? 'good' : 'note',
    finding: new Date().toISOString(),
    ...(plausible
      ? {}
      : { hint: 'set it, or wait for NTP: TLS and log times will be wrong until then' }),
  };
}

/**
 * In a private mount namespace our mounts would be invisible to everybody else. A copied namespace has
 * new mount ids, so the id of `/` tells (the ns links of pid 1 need more rights than its mountinfo).
 */
async function checkMountNamespace(): Promise<Finding> {
  const check = 'mount namespace';
  const [mine, init] = await Promise.all(['self', '1'].map(rootMountId));
  if (mine === undefined || init === undefined) {
    return {
      check,
      verdict: 'note',
      finding: "pid 1's mounts can't be read",
      hint: 'run doctor as root',
    };
  }
  if (mine === init) return { check, verdict: 'good', finding: "the host's own" };
  return {
    check,
    verdict: 'note',
    finding: "not the host's: volumes mounted from here are invisible outside",
    hint: 'look for Private*, Protect*, ReadOnlyPaths= and the like in the unit (systemd.exec(5))',
  };
}

async function rootMountId(pid: string): Promise<number | undefined> {
  const text = await readFile(`/proc/${pid}/mountinfo`, 'utf8').catch(() => '');
  return parseMountinfo(text).find((entry) => entry.mountPoint === '/')?.mountId;
}

async function checkAgent(client: AgentClient): Promise<Finding[]> {
  let status: StatusReply;
  try {
    status = await client.json<StatusReply>('/agent/v1/status');
  } catch (thrown) {
    return [bad('agent', thrown)];
  }
  const findings: Finding[] = [
    {
      check: 'agent',
      verdict: status.state === 'degraded' ? 'bad' : 'good',
      finding: `${status.state}, version ${status.version}, pid ${status.pid}`,
    },
  ];
  for (const reason of status.reasons)
    findings.push({ check: 'agent', verdict: 'bad', finding: reason });
  if (status.mqtt) {
    const { state, lastError } = status.mqtt;
    const verdict = state === 'refused' ? 'bad' : state === 'offline' ? 'note' : 'good';
    findings.push({
      check: 'mqtt',
      verdict,
      finding: [state, lastError].filter(Boolean).join(': '),
    });
  }
  for (const { id, running, restarts, lastError } of status.components) {
    if (running && lastError === undefined) continue;
    const finding = `${running ? 'runs' : 'waits for its next start'} after ${restarts} restarts: ${lastError ?? ''}`;
    findings.push({ check: `component ${id}`, verdict: running ? 'note' : 'bad', finding });
  }
  for (const target of status.sync) {
    const wrong = target.state === 'refused' || target.parked > 0;
    findings.push({
      check: `sync ${target.target}`,
      verdict: wrong ? 'bad' : target.state === 'offline' ? 'note' : 'good',
      finding: `${target.state}, ${target.lagRevisions} revisions behind${target.lastError ? `: ${target.lastError.message}` : ''}`,
    });
  }
  return findings;
}

function bad(check: string, thrown: unknown): Finding {
  const { message, hint } = toHoldfastError(thrown);
  return { check, verdict: 'bad', finding: message, ...(hint === undefined ? {} : { hint }) };
}

async function which(tool: string): Promise<string | undefined> {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  for (const folder of folders) {
    const path = join(folder, tool);
    try {
      await access(path, constants.X_OK);
      return path;
    } catch {
      // Not in this folder: the next one may have it.
    }
  }
  return undefined;
}
