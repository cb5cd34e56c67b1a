/**
 * All results, or the first error once none is under way any more: what they share, such as the memory
 * of whoever asked, is not in use then.
 */
export async function allOf<T>(underWay: readonly Promise<T>[]): Promise<T[]> {
  await Promise.allSettled(underWay);
  return Promise.all(underWay);
}
