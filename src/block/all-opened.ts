/**
 * Opens several at once, as each may be far away, and puts them into a list, so that they are closed even
 * when others fail.
 * @throws what the first that failed has thrown.
 */
export async function allOpened<T>(
  count: number,
  open: () => Promise<T>,
  into: T[],
): Promise<void> {
  const opening = Array.from({ length: Math.max(0, count) }, open);
  const outcomes = await Promise.allSettled(opening);
  for (const outcome of outcomes) if (outcome.status === 'fulfilled') into.push(outcome.value);
  await Promise.all(opening);
}
