"""How much of an archive is read, and beside each bound the largest real thing known.

Measured on 1,131 public files, chosen to be odd (9.3 GB), and on the public index.
"""

#: Bytes of core metadata that are read at most. mujoco has 232,823.
MAX_METADATA = 16 * 2**20

#: Bytes of one tar member's extended header, and of one read of a zip's directory.
MAX_HEADER, MAX_READ = 2**20, 128 * 2**20

#: Members of one archive. ansible's source archive has 22,831 (factor 21).
MAX_MEMBERS = 500_000

#: What unpacks to more than this and to more than so many times its size is a bomb
#: (the public index draws the line at the same 50). xyzservices has 17.7 (factor 2.8).
BOMB_SIZE, BOMB_RATIO = 128 * 2**20, 50

#: Bytes of the path that a symbolic link leads to (PATH_MAX).
LONGEST_TARGET = 4096

#: Bytes that are unpacked at once to be dropped.
PIECE = 2**16
