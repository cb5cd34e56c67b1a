import type { ParameterDeclarations, ParameterValues } from '../../declare/parameters.ts';

/** What one can choose of a new image, by qemu's names. */
export const OPTIONS = {
  adapter_type: {
    type: 'string',
    choices: ['ide', 'lsilogic', 'buslogic', 'legacyESX'],
    default: 'ide',
    help: 'Virtual adapter type, can be one of ide (default), lsilogic, buslogic or legacyESX',
  },
  backing_file: { type: 'string', help: 'File name of a base image' },
  backing_fmt: { type: 'string', help: "Must be 'vmdk' if present" },
  compat6: { type: 'boolean', default: 'off', help: 'VMDK version 6 image' },
  hwversion: { type: 'string', default: 'undefined', help: 'VMDK hardware version' },
  toolsversion: { type: 'string', default: '2147483647', help: 'VMware guest tools version' },
  subformat: {
    type: 'string',
    choices: [
      'monolithicSparse',
      'monolithicFlat',
      'twoGbMaxExtentSparse',
      'twoGbMaxExtentFlat',
      'streamOptimized',
    ],
    default: 'monolithicSparse',
    help: 'VMDK flat extent format, can be one of {monolithicSparse (default) | monolithicFlat | twoGbMaxExtentSparse | twoGbMaxExtentFlat | streamOptimized} ',
  },
  zeroed_grain: {
    type: 'boolean',
    default: 'off',
    help: 'Enable efficient zero writes using the zeroed-grain GTE feature',
  },
} as const satisfies ParameterDeclarations;

export type Options = ParameterValues<typeof OPTIONS>;
