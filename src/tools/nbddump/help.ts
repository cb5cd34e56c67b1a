export const HELP = `\

Hexdump the content of a disk over NBD:

    nbddump [-o N|--offset=N] [-n N|--length=N] NBD-URI | [ CMD ARGS ... ]

Other options:

    --color, --no-color       colours in the answer
    --help, -V, --version

Examples:

    nbddump nbd://localhost
    nbddump --offset=1M --length=512 nbd://localhost
    nbddump -- [ qemu-nbd -r -f qcow2 file.qcow2 ]

`;
