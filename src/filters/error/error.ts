import { existsSync } from 'node:fs';
import { before, type CallKind } from '../../block/around.ts';
import type { BlockDevice } from '../../block/device.ts';
import { BlockError, type Errno } from '../../block/errors.ts';
import { Random } from '../../content/random.ts';
import { defineFilter } from '../../declare/declare.ts';
import type { ParameterDeclarations } from '../../declare/parameters.ts';

/** The kinds of requests, by the names that they have here. */
const NAMES = {
  read: 'pread',
  write: 'pwrite',
  trim: 'trim',
  zero: 'zero',
  extents: 'extents',
  cache: 'cache',
} as const satisfies Partial<Record<CallKind, string>>;

type Kind = keyof typeof NAMES;

const ERRNOS = ['EPERM', 'EIO', 'ENOMEM', 'EINVAL', 'ENOSPC', 'ESHUTDOWN'] as const;

/** What there is for all kinds, and for each under its own name. */
function settings<const P extends string>(prefix: P, which: string) {
  return {
    [prefix]: { type: 'string', choices: ERRNOS, help: `How ${which} fail` },
    [`${prefix}-rate`]: { type: 'probability', help: `How many of ${which} fail` },
    [`${prefix}-file`]: { type: 'path', help: `Only while this file is there ${which} fail` },
  } as const satisfies ParameterDeclarations;
}

const OF_KINDS = Object.values(NAMES).map(name => settings(`error-${name}`, `${name} requests`));

export default defineFilter({
  name: 'error',
  description: 'makes requests fail at random',
  parameters: {
    ...settings('error', 'requests'),
    'error-seed': { type: 'string', help: 'What chance follows from' },
    ...(Object.assign({}, ...OF_KINDS) as ParameterDeclarations),
  },
  wrap: (below, parameters) => failing(below, parameters),
});

interface Failure {
  readonly errno: Errno;
  readonly rate: number;
  readonly file: string | undefined;
}

function failing(below: BlockDevice, parameters: Readonly<Record<string, unknown>>): BlockDevice {
  const seed = parameters['error-seed'] as string | undefined;
  const random = seed === undefined ? new Random() : new Random('error', seed);
  const failures = {} as Record<Kind, Failure>;
  for (const [kind, name] of Object.entries(NAMES)) {
    const given = (what: string) =>
      parameters[`error-${name}${what}`] ?? parameters[`error${what}`];
    failures[kind as Kind] = {
      errno: (given('') as Errno | undefined) ?? 'EIO',
      rate: (given('-rate') as number | undefined) ?? 0,
      file: given('-file') as string | undefined,
    };
  }
  return before(
    below,
    ({ kind, offset }) => {
      const { errno, rate, file } = failures[kind as Kind];
      if (file !== undefined && !existsSync(file)) return;
      if (rate < 1 && random.fraction() >= rate) return;
      const words = `injecting ${errno} error into ${NAMES[kind as Kind]}`;
      throw new BlockError(errno, words, { offset });
    },
    (Object.keys(NAMES) as Kind[]).filter(kind => failures[kind].rate > 0),
  );
}
