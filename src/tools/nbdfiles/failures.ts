import { messageOf } from '../../block/errors.ts';
import { harmless } from '../../protocol/text.ts';
import { PipeClosed } from '../cli.ts';
import type { FilesLine } from './commands.ts';

/** Says something on standard error. */
export function warn({ program }: Pick<FilesLine, 'program'>, words: string): void {
  process.stderr.write(`${program}: ${harmless(words)}\n`);
}

/** What failed while the rest goes on. */
export class Failures {
  readonly #line: Pick<FilesLine, 'program'>;
  #any = false;

  constructor(line: Pick<FilesLine, 'program'>) {
    this.#line = line;
  }

  /** What a command ends with. @param status if nothing failed. */
  status(status: number): number {
    return this.#any ? 1 : status;
  }

  /** Tells of a failure. @throws PipeClosed when nobody reads any more. */
  readonly report = (path: string, error: unknown): void => {
    if (error instanceof PipeClosed) throw error;
    const words = messageOf(error);
    warn(this.#line, words.includes(path) ? words : `${path}: ${words}`);
    this.#any = true;
  };
}
