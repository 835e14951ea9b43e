"""How much of an archive is read, and beside each bound the largest real thing known.

Measured on 1,131 public files, chosen to be odd (9.3 GB). A factor says how much larger
the bound is.
"""

#: Bytes of core metadata that are read at most. mujoco has 232,823.
MAX_METADATA = 16 * 2**20

#: Bytes of one tar member's extended header.
MAX_HEADER = 2**20

#: Members of one archive. ansible's source archive has 22,831 (factor 9), and the
#: largest wheel 21,388.
MAX_MEMBERS = 200_000

#: Bytes of a zip's directory: the largest has 2.7 MB (factor 12).
MAX_DIRECTORY = 32 * 2**20

#: Bytes of a member's name: the longest has 238 (factor 4).
MAX_NAME = 1024

#: Bytes that an archive unpacks to: tensorflow-cpu has 1.27 GB (factor 13).
MAX_UNPACKED = 16 * 2**30

#: What unpacks to more than this and to more than so many times its size is a bomb
#: (the public index draws the line at the same 50). xyzservices has 17.7 (factor 2.8);
#: one member of onnx has 1,016, so that there is no bound for one.
BOMB_SIZE, BOMB_RATIO = 64 * 2**20, 50

#: Bytes of the path that a symbolic link leads to (PATH_MAX).
LONGEST_TARGET = 4096

#: Bytes of a wheel's WHEEL: the longest has 602 (factor 27), with 14 tags.
MAX_WHEEL = 16 * 2**10

#: Bytes of a wheel's RECORD: the longest has 2.9 MB (factor 11).
MAX_RECORD = 32 * 2**20
#: Lines of it, of which 21,388 are known (factor 18), and bytes of one. A line has a
#: member's name, which may be quoted, and a digest of up to 128 characters.
MAX_RECORD_LINES, MAX_RECORD_LINE = 2 * MAX_MEMBERS, 4 * MAX_NAME

#: Entry points of a wheel: 65 are known (factor 30); groups of them: 10 (factor 20).
MAX_ENTRY_POINTS, MAX_GROUPS = 2_000, 200
#: Bytes of entry_points.txt: room for so many.
MAX_ENTRY_POINTS_BYTES = 2**20

#: Bytes that are read, or unpacked, at once.
PIECE = 2**16
