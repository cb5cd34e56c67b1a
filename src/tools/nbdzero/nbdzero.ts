import { runErase } from '../erase.ts';

runErase(
  'nbdzero',
  `\

Write zeroes over all data of a disk over NBD:

    nbdzero [-c|--check] [--fast-zero] [-q|--quiet] [-v|--verbose] [-y|--yes]
            [-o N|--offset=N] [-l N|--length=N] NBD-URI | [ CMD ARGS ... ]

Other options:

    -h, --help, -V, --version

Examples:

    nbdzero nbd://localhost
    nbdzero --check nbd://localhost && echo all zero

`,
);
