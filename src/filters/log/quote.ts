/** A word as a POSIX shell would read it back; harmless ones stay as they are. */
export function quote(word: string): string {
  if (/^[\w@%+=:,./-]+$/.test(word)) return word;
  const escaped = word.replace(/["$\\`]/g, '\\$&');
  return `"${escaped.replace(/[\0-\x1f\x7f]/g, '?')}"`;
}

export function quoteList(words: readonly string[]): string {
  return `(${words.map(quote).join(' ')})`;
}
