import type { ParameterDeclarations, ParameterValues } from '../../declare/parameters.ts';
import { WEB_PARAMETERS } from '../../http/parameters.ts';

export const PARAMETERS = {
  url: { type: 'string', required: true, bare: true, secret: true, help: 'http:// or https://' },
  'allow-hosts': {
    type: 'string',
    repeat: true,
    help: 'Hosts, *.domains and networks that may be asked; no other, and none of this link',
  },
  cainfo: { type: 'string', help: "File of authorities' certificates ('': those of Node)" },
  capath: { type: 'path', help: "Folder of authorities' certificates" },
  connections: WEB_PARAMETERS.connections,
  cookie: { type: 'password', help: 'Cookies to send: NAME=VALUE; NAME=VALUE' },
  cookiefile: { type: 'string', help: 'File of cookies to begin with, or empty for none' },
  cookiejar: { type: 'path', help: 'File of cookies, which are kept there at the end' },
  'cookie-script': { type: 'string', secret: true, help: 'Shell script that prints the cookies' },
  'cookie-script-renew': {
    type: 'integer',
    minimum: 0,
    default: '0',
    help: 'Run again after SECS',
  },
  followlocation: { type: 'boolean', default: 'true', help: 'Follow redirects' },
  header: { type: 'string', repeat: true, secret: true, help: 'NAME: VALUE, NAME; or NAME:' },
  'header-script': { type: 'string', secret: true, help: 'Shell script that prints headers' },
  'header-script-renew': {
    type: 'integer',
    minimum: 0,
    default: '0',
    help: 'Run again after SECS',
  },
  'http-version': {
    type: 'string',
    choices: ['none', '1.1'],
    default: 'none',
    help: 'It is 1.1 always',
  },
  ipresolve: {
    type: 'string',
    choices: ['any', 'v4', '4', 'v6', '6'],
    default: 'any',
    help: 'Which kind of addresses to use',
  },
  password: { type: 'password', help: 'Password for the server' },
  protocols: { type: 'string', help: 'Which of http,https may be used' },
  proxy: { type: 'string', secret: true, help: 'Proxy, or empty for none' },
  'proxy-cainfo': { type: 'path', help: 'As cainfo, for an https proxy' },
  'proxy-capath': { type: 'path', help: 'As capath, for an https proxy' },
  'proxy-password': { type: 'password', help: 'Password for the proxy' },
  'proxy-user': { type: 'string', help: 'User for the proxy' },
  resolve: { type: 'string', repeat: true, help: 'HOST:PORT:ADDRESS, which is not looked up' },
  'ssl-cipher-list': { type: 'string', help: 'Ciphers up to TLS 1.2' },
  'ssl-version': {
    type: 'string',
    default: 'default',
    help: 'Lowest (or max-: highest) TLS version',
  },
  sslverify: WEB_PARAMETERS.sslverify,
  'tcp-keepalive': { type: 'boolean', default: 'true', help: 'Find out that the server is gone' },
  'tcp-nodelay': { type: 'boolean', default: 'true', help: 'Send at once' },
  timeout: {
    type: 'integer',
    minimum: 0,
    default: '0',
    help: 'Seconds for a request; 0: no limit',
  },
  'tls13-ciphers': { type: 'string', help: 'Ciphers of TLS 1.3' },
  'unix-socket-path': { type: 'path', help: 'Unix socket of the server' },
  user: { type: 'string', help: 'User for the server' },
  'user-agent': { type: 'string', help: 'What to call this program' },
} as const satisfies ParameterDeclarations;

export type Parameters = ParameterValues<typeof PARAMETERS>;
