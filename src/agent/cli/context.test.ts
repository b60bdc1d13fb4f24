/** Goal: a number on the command line is a whole one within its bounds, or an error that says which; a query keeps every byte. */
import { describe, expect, it } from 'vitest';
import { wholeNumber, withQuery } from './context.ts';

describe('wholeNumber', () => {
  it.each(['1', '7', '10'])('takes %s', (text) => {
    expect(wholeNumber(1, 10)(text)).toBe(Number(text));
  });

  it.each(['0', '11', '', ' 1', '-1', '1.5', '1e1', '0x1', 'x', '99999999999999999999'])(
    'refuses %j',
    (text) => expect(() => wholeNumber(1, 10)(text)).toThrow('from 1 to 10'),
  );

  it('says what it wants when there is no upper bound', () => {
    expect(() => wholeNumber(1)('0')).toThrow('of at least 1');
    expect(() => wholeNumber(0)('9007199254740992')).toThrow('of at least 0');
  });
});

describe('withQuery', () => {
  it('encodes what there is and leaves out what is not', () => {
    expect(withQuery('/kv', {})).toBe('/kv');
    const path = withQuery('/kv', { key: 'a/ü&=%2F +', revision: 0, gone: undefined, flag: true });
    const query = new URL(path, 'http://localhost').searchParams;
    expect([...query]).toEqual([
      ['key', 'a/ü&=%2F +'],
      ['revision', '0'],
      ['flag', 'true'],
    ]);
  });
});
