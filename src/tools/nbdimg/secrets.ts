import { readFileSync } from 'node:fs';
import { reasonOf, UsageError } from '../../block/errors.ts';
import { splitOptions } from './option-text.ts';

/**
 * The secrets that `--object secret,id=ID,...` gives. @throws UsageError
 * @returns what finds one by its id, and throws a UsageError where there is none.
 */
export function secretsOf(objects: readonly string[]): (id: string | undefined) => Buffer {
  const secrets = new Map<string, Buffer>();
  for (const text of objects) {
    const [kind, ...words] = splitOptions(text);
    const options = Object.fromEntries(words.map(({ key, value }) => [key, value]));
    if (kind?.key === 'secret' && options.id !== undefined)
      secrets.set(options.id, contentOf(options));
    else if (kind?.key !== 'secret' && kind?.value !== 'secret') {
      throw new UsageError(`--object: only secrets are known here, and '${kind?.key}' is none`);
    } else throw new UsageError("Parameter 'id' is missing");
  }
  return id => {
    if (id === undefined) throw new UsageError("Parameter 'key-secret' is required for cipher");
    const secret = secrets.get(id);
    if (!secret) throw new UsageError(`No secret with id '${id}'`);
    // Whoever opens something with it wipes it afterwards.
    return Buffer.from(secret);
  };
}

function contentOf({ data, file, format }: Record<string, string>): Buffer {
  if (data !== undefined) return Buffer.from(data, format === 'base64' ? 'base64' : 'utf8');
  if (file === undefined) throw new UsageError("Must provide 'file' or 'data' property");
  try {
    const content = readFileSync(file);
    return format === 'base64' ? Buffer.from(content.toString(), 'base64') : content;
  } catch (error) {
    throw new UsageError(`--object: '${file}': ${reasonOf(error)}`);
  }
}
