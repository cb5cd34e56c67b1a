export const HELP = `\

Copy to and from an NBD server:

    nbdcopy [--allocated] [--blkhash[=DIGEST[/SIZE]]]
            [--blkhash-file=FILE] [-C N|--connections=N]
            [--destination-is-zero|--target-is-zero] [--flush]
            [--no-extents] [--no-shared-memory] [-p|--progress|--progress=FD]
            [--queue-size=N] [--request-size=N] [-R N|--requests=N]
            [--resume=FILE] [--retries=N] [-S N|--sparse=N]
            [--synchronous] [-T N|--threads=N] [-v|--verbose] [--verify]
            SOURCE DESTINATION

    SOURCE, DESTINATION := - | FILE | DEVICE | NBD-URI | [ CMD ARGS ... ]
    SOURCE += https://... | http://...
    DESTINATION += null:

Other options:

    nbdcopy --help
    nbdcopy -V|--version

Examples:

    nbdcopy nbd://example.com local.img
    nbdcopy local.img nbd://example.com
    nbdcopy nbd://example.com - | file -
    cat disk1 disk2 | nbdcopy -- - [ qemu-nbd -f qcow2 output.qcow2 ]

`;
