import type { ParameterDeclarations, ParameterValues } from '../../declare/parameters.ts';

/** What one can choose of a new image, by qemu's names. */
export const OPTIONS = {
  adapter_type: {
    type: 'string',
    choices: ['ide', 'lsilogic', 'buslogic', 'legacyESX'],
    default: 'ide',
    help: 'Virtual adapter type',
  },
  backing_file: { type: 'string', help: 'File name of a base image' },
  backing_fmt: { type: 'string', help: 'Must be vmdk' },
  compat6: { type: 'boolean', default: 'off', help: 'VMDK version 6 image' },
  hwversion: { type: 'string', default: 'undefined', help: 'Hardware version' },
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
    help: 'Of which files the image consists',
  },
  zeroed_grain: { type: 'boolean', default: 'off', help: 'Grains can be said to be zeroes' },
} as const satisfies ParameterDeclarations;

export type Options = ParameterValues<typeof OPTIONS>;
