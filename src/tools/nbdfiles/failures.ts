import { messageOf } from '../../block/errors.ts';
import { harmless } from '../../protocol/text.ts';
import { PipeClosed } from '../cli.ts';
import type { FilesLine } from './commands.ts';

/** Who speaks, and where lines go that are not for standard error. */
export interface Speaker extends Pick<FilesLine, 'program'> {
  readonly tell?: (line: string) => void;
}

/** Says something on standard error. */
export function warn({ program, tell }: Speaker, words: string): void {
  const line = `${program}: ${harmless(words)}\n`;
  if (tell) tell(line);
  else process.stderr.write(line);
}

/** What failed while the rest goes on. */
export class Failures {
  readonly #line: Speaker;
  #any = false;

  constructor(line: Speaker) {
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
