/**
 * The part of XTS (IEEE 1619) that is no block cipher: each block of a sector is combined with the
 * tweak of the sector, which doubles in GF(2^128) from block to block. `whiten(data, tweaks, sectors,
 * blocks)` does so where `data` is in the two pages of `memory`, with 128 bits as two words:
 *
 *     loop $sector
 *       $low, $high = i64.load $tweaks, i64.load $tweaks + 8
 *       $left = $blocks
 *       loop $block
 *         i64.store $data, (i64.load $data) ^ $low
 *         i64.store $data + 8, (i64.load $data + 8) ^ $high
 *         $low, $high = $low << 1 ^ ($high >>s 63 & 0x87), $high << 1 | $low >>u 63
 *         $data += 16
 *         br_if $block  $left -= 1
 *       $tweaks += 16
 *       br_if $sector  $sectors -= 1
 */
const CODE = Buffer.from(
  'AGFzbQEAAAABCAFgBH9/f38AAwIBAAUDAQACBxMCBm1lbW9yeQIABndoaXRlbgAACngBdgIBfwJ+A0AgASkAACEFIAEpAAghBi' +
    'ADIQQDQCAAIAApAAAgBYU3AAAgACAAKQAIIAaFNwAIIAVCAYYgBkI/h0KHAYOFIAZCAYYgBUI/iIQhBiEFIABBEGohACAEQQFr' +
    'IgQNAAsgAUEQaiEBIAJBAWsiAg0ACws=',
  'base64',
);

/** Bytes of a cipher's block. */
export const BLOCK = 16;
/** Most bytes of data at once; the other page is for tweaks. */
export const MOST = 65536;

/** What is used of it here; TypeScript knows it only as a part of browsers. */
declare const WebAssembly: {
  readonly Module: new (code: Uint8Array) => object;
  readonly Instance: new (module: object) => { readonly exports: unknown };
};

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer };
  whiten(data: number, tweaks: number, sectors: number, blocks: number): void;
}

export class Whitener {
  /** Where data is put to be whitened; used by one caller after the other. */
  readonly data: Uint8Array;
  readonly #tweaks: Uint8Array;
  readonly #exports: Exports;

  constructor() {
    const instance = new WebAssembly.Instance(new WebAssembly.Module(CODE));
    this.#exports = instance.exports as Exports;
    this.data = new Uint8Array(this.#exports.memory.buffer, 0, MOST);
    this.#tweaks = new Uint8Array(this.#exports.memory.buffer, MOST);
  }

  /** Whitens as many sectors of `data` as there are tweaks. Doing it again undoes it. */
  apply(tweaks: Uint8Array, sector: number): void {
    this.#tweaks.set(tweaks);
    this.#exports.whiten(0, MOST, tweaks.length / BLOCK, sector / BLOCK);
  }
}
