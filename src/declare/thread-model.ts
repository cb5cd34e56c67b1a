/** nbdkit's thread models: how much a plugin may be asked at once, the least first. */
export const THREAD_MODELS = [
  'serialize_connections',
  'serialize_all_requests',
  'serialize_requests',
  'parallel',
] as const;

export type ThreadModel = (typeof THREAD_MODELS)[number];

/** The model of a stack whose parts have these. */
export function strictest(models: readonly string[]): ThreadModel {
  return THREAD_MODELS.find(model => models.includes(model)) ?? 'parallel';
}
