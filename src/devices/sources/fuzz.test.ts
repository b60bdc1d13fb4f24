/**
 * Goal: no parser of what the kernel, udev or blkid writes throws, hangs, or makes up what isn't there, whatever it is
 * given. Method: random bytes, and real lines with bytes changed, cut and doubled, from a seed that is printed.
 */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseBlkidExport } from './blkid.ts';
import { decodeMountField, parseMountinfo } from './mountinfo.ts';
import { parseSwaps } from './swaps.ts';
import { parseUnitSerial } from './sysfs.ts';
import { decodeValue, parseCount } from './tree.ts';
import { parseUdevRecord } from './udev.ts';

const SEED = 20_261_124;
const CASES = 2_000;

const MOUNTINFO =
  '36 35 98:0 /mnt1 /mnt/a\\040b\\134\\011 rw,noatime master:1 - ext3 /dev/root rw,errors=continue\n';
const SWAPS = 'Filename\t\tType\t\tSize\tUsed\tPriority\n/dev/my\\040disk partition\t1024\t0\t-2\n';
const UDEV = 'S:disk/by-id/x\nI:12\nE:ID_FS_TYPE=ext4\nE:ID_FS_LABEL_ENC=a\\x20b\nE:EMPTY=\nV:1\n';
const BLKID = 'DEVNAME=/dev/x\nLABEL=my\\ data\\$\nUUID=0c5f\nTYPE=ext4\n';

/** Some bytes of a real text replaced, taken out and doubled, or nothing of it left. */
function damaged(text: string): fc.Arbitrary<Buffer> {
  const change = fc.tuple(fc.nat(text.length), fc.nat(3), fc.uint8Array({ maxLength: 6 }));
  const mutated = fc.array(change, { maxLength: 8 }).map((changes) => {
    let bytes = Buffer.from(text);
    for (const [at, cut, more] of changes) {
      bytes = Buffer.concat([bytes.subarray(0, at), more, bytes.subarray(at + cut)]);
    }
    return bytes;
  });
  return fc.oneof(
    mutated,
    fc.uint8Array({ maxLength: 400 }).map((some) => Buffer.from(some)),
  );
}

/** The smallest text that does not hold, with what was thrown, if so. */
function counterexample(given: fc.Arbitrary<Buffer>, holds: (bytes: Buffer) => boolean): unknown {
  const { counterexample: found, errorInstance } = fc.check(fc.property(given, holds), {
    seed: SEED,
    numRuns: CASES,
  });
  return found && { found: found.map((bytes) => bytes.toString('latin1')), errorInstance };
}

// oxlint-disable-next-line no-control-regex -- control characters are what is looked for
const CONTROL = /[\x00-\x1f\x7f]/;

const isWhole = (text: string): boolean => Buffer.from(text).toString() === text;

describe(`parsers, ${CASES} cases each, seed ${SEED}`, () => {
  it('mountinfo: what it names was in the text, once the escapes are undone', () => {
    expect(parseMountinfo(MOUNTINFO)).toMatchObject([{ mountPoint: '/mnt/a b\\\t' }]);
    expect(
      counterexample(damaged(MOUNTINFO.repeat(3)), (bytes) =>
        parseMountinfo(bytes).every(({ mountPoint, fsType, major, minor }) => {
          return mountPoint !== '' && fsType !== '' && [major, minor].every(Number.isInteger);
        }),
      ),
    ).toBeNull();
  });

  it('a field of mountinfo: escapes of any bytes come back as those bytes', () => {
    const bytes = fc.uint8Array({ minLength: 1, maxLength: 40 }).map((some) => Buffer.from(some));
    expect(
      counterexample(bytes, (name) => {
        const field = [...name].map((byte) =>
          byte <= 0x20 || byte === 0x5c
            ? `\\${byte.toString(8).padStart(3, '0')}`
            : String.fromCharCode(byte),
        );
        const decoded = decodeMountField(field.join(''));
        const text = name.toString('utf8');
        return Buffer.from(text).equals(name) ? decoded === text : !decoded.includes('\ufffd');
      }),
    ).toBeNull();
  });

  it('/proc/swaps: only absolute paths', () => {
    expect(parseSwaps(SWAPS)).toEqual(['/dev/my disk']);
    expect(
      counterexample(damaged(SWAPS.repeat(2)), (bytes) =>
        parseSwaps(bytes).every((node) => node.startsWith('/')),
      ),
    ).toBeNull();
  });

  it('udev’s record: no name without value', () => {
    expect(parseUdevRecord(Buffer.from(UDEV)).get('ID_FS_TYPE')).toBe('ext4');
    expect(
      counterexample(damaged(UDEV), (bytes) =>
        [...parseUdevRecord(bytes)].every(([name, value]) => name !== '' && value !== ''),
      ),
    ).toBeNull();
  });

  it('blkid’s answer: no name without value', () => {
    expect(
      counterexample(damaged(BLKID), (bytes) =>
        [...parseBlkidExport(bytes.toString())].every(([name, value]) => {
          return /^[A-Z_0-9]+$/.test(name) && value !== '';
        }),
      ),
    ).toBeNull();
  });

  it('a value of sysfs: text without control characters, or nothing', () => {
    expect(
      counterexample(damaged(' ZFN0ABCD \n'), (bytes) => {
        const text = decodeValue(bytes);
        return text === undefined || (isWhole(text) && text !== '' && !CONTROL.test(text));
      }),
    ).toBeNull();
  });

  it('a number of sysfs: exact, or nothing', () => {
    const digits = fc.bigInt({ min: 0n, max: 10n ** 30n }).map((count) => Buffer.from(`${count}`));
    expect(
      counterexample(fc.oneof(damaged('3907029168'), digits), (bytes) => {
        const text = bytes.toString('latin1');
        const count = parseCount(text);
        return (
          count === undefined || (Number.isSafeInteger(count) && BigInt(text) === BigInt(count))
        );
      }),
    ).toBeNull();
  });

  it('the page with a disk’s serial: printable text, or nothing', () => {
    const page = Buffer.concat([Buffer.from([0, 0x80, 0, 8]), Buffer.from('ZFN0ABCD')]);
    expect(
      counterexample(damaged(page.toString('latin1')), (bytes) => {
        const serial = parseUnitSerial(bytes);
        return serial === undefined || /^[\x20-\x7e]+$/.test(serial);
      }),
    ).toBeNull();
  });
});
