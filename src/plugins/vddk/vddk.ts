import { alignedDevice } from '../../block/aligned.ts';
import type { OpenRequest } from '../../block/device.ts';
import { UsageError } from '../../block/errors.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import { type Context, definePlugin, sourceOf } from '../../declare/declare.ts';
import type { RawParameter } from '../../declare/parameters.ts';
import { Connection } from './connection.ts';
import { creationOf } from './creation.ts';
import { fileNames } from './file-names.ts';
import { DEFAULT_FOLDER, findLibrary, Library, type Telling, variablesFor } from './library.ts';
import { isRemote } from './login.ts';
import { PARAMETERS, type Parameters } from './parameters.ts';
import { Session } from './session.ts';

export default definePlugin({
  name: 'vddk',
  description: 'a disk of VMware, through its VDDK',
  parameters: PARAMETERS,
  debugFlags: ['datapath'],
  facts,
  async create(parameters, context) {
    const pathOf = fileNames(parameters);
    const creation = creationOf(parameters, isRemote(parameters));
    const session = await start(parameters, context);
    const link = parameters['single-link'];
    const open = async ({ exportName, readOnly }: OpenRequest) => {
      const opening = { path: pathOf(exportName), readOnly, creation };
      const connection = await Connection.open(session, parameters, opening);
      try {
        const device = alignedDevice(await connection.disk.device(link, context.debug));
        return wrapDevice(device, { ...PASS, close: () => connection.close() });
      } catch (error) {
        await connection.close();
        throw error;
      }
    };
    return { ...sourceOf(open), close: () => session.end() };
  },
});

/** Loads the library, in a process that it can load more in. @throws UsageError */
async function start(
  parameters: Parameters,
  context: Telling & Pick<Context, 'restart'>,
): Promise<Session> {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new UsageError('the VDDK is made for Linux on x86-64 only');
  }
  const { libdir: folder = DEFAULT_FOLDER, config, password, cookie } = parameters;
  const found = findLibrary(folder);
  if (!found) {
    throw new UsageError(
      `libdir: ${folder}/lib64/libvixDiskLib.so.8 (or .7, .6) is not there: expected the folder of the VDDK, which VMware offers`,
    );
  }
  const variables = variablesFor(found.file);
  if (variables && context.restart) {
    context.debug(`starts again with LD_LIBRARY_PATH=${variables.LD_LIBRARY_PATH}`);
    context.restart(variables);
  }
  const library = new Library(found, context);
  const secrets = [password, cookie].filter(each => each !== undefined);
  return Session.begin(library, { folder, config }, context, secrets);
}

const SILENT: Telling = { debug: () => {}, warn: () => {}, debugFlags: new Map() };

/** As the C nbdkit tells them: without the library only what is known without it. */
function facts(words: readonly RawParameter[]) {
  const folder = words.findLast(({ key }) => key === 'libdir')?.value ?? DEFAULT_FOLDER;
  return {
    vddk_default_libdir: DEFAULT_FOLDER,
    vddk_has_nfchostport: '1',
    ...factsOf(folder),
  };
}

function factsOf(folder: string): Record<string, string> {
  const found = findLibrary(folder);
  if (!found) return {};
  const library = new Library(found, SILENT);
  return {
    vddk_library_version: String(library.version),
    vddk_dll: library.file,
    ...Object.fromEntries(library.names.map(name => [name, '1'])),
  };
}
