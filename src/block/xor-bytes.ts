/** Exclusive-or of bytes with as many others, where the first ones are. */
export function xorBytes(bytes: Uint8Array, mask: Uint8Array): void {
  const target = inWords(bytes);
  const other = inWords(mask);
  const count = bytes.length >>> 2;
  const words = new Uint32Array(target.buffer, target.byteOffset, count);
  const others = new Uint32Array(other.buffer, other.byteOffset, count);
  for (let at = 0; at < count; at++) words[at]! ^= others[at]!;
  for (let at = count * 4; at < bytes.length; at++) target[at]! ^= other[at]!;
  if (target !== bytes) bytes.set(target);
}

/** The bytes, or a copy of them where words can lie. */
function inWords(bytes: Uint8Array): Uint8Array {
  return bytes.byteOffset % 4 === 0 ? bytes : Uint8Array.from(bytes);
}
