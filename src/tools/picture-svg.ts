import { harmless } from '../protocol/text.ts';
import { type Cell, type Grid, isMarked, type Picture } from './picture.ts';
import { about, legendOf } from './picture-text.ts';
import { meaningOf } from './status-map.ts';

export const SVG_GRID: Grid = { columns: 64, rows: 32 };

/** In pixels. */
const CELL = 12;
const LINE = 18;
const EDGE = 12;

const COLOURS: Readonly<Record<string, string>> = {
  data: '#2563eb',
  zero: '#a7c4f7',
  dirty: '#dc2626',
  clean: '#86c59a',
};
const MARKED = '#2563eb';
const UNMARKED = '#e5e7eb';

/** Pictures as one SVG document, one below the other. */
export function pictureSvg(pictures: readonly Picture[]): string {
  let y = EDGE;
  let body = '';
  for (const picture of pictures) {
    const { height, text } = drawn(picture, y);
    body += text;
    y += height + LINE;
  }
  const width = 2 * EDGE + CELL * SVG_GRID.columns;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${y}" viewBox="0 0 ${width} ${y}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="#ffffff"/>
${body}</svg>
`;
}

function drawn(picture: Picture, top: number): { height: number; text: string } {
  const { context, columns, cells } = picture;
  const title = `${context}, bytes ${picture.from} to ${picture.to}`;
  let text = `<text x="${EDGE}" y="${top + CELL}">${escaped(title)}</text>\n`;
  const first = top + LINE;
  for (const [index, cell] of cells.entries()) {
    const x = EDGE + (index % columns) * CELL;
    const y = first + Math.floor(index / columns) * CELL;
    text += cellOf(context, cell, x, y);
  }
  let height = LINE + Math.ceil(cells.length / columns) * CELL;
  for (const { type, name, share, size } of legendOf(picture)) {
    const y = top + height + LINE;
    const fill = fillOf(context, { type, marked: isMarked(context, type) ? 1 : 0 });
    text += `<rect x="${EDGE}" y="${y - CELL + 2}" width="10" height="10" fill="${fill}"/>`;
    text += `<text x="${EDGE + LINE}" y="${y}">${escaped(`${name}: ${size}, ${share}`)}</text>\n`;
    height += LINE;
  }
  return { height, text };
}

function cellOf(context: string, cell: Cell, x: number, y: number): string {
  const parts = [...cell.bytes].map(
    ([type, size]) => `${meaningOf(context, type) ?? `status ${type}`} ${about(size)}`,
  );
  const words = escaped(`at ${cell.from}: ${parts.join(', ')}`);
  const place = `x="${x}" y="${y}" width="${CELL - 1}" height="${CELL - 1}"`;
  return `<rect ${place} fill="${fillOf(context, cell)}"><title>${words}</title></rect>\n`;
}

/** The more of a cell is marked the more it has of that colour. */
function fillOf(context: string, { type, marked }: Pick<Cell, 'type' | 'marked'>): string {
  const meaning = meaningOf(context, type) ?? '';
  if (marked === 0) return COLOURS[meaning] ?? UNMARKED;
  const full = isMarked(context, type) ? (COLOURS[meaning] ?? MARKED) : MARKED;
  return mixed(UNMARKED, full, 0.25 + 0.75 * marked);
}

function mixed(from: string, to: string, share: number): string {
  const part = (at: number) => {
    const [a, b] = [from, to].map(colour => Number.parseInt(colour.slice(at, at + 2), 16));
    return Math.round(a! + (b! - a!) * share)
      .toString(16)
      .padStart(2, '0');
  };
  return `#${part(1)}${part(3)}${part(5)}`;
}

function escaped(text: string): string {
  return harmless(text).replace(/[&<>"]/g, character => `&#${character.charCodeAt(0)};`);
}
