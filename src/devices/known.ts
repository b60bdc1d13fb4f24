/** What has been stored was JSON: a fact that isn't known must be absent in memory too, or it looks changed. */
export function withoutUnknown<T extends object>(facts: T): T {
  return Object.fromEntries(Object.entries(facts).filter(([, value]) => value !== undefined)) as T;
}
