/** The part of JSON Schema that `config.yaml`'s description uses. */
export interface KeySchema {
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly description?: string;
  readonly default?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly maxItems?: number;
  readonly properties?: Readonly<Record<string, KeySchema>>;
  readonly required?: readonly string[];
  readonly items?: KeySchema;
}

export interface SchemaKey {
  /** `volumes.services.name`: a list's items have no step of their own. */
  readonly key: string;
  readonly schema: KeySchema;
  readonly required: boolean;
}

/** Every key that a schema allows, a map before what is in it. */
export function schemaKeys(schema: KeySchema, at = ''): SchemaKey[] {
  const { properties, required } = schema.items ?? schema;
  return Object.entries(properties ?? {}).flatMap(([name, child]) => {
    const key = at === '' ? name : `${at}.${name}`;
    const isRequired = required?.includes(name) ?? false;
    return [{ key, schema: child, required: isRequired }, ...schemaKeys(child, key)];
  });
}
