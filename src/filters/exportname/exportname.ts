import type { DeviceSource, ExportEntry } from '../../block/device.ts';
import { BlockError } from '../../block/errors.ts';
import { withRecipeOf } from '../../block/recipe.ts';
import { passSource } from '../../block/source.ts';
import { PASS, wrapDevice } from '../../block/wrap.ts';
import { defineFilter, wrapSource } from '../../declare/declare.ts';
import { type Describe, describer } from './describe.ts';

export default defineFilter({
  name: 'exportname',
  description: 'changes which exports there are, which one is the default and what they are called',
  parameters: {
    'default-export': { type: 'string', aliases: ['default_export'], help: 'What "" stands for' },
    exportname: { type: 'string', repeat: true, help: 'An export for exportname-list=explicit' },
    'exportname-list': {
      type: 'string',
      aliases: ['exportname_list'],
      choices: ['keep', 'error', 'empty', 'defaultonly', 'default-only', 'explicit'],
      default: 'keep',
      help: 'Which exports are listed',
    },
    'exportname-strict': {
      type: 'boolean',
      aliases: ['exportname_strict'],
      default: 'false',
      help: 'Refuse all but those given by exportname',
    },
    exportdesc: {
      type: 'string',
      default: 'keep',
      help: 'Descriptions: keep, none, fixed:TEXT or script:SCRIPT',
    },
  },
  create(parameters, below, { debug }) {
    const { exportname: names, 'exportname-list': mode } = parameters;
    const describe = describer(parameters.exportdesc, debug);
    const strict = parameters['exportname-strict'];
    const byDefault = parameters['default-export'];
    const renamed = wrapSource(below, async (device, { exportName }) => {
      const description = await describe({ name: exportName, description: device.description });
      return withRecipeOf(device, wrapDevice(device, { ...PASS, description }));
    });
    const defaultExport: NonNullable<DeviceSource['defaultExport']> = request => {
      if (strict && !names.includes('')) throw unknown('');
      return byDefault ?? below.defaultExport?.(request) ?? '';
    };
    return passSource(renamed, {
      open: async request => {
        const exportName = request.exportName || (await defaultExport(request));
        if (strict && !names.includes(exportName)) throw unknown(exportName);
        return await renamed.open({ ...request, exportName });
      },
      list: async request => {
        switch (mode) {
          case 'error':
            throw new BlockError('EPERM', 'export list restricted by policy');
          case 'empty':
            return [];
          case 'keep':
            return await described((await below.list?.(request)) ?? [{ name: '' }], describe);
          case 'explicit':
            return await described(
              names.map(name => ({ name })),
              describe,
            );
          default:
            return [{ name: await defaultExport(request) }];
        }
      },
      defaultExport,
    });
  },
});

async function described(entries: readonly ExportEntry[], describe: Describe) {
  return await Promise.all(
    entries.map(async entry => ({ name: entry.name, description: await describe(entry) })),
  );
}

function unknown(name: string): BlockError {
  return new BlockError('ENOENT', `export '${name}' not found`);
}
