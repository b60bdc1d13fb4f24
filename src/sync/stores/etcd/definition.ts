import { fromJSON, type PackageDefinition } from '@grpc/proto-loader';

/**
 * The part of the etcd v3 API that we call, field numbers as in the release tags 3.4.23 to 3.7.1
 * (rpc.proto and kv.proto of those tags). It is a module and not a .proto file, so that it is where
 * the compiled code is, too. A server skips what it doesn't know, so one definition serves all.
 */
const MESSAGES: Record<string, Record<string, string>> = {
  'mvccpb.KeyValue': {
    key: '1 bytes',
    create_revision: '2 int64',
    mod_revision: '3 int64',
    version: '4 int64',
    value: '5 bytes',
    lease: '6 int64',
  },
  ResponseHeader: {
    cluster_id: '1 uint64',
    member_id: '2 uint64',
    revision: '3 int64',
    raft_term: '4 uint64',
  },
  RangeRequest: {
    key: '1 bytes',
    range_end: '2 bytes',
    limit: '3 int64',
    revision: '4 int64',
    serializable: '7 bool',
    keys_only: '8 bool',
    count_only: '9 bool',
  },
  RangeResponse: {
    header: '1 ResponseHeader',
    kvs: '2 repeated .mvccpb.KeyValue',
    more: '3 bool',
    count: '4 int64',
  },
  PutRequest: { key: '1 bytes', value: '2 bytes', lease: '3 int64' },
  PutResponse: { header: '1 ResponseHeader' },
  DeleteRangeRequest: { key: '1 bytes', range_end: '2 bytes' },
  DeleteRangeResponse: { header: '1 ResponseHeader', deleted: '2 int64' },
  RequestOp: {
    request_range: '1 RangeRequest of request',
    request_put: '2 PutRequest of request',
    request_delete_range: '3 DeleteRangeRequest of request',
  },
  ResponseOp: {
    response_range: '1 RangeResponse of response',
    response_put: '2 PutResponse of response',
    response_delete_range: '3 DeleteRangeResponse of response',
  },
  Compare: {
    result: '1 CompareResult',
    target: '2 CompareTarget',
    key: '3 bytes',
    version: '4 int64 of target_union',
    create_revision: '5 int64 of target_union',
    mod_revision: '6 int64 of target_union',
    value: '7 bytes of target_union',
  },
  TxnRequest: {
    compare: '1 repeated Compare',
    success: '2 repeated RequestOp',
    failure: '3 repeated RequestOp',
  },
  TxnResponse: {
    header: '1 ResponseHeader',
    succeeded: '2 bool',
    responses: '3 repeated ResponseOp',
  },
  StatusRequest: {},
  StatusResponse: {
    header: '1 ResponseHeader',
    version: '2 string',
    dbSize: '3 int64',
    leader: '4 uint64',
    errors: '8 repeated string',
    isLearner: '10 bool',
  },
  AuthenticateRequest: { name: '1 string', password: '2 string' },
  AuthenticateResponse: { header: '1 ResponseHeader', token: '2 string' },
};

const ENUMS: Record<string, Record<string, number>> = {
  CompareResult: { EQUAL: 0, GREATER: 1, LESS: 2, NOT_EQUAL: 3 },
  CompareTarget: { VERSION: 0, CREATE: 1, MOD: 2, VALUE: 3 },
};

/** Service -> method -> message stem: `Range` takes RangeRequest and answers RangeResponse. */
const SERVICES: Record<string, Record<string, string>> = {
  KV: { Range: 'Range', Put: 'Put', Txn: 'Txn' },
  Maintenance: { Status: 'Status' },
  Auth: { Authenticate: 'Authenticate' },
};

/** 64-bit numbers as text: ids use all 64 bits, which a JavaScript number can't hold. */
export function loadDefinition(): PackageDefinition {
  const packages: Record<string, Record<string, object>> = { mvccpb: {}, etcdserverpb: {} };
  for (const [name, fields] of Object.entries(MESSAGES)) {
    const [packageName, messageName] = name.includes('.')
      ? name.split('.')
      : ['etcdserverpb', name];
    packages[packageName ?? '']![messageName ?? ''] = messageOf(fields);
  }
  for (const [name, values] of Object.entries(ENUMS)) packages.etcdserverpb![name] = { values };
  for (const [name, methods] of Object.entries(SERVICES)) {
    packages.etcdserverpb![name] = { methods: methodsOf(methods) };
  }
  const nested = Object.fromEntries(
    Object.entries(packages).map(([name, members]) => [name, { nested: members }]),
  );
  return fromJSON(
    { nested },
    { keepCase: true, longs: String, enums: String, defaults: true, oneofs: true },
  );
}

/** `'3 repeated Compare'`, `'4 int64 of target_union'` -> protobufjs's JSON form of a message. */
function messageOf(fields: Record<string, string>): object {
  const oneofs: Record<string, { oneof: string[] }> = {};
  const entries = Object.entries(fields).map(([name, text]) => {
    const [, id, repeated, type, oneof] =
      /^(\d+) (repeated )?(\S+)(?: of (\S+))?$/.exec(text) ?? [];
    if (oneof !== undefined) (oneofs[oneof] ??= { oneof: [] }).oneof.push(name);
    return [name, { id: Number(id), type, ...(repeated ? { rule: 'repeated' } : {}) }] as const;
  });
  return {
    fields: Object.fromEntries(entries),
    ...(Object.keys(oneofs).length > 0 ? { oneofs } : {}),
  };
}

function methodsOf(methods: Record<string, string>): object {
  return Object.fromEntries(
    Object.entries(methods).map(([name, stem]) => [
      name,
      { requestType: `${stem}Request`, responseType: `${stem}Response` },
    ]),
  );
}
