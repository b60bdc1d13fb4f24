/** Goal: one state with its reasons, told to whoever listens, and offline is no reason. */
import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { AgentCore, type CoreParts } from './core.ts';
import { ServiceRunner } from './service.ts';

function newCore(): AgentCore {
  // The core only hands these on; what they do is tested where they are.
  const parts = { epoch: 'boot.1', runner: new ServiceRunner(pino({ level: 'silent' })) };
  return new AgentCore(parts as unknown as CoreParts);
}

describe('AgentCore', () => {
  it('starts, is ready, is degraded as long as a reason stands, stops', () => {
    const core = newCore();
    const states = [core.state().state];
    const note = (): void => void states.push(core.state().state);
    core.setReason('volume a', 'a is late');
    note();
    core.enter('running');
    note();
    expect(core.state().reasons).toEqual(['a is late']);
    core.setReason('volume b', 'b is late');
    core.setReason('volume a', undefined);
    note();
    core.setReason('volume b', undefined);
    note();
    core.enter('stopping');
    core.setReason('volume b', 'b is late');
    note();
    expect(states).toEqual(['starting', 'starting', 'degraded', 'degraded', 'ready', 'stopping']);
  });

  it('says since when: a further reason doesn’t make it younger', async () => {
    const core = newCore();
    core.enter('running');
    core.setReason('a', 'one');
    const { since } = core.state();
    await new Promise((resolve) => setTimeout(resolve, 5));
    core.setReason('b', 'two');
    expect(core.state()).toEqual({ state: 'degraded', since, reasons: ['one', 'two'] });
  });

  it('tells listeners what changed, until they leave', () => {
    const core = newCore();
    const heard: string[] = [];
    const leave = core.subscribe((part) => heard.push(part));
    core.setReason('a', 'one');
    core.setReason('a', 'one');
    core.setTarget('etcd', undefined);
    leave();
    core.setReason('a', undefined);
    expect(heard).toEqual(['state', 'sync']);
  });
});
