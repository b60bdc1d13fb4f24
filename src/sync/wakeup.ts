export { Wakeup } from '../base/wakeup.ts';
