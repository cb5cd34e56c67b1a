import { checkedSize, endOfSlice } from './checks.ts';
import { Constants } from './constants.ts';
import type { GroupNode, Node, RepeatNode, SliceNode } from './syntax.ts';

/** A repeat of constant bytes is written out up to this size; larger ones stay repeats. */
const WRITTEN_OUT = 512;

/**
 * The same disk said more shortly: constants are joined, repeats and slices of constants folded,
 * groups that change nothing opened.
 * @throws UsageError for slices outside of constants and sizes beyond 2^63-1.
 */
export function optimise(node: Node): Node {
  switch (node.kind) {
    case 'group':
      return group(node);
    case 'repeat':
      return repeat({ ...node, of: optimise(node.of) });
    case 'slice':
      return slice({ ...node, of: optimise(node.of) });
    case 'assign':
      return { ...node, of: optimise(node.of) };
    default:
      return node;
  }
}

function group(node: GroupNode): Node {
  const items: Node[] = [];
  const constants = new Constants(items);
  for (const item of node.items.map(optimise).flatMap(opened)) {
    if (item.kind === 'bytes' || item.kind === 'fill') {
      constants.add(item);
    } else {
      constants.flush();
      items.push(item);
    }
  }
  constants.flush();
  const [only] = items;
  if (items.length === 1 && only!.kind !== 'seek' && only!.kind !== 'assign') return only!;
  return { ...node, items };
}

/** The items of a group that has neither offsets nor names of its own stand as well outside. */
function opened(node: Node): readonly Node[] {
  if (node.kind !== 'group') return [node];
  const closed = node.items.some(({ kind }) => kind === 'seek' || kind === 'assign');
  return closed ? [node] : node.items;
}

function repeat(node: RepeatNode): Node {
  const { of, count, place } = node;
  if (count === 0n) return { kind: 'group', items: [], place };
  if (count === 1n && of.kind !== 'assign') return of;
  if (of.kind === 'repeat') {
    return { ...node, of: of.of, count: checkedSize(of.count * count, place) };
  }
  if (of.kind === 'fill') return { ...of, count: checkedSize(of.count * count, place) };
  if (of.kind !== 'bytes') return node;
  const { bytes } = of;
  const size = checkedSize(BigInt(bytes.length) * count, place);
  if (bytes.length === 0) return of;
  if (isUniform(bytes)) return { kind: 'fill', byte: bytes[0]!, count: size, place };
  if (size > WRITTEN_OUT) return node;
  return { ...of, bytes: Buffer.alloc(Number(size), bytes) };
}

function isUniform(bytes: Buffer): boolean {
  return bytes.subarray(1).equals(bytes.subarray(0, -1));
}

function slice(node: SliceNode): Node {
  const { of, start, place } = node;
  if (of.kind !== 'bytes' && of.kind !== 'fill') return node;
  const end = endOfSlice(node, of.kind === 'fill' ? of.count : BigInt(of.bytes.length));
  if (end === start) return { kind: 'group', items: [], place };
  if (of.kind === 'fill') return { ...of, count: end - start };
  return { ...of, bytes: of.bytes.subarray(Number(start), Number(end)) };
}
