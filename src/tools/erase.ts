/** nbdzero and nbddiscard: everything on a disk is erased, or is looked at for being so. */
import { createInterface } from 'node:readline/promises';
import { alignedDevice } from '../block/aligned.ts';
import { isZero } from '../block/data.ts';
import type { BlockDevice } from '../block/device.ts';
import { extentsOf, trimRange, zeroRange } from '../block/emulate.ts';
import { BlockError } from '../block/errors.ts';
import { BASE_ALLOCATION } from '../protocol/constants.ts';
import { harmless } from '../protocol/text.ts';
import { type CommandLine, type Options, print, run } from './cli.ts';
import { RANGE_OPTIONS, type Range, rangeOf } from './range.ts';
import { STANDARD, understand } from './standard.ts';
import { oneEndpoint, openTarget, withClient } from './target.ts';
import { walk } from './walk.ts';

const OPTIONS = {
  check: { names: ['c', 'check'] },
  fastZero: { names: ['fast-zero'] },
  ...RANGE_OPTIONS,
  quiet: { names: ['q', 'quiet'] },
  verbose: { names: ['v', 'verbose'] },
  yes: { names: ['y', 'yes'] },
  ...STANDARD,
  help: { names: ['h', 'help'] },
} as const satisfies Options;

const DISCARD_OPTIONS = { ...OPTIONS, zero: { names: ['z', 'zero'] } } as const satisfies Options;

type Key = keyof typeof DISCARD_OPTIONS;

/** What is to become of a disk, as the options say. */
interface Wish {
  readonly zero: boolean;
  readonly fastZero: boolean;
  readonly check: boolean;
  /** Nobody is asked. */
  readonly yes: boolean;
  readonly quiet: boolean;
  readonly verbose: boolean;
}

const NO = 2;
/** The longest range that one request may be of. */
const LONGEST = Number.MAX_SAFE_INTEGER;

/** Runs one of the two commands. @param help its usage. */
export function runErase(name: 'nbdzero' | 'nbddiscard', help: string): void {
  run(name, async argv => {
    const options: Options = name === 'nbdzero' ? OPTIONS : DISCARD_OPTIONS;
    const line = await understand({ name, options, help: () => help }, argv);
    if (!line) return 0;
    const range = rangeOf(line.given);
    const wish = wishOf(name, line.given);
    const endpoint = oneEndpoint(line.words);
    const target = await openTarget(endpoint);
    try {
      return await withClient(target, [BASE_ALLOCATION], client => {
        const disk = harmless('word' in endpoint ? endpoint.word : endpoint.command.join(' '));
        return fulfil(wish, alignedDevice(client), range(client.size), disk);
      });
    } finally {
      await target.close();
    }
  });
}

function wishOf(name: string, given: CommandLine<string>['given']): Wish {
  const has = (key: Key) => given.some(option => option.key === key);
  const fastZero = has('fastZero');
  return {
    zero: name === 'nbdzero' || has('zero') || fastZero,
    fastZero,
    check: has('check'),
    yes: has('yes'),
    quiet: has('quiet'),
    verbose: has('verbose'),
  };
}

/** Does it; gives the exit status. @param disk what people know it by. */
async function fulfil(wish: Wish, device: BlockDevice, range: Range, disk: string) {
  const say = (words: string) => (wish.quiet ? undefined : print(`${words}\n`));
  if (wish.check) {
    const at = await firstLeft(wish, device, range);
    const state = wish.zero ? 'zero' : 'sparse';
    await say(at === undefined ? `${disk}: ${state}` : `${disk}: not ${state} at offset ${at}`);
    return at === undefined ? 0 : NO;
  }
  refuseInVain(wish, device);
  if (range.from === range.to) return 0;
  if (!wish.yes && !(await confirmed(disk, range))) {
    await say('nothing was changed');
    return 1;
  }
  await erase(wish, device, range);
  await device.flush?.();
  return 0;
}

/** Before anybody is asked. @throws BlockError it cannot be done. */
function refuseInVain({ zero, fastZero }: Wish, device: BlockDevice): void {
  if (!device.write) throw new BlockError('EPERM', 'the disk is read-only');
  if (!zero && !device.trim) {
    throw new BlockError('ENOTSUP', 'the server does not discard: nbdzero erases there');
  }
  if (fastZero && device.fastZero !== 'native') {
    throw new BlockError('ENOTSUP', '--fast-zero: the server does not know fast zeroing');
  }
}

async function confirmed(disk: string, { from, to }: Range): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const bytes = `bytes ${from} - ${to - 1n}`;
    const question = `PERMANENTLY ERASE everything on ${disk} ${bytes} (y/N)? `;
    const nobody = new Promise<string>(resolve => terminal.once('close', () => resolve('')));
    const answer = await Promise.race([terminal.question(question), nobody]);
    return /^\s*y(es)?\s*$/i.test(answer);
  } finally {
    terminal.close();
  }
}

async function erase({ zero, fastZero, verbose }: Wish, device: BlockDevice, { from, to }: Range) {
  if (verbose) {
    const bytes = `bytes ${from} - ${to - 1n}`;
    process.stderr.write(`${zero ? 'writing zeroes over' : 'discarding'} ${bytes}\n`);
  }
  for (let at = from; at < to; ) {
    const length = to - at < LONGEST ? Number(to - at) : LONGEST;
    if (zero) await zeroRange(device, at, length, { fastZero });
    else await trimRange(device, at, length);
    at += BigInt(length);
  }
}

/** @internal Where there is something that would have to be erased; undefined: nowhere. */
export function firstLeft(
  { zero }: Pick<Wish, 'zero'>,
  device: BlockDevice,
  range: Range,
): Promise<bigint | undefined> {
  return zero ? firstByte(device, range) : firstAllocated(device, range);
}

/** Where there is something else than zeroes. */
async function firstByte(device: BlockDevice, range: Range): Promise<bigint | undefined> {
  for await (const { at, bytes } of walk(device, range, 1)) {
    if (bytes && !isZero(bytes)) return at + BigInt(bytes.findIndex(byte => byte !== 0));
  }
  return undefined;
}

/** Where something is allocated, or nobody says that nothing is. */
async function firstAllocated(
  device: BlockDevice,
  { from, to }: Range,
): Promise<bigint | undefined> {
  for (let at = from; at < to; ) {
    const left = to - at < LONGEST ? Number(to - at) : LONGEST;
    for (const { length, hole } of await extentsOf(device, at, left)) {
      if (at >= to) break;
      if (!hole) return at;
      at += BigInt(length);
    }
  }
  return undefined;
}
