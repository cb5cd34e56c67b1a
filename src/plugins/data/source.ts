import { UsageError } from '../../block/errors.ts';

/** A text in the data language: the parameter itself, a file or the value of a variable. */
export interface Source {
  /** What people call it: `data`, `$VAR` or the file's name. */
  readonly name: string;
  readonly text: string;
}

/** Where something stands in a text: an index into it. */
export interface Place {
  readonly source: Source;
  readonly at: number;
}

const WIDTH = 76;

/** An error that shows the line and a caret under the place. */
export function faultAt({ source, at }: Place, message: string): UsageError {
  const { name, text } = source;
  const start = text.lastIndexOf('\n', at - 1) + 1;
  const newline = text.indexOf('\n', at);
  const end = newline < 0 ? text.length : newline;
  const line = text.slice(0, start).split('\n').length;
  const column = at - start;
  const from = start + Math.max(0, Math.min(column - WIDTH / 2, end - start - WIDTH));
  const shown = printable(text.slice(from, Math.min(end, from + WIDTH)));
  const caret = ' '.repeat(printable(text.slice(from, at)).length);
  return new UsageError(`${name}:${line}:${column + 1}: ${message}`, `  ${shown}\n  ${caret}^`);
}

function printable(text: string): string {
  return text.replace(/[\x00-\x1f\x7f]/g, ' ');
}
