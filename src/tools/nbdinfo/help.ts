export const HELP = `\

Display information and metadata about NBD servers and exports:

    nbdinfo [--json] NBD-URI | [ CMD ARGS ... ]
    nbdinfo --size NBD-URI | [ CMD ARGS ... ]
    nbdinfo --uri NBD-URI
    nbdinfo --is read-only|rotational|tls NBD-URI | [ CMD ARGS ... ]
    nbdinfo --can cache|connect|... NBD-URI | [ CMD ARGS ... ]
    nbdinfo --map[=CONTEXT] [--totals] [--json] NBD-URI | [ CMD ARGS ... ]
    nbdinfo --map[=CONTEXT] --picture[=FILE.svg] NBD-URI | [ CMD ARGS ... ]
    nbdinfo -L|--list [--json] NBD-URI | [ CMD ARGS ... ]

Other options:

    --offset=N, --length=N    only this part of the map
    --content, --no-content   show what kind of data the disk begins with
    --color, --no-color       colours in the answer
    --isnt, --cannot, --hasnt ask for the opposite
    --help, -V, --version

Exit status: 0; 2 when the answer of --is, --can or --has is no; 1 on errors.

Examples:

    nbdinfo nbd://localhost
    nbdinfo "nbd+unix:///?socket=/tmp/unixsock"
    nbdinfo --map -- [ qemu-nbd -r -f qcow2 file.qcow2 ]

`;
