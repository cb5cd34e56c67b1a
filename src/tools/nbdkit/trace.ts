/** With -v each part of a stack tells what it is asked for, in the words of the C nbdkit. */
import type { BlockDevice, DeviceSource, OpenRequest } from '../../block/device.ts';
import { passSource } from '../../block/source.ts';
import { PASS, type Wrapping, wrapDevice } from '../../block/wrap.ts';

/** What is shown: opening and closing, and requests. */
export interface TraceOptions {
  readonly control: boolean;
  readonly data: boolean;
  debug(message: string): void;
}

/** The source of the part of this name, which tells what it is asked for. */
export function traced(name: string, source: DeviceSource, options: TraceOptions): DeviceSource {
  const control = (message: string) => {
    if (options.control) options.debug(`${name}: ${message}`);
  };
  const data = (message: string) => options.debug(`${name}: ${message}`);
  return passSource(source, {
    open: async request => {
      control(openText(request));
      const device = await source.open(request);
      const close = () => {
        control('close');
        return device.close?.();
      };
      return wrapDevice(device, { ...(options.data ? tracing(device, data) : PASS), close });
    },
    close: () => {
      control('unload');
      return source.close?.();
    },
    ...(source.list && {
      list: request => {
        control(`list_exports readonly=${Number(request.readOnly)} tls=${Number(request.tls)}`);
        return source.list!(request);
      },
    }),
  });
}

function openText({ readOnly, exportName, tls }: OpenRequest): string {
  return `open readonly=${Number(readOnly)} exportname="${exportName}" tls=${Number(tls)}`;
}

function tracing(below: BlockDevice, say: (message: string) => void): Wrapping {
  const { write, trim, zero, cache, extents, flush } = below;
  const place = (offset: bigint, length: number) => `count=${length} offset=${offset}`;
  return {
    ...PASS,
    read: (offset, length, options) => {
      say(`pread ${place(offset, length)}`);
      return below.read(offset, length, options);
    },
    write:
      write &&
      ((offset, bytes, options) => {
        say(`pwrite ${place(offset, bytes.length)} fua=${Number(options?.fua ?? false)}`);
        return write.call(below, offset, bytes, options);
      }),
    trim:
      trim &&
      ((offset, length, options) => {
        say(`trim ${place(offset, length)} fua=${Number(options?.fua ?? false)}`);
        return trim.call(below, offset, length, options);
      }),
    zero:
      zero &&
      ((offset, length, options) => {
        const { mayTrim = false, fua = false, fastZero = false } = options ?? {};
        const flags = `may_trim=${Number(mayTrim)} fua=${Number(fua)} fast=${Number(fastZero)}`;
        say(`zero ${place(offset, length)} ${flags}`);
        return zero.call(below, offset, length, options);
      }),
    cache:
      cache &&
      ((offset, length, options) => {
        say(`cache ${place(offset, length)}`);
        return cache.call(below, offset, length, options);
      }),
    extents:
      extents &&
      ((offset, length, options) => {
        say(`extents ${place(offset, length)} req_one=${Number(options?.one ?? false)}`);
        return extents.call(below, offset, length, options);
      }),
    ...(flush && {
      flush: options => {
        say('flush');
        return flush.call(below, options);
      },
    }),
  };
}
