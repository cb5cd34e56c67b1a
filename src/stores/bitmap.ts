/** Bits of a word. */
const WORD = 32;

/** A bit for each page of a disk, which several threads set and clear. */
export class Bitmap {
  /** Give it to another thread's `new Bitmap`. */
  readonly words: Int32Array<SharedArrayBuffer>;

  /** @param words those of another one, or how many pages there are: at most 2^31. */
  constructor(words: Int32Array<SharedArrayBuffer> | number) {
    this.words =
      typeof words === 'number'
        ? new Int32Array(new SharedArrayBuffer(4 * Math.ceil(words / WORD)))
        : words;
  }

  /** The first set bit from `page` on; `end` when there is none before it. */
  nextPresent(page: number, end: number): number {
    return this.#next(page, end, 0);
  }

  /** The first clear bit from `page` on; `end` when there is none before it. */
  nextAbsent(page: number, end: number): number {
    return this.#next(page, end, -1);
  }

  #next(page: number, end: number, inverted: 0 | -1): number {
    let mask = -1 << (page % WORD);
    for (let word = Math.floor(page / WORD); word * WORD < end; word++, mask = -1) {
      const found = (this.words[word]! ^ inverted) & mask;
      if (found !== 0) return Math.min(end, word * WORD + lowest(found));
    }
    return end;
  }

  /** Sets the bits from `first` to before `end`. */
  set(first: number, end: number): void {
    eachWord(first, end, (word, mask) => Atomics.or(this.words, word, mask));
  }

  /** Clears them. */
  clear(first: number, end: number): void {
    eachWord(first, end, (word, mask) => {
      if (this.words[word] !== 0) Atomics.and(this.words, word, ~mask);
    });
  }
}

const lowest = (bits: number) => 31 - Math.clz32(bits & -bits);

function eachWord(first: number, end: number, visit: (word: number, mask: number) => void): void {
  for (let page = first; page < end; ) {
    const word = Math.floor(page / WORD);
    const next = Math.min(end, (word + 1) * WORD);
    const count = next - page;
    visit(word, (count === WORD ? -1 : (1 << count) - 1) << (page % WORD));
    page = next;
  }
}
