/** `?force` and `?force=true` are set. */
export function isSet(flag: '' | 'true' | 'false' | undefined): boolean {
  return flag === '' || flag === 'true';
}
