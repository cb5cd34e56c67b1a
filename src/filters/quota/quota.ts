import { failing } from '../../block/answer.ts';
import { around, type Call, type CallKind } from '../../block/around.ts';
import { BlockError, UsageError } from '../../block/errors.ts';
import { PerExport } from '../../block/per-export.ts';
import { defineFilter, wrapSource } from '../../declare/declare.ts';

/** What counts, by the parameter that limits it. */
const LIMITED = {
  quota: ['read', 'write', 'zero'],
  'quota-read': ['read'],
  'quota-write': ['write', 'zero'],
} as const satisfies Readonly<Record<string, readonly CallKind[]>>;

interface Quota {
  readonly key: string;
  readonly kinds: readonly CallKind[];
  readonly bytes: bigint;
}

export default defineFilter({
  name: 'quota',
  description: 'limits how many bytes are read and written in all',
  parameters: {
    quota: { type: 'size', help: 'Most bytes read and written together' },
    'quota-read': { type: 'size', help: 'Most bytes read' },
    'quota-write': { type: 'size', help: 'Most bytes written or zeroed' },
    'quota-per': {
      type: 'string',
      choices: ['export', 'connection'],
      default: 'export',
      help: 'What has a quota of its own: export (default) or connection',
    },
  },
  create(parameters, below) {
    const quotas = Object.entries(LIMITED).flatMap(([key, kinds]): Quota[] => {
      const bytes = parameters[key as keyof typeof LIMITED];
      return bytes === undefined ? [] : [{ key, kinds, bytes }];
    });
    if (quotas.length === 0) {
      throw new UsageError(`one must be given of ${Object.keys(LIMITED).join(', ')}`);
    }
    const accounts = new PerExport<Account>(below);
    const kinds = LIMITED.quota.filter(kind => quotas.some(each => each.kinds.includes(kind)));
    return wrapSource(below, async (device, request) => {
      const own = () => new Account(quotas);
      const account =
        parameters['quota-per'] === 'export' ? await accounts.of(request, own) : own();
      return around(device, (call, act) => account.charge(call, act), kinds);
    });
  },
});

interface Limit {
  readonly quota: Quota;
  /** In bytes. */
  left: bigint;
}

/** What is left of each quota. */
class Account {
  /** By the kind of calls that they limit. */
  readonly #limits = new Map<CallKind, Limit[]>();

  constructor(quotas: readonly Quota[]) {
    for (const quota of quotas) {
      const limit = { quota, left: quota.bytes };
      for (const kind of quota.kinds) {
        this.#limits.set(kind, [...(this.#limits.get(kind) ?? []), limit]);
      }
    }
  }

  /** Makes a call if there is room for all of it; one that fails does not count. */
  charge<T>({ kind, offset, length }: Call, act: () => T | PromiseLike<T>): T | PromiseLike<T> {
    const limits = this.#limits.get(kind)!;
    const bytes = BigInt(length);
    for (const { quota, left } of limits) {
      if (left >= bytes) continue;
      const words = `${quota.key}: ${left} of ${quota.bytes} bytes are left, and this would be ${length}`;
      throw new BlockError(kind === 'read' ? 'EPERM' : 'ENOSPC', words, { offset });
    }
    for (const limit of limits) limit.left -= bytes;
    return failing(act, () => {
      for (const limit of limits) limit.left += bytes;
    });
  }
}
