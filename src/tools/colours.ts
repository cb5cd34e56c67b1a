/** ANSI colours around whole lines, when they are wanted. */
import type { Options } from './cli.ts';

/** The options of a command whose output may have colours. */
export const COLOUR_OPTIONS = {
  color: { names: ['color', 'colors', 'colour', 'colours'] },
  noColor: { names: ['no-color', 'no-colors', 'no-colour', 'no-colours'] },
} as const satisfies Options;

/** Whether to colour: as the options say, else when a terminal shows it. */
export function wantsColour(has: (key: keyof typeof COLOUR_OPTIONS) => boolean): boolean {
  return has('noColor') ? false : has('color') || process.stdout.isTTY === true;
}

export type Colour = keyof typeof CODES;

const CODES = {
  plain: [],
  dim: ['22;90'],
  bold: ['1;30'],
  good: ['22;32'],
  bad: ['22;31'],
  inverse: ['1;37', '40'],
  shaded: ['47'],
  bright: ['1;34'],
  letter: ['1;31'],
  sign: ['1;35'],
} as const;

/** Makes a terminal forget all colours. */
export const RESTORE = '\x1b[0m';

/** What makes a terminal go on in a colour. */
export function ink(colour: Colour): string {
  return CODES[colour].map(code => `\x1b[${code}m`).join('');
}

/** Lines in a colour, as they are when colours are not wanted. */
export type Painter = (colour: Colour, text: string) => string;

export function painter(coloured: boolean): Painter {
  return (colour, text) =>
    coloured && colour !== 'plain' ? `${ink(colour)}${text}${RESTORE}` : text;
}
