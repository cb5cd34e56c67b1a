/** 16 bytes as text in groups; undefined where all are zero. */
export function uuidText(bytes: Buffer): string | undefined {
  const hex = bytes.toString('hex');
  if (/^0*$/.test(hex)) return undefined;
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
}
