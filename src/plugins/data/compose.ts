import { isZero } from '../../block/data.ts';
import {
  ComposedImage,
  firstEndingAfter,
  HoleImage,
  type Image,
  LiteralImage,
  type Piece,
  RepeatedImage,
  readImage,
  SlicedImage,
  ZeroImage,
} from './image.ts';

/** Up to this size what is composed is always written out. */
const SMALL = 512n;
/** Up to this size it is when the pieces are small. */
const LARGE = 32768n;
const SPACING = 256;

/** The simplest image of some bytes. */
export function literal(bytes: Uint8Array): Image {
  return isZero(bytes) ? new ZeroImage(BigInt(bytes.length)) : new LiteralImage(bytes);
}

/** `count` times an image, one after the other. */
export function repeated(of: Image, count: bigint): Image {
  if (count === 1n) return of;
  const size = of.size * count;
  if (size === 0n || of instanceof ZeroImage) return new HoleImage(size);
  if (of instanceof RepeatedImage) return new RepeatedImage(of.of, of.count * count);
  return new RepeatedImage(of, count);
}

/** The bytes of an image from `start` to before `end`. */
export function sliced(of: Image, start: bigint, end: bigint): Image {
  const size = end - start;
  if (size === of.size) return of;
  if (size === 0n || of instanceof HoleImage) return new HoleImage(size);
  if (of instanceof ZeroImage) return new ZeroImage(size);
  if (of instanceof LiteralImage) {
    return literal(of.bytes.subarray(Number(start), Number(end)));
  }
  if (of instanceof SlicedImage) return new SlicedImage(of.of, of.start + start, size);
  if (size <= SMALL) {
    const data = readImage(of, start, Number(size));
    return literal(data instanceof Uint8Array ? data.slice() : Buffer.concat(data));
  }
  return new SlicedImage(of, start, size);
}

/** Puts images at offsets, the later ones over the earlier ones. */
export class Composer {
  /** Where the furthest image or offset reaches. */
  size = 0n;
  private readonly pieces: Piece[] = [];

  /** Extends the disk to an offset. */
  reach(offset: bigint): void {
    if (offset > this.size) this.size = offset;
  }

  put(at: bigint, image: Image): void {
    if (image.size === 0n) return;
    const end = at + image.size;
    const { pieces } = this;
    const kept = image instanceof HoleImage ? [] : [{ at, image }];
    const first = at >= this.size ? pieces.length : firstEndingAfter(pieces, at);
    this.reach(end);
    if (first === pieces.length) {
      pieces.push(...kept);
      return;
    }
    let last = first;
    while (last < pieces.length && pieces[last]!.at < end) last += 1;
    pieces.splice(
      first,
      last - first,
      ...before(pieces[first]!, at),
      ...kept,
      ...after(pieces[last - 1], end),
    );
  }

  finish(): Image {
    const { size, pieces } = this;
    const [only] = pieces;
    if (!only) return new HoleImage(size);
    if (pieces.length === 1 && only.image.size === size) return only.image;
    const composed = new ComposedImage(pieces, size);
    const dense = size <= LARGE && size <= pieces.length * SPACING;
    if (size > SMALL && !dense) return composed;
    const views: Uint8Array[] = [];
    composed.collect(0n, Number(size), views);
    return literal(Buffer.concat(views, Number(size)));
  }
}

/** What is left of a piece in front of an offset. */
function before({ at, image }: Piece, offset: bigint): Piece[] {
  return at < offset ? [{ at, image: sliced(image, 0n, offset - at) }] : [];
}

/** What is left of a piece from an offset on. */
function after(piece: Piece | undefined, offset: bigint): Piece[] {
  if (!piece) return [];
  const { at, image } = piece;
  const end = at + image.size;
  return end > offset ? [{ at: offset, image: sliced(image, offset - at, image.size) }] : [];
}
