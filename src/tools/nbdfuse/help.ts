export const HELP = `nbdfuse - a disk as a file

  nbdfuse [OPTIONS] MOUNTPOINT[/NAME] NBD-URI
  nbdfuse [OPTIONS] MOUNTPOINT[/NAME] [ CMD ARGS ... ]
  nbdfuse [OPTIONS] MOUNTPOINT[/NAME] --command CMD ARGS ...
  nbdfuse [OPTIONS] MOUNTPOINT[/NAME] --socket-activation CMD ARGS ...
  nbdfuse [OPTIONS] MOUNTPOINT[/NAME] --unix SOCKET
  nbdfuse [OPTIONS] MOUNTPOINT[/NAME] --tcp HOST PORT
  nbdfuse [OPTIONS] MOUNTPOINT[/NAME] --vsock CID PORT
  nbdfuse [OPTIONS] MOUNTPOINT[/NAME] --fd N
  nbdfuse [OPTIONS] MOUNTPOINT[/NAME] --plugin [--filter=FILTER ...] PLUGIN [KEY=VALUE ...]
  nbdfuse [OPTIONS] --all-exports FOLDER NBD-URI

MOUNTPOINT is a file, which the disk takes the place of, or a folder, in which it is
"nbd" or NAME. In the place of the NBD-URI stands also the name of a file or an address
on the web. With --plugin the disk is in nbdfuse itself, without a server.

To unmount:

  fusermount3 -u MOUNTPOINT

Options:
      --all-exports        a file for each export of the server
  -C, --connections N      most connections to the server (4)
      --fuse-help          the options of FUSE, for -o
  -o OPTION[,OPTION...]    options of FUSE
  -P, --pidfile FILE       write the process ID to FILE when the disk can be used
  -r, --readonly           nobody writes
      --no-shared-memory   all payloads go through the socket
      --retries N          connect again N times when the connection is lost
  -s                       one request after the other
  -v, -d, --verbose        say what the kernel asks for
  -V, --version            print the version
      --help               print this
`;
