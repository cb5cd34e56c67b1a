import type { Options } from '../cli.ts';
import { STANDARD } from '../standard.ts';

export const OPTIONS = { ...STANDARD } as const satisfies Options;

export const HELP = `\

Files inside of disks, without a virtual machine:

    nbdfiles cat -a DISK FILE ...
    nbdfiles ls [-l] [-R] -a DISK DIRECTORY ...
    nbdfiles df [-h] -a DISK
    nbdfiles filesystems [--all] [--long] [-h] -a DISK
    nbdfiles diff -a DISK -A DISK
    nbdfiles tar-out -a DISK DIRECTORY ARCHIVE
    nbdfiles copy-out -a DISK PATH ... FOLDER
    nbdfiles tail -a DISK FILE ...
    nbdfiles inspector -a DISK
    nbdfiles edit [-e EXPRESSION] -a DISK FILE ...
    nbdfiles write|chmod|rm -a DISK [MODE] FILE ...
    nbdfiles copy-in -a DISK FILE ... DIRECTORY
    nbdfiles tar-in -a DISK ARCHIVE DIRECTORY
    nbdfiles customize -a DISK OPTION ...
    nbdfiles make-fs [-t TYPE] [-s SIZE] [-F FORMAT] INPUT DISK

A DISK is a file, an NBD URI, an address on the web, or [ COMMAND ARGUMENTS ... ].
See nbdfiles COMMAND --help.

Other options:

    --link FOLDER             make links with the names virt-cat, virt-ls, virt-df ...
    --help, -V, --version

`;
