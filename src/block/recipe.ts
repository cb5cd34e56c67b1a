import type { BlockDevice, OpenRequest, Recipe } from './device.ts';

/**
 * Makes a device again of what the first one said of itself, over the devices below.
 * @throws BlockError
 */
export type Maker = (
  from: never,
  over: readonly BlockDevice[],
  request: OpenRequest,
) => BlockDevice | PromiseLike<BlockDevice>;

/** Finds a maker by its name; `undefined` stands for the plugin that the program runs. */
export type Makers = (by: string | undefined) => Maker | PromiseLike<Maker>;

/** Makes the device of a recipe, from the bottom up. What was made is closed when it fails. */
export async function remake(
  { by, from, over = [] }: Recipe,
  makers: Makers,
  request: OpenRequest,
): Promise<BlockDevice> {
  const made: BlockDevice[] = [];
  try {
    for (const recipe of over) made.push(await remake(recipe, makers, request));
    const maker = await makers(by);
    return await maker(from as never, made, request);
  } catch (error) {
    for (const device of made) await device.close?.();
    throw error;
  }
}

/** The recipe of a device over others; undefined where one of those has none. */
export function recipeOver(
  by: string,
  from: unknown,
  ...below: readonly BlockDevice[]
): Recipe | undefined {
  const over = below.flatMap(({ recipe }) => recipe ?? []);
  return over.length === below.length ? { by, from, over } : undefined;
}

/**
 * Gives a device the recipe of the one below, where what is added to it is for the connection, which
 * stays in its thread: what is done when it is closed, or said when it is opened.
 */
export function withRecipeOf(below: BlockDevice, device: BlockDevice): BlockDevice {
  const get = () => below.recipe;
  return Object.defineProperty(device, 'recipe', { get, enumerable: true, configurable: true });
}
