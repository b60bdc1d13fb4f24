import { join, relative, resolve } from 'node:path';
import type { ServiceConfig } from '../../volumes/index.ts';
import { messageOf } from '../../base/errors.ts';
import { parseListen } from '../tcp-door.ts';
import type { Config, MqttConfig, SyncTargetConfig } from './config.ts';
import { originAt, type Problem } from './validate.ts';
import type { LocatedMap } from './yaml-file.ts';

type Path = readonly (string | number)[];
type Report = (path: Path, message: string) => void;

/** What the schema can't say: things that must fit together, and addresses. */
export function checkMeaning(config: Config, tree: LocatedMap, engineDir: string): Problem[] {
  const problems: Problem[] = [];
  const report: Report = (path, message) => {
    problems.push({ origin: originAt(tree, path), message });
  };
  checkServices(config.volumes.services, engineDir, report);
  checkTargets(config.sync.targets, report);
  checkListen(config.http.listen, report);
  if (config.mqtt) checkMqtt(config.mqtt, report);
  return problems;
}

function checkServices(
  services: readonly ServiceConfig[],
  engineDir: string,
  report: Report,
): void {
  for (const [index, service] of services.entries()) {
    const at: Path = ['volumes', 'services', index];
    for (const option of ['fsType', 'preallocate'] as const) {
      if (service.driver === 'loop' || service[option] === undefined) continue;
      report(
        [...at, option],
        `service \`${service.name}\`: \`${option}\` is for the loop driver only`,
      );
    }
    if (overlap(service.path, engineDir)) {
      report(
        [...at, 'path'],
        `service \`${service.name}\`: ${service.path} overlaps the engine's folder ${engineDir}`,
      );
    }
    for (const other of services.slice(0, index)) {
      if (other.name.toLowerCase() === service.name.toLowerCase()) {
        report([...at, 'name'], `service \`${service.name}\` is there twice (case doesn't count)`);
      } else if (overlap(other.path, service.path)) {
        report(
          [...at, 'path'],
          `service \`${service.name}\`: ${service.path} overlaps ${other.path} of service \`${other.name}\``,
        );
      }
    }
  }
}

/** True when the folders are the same or one lies in the other, as written (links not followed). */
export function overlap(one: string, other: string): boolean {
  return contains(one, other) || contains(other, one);
}

function contains(outer: string, inner: string): boolean {
  const way = relative(resolve(outer), resolve(inner));
  return way === '' || (way !== '..' && !way.startsWith('../'));
}

function checkTargets(targets: readonly SyncTargetConfig[], report: Report): void {
  for (const [index, target] of targets.entries()) {
    const at: Path = ['sync', 'targets', index];
    if (targets.slice(0, index).some((other) => other.id === target.id)) {
      report([...at, 'id'], `target \`${target.id}\` is there twice`);
    }
    for (const [number, endpoint] of target.endpoints.entries()) {
      const text = endpoint.includes('://') ? endpoint : `http://${endpoint}`;
      const problem = addressProblem(text, ['http:', 'https:'], true);
      if (problem)
        report([...at, 'endpoints', number], `target \`${target.id}\`: endpoint ${problem}`);
    }
    if ((target.tls?.certFile === undefined) !== (target.tls?.keyFile === undefined)) {
      report([...at, 'tls'], `target \`${target.id}\`: \`certFile\` and \`keyFile\` go together`);
    }
    checkLogin(target, at, report);
  }
}

function checkMqtt(mqtt: MqttConfig, report: Report): void {
  const problem = addressProblem(mqtt.url, ['mqtt:', 'mqtts:'], false);
  if (problem) report(['mqtt', 'url'], `\`mqtt.url\` ${problem}`);
  if (mqtt.caFile !== undefined && mqtt.url.startsWith('mqtt:')) {
    report(['mqtt', 'caFile'], '`mqtt.caFile` needs an mqtts:// url');
  }
  checkLogin(mqtt, ['mqtt'], report);
}

function checkLogin(
  login: { readonly username?: string | undefined; readonly passwordFile?: string | undefined },
  at: Path,
  report: Report,
): void {
  if (login.passwordFile !== undefined && login.username === undefined) {
    report([...at, 'passwordFile'], '`passwordFile` needs a `username`');
  }
}

/** What is wrong with an address, without repeating it: it may hold a password. */
function addressProblem(
  text: string,
  schemes: readonly string[],
  needsPort: boolean,
): string | undefined {
  if (!URL.canParse(text)) return `is not an address like ${schemes[0]}//host:port`;
  const url = new URL(text);
  if (url.username !== '' || url.password !== '') {
    return 'holds a user or password; use `username` and `passwordFile`';
  }
  if (!schemes.includes(url.protocol)) {
    return `must begin with ${schemes.map((scheme) => `${scheme}//`).join(' or ')}`;
  }
  if (url.hostname === '') return 'has no host';
  if (!['', '/'].includes(url.pathname) || url.search !== '' || url.hash !== '') {
    return 'must end after host and port';
  }
  // URL drops a port that is the scheme's own, so look at the text.
  return needsPort && !/:\d+\/?$/.test(text) ? 'has no port' : undefined;
}

function checkListen(listen: string | undefined, report: Report): void {
  if (listen === undefined) return;
  try {
    parseListen(listen);
  } catch (thrown) {
    report(['http', 'listen'], messageOf(thrown));
  }
}

export function defaultEngineDir(stateDir: string): string {
  return join(stateDir, 'engine');
}
