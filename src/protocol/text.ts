import { MAX_STRING } from './constants.ts';

/** A message as UTF-8, cut between characters to the longest string that the protocol allows. */
export function messageBytes(text: string): Buffer {
  const bytes = Buffer.from(text);
  if (bytes.length <= MAX_STRING) return bytes;
  let end = MAX_STRING;
  while ((bytes[end]! & 0xc0) === 0x80) end -= 1;
  return bytes.subarray(0, end);
}
