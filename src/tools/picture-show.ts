import { writeFileSync } from 'node:fs';
import { reasonOf, UsageError } from '../block/errors.ts';
import { print } from './cli.ts';
import type { Painter } from './colours.ts';
import { pictureOf } from './picture.ts';
import { pictureSvg, SVG_GRID } from './picture-svg.ts';
import { gridFor, pictureText } from './picture-text.ts';
import type { Range } from './range.ts';
import { type Asked, mapOf } from './status-map.ts';

const TERMINAL_WIDTH = 80;

/**
 * Draws the maps of a disk on the terminal, or into a file.
 * @throws UsageError it cannot be written.
 */
export async function showPictures(
  disk: Asked,
  contexts: readonly string[],
  range: Range,
  { file, paint }: { readonly file: string | undefined; readonly paint: Painter },
): Promise<void> {
  const grid = file ? SVG_GRID : gridFor(process.stdout.columns ?? TERMINAL_WIDTH);
  const pictures = [];
  for (const context of contexts) {
    pictures.push(await pictureOf(mapOf(disk, context, range), context, range, grid));
  }
  if (!file) return print(pictures.map(each => pictureText(each, paint)).join('\n'));
  try {
    writeFileSync(file, pictureSvg(pictures));
  } catch (error) {
    throw new UsageError(`--picture: ${file}: ${reasonOf(error)}`);
  }
}
