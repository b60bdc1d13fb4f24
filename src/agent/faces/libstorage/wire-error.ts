/** An error whose words the reference server chose; `fields` become the body's `error`. */
export class WireError extends Error {
  readonly status: number;
  readonly fields: Readonly<Record<string, unknown>>;

  constructor(status: number, message: string, fields: Readonly<Record<string, unknown>>) {
    super(message);
    this.status = status;
    this.fields = fields;
  }
}
