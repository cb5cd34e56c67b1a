import { UsageError } from '../../block/errors.ts';
import { definePlugin } from '../../declare/declare.ts';
import { findProgram, runProgram } from '../../posix/program.ts';
import { temporaryImage } from '../../stores/file/image.ts';
import { statOf } from '../../stores/file/open.ts';

const PROGRAMS = ['xorriso', 'genisoimage', 'mkisofs'];

export default definePlugin({
  name: 'iso',
  description: 'directories as a CD image',
  parameters: {
    dir: { type: 'path', required: true, bare: true, repeat: true, help: 'Directory for the root' },
    params: { type: 'string', default: '', help: 'More options of the program, as in a shell' },
    prog: { type: 'string', help: 'Program that makes the image: xorriso, genisoimage or mkisofs' },
  },
  facts: () => ({ iso_prog: PROGRAMS.find(name => findProgram(name)) ?? 'none' }),
  async create({ dir, params, prog = installedProgram() }, { debug }) {
    for (const path of dir) {
      if (!statOf('dir', path).isDirectory()) {
        throw new UsageError(`dir: '${path}': expected a directory`);
      }
    }
    const mode = /(^|\/)xorriso$/.test(prog) ? '-as mkisofs' : '';
    const script = `${prog} ${mode} -quiet ${params} "$@"`;
    return temporaryImage(async output => {
      const words = await runProgram('sh', ['-c', script, 'sh', ...dir], { name: prog, output });
      if (words !== '') debug(words);
    });
  },
});

function installedProgram(): string {
  const found = PROGRAMS.find(name => findProgram(name));
  if (!found) throw new UsageError(`${PROGRAMS.join(', ')}: one of these must be installed`);
  return found;
}
