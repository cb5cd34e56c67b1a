import type { ParameterDeclarations, ParameterValues } from '../../declare/parameters.ts';

export const PARAMETERS = {
  path: { type: 'string', required: true, bare: true, help: 'File on the other machine' },
  host: { type: 'string', required: true, help: 'The other machine' },
  port: { type: 'string', help: 'Port, a number or a name (default 22)' },
  user: { type: 'string', help: 'User there (default the name here)' },
  password: { type: 'password', help: 'Password of that user' },
  identity: { type: 'string', repeat: true, help: 'File of a private key' },
  passphrase: { type: 'password', help: 'What private keys are encrypted with' },
  'known-hosts': { type: 'string', help: 'File of the keys of known hosts' },
  'verify-remote-host': {
    type: 'boolean',
    default: 'true',
    help: 'Refuse a host that is not known by its key',
  },
  config: { type: 'string', help: 'File of the configuration of ssh, or empty for none' },
  compression: { type: 'boolean', help: 'Compress what is sent' },
  timeout: { type: 'integer', minimum: 0, help: 'Seconds to connect (default 20)' },
  create: { type: 'boolean', default: 'false', help: 'Make the file, or replace it' },
  'create-size': { type: 'size', help: 'Its size' },
  'create-mode': {
    type: 'integer',
    minimum: 0,
    maximum: 0o7777,
    default: '0600',
    help: 'Its mode',
  },
} as const satisfies ParameterDeclarations;

export type Parameters = ParameterValues<typeof PARAMETERS>;
