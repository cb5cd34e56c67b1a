/** Payload bytes of all connections together, and the least and most that one may hold. */
export const POOL = 1 << 27;
const SMALLEST = 1 << 19;
const LARGEST = 1 << 25;

/** Payload bytes that each of so many connections may hold, of a pool of theirs. */
export function shareOf(pool: number, connections: number): number {
  return Math.max(SMALLEST, Math.min(LARGEST, Math.floor(pool / connections)));
}
