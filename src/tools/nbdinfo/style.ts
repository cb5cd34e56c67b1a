/** ANSI colours around whole lines, when they are wanted. */
export type Colour = keyof typeof CODES;

const CODES = {
  plain: [],
  dim: ['22;90'],
  bold: ['1;30'],
  good: ['22;32'],
  bad: ['22;31'],
  inverse: ['1;37', '40'],
  shaded: ['47'],
} as const;

/** Lines in a colour, as they are when colours are not wanted. */
export type Painter = (colour: Colour, text: string) => string;

export function painter(coloured: boolean): Painter {
  return (colour, text) => {
    const codes: readonly string[] = CODES[colour];
    if (!coloured || codes.length === 0) return text;
    return `${codes.map(code => `\x1b[${code}m`).join('')}${text}\x1b[0m`;
  };
}
