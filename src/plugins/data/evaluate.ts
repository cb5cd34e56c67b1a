import { checkedSize, endOfSlice } from './checks.ts';
import { Composer, literal, repeated, sliced } from './compose.ts';
import { HoleImage, type Image, smaller } from './image.ts';
import { faultAt, type Place } from './source.ts';
import type { AssignNode, GroupNode, NameNode, Node, SeekNode, SliceNode } from './syntax.ts';

/** Where bytes from outside come from; `limit`: so many bytes are enough. */
export interface Outside {
  file(path: string, limit: bigint | undefined): Promise<Image>;
  script(code: string, limit: bigint | undefined): Promise<Image>;
}

/** Names seen from some point of the text: the last assignment and what was there before it. */
interface Scope {
  readonly name: string;
  readonly node: AssignNode;
  readonly outer: Scope | undefined;
  /** What the name stands for, once that is known: at least its first `limit` bytes. */
  known?: { readonly image: Image; readonly limit: bigint | undefined };
}

const MAX_REPETITIONS = 10_000;
const MAX_DEPTH = 500;

/**
 * The disk that a syntax tree describes.
 * @param limit so many bytes are enough; undefined: all.
 * @throws UsageError that shows the place.
 */
export async function evaluate(
  node: Node,
  outside: Outside,
  limit: bigint | undefined,
): Promise<Image> {
  return await new Evaluator(outside).image(node, undefined, limit);
}

class Evaluator {
  private readonly outside: Outside;
  private repetitions = 0;
  private depth = 0;

  constructor(outside: Outside) {
    this.outside = outside;
  }

  async image(node: Node, scope: Scope | undefined, limit: bigint | undefined): Promise<Image> {
    this.depth += 1;
    const tooDeep = () => faultAt(node.place, `nested more than ${MAX_DEPTH} deep`);
    if (this.depth > MAX_DEPTH) throw tooDeep();
    const image = await this.compute(node, scope, limit);
    this.depth -= 1;
    if (image.depth > MAX_DEPTH) throw tooDeep();
    return image;
  }

  private compute(
    node: Node,
    scope: Scope | undefined,
    limit: bigint | undefined,
  ): Image | Promise<Image> {
    switch (node.kind) {
      case 'bytes':
        return literal(node.bytes);
      case 'fill':
        return repeated(literal(Buffer.of(node.byte)), checkedSize(node.count, node.place));
      case 'file':
        return explained(node.place, this.outside.file(node.path, limit));
      case 'script':
        return explained(node.place, this.outside.script(node.code, limit));
      case 'repeat':
        return this.image(node.of, scope, limit).then(image => {
          checkedSize(image.size * node.count, node.place);
          return repeated(image, node.count);
        });
      case 'slice':
        return this.slice(node, scope, limit);
      case 'name':
        return this.named(node, scope, limit);
      case 'group':
        return this.group(node, scope, limit);
      case 'seek':
      case 'assign':
        return new HoleImage(0n);
    }
  }

  private async group(
    { items }: GroupNode,
    outer: Scope | undefined,
    limit: bigint | undefined,
  ): Promise<Image> {
    const composer = new Composer();
    let scope = outer;
    let at = 0n;
    for (const [index, item] of items.entries()) {
      if (item.kind === 'seek') {
        at = checkedSize(moved(item, at), item.place);
        composer.reach(at);
      } else if (item.kind === 'assign') {
        scope = { name: item.name, node: item, outer: scope };
      } else {
        const last = index === items.length - 1 && limit !== undefined;
        const image = await this.image(item, scope, last ? atLeastZero(limit - at) : undefined);
        checkedSize(at + image.size, item.place);
        composer.put(at, image);
        at += image.size;
      }
    }
    return composer.finish();
  }

  private async slice(
    node: SliceNode,
    scope: Scope | undefined,
    limit: bigint | undefined,
  ): Promise<Image> {
    const { of, start, end } = node;
    const enough = leastOf(end, limit === undefined ? undefined : start + limit);
    const image = await this.image(of, scope, enough);
    const sizeUnknown = of.kind === 'file' || of.kind === 'script';
    if (!sizeUnknown && (enough === undefined || image.size < enough)) endOfSlice(node, image.size);
    const to = enough === undefined ? image.size : smaller(enough, image.size);
    return to <= start ? new HoleImage(0n) : sliced(image, start, to);
  }

  private async named(
    { name, place }: NameNode,
    from: Scope | undefined,
    limit: bigint | undefined,
  ): Promise<Image> {
    let scope = from;
    while (scope && scope.name !== name) scope = scope.outer;
    if (!scope) throw faultAt(place, `\\${name} is not defined`);
    const { known } = scope;
    if (known && (known.limit === undefined || (limit !== undefined && limit <= known.limit))) {
      return known.image;
    }
    if (known) this.repetitions += 1;
    if (this.repetitions > MAX_REPETITIONS) throw faultAt(place, 'the expression takes too long');
    const image = await this.image(scope.node.of, scope.outer, limit);
    scope.known = { image, limit };
    return image;
  }
}

function moved({ how, value, place }: SeekNode, at: bigint): bigint {
  if (how === '') return value;
  if (how === '+') return at + value;
  if (how === '^') return (at + value - 1n) & -value;
  if (value > at)
    throw faultAt(place, `@-${value} goes back beyond the start: the offset is ${at}`);
  return at - value;
}

async function explained(place: Place, image: Promise<Image>): Promise<Image> {
  try {
    return await image;
  } catch (error) {
    throw faultAt(place, (error as Error).message);
  }
}

function leastOf(a: bigint | undefined, b: bigint | undefined): bigint | undefined {
  return a === undefined || b === undefined ? (a ?? b) : smaller(a, b);
}

function atLeastZero(value: bigint): bigint {
  return value > 0n ? value : 0n;
}
