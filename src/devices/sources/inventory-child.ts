/**
 * A program of its own: prints, as JSON, what `systeminformation` knows of processor and machine. It
 * forks (lscpu, dmidecode, cat, dmesg) and waits for some of them synchronously, which must not happen
 * on the agent's main loop; and what it loads goes with the process.
 */
import systeminformation from 'systeminformation';
import type { Inventory } from './inventory.ts';

const [cpu, system] = await Promise.all([systeminformation.cpu(), systeminformation.system()]);
const inventory: Inventory = {
  cpu: { manufacturer: cpu.manufacturer, brand: cpu.brand },
  system: { manufacturer: system.manufacturer, model: system.model },
};
process.stdout.write(JSON.stringify(inventory));
