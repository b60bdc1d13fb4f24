/**
 * The three request headers of libStorage, as its Go server parses them:
 *
 *     Libstorage-Instanceid:   DRIVER[:SERVICE]=ID[,k=v&k=v[,BASE64(JSON metadata)]]
 *     Libstorage-Localdevices: DRIVER=VOLUME::DEVICE[,VOLUME::DEVICE...]
 *     Libstorage-Tx:           txID=UUID, txCR=EPOCH SECONDS
 */

export interface InstanceId {
  readonly driver: string;
  readonly service: string;
  /** Empty when the client only has metadata, and asks us for its id. */
  readonly id: string;
  readonly fields: Readonly<Record<string, string>>;
}

/* The reference's expression is `^([^=]+)=([^,]*)(?:,(.*?))?(?:,(.+))?$`: the fields end at the first
   comma. Split by hand it is the same grammar, and linear on a line of 1 MiB. */
export function parseInstanceId(line: string): InstanceId | undefined {
  const equals = line.indexOf('=');
  if (equals < 1) return undefined;
  const [driver = '', service = ''] = line.slice(0, equals).split(':');
  const [id = '', query = '', ...metadata] = line.slice(equals + 1).split(',');
  // The metadata is read by nobody here, but a damaged one is a damaged header.
  if (metadata.length > 0 && !isBase64(metadata.join(','))) return undefined;
  return { driver, service, id, fields: Object.fromEntries(new URLSearchParams(query)) };
}

/** Volume id -> device. Keys are whatever the client's executor calls its volumes. */
export interface LocalDevices {
  readonly driver: string;
  readonly devices: ReadonlyMap<string, string>;
}

export function parseLocalDevices(line: string): LocalDevices | undefined {
  const equals = line.indexOf('=');
  if (equals < 1) return undefined;
  const driver = line.slice(0, equals).toLowerCase();
  const devices = new Map<string, string>();
  const list = line.slice(equals + 1);
  if (list === '') return { driver, devices };
  for (const entry of list.split(',')) {
    const [volume = '', ...rest] = entry.trim().split('::');
    const device = rest.join('::');
    if (rest.length === 0 || /\s/.test(volume) || /\s/.test(device)) return undefined;
    if (volume !== '') devices.set(volume, device);
  }
  return { driver, devices };
}

/** libStorage's own UUIDs have wrong variant bits: the id is any text, and only ever logged. */
export function parseTransaction(line: string): boolean {
  return /^txID=.+,\s*txCR=\d+$/i.test(line);
}

function isBase64(text: string): boolean {
  return text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text);
}
