import { harmless } from '../protocol/text.ts';
import type { Colour, Painter } from './colours.ts';
import { type Cell, type Grid, isMarked, type Picture } from './picture.ts';
import { colourOf, meaningOf, toTenth } from './status-map.ts';

/** As the share of what is marked grows. */
const SHADES = '░▒▓█';
const ROWS = 16;
/** What stands before a row, and the frame. */
const MARGIN = 14;
const WIDEST = 128;
const NARROWEST = 8;

/** Cells that fit into a terminal. @param width of the terminal, in characters. */
export function gridFor(width: number): Grid {
  return { columns: Math.max(NARROWEST, Math.min(WIDEST, width - MARGIN)), rows: ROWS };
}

/** A picture for a terminal, with its legend. */
export function pictureText(picture: Picture, paint: Painter): string {
  const { context, columns, cells } = picture;
  const lines = [harmless(context)];
  for (let start = 0; start < cells.length; start += columns) {
    const row = cells.slice(start, start + columns);
    const place = row[0]!.from.toString(16).padStart(10, '0');
    lines.push(`${place} │${drawn(context, row, paint)}│`);
  }
  for (const { type, name, share, size } of legendOf(picture)) {
    const marked = isMarked(context, type) ? 1 : 0;
    const sample = drawn(context, [{ type, marked }], paint);
    lines.push(`${sample} ${share.padStart(6)} ${size.padStart(8)}  ${name}`);
  }
  const [cell] = cells;
  if (cell) lines.push(`1 cell: ${about(cell.to - cell.from)}`);
  return `${lines.join('\n')}\n`;
}

/** What the picture shows, in words. */
export function legendOf({ context, totals, from, to }: Picture) {
  return totals.map(({ type, size }) => ({
    type,
    name: meaningOf(context, type) ?? `status ${type}`,
    share: `${toTenth((100 * Number(size)) / Number(to - from))}%`,
    size: about(size),
  }));
}

type Look = Pick<Cell, 'type' | 'marked'>;

/** Neighbours of one colour are painted together. */
function drawn(context: string, cells: readonly Look[], paint: Painter): string {
  let text = '';
  let glyphs = '';
  for (const [index, { type, marked }] of cells.entries()) {
    const ink = inkOf(context, type);
    glyphs += glyphOf(context, type, marked);
    const next = cells[index + 1];
    if (next && inkOf(context, next.type) === ink) continue;
    text += paint(ink, glyphs);
    glyphs = '';
  }
  return text;
}

function glyphOf(context: string, type: bigint, marked: number): string {
  if (marked > 0) return SHADES[Math.min(SHADES.length - 1, Math.floor(marked * SHADES.length))]!;
  return meaningOf(context, type) === 'zero' ? '0' : '·';
}

function inkOf(context: string, type: bigint): Colour {
  const colour = colourOf(meaningOf(context, type));
  if (colour === 'bold') return 'bright';
  return colour === 'plain' ? 'dim' : colour;
}

/** A size that people read: `1.5G`. */
export function about(size: bigint): string {
  let value = Number(size);
  let unit = '';
  for (const larger of 'KMGTPE') {
    if (value < 1024) break;
    value /= 1024;
    unit = larger;
  }
  return `${Number.isInteger(value) ? value : value.toFixed(1)}${unit}`;
}
