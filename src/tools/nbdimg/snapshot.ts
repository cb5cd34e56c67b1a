import { BlockError, errnoOf, messageOf } from '../../block/errors.ts';
import type { Snapshots } from '../../images/image.ts';
import { print } from '../cli.ts';
import { COMMON, Given, usage } from './common.ts';
import { Opening } from './opening.ts';
import { snapshotTable } from './snapshot-table.ts';
import type { Subcommand } from './subcommands.ts';

const OPTIONS = {
  ...COMMON,
  list: { names: ['l'] },
  apply: { names: ['a'], value: 'required' },
  create: { names: ['c'], value: 'required' },
  remove: { names: ['d'], value: 'required' },
} as const;

const ACTIONS = ['apply', 'create', 'remove'] as const;
const VERBS = { apply: 'apply', create: 'create', remove: 'delete' } as const;

const snapshot: Subcommand = {
  options: OPTIONS,
  async run(line) {
    const given = new Given(line);
    const actions = ACTIONS.filter(action => given.has(action));
    if (actions.length + Number(given.has('list')) > 1) {
      throw usage("Cannot mix '-l', '-a', '-c', '-d'");
    }
    const [action] = actions;
    const wanted = {
      readOnly: action === undefined,
      format: given.text('format'),
      options: given.has('imageOpts'),
    };
    const { image, close } = await new Opening(given).open(given.one, wanted);
    try {
      if (action === undefined) {
        const { snapshots = [] } = image.facts;
        if (snapshots.length > 0) await print(`${snapshotTable(snapshots)}\n`);
      } else await act(image.snapshots, action, given.text(action)!);
    } finally {
      await close();
    }
    return 0;
  },
};
export default snapshot;

async function act(
  snapshots: Snapshots | undefined,
  action: (typeof ACTIONS)[number],
  name: string,
) {
  const failed = (words: string, error?: unknown) =>
    new BlockError(errnoOf(error), `Could not ${VERBS[action]} snapshot '${name}': ${words}`);
  if (!snapshots) throw failed('Operation not supported');
  try {
    await snapshots[action](name);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw failed(messageOf(error), error);
    throw failed(
      action === 'remove'
        ? 'snapshot not found'
        : 'Failed to load snapshot: No such file or directory',
      error,
    );
  }
}
