import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { BlockError, UsageError } from '../../block/errors.ts';
import { runChild } from '../../posix/child.ts';
import type { Parameters } from './parameters.ts';
import type { Credentials } from './signature.ts';

/** Credentials are asked for anew so long before they expire, in ms. */
const EARLY = 5 * 60_000;
const LONGEST = 1 << 16;

/** What Amazon's own programs keep in their files for the profile that is chosen. */
export type Profile = ReadonlyMap<string, string>;

export function readProfile(): Profile {
  const { env } = process;
  const name = env.AWS_PROFILE ?? env.AWS_DEFAULT_PROFILE ?? 'default';
  const folder = join(homedir(), '.aws');
  const config = env.AWS_CONFIG_FILE ?? join(folder, 'config');
  const secrets = env.AWS_SHARED_CREDENTIALS_FILE ?? join(folder, 'credentials');
  const inConfig = name === 'default' ? name : `profile ${name}`;
  return new Map([...sectionOf(config, inConfig), ...sectionOf(secrets, name)]);
}

/** `KEY = VALUE` lines below `[NAME]`; none where there is no file. */
function sectionOf(file: string, name: string): [string, string][] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return [];
  }
  const found: [string, string][] = [];
  let inside = false;
  for (const line of text.split('\n')) {
    const [, heading] = /^\s*\[\s*(.*?)\s*\]/.exec(line) ?? [];
    if (heading !== undefined) inside = heading === name;
    const [, key, value] = /^([\w-]+)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
    if (inside && key !== undefined) found.push([key.toLowerCase(), value!]);
  }
  return found;
}

/**
 * What gives credentials: the parameters, the environment, the files of Amazon's programs, or the
 * program that these name.
 * @throws UsageError there are none.
 */
export function credentialsOf(
  parameters: Parameters,
  profile: Profile,
): () => Promise<Credentials> {
  const { env } = process;
  const fixed =
    both(parameters['access-key'], parameters['secret-key'], parameters['session-token']) ??
    both(env.AWS_ACCESS_KEY_ID, env.AWS_SECRET_ACCESS_KEY, env.AWS_SESSION_TOKEN) ??
    both(
      profile.get('aws_access_key_id'),
      profile.get('aws_secret_access_key'),
      profile.get('aws_session_token'),
    );
  if (fixed) return async () => fixed;
  const program = profile.get('credential_process');
  if (program !== undefined) return lasting(() => printedBy(program));
  const right = 'access-key and secret-key, AWS_ACCESS_KEY_ID, or a profile in ~/.aws/credentials';
  throw new UsageError(`there are no credentials: expected ${right}`);
}

function both(
  accessKey: string | undefined,
  secretKey: string | undefined,
  token: string | undefined,
): Credentials | undefined {
  if (!accessKey && !secretKey) return undefined;
  if (accessKey && secretKey) return { accessKey, secretKey, sessionToken: token || undefined };
  throw new UsageError('an access key and its secret key must be given together');
}

interface Lasting extends Credentials {
  /** ms since 1970 */
  readonly until: number;
}

/** Asks again when they are about to expire, or could not be had. */
function lasting(ask: () => Promise<Lasting>): () => Promise<Credentials> {
  let known: Promise<Lasting> | undefined;
  return async () => {
    const mine = known;
    const still = mine && (await mine.catch(() => undefined));
    if (still && Date.now() < still.until - EARLY) return still;
    if (known === mine) known = ask();
    return await known!;
  };
}

/** The output of a program, as JSON. @throws BlockError EIO */
async function printedBy(program: string): Promise<Lasting> {
  const name = 'credential_process';
  const options = { name, variables: process.env, limit: LONGEST };
  const { status, output } = await runChild('/bin/sh', ['-c', program], options);
  if (status !== 0) throw new BlockError('EIO', `${name}: it failed with status ${status}`);
  try {
    const said = JSON.parse(Buffer.concat(output).toString()) as Record<string, unknown>;
    const { AccessKeyId, SecretAccessKey, SessionToken, Expiration } = said;
    if (typeof AccessKeyId !== 'string' || typeof SecretAccessKey !== 'string') throw new Error();
    return {
      accessKey: AccessKeyId,
      secretKey: SecretAccessKey,
      sessionToken: typeof SessionToken === 'string' ? SessionToken : undefined,
      until: typeof Expiration === 'string' ? Date.parse(Expiration) : Number.POSITIVE_INFINITY,
    };
  } catch {
    throw new BlockError('EIO', `${name}: what it printed are no credentials, expected JSON`);
  }
}
