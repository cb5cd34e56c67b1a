export const HELP = `\

Create, inspect, check, convert and change disk images:

    nbdimg amend [-q] [-p] [-f FMT] -o OPTIONS IMAGE
    nbdimg bench [-w] [-c COUNT] [-d DEPTH] [-s SIZE] [-S STEP] [-f FMT] IMAGE
    nbdimg bitmap (--add|--remove|--clear|--enable|--disable|--merge SOURCE) ... [-g SIZE]
                  [-b FILE -F FMT] [-f FMT] IMAGE NAME
    nbdimg check [-q] [-f FMT] [--output=json] [-r leaks|all] IMAGE
    nbdimg commit [-q] [-p] [-f FMT] [-b BASE] [-d] IMAGE
    nbdimg compare [-q] [-p] [-s] [-f FMT] [-F FMT] IMAGE IMAGE
    nbdimg convert [-q] [-p] [-c] [-n] [-f FMT] [-O FMT] [-o OPTIONS] [-B BACKING -F FMT]
                   [-l SNAPSHOT] [-S SIZE] IMAGE ... TARGET
    nbdimg create [-q] [-f FMT] [-b BACKING -F FMT] [-u] [-o OPTIONS] IMAGE [SIZE]
    nbdimg dd [-f FMT] [-O FMT] [bs=SIZE] [count=N] [skip=N] if=IMAGE of=TARGET
    nbdimg info [-f FMT] [--output=json] [--backing-chain] IMAGE
    nbdimg map [-f FMT] [--output=json] [-s OFFSET] [-l LENGTH] IMAGE
    nbdimg measure [--output=json] [-O FMT] [-o OPTIONS] --size SIZE | [-f FMT] IMAGE
    nbdimg rebase [-q] [-p] [-u] [-f FMT] -b BACKING [-F FMT] IMAGE
    nbdimg resize [-q] [-f FMT] [--shrink] IMAGE [+|-]SIZE
    nbdimg snapshot [-q] [-f FMT] [-l | -a NAME | -c NAME | -d NAME] IMAGE

IMAGE is a file, an address on the web, an NBD URI, or json:{...}; with --image-opts it is
KEY=VALUE,... Secrets come by --object secret,id=ID,file=FILE.

Other options:

    --no-follow          open no file that an image names
    --link FOLDER        make a link with the name qemu-img
    -h, --help, -V, --version

Examples:

    nbdimg create -f qcow2 disk.qcow2 10G
    nbdimg convert -p -c -O qcow2 disk.raw disk.qcow2
    nbdimg info https://example.com/cloud.qcow2

`;
