/** Goal: root gets the system's directories, everybody else XDG's; flags beat the environment. */
import { describe, expect, it } from 'vitest';
import { resolvePaths } from './paths.ts';

describe('resolvePaths', () => {
  it('root: the system directories', () => {
    expect(resolvePaths({}, { HOME: '/root', XDG_STATE_HOME: '/x' }, true)).toEqual({
      configFile: '/etc/holdfast/config.yaml',
      configExplicit: false,
      stateDir: '/var/lib/holdfast',
      socket: '/run/holdfast/holdfast.sock',
    });
  });

  it('a user: XDG with its fallbacks, relative values ignored', () => {
    expect(resolvePaths({}, { HOME: '/home/u', XDG_STATE_HOME: 'relative' }, false)).toEqual({
      configFile: '/home/u/.config/holdfast/config.yaml',
      configExplicit: false,
      stateDir: '/home/u/.local/state/holdfast',
      socket: '/home/u/.local/state/holdfast/holdfast.sock',
    });
    const env = {
      HOME: '/home/u',
      XDG_STATE_HOME: '/s',
      XDG_CONFIG_HOME: '/c',
      XDG_RUNTIME_DIR: '/run/user/7',
    };
    expect(resolvePaths({}, env, false)).toMatchObject({
      configFile: '/c/holdfast/config.yaml',
      stateDir: '/s/holdfast',
      socket: '/run/user/7/holdfast/holdfast.sock',
    });
  });

  it('flags beat the environment, which beats the defaults; a named file must exist', () => {
    const env = { HOLDFAST_CONFIG: '/e.yaml', HOLDFAST_STATE_DIR: '/e', HOLDFAST_SOCKET: '' };
    expect(resolvePaths({ stateDir: '/f' }, env, true)).toEqual({
      configFile: '/e.yaml',
      configExplicit: true,
      stateDir: '/f',
      socket: '/run/holdfast/holdfast.sock',
    });
  });
});
