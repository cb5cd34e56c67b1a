import { bytesOf } from '../../formats/fs/names.ts';
import { harmless } from '../../protocol/text.ts';
import { print } from '../cli.ts';

/** A value of comma-separated ones, in quotation marks where it needs them. */
export function csvField(text: string): string {
  return /[ "\n,]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Text that is kept until there is much of it. */
const AT_ONCE = 1 << 16;

/** Standard output. Names have every byte of theirs, but on a terminal, where they obey. */
export class Output {
  #text = '';
  readonly #shown = process.stdout.isTTY ? harmless : (text: string) => text;

  async line(text: string): Promise<void> {
    this.#text += `${this.#shown(text)}\n`;
    if (this.#text.length > AT_ONCE) await this.flush();
  }

  async flush(): Promise<void> {
    const text = this.#text;
    this.#text = '';
    if (text !== '') await print(bytesOf(text));
  }
}
