import { existsSync, readFileSync } from 'node:fs';
import { homedir, hostname, userInfo } from 'node:os';
import type { AnyAuthMethod, ConnectConfig } from 'ssh2';
import { messageOf, naming, UsageError } from '../../block/errors.ts';
import { portNumber } from '../../posix/services.ts';
import { expand, readConfig } from './config.ts';
import { KnownHosts } from './known-hosts.ts';
import type { Parameters } from './parameters.ts';

const IDENTITIES = ['id_ed25519', 'id_ecdsa', 'id_rsa'];
const CONFIGS = ['~/.ssh/config', '/etc/ssh/ssh_config'];
const KNOWN_HOSTS = ['~/.ssh/known_hosts', '/etc/ssh/ssh_known_hosts'];

/** Where to log in, and as whom. */
export interface Login {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  /** Files of keys that must be there, and those that may be. */
  readonly identities: readonly { readonly file: string; readonly named: boolean }[];
  readonly knownHosts: KnownHosts | undefined;
  readonly agent: string | undefined;
  readonly compression: boolean;
  readonly password: string | undefined;
  readonly passphrase: string | undefined;
  /** ms */
  readonly timeout: number;
}

/** By the parameters, and what they leave open by the files of ssh. @throws UsageError */
export function loginOf(parameters: Parameters): Login {
  const { host: name, identity, config, 'known-hosts': knownHosts, password } = parameters;
  const local = { home: homedir(), localUser: userInfo().username, localHost: hostname() };
  const early = { ...local, host: name, user: local.localUser, port: 22 };
  const configs = config === undefined ? CONFIGS : config === '' ? [] : [config];
  const found = readConfig(
    configs.map(file => expand(file, early)),
    name,
  );
  const first = (key: string) => found.get(key)?.[0];
  refuseJumps(first('proxyjump') ?? first('proxycommand'));
  const host = first('hostname')?.replace(/%h/g, name) ?? name;
  const port = naming('port', () => portNumber(parameters.port ?? first('port') ?? '22'));
  const user = parameters.user ?? first('user') ?? local.localUser;
  const path = (file: string) => expand(file, { ...local, host, user, port });
  const usual = found.get('identityfile') ?? IDENTITIES.map(each => `~/.ssh/${each}`);
  const files =
    knownHosts === undefined ? (found.get('userknownhostsfile') ?? KNOWN_HOSTS) : [knownHosts];
  const agent = first('identityagent') ?? process.env.SSH_AUTH_SOCK;
  return {
    host,
    port,
    user,
    identities: [
      ...identity.map(file => ({ file: path(file), named: true })),
      ...usual.map(file => ({ file: path(file), named: false })),
    ],
    knownHosts: parameters['verify-remote-host']
      ? new KnownHosts(files.map(path), host, port)
      : undefined,
    agent:
      agent === 'none' ? undefined : agent === 'SSH_AUTH_SOCK' ? process.env.SSH_AUTH_SOCK : agent,
    compression: parameters.compression ?? first('compression') === 'yes',
    password,
    passphrase: parameters.passphrase,
    timeout: (parameters.timeout ?? Number(first('connecttimeout') ?? 0)) * 1000,
  };
}

function refuseJumps(by: string | undefined): void {
  if (by === undefined || by === 'none') return;
  throw new UsageError(`config: the host is reached by way of '${by}', which is not supported`);
}

/** How ssh2 is told to log in. @throws UsageError a key that was named cannot be used. */
export function connectConfig(
  login: Login,
  parseKey: (data: Buffer, passphrase?: string) => unknown,
  debug: (message: string) => void,
): ConnectConfig {
  const { user: username, agent, password, knownHosts, compression, timeout } = login;
  const keys = login.identities.flatMap(({ file, named }): AnyAuthMethod[] => {
    const key = keyOf(file, named, login.passphrase, parseKey, debug);
    return key === undefined ? [] : [{ type: 'publickey', username, key: key as never }];
  });
  const named = login.identities.filter(each => each.named).length;
  const byPassword: AnyAuthMethod[] =
    password === undefined
      ? []
      : [
          { type: 'password', username, password },
          {
            type: 'keyboard-interactive',
            username,
            prompt: (_name, _instructions, _language, prompts, finish) =>
              finish(prompts.map(() => password)),
          },
        ];
  const methods: AnyAuthMethod[] = [
    { type: 'none', username },
    ...keys.slice(0, named),
    ...(agent ? [{ type: 'agent', username, agent } as const] : []),
    ...keys.slice(named),
    ...byPassword,
  ];
  const types = knownHosts?.types ?? [];
  return {
    username,
    authHandler: methods as never,
    readyTimeout: timeout || 20_000,
    keepaliveInterval: 30_000,
    algorithms: {
      compress: compression ? ['zlib@openssh.com', 'zlib', 'none'] : ['none'],
      ...(types.length > 0 && {
        serverHostKey: { prepend: preferred(types), append: [], remove: [] },
      }),
    } as NonNullable<ConnectConfig['algorithms']>,
  };
}

/** The signatures that go with keys: RSA keys have newer ones. */
function preferred(types: readonly string[]): string[] {
  return types.flatMap(type =>
    type === 'ssh-rsa' ? ['rsa-sha2-512', 'rsa-sha2-256', 'ssh-rsa'] : [type],
  );
}

function keyOf(
  file: string,
  named: boolean,
  passphrase: string | undefined,
  parseKey: (data: Buffer, passphrase?: string) => unknown,
  debug: (message: string) => void,
): unknown {
  if (!named && !existsSync(file)) return undefined;
  let key: unknown;
  try {
    key = parseKey(readFileSync(file), passphrase);
  } catch (error) {
    key = error;
  }
  if (!(key instanceof Error)) return key;
  const hint = /passphrase/i.test(key.message) ? ': give passphrase=, or use an agent' : '';
  const words = `identity: ${file}: ${messageOf(key)}${hint}`;
  if (named) throw new UsageError(words);
  debug(words);
  return undefined;
}
