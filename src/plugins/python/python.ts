import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { UsageError } from '../../block/errors.ts';
import { definePlugin } from '../../declare/declare.ts';
import { existingScript, SCRIPT_PARAMETERS, scriptAmong } from '../../scripts/file.ts';
import { scriptPlugin } from '../../scripts/plugin.ts';
import { PythonScript } from './script.ts';

export default definePlugin({
  name: 'python',
  description: 'a disk served by a Python script',
  parameters: SCRIPT_PARAMETERS,
  ...scriptPlugin((words, context) => {
    const given = scriptAmong(words);
    if (!given) return undefined;
    const script = new PythonScript(existingScript(given.script), context);
    return { script, parameters: given.parameters, remove: () => script.end() };
  }, pythonFacts),
});

async function pythonFacts() {
  const code = 'import platform, sys; print(platform.python_version(), sys.api_version)';
  const { stdout } = await promisify(execFile)('python3', ['-c', code]).catch(() => {
    throw new UsageError('python3 cannot be run: it must be installed');
  });
  const [version = '', abi = ''] = stdout.trim().split(' ');
  return {
    python_version: version,
    python_pep_384_abi_version: abi,
    nbdkit_python_maximum_api_version: '2',
  };
}
