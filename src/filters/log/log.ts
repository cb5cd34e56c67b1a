import type { DeviceSource, ListRequest } from '../../block/device.ts';
import { passSource } from '../../block/source.ts';
import { defineFilter } from '../../declare/declare.ts';
import { LoggedConnection } from './connection.ts';
import { quoteList } from './quote.ts';
import { Log } from './sink.ts';

export default defineFilter({
  name: 'log',
  description: 'writes every request and its answer to a file or hands them to a script',
  parameters: {
    logfile: { type: 'path', help: 'File to write to' },
    logappend: { type: 'boolean', default: 'false', help: 'Keep what is in the file already' },
    logscript: { type: 'string', help: 'Shell script to run for each line' },
  },
  async create({ logfile, logappend, logscript }, below, { readOnly, warn }) {
    if (logfile === undefined && logscript === undefined) return below;
    const log = new Log({ file: logfile, append: logappend, script: logscript, warn });
    await log.print({ act: 'Ready' }, { thread_model: PARALLEL });
    return loggedSource(below, log, readOnly);
  },
});

/** As the C log filter numbers the thread models. */
const PARALLEL = 3;

function loggedSource(below: DeviceSource, log: Log, readOnly: boolean): DeviceSource {
  let preconnects = 0;
  let connections = 0;
  let lists = 0;
  const list = async (request: ListRequest) => (await below.list?.(request)) ?? [{ name: '' }];
  return passSource(below, {
    preconnect: peer =>
      log.around({ act: 'Preconnect', id: ++preconnects }, { readonly: Number(readOnly) }, () =>
        below.preconnect?.(peer),
      ),
    open: async request => {
      const device = await below.open(request);
      const connection = new LoggedConnection(log, ++connections, device);
      await connection.connected(request);
      return connection.logged();
    },
    list: request =>
      log.around(
        { act: 'ListExports', id: ++lists },
        { readonly: Number(request.readOnly), tls: Number(request.tls) },
        () => list(request),
        exports => ({ exports: quoteList(exports.map(({ name }) => name)) }),
      ),
    close: async () => {
      await below.close?.();
      await log.close();
    },
  });
}
