import { runErase } from '../erase.ts';

runErase(
  'nbddiscard',
  `\

Discard all data of a disk over NBD:

    nbddiscard [-c|--check] [-z|--zero] [--fast-zero]
               [-q|--quiet] [-v|--verbose] [-y|--yes]
               [-o N|--offset=N] [-l N|--length=N] NBD-URI | [ CMD ARGS ... ]

Other options:

    -h, --help, -V, --version

Examples:

    nbddiscard nbd://localhost
    nbddiscard --check nbd://localhost && echo sparse

`,
);
