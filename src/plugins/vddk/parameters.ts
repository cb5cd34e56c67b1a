import type { ParameterDeclarations, ParameterValues } from '../../declare/parameters.ts';
import { ADAPTERS, COMPRESSIONS, DISK_TYPES, HARDWARE } from './constants.ts';

/** The words of a table, for `choices`. */
const wordsOf = <K extends string>(table: Readonly<Record<K, number>>) => Object.keys(table) as K[];

const PORT = { type: 'integer', minimum: 0, maximum: 65535 } as const;

export const PARAMETERS = {
  file: { type: 'string', bare: true, help: 'Disk: a path here, or [datastore] path there' },
  export: { type: 'string', help: 'Pattern of the disks that clients may name' },
  libdir: { type: 'path', help: 'Folder of the VDDK' },
  config: { type: 'path', help: 'Configuration file of the VDDK' },
  server: { type: 'string', help: 'vCenter or ESXi host' },
  user: { type: 'string', help: 'User there' },
  password: { type: 'password', help: 'Password of that user' },
  cookie: { type: 'string', secret: true, help: 'Cookie of a session there' },
  vm: { type: 'string', help: 'Virtual machine: moref=ID' },
  snapshot: { type: 'string', help: 'Managed object reference of a snapshot' },
  thumbprint: { type: 'string', help: 'SHA-1 fingerprint of the certificate of the host' },
  transports: { type: 'string', help: 'Modes of transport, MODE:MODE:...' },
  port: { ...PORT, help: 'Port of the host (default 443)' },
  nfchostport: { ...PORT, help: 'Port of the NFC protocol (default 902)' },
  compression: {
    type: 'string',
    choices: wordsOf(COMPRESSIONS),
    default: 'none',
    help: 'Compression between here and the host',
  },
  'single-link': { type: 'boolean', default: 'false', help: 'This link of a chain of disks only' },
  unbuffered: { type: 'boolean', default: 'false', help: 'Without the cache of this machine' },
  create: { type: 'boolean', default: 'false', help: 'Make a new local disk' },
  'create-size': { type: 'size', minimum: 512, help: 'Its size' },
  'create-type': {
    type: 'string',
    choices: wordsOf(DISK_TYPES),
    default: 'monolithic-sparse',
    help: 'Its kind',
  },
  'create-adapter-type': {
    type: 'string',
    choices: wordsOf(ADAPTERS),
    default: 'scsi-buslogic',
    help: 'The adapter that it is for',
  },
  'create-hwversion': {
    type: 'string',
    default: 'workstation5',
    help: `Virtual hardware: ${wordsOf(HARDWARE).join(', ')} or a number`,
  },
  vimapiver: { type: 'string', help: 'Ignored' },
} as const satisfies ParameterDeclarations;

export type Parameters = ParameterValues<typeof PARAMETERS>;
