export const HELP = `\
usage: nbdsh [-b|--base-allocation] [-c CODE|--command=CODE] [-n] [--opt-mode]
             [-u URI|--uri=URI] [-v|--verbose] [FILE ...]
       nbdsh -h|--help
       nbdsh -V|--version

A shell for talking to NBD servers in JavaScript and TypeScript.

    -b, --base-allocation   ask for the metadata context base:allocation
    -c, --command=CODE      run this and end; may be repeated; - is standard input
    -n                      no handle h
    --opt-mode              stop before an export is chosen
    -u, --uri=URI           connect to this
    -v, --verbose           tell of each request

Examples:

    nbdsh -u nbd://localhost -c 'print(h.size)'
    nbdsh -u nbd://localhost -c 'print(await h.read(0, 512))'
    nbdsh script.ts

The manual page, nbdsh --man, says more.
`;
