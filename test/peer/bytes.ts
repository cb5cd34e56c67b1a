/** Bytes written out by hand, as the protocol document has them: `hex('4e42 444d')`, `u32(5)`. */

export function hex(digits: string): Buffer {
  const text = digits.replace(/\s+/g, '');
  const bytes = Buffer.from(text, 'hex');
  if (bytes.length * 2 !== text.length) throw new Error(`not hexadecimal: ${digits}`);
  return bytes;
}

export function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

export function u64(value: number | bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

export function join(...parts: readonly (Uint8Array | string)[]): Buffer {
  return Buffer.concat(parts.map(part => (typeof part === 'string' ? Buffer.from(part) : part)));
}
