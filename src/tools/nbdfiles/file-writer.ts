import { open } from 'node:fs/promises';
import { BlockError, errnoOf, reasonOf } from '../../block/errors.ts';
import type { Write } from './buffered.ts';

export interface FileWriter {
  readonly write: Write;
  end(): Promise<void>;
}

/** Writes a file of this machine from its start. @throws BlockError that begins with its name. */
export async function fileWriter(name: string): Promise<FileWriter> {
  const failing = (error: unknown) => {
    throw new BlockError(errnoOf(error), `${name}: ${reasonOf(error)}`, { cause: error });
  };
  const file = await open(name, 'w').catch(failing);
  return {
    write: async bytes => {
      await file.writeFile(bytes).catch(failing);
    },
    end: async () => {
      await file.close().catch(failing);
    },
  };
}
