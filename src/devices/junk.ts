/**
 * Serial numbers and UUIDs that say nothing, because a vendor left them as the template had them. Two
 * devices that share one of these are not the same device.
 */

/** In upper case. Collected from dmidecode output and bug reports of other inventories. */
const KNOWN_JUNK: ReadonlySet<string> = new Set([
  '03000200-0400-0500-0006-000700080009',
  'BASE BOARD SERIAL NUMBER',
  'CHASSIS SERIAL NUMBER',
  'DEADBEEF',
  'DEFAULT',
  'DEFAULT STRING',
  'EMPTY',
  'GENERIC',
  'INVALID',
  'N/A',
  'NA',
  'NONE',
  'NOT APPLICABLE',
  'NOT AVAILABLE',
  'NOT PRESENT',
  'NOT SETTABLE',
  'NOT SPECIFIED',
  'NULL',
  'O.E.M.',
  'OEM',
  'SERIAL',
  'SERIAL NUMBER',
  'SYSTEM MANUFACTURER',
  'SYSTEM PRODUCT NAME',
  'SYSTEM SERIAL NUMBER',
  'TO BE FILLED BY O.E.M.',
  'TO BE FILLED BY OEM',
  'UNKNOWN',
]);

/** Counting up or down is what a bridge's firmware has until someone programs a serial. */
const COUNTING = ['0123456789ABCDEF0123456789ABCDEF', '1234567890ABCDEF1234567890', '9876543210'];
const COUNTING_LENGTH_MIN = 5;
/** `1`, `00`, `AB`: not enough to tell two devices apart. */
const SERIAL_LENGTH_MIN = 3;

/** True for what a vendor left as the template had it, be it a serial or the name of a maker (`HP` is one). */
export function isPlaceholder(text: string): boolean {
  return KNOWN_JUNK.has(text.trim().toUpperCase());
}

/** True for a serial number or UUID that must not identify anything. */
export function isJunk(serial: string): boolean {
  const text = serial.trim().toUpperCase();
  if (text.length < SERIAL_LENGTH_MIN || isPlaceholder(text)) return true;
  const bare = text.replace(/^0X/, '').replace(/[^0-9A-Z]/g, '');
  if (/^(.)\1*$/.test(bare) || bare === '') return true;
  return bare.length >= COUNTING_LENGTH_MIN && COUNTING.some((row) => row.startsWith(bare));
}

/** A world-wide id of only zeros or only Fs, whatever its prefix (`naa.0000…`, `eui.ffff…`). */
export function isJunkWwid(wwid: string): boolean {
  return isJunk(wwid.replace(/^[a-z0-9]+\./i, ''));
}
