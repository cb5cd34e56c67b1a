/** The numbers of the NBD protocol; section names are those of doc/proto.md. */

export const DEFAULT_PORT = 10809;

/** Longest string that the protocol allows, in bytes ('Conventions'). */
export const MAX_STRING = 4096;
/** Longest payload that every peer should accept ('Size constraints'). */
export const PORTABLE_PAYLOAD = 1 << 25;
/** Most extents in one block status chunk. */
export const MAX_EXTENTS = 1 << 20;

/** 'Handshake': "NBDMAGIC", then "IHAVEOPT" or the oldstyle magic. */
export const INIT_PASSWD = 0x4e42444d41474943n;
export const OPTION_MAGIC = 0x49484156454f5054n;
export const OLDSTYLE_MAGIC = 0x00420281861253n;
export const OPTION_REPLY_MAGIC = 0x0003e889045565a9n;

export const HandshakeFlag = { fixedNewstyle: 1, noZeroes: 2 } as const;
export const ClientFlag = { fixedNewstyle: 1, noZeroes: 2 } as const;

export const TransmissionFlag = {
  hasFlags: 1 << 0,
  readOnly: 1 << 1,
  flush: 1 << 2,
  fua: 1 << 3,
  rotational: 1 << 4,
  trim: 1 << 5,
  writeZeroes: 1 << 6,
  df: 1 << 7,
  multiConn: 1 << 8,
  resize: 1 << 9,
  cache: 1 << 10,
  fastZero: 1 << 11,
  blockStatusPayload: 1 << 12,
} as const;

export const Option = {
  exportName: 1,
  abort: 2,
  list: 3,
  starttls: 5,
  info: 6,
  go: 7,
  structuredReply: 8,
  listMetaContext: 9,
  setMetaContext: 10,
  extendedHeaders: 11,
  /** Not of proto.md: docs/protocol.md, as all that is called shared here. */
  sharedMemory: 0x6e627000,
} as const;

export const Rep = {
  ack: 1,
  server: 2,
  info: 3,
  metaContext: 4,
  sharedMemory: 0x6e627000,
  errUnsup: 0x80000001,
  errPolicy: 0x80000002,
  errInvalid: 0x80000003,
  errPlatform: 0x80000004,
  errTlsReqd: 0x80000005,
  errUnknown: 0x80000006,
  errShutdown: 0x80000007,
  errBlockSizeReqd: 0x80000008,
  errTooBig: 0x80000009,
  errExtHeaderReqd: 0x8000000a,
} as const;

export const Info = { export: 0, name: 1, description: 2, blockSize: 3 } as const;

export const Command = {
  read: 0,
  write: 1,
  disconnect: 2,
  flush: 3,
  trim: 4,
  cache: 5,
  writeZeroes: 6,
  blockStatus: 7,
} as const;

export const CommandFlag = {
  fua: 1 << 0,
  noHole: 1 << 1,
  df: 1 << 2,
  reqOne: 1 << 3,
  fastZero: 1 << 4,
  payloadLength: 1 << 5,
  shared: 1 << 15,
} as const;

export const REQUEST_MAGIC = 0x25609513;
export const EXTENDED_REQUEST_MAGIC = 0x21e41c71;
export const SIMPLE_REPLY_MAGIC = 0x67446698;
export const STRUCTURED_REPLY_MAGIC = 0x668e33ef;
export const EXTENDED_REPLY_MAGIC = 0x6e8a278c;

export const REPLY_FLAG_DONE = 1;

export const Reply = {
  none: 0,
  offsetData: 1,
  offsetHole: 2,
  blockStatus: 5,
  blockStatusExt: 6,
  sharedData: 0x6e70,
  error: 0x8001,
  errorOffset: 0x8002,
} as const;

/** Bit 15 of a chunk's type: an error. */
export const REPLY_ERROR_BIT = 0x8000;

/** The metadata context that every server has, and its flags. */
export const BASE_ALLOCATION = 'base:allocation';
export const AllocationFlag = { hole: 1, zero: 2 } as const;

/** Bytes of the fixed headers. */
export const REQUEST_SIZE = 28;
export const EXTENDED_REQUEST_SIZE = 32;
/** What follows them where memory is shared: where in it the payload is. */
export const PLACE_SIZE = 8;
export const SIMPLE_REPLY_SIZE = 16;
export const STRUCTURED_REPLY_SIZE = 20;
export const EXTENDED_REPLY_SIZE = 32;
