/**
 * Crash testing: HOLDFAST_FAILPOINT=`create/format:after` makes the agent SIGKILL itself right there,
 * as a power cut would. The names are the planner's own steps. Unset (always, outside tests) there is
 * no hook at all.
 */
export type StepHook = (operation: string, step: string, when: 'before' | 'after') => void;

export function failpoint(env: NodeJS.ProcessEnv = process.env): StepHook | undefined {
  const armed = env['HOLDFAST_FAILPOINT'];
  if (armed === undefined || armed === '') return undefined;
  return (operation, step, when) => {
    if (`${operation}/${step}:${when}` === armed) process.kill(process.pid, 'SIGKILL');
  };
}
