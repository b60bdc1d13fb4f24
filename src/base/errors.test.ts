/** Goal: whatever is thrown comes out with a stable code, its message, and what the table says of it. */
import { describe, expect, it } from 'vitest';
import { HoldfastError, isErrorCode, toHoldfastError } from './errors.ts';

describe('HoldfastError', () => {
  it('carries status, exit code and retry from the one table', () => {
    const error = new HoldfastError('KeyModified', 'a is at 3, not 2');
    expect([error.httpStatus, error.exitCode, error.retry]).toEqual([409, 6, 'now']);
  });

  it('has a JSON form without what is not there', () => {
    expect(JSON.stringify(new HoldfastError('NotFound', 'no volume x'))).toBe(
      '{"code":"NotFound","message":"no volume x","retry":"never"}',
    );
  });
});

describe('toHoldfastError', () => {
  it('keeps ours as it is', () => {
    const error = new HoldfastError('Conflict', 'busy');
    expect(toHoldfastError(error)).toBe(error);
  });

  it('knows a full disk', () => {
    const full = Object.assign(new Error('ENOSPC: no space left on device, write'), {
      code: 'ENOSPC',
    });
    expect(toHoldfastError(full).code).toBe('NoSpace');
  });

  it.each([[new Error('boom')], ['boom'], [undefined]])(
    'makes a stranger Internal: %s',
    (thrown) => {
      const error = toHoldfastError(thrown);
      expect(error.code).toBe('Internal');
      expect(error.cause).toBe(thrown);
    },
  );
});

it('knows its own codes only', () => {
  expect([isErrorCode('NotFound'), isErrorCode('toString'), isErrorCode(3)]).toEqual([
    true,
    false,
    false,
  ]);
});
