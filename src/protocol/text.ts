import { MAX_STRING } from './constants.ts';

/** A message as UTF-8, cut between characters to the longest string that the protocol allows. */
export function messageBytes(text: string): Buffer {
  const bytes = Buffer.from(text);
  if (bytes.length <= MAX_STRING) return bytes;
  let end = MAX_STRING;
  while ((bytes[end]! & 0xc0) === 0x80) end -= 1;
  return bytes.subarray(0, end);
}

/** What terminals obey (control characters) and what turns or breaks lines; all of 16 bits. */
const HARMFUL = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}]/gu;

/**
 * Text from a peer for a terminal or a log: on one line and without effects of its own. What would
 * have some becomes `\u001b` and the like, as in JSON.
 */
export function harmless(text: string): string {
  return text.replace(
    HARMFUL,
    character => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Text as it stands between quotation marks in JSON: nothing of it is lost, nothing obeyed. */
export function jsonText(text: string): string {
  return harmless(text.replace(/["\\]/g, '\\$&'));
}
