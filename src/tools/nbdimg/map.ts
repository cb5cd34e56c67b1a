import type { Extent } from '../../block/device.ts';
import { allExtents } from '../../block/emulate.ts';
import { UsageError } from '../../block/errors.ts';
import { type ChainRun, findInChain } from '../../images/chain.ts';
import type { Image } from '../../images/image.ts';
import { BASE_ALLOCATION } from '../../protocol/constants.ts';
import { print } from '../cli.ts';
import { COLOUR_OPTIONS, painter, wantsColour } from '../colours.ts';
import type { Range } from '../range.ts';
import type { Asked } from '../status-map.ts';
import { COMMON, Given, neededSize, OUTPUT } from './common.ts';
import { fullName, Opening } from './opening.ts';
import type { Subcommand } from './subcommands.ts';

const OPTIONS = {
  ...COMMON,
  ...OUTPUT,
  start: { names: ['s', 'start-offset'], value: 'required' },
  length: { names: ['l', 'max-length'], value: 'required' },
  picture: { names: ['picture'], value: 'optional', values: 'file' },
  ...COLOUR_OPTIONS,
} as const;

/** Longest range that is asked for at once. */
const LONGEST = 2 ** 40;

interface Run extends ChainRun {
  readonly start: bigint;
}

const map: Subcommand = {
  options: OPTIONS,
  async run(line) {
    const given = new Given(line);
    const { json, one } = given;
    const number = (key: string, what: string) => {
      const text = given.text(key);
      return text === undefined ? undefined : neededSize(text, what);
    };
    const start = number('start', 'start offset') ?? 0n;
    const length = number('length', 'max length');
    const wanted = {
      readOnly: true,
      format: given.text('format'),
      options: given.has('imageOpts'),
    };
    const { image, close } = await new Opening(given).open(one, wanted);
    try {
      const { size } = image.device;
      const end = length === undefined || start + length > size ? size : start + length;
      if (given.has('picture')) {
        await draw(image, { from: start, to: end }, given);
        return 0;
      }
      const names = namesOf(image, one);
      if (!json) await print(heading());
      let first = true;
      for await (const run of runs(image, start, end)) {
        if (json) await print(`${first ? '[' : ',\n'}${asJson(run)}`);
        else await print(asText(run, names));
        first = false;
      }
      if (json) await print(first ? '[]\n' : ']\n');
      return 0;
    } finally {
      await close();
    }
  },
};
export default map;

/** Data and holes, and from which image of the chain they are. */
async function draw({ device }: Image, range: Range, given: Given): Promise<void> {
  const { showPictures } = await import('../picture-show.ts');
  const depth = device.contexts?.find(({ name }) => name === 'qemu:allocation-depth');
  const asked: Asked = {
    size: device.size,
    metaContexts: [BASE_ALLOCATION, ...(depth ? [depth.name] : [])],
    blockStatus: async (offset, length, options) => {
      const [context = BASE_ALLOCATION] = options?.contexts ?? [];
      const runs =
        context === depth?.name
          ? await depth!.status(offset, length)
          : (await allExtents(device, offset, Math.min(length, LONGEST))).map(statusOf);
      return new Map([[context, runs]]);
    },
  };
  const paint = painter(wantsColour(key => given.has(key)));
  await showPictures(asked, asked.metaContexts, range, { file: given.text('picture'), paint });
}

const statusOf = ({ length, hole, zero }: Extent) => ({
  length,
  flags: (hole ? 1 : 0) | (zero ? 2 : 0),
});

/** The names of the files of a chain, by their depth. */
function namesOf(image: Image, name: string): string[] {
  const names = [name];
  for (let layer: Image | undefined = image; layer?.facts.backing; layer = layer.backing) {
    names.push(fullName(layer.facts.backing.name, names.at(-1)!));
  }
  return names;
}

/** Neighbours that say the same are one run. */
async function* runs(image: Image, start: bigint, end: bigint): AsyncGenerator<Run> {
  let last: Run | undefined;
  for (let at = start; at < end; ) {
    const left = end - at < BigInt(LONGEST) ? Number(end - at) : LONGEST;
    const run = { ...(await findInChain(image, at, left)), start: at };
    at += BigInt(run.length);
    if (last && goesOn(last, run)) last = { ...last, length: last.length + run.length };
    else {
      if (last) yield last;
      last = run;
    }
  }
  if (last) yield last;
}

function goesOn(last: Run, run: Run): boolean {
  const keys = ['depth', 'present', 'zero', 'data', 'packed'] as const;
  if (keys.some(key => last[key] !== run[key])) return false;
  return last.at === undefined ? run.at === undefined : run.at === last.at + last.length;
}

const heading = () => `${'Offset'.padEnd(16)}${'Length'.padEnd(16)}${'Mapped to'.padEnd(16)}File\n`;

function asText({ start, length, at, zero, data, depth }: Run, names: readonly string[]): string {
  if (!data || zero) return '';
  if (at === undefined) {
    throw new UsageError('File contains external, encrypted or compressed clusters.');
  }
  const hex = (value: number | bigint) =>
    (value.toString() === '0' ? '0' : `0x${value.toString(16)}`).padEnd(16);
  return `${hex(start)}${hex(length)}${hex(at)}${names[depth] ?? ''}\n`;
}

function asJson({ start, length, depth, present, zero, data, at }: Run): string {
  const offset = at === undefined ? '' : `, "offset": ${at}`;
  return `{ "start": ${start}, "length": ${length}, "depth": ${depth}, "present": ${present}, "zero": ${zero}, "data": ${data}${offset}}`;
}
