import { readFileSync } from 'node:fs';
import { messageOf, UsageError } from '../../block/errors.ts';
import { type Context, definePlugin, sourceOf } from '../../declare/declare.ts';
import { ALLOCATOR, allocatorFacts } from '../../stores/allocator.ts';
import { decodeBase64 } from './base64.ts';
import { Composer, literal, sliced } from './compose.ts';
import { writableDisk } from './disk.ts';
import { evaluate } from './evaluate.ts';
import type { Image } from './image.ts';
import { optimise } from './optimise.ts';
import { createOutside } from './outside.ts';
import { parse } from './parser.ts';
import { treeLines } from './print.ts';
import type { Source } from './source.ts';

export default definePlugin({
  name: 'data',
  description: 'a disk described on the command line',
  debugFlags: ['AST'],
  parameters: {
    data: { type: 'string', bare: true, help: 'Contents in the data language, or +FILE with them' },
    raw: { type: 'string', help: 'Contents as they stand' },
    base64: { type: 'string', help: 'Contents in base64' },
    size: { type: 'size', help: 'Size of the disk; the contents are cut or zeroes added' },
    allocator: ALLOCATOR,
  },
  extra: true,
  facts: () => ({ data_base64: 'yes', ...allocatorFacts() }),
  async create({ data, raw, base64, size, allocator }, context) {
    if ([data, raw, base64].filter(text => text !== undefined).length !== 1) {
      throw new UsageError('expected one of data, raw and base64');
    }
    const image =
      data !== undefined
        ? await described(data, size, context)
        : literal(raw !== undefined ? rawBytes(raw) : base64Bytes(base64!));
    const disk = writableDisk(resized(image, size), allocator);
    return sourceOf(() => disk);
  },
});

async function described(
  data: string,
  size: bigint | undefined,
  context: Pick<Context, 'extra' | 'debugFlags' | 'debug' | 'warn'>,
): Promise<Image> {
  const variables = (name: string) =>
    context.extra.findLast(({ key }) => key === name)?.value ?? process.env[name];
  const tree = optimise(parse(sourceText(data), variables));
  if (context.debugFlags.get('AST')) {
    const lines = ['BEGIN AST (-D data.AST=1)', ...treeLines(tree), 'END AST'];
    for (const line of lines) context.debug(line);
  }
  return await evaluate(
    tree,
    createOutside(message => context.warn(message)),
    size,
  );
}

function sourceText(data: string): Source {
  if (!data.startsWith('+')) return { name: 'data', text: data };
  const path = data.slice(1);
  try {
    return { name: path, text: readFileSync(path, 'utf8') };
  } catch (error) {
    throw new UsageError(`data: cannot read the expression: ${messageOf(error)}`);
  }
}

/** Node has decoded the command line; bytes that are not UTF-8 are lost by now. */
function rawBytes(text: string): Buffer {
  if (text.includes('\ufffd')) throw new UsageError('raw: not UTF-8: use base64= for any bytes');
  return Buffer.from(text);
}

function base64Bytes(text: string): Buffer {
  const bytes = decodeBase64(text);
  if (!bytes) throw new UsageError('base64: not base64: expected A-Z a-z 0-9 + / and = at the end');
  return bytes;
}

function resized(image: Image, size: bigint | undefined): Image {
  if (size === undefined || size === image.size) return image;
  if (size < image.size) return sliced(image, 0n, size);
  const composer = new Composer();
  composer.put(0n, image);
  composer.reach(size);
  return composer.finish();
}
