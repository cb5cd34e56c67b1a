import type { ParameterDeclarations } from '../../declare/parameters.ts';

export const PARAMETERS = {
  uri: { type: 'string', bare: true, help: 'NBD URI of the server' },
  hostname: { type: 'string', help: 'Host of the server, by TCP' },
  port: { type: 'string', help: 'Port with hostname or vsock (default 10809)' },
  vsock: { type: 'integer', aliases: ['cid'], minimum: 0, help: 'Machine of the server, by vsock' },
  socket: { type: 'path', help: 'Unix socket of the server' },
  'socket-fd': { type: 'integer', minimum: 0, help: 'Descriptor of a connection to the server' },
  command: { type: 'string', help: 'Program to run as the server, by socket activation' },
  arg: { type: 'string', repeat: true, help: 'An argument of the command' },
  export: { type: 'string', help: 'Export of the server to use (default the empty name)' },
  'dynamic-export': {
    type: 'boolean',
    default: 'false',
    help: 'Pass on the export that the client asks for',
  },
  retry: {
    type: 'integer',
    minimum: 0,
    default: '0',
    help: 'How often to try again to connect, after a second each',
  },
  shared: { type: 'boolean', help: 'Use one connection for all clients' },
  tls: { type: 'string', help: 'off, on (if the server has it) or require' },
  'tls-certificates': { type: 'path', help: 'Folder of certificates' },
  'tls-verify': { type: 'boolean', help: "Check the server's certificate" },
  'tls-username': { type: 'string', help: 'User whose pre-shared key to use' },
  'tls-psk': { type: 'path', help: 'File of pre-shared keys' },
} as const satisfies ParameterDeclarations;
