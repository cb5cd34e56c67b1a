import type { ParameterDeclarations, ParameterValues } from '../../declare/parameters.ts';
import { WEB_PARAMETERS } from '../../http/parameters.ts';

export const PARAMETERS = {
  bucket: { type: 'string', required: true, help: 'Bucket' },
  key: { type: 'string', required: true, help: 'Object, or what the names of pieces begin with' },
  'access-key': { type: 'password', aliases: ['access_key'], help: 'Who asks' },
  'secret-key': { type: 'password', aliases: ['secret_key'], help: 'The secret of that key' },
  'session-token': {
    type: 'password',
    aliases: ['session_token'],
    help: 'What goes with keys that last for a while',
  },
  'endpoint-url': {
    type: 'string',
    aliases: ['endpoint_url'],
    help: 'Server (default that of Amazon)',
  },
  region: { type: 'string', help: 'Region (default that of the environment, or us-east-1)' },
  'addressing-style': {
    type: 'string',
    choices: ['auto', 'path', 'virtual'],
    default: 'auto',
    help: 'Whether the bucket is in the path or in the name of the host',
  },
  size: { type: 'size', minimum: 0, help: 'Size of a disk in pieces' },
  'object-size': { type: 'size', minimum: 4096, maximum: 1 << 30, help: 'Size of a piece' },
  ...WEB_PARAMETERS,
} as const satisfies ParameterDeclarations;

export type Parameters = ParameterValues<typeof PARAMETERS>;
