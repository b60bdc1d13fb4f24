import type { IncomingMessage } from 'node:http';
import { isIP, isIPv6 } from 'node:net';
import { HoldfastError } from '../base/errors.ts';

export interface TcpAddress {
  readonly host: string;
  readonly port: number;
}

/**
 * `host:port` of the extra TCP listener. Loopback only: there is no authentication yet, and whoever
 * reaches this API can remove volumes.
 * @throws ConfigInvalid
 */
export function parseListen(listen: string): TcpAddress {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(listen);
  const port = Number(match?.[3]);
  if (!match || port > 65_535) {
    throw new HoldfastError('ConfigInvalid', `http.listen: "${listen}" isn't host:port`, {
      hint: 'for example 127.0.0.1:7979 or [::1]:7979',
    });
  }
  const name = match[1] ?? match[2] ?? '';
  // The name is not looked up: a resolver could answer with another address.
  const host = name.toLowerCase() === 'localhost' ? '127.0.0.1' : name;
  if (!isLoopback(host)) {
    throw new HoldfastError(
      'ConfigInvalid',
      `http.listen: "${listen}" isn't a loopback address, and this API has no authentication yet`,
      { hint: 'use 127.0.0.1:<port>, or forward the unix socket with ssh -L' },
    );
  }
  return { host, port };
}

function isLoopback(host: string): boolean {
  return host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

/**
 * A web page must not drive the agent through its visitor's browser. DNS rebinding needs a host
 * *name* in `Host`; a cross-site request carries `Origin` or `Sec-Fetch-Site`. Programs send neither.
 * @returns why the request is refused
 */
export function refuseBrowser(request: IncomingMessage): HoldfastError | undefined {
  const { host, origin } = request.headers;
  const site = request.headers['sec-fetch-site'];
  if (host !== undefined && !isLiteralHost(host)) {
    return new HoldfastError(
      'PermissionDenied',
      `the Host header "${clip(host)}" isn't this agent`,
      {
        hint: 'address it as 127.0.0.1, [::1] or localhost',
      },
    );
  }
  if (origin !== undefined || (site !== undefined && site !== 'none' && site !== 'same-origin')) {
    return new HoldfastError('PermissionDenied', 'requests of web pages are refused', {
      hint: 'leave out the Origin header',
    });
  }
  return undefined;
}

function isLiteralHost(host: string): boolean {
  const name = host.replace(/:\d*$/, '').toLowerCase();
  if (name === 'localhost') return true;
  const bracketed = /^\[(.+)\]$/.exec(name)?.[1];
  return bracketed === undefined ? isIP(name) === 4 : isIPv6(bracketed);
}

function clip(text: string): string {
  return text.length > 64 ? `${text.slice(0, 64)}…` : text;
}
