"""How much of an archive is read, and beside each bound the largest real thing known.

Measured on 1,131 public files, chosen to be odd (9.3 GB). A factor says how much larger
the bound is.
"""

#: Bytes of core metadata: mujoco has 232,823 (factor 9). Of its headers:
#: types_aiobotocore has 86,693 (factor 12). Of one field: matplotlib's licence has
#: 74,656 (factor 7).
MAX_METADATA, MAX_HEADERS, MAX_METADATA_FIELD = 2 * 2**20, 2**20, 512 * 2**10

#: Lines of its headers: pandas has 1,384 (factor 11). Fields: boto3-stubs has 1,352
#: (factor 7). Different names of fields: websocket-client has 20 (factor 3), and the
#: specification some 35.
MAX_HEADER_LINES, MAX_METADATA_FIELDS, MAX_METADATA_NAMES = 16_000, 10_000, 64

#: Fields of one name: boto3-stubs has 882 Requires-Dist and 439 Provides-Extra (factors
#: 5 and 11), and nobody more than 63 Classifier (factor 15).
MAX_OF_FIELD = {"requires-dist": 5_000, "provides-extra": 5_000, "classifier": 1_000}

#: Members of one archive. ansible 9.9.0's source archive has 55,991 (factor 3.6), and
#: the largest wheel 21,388.
MAX_MEMBERS = 200_000

#: Bytes of a zip's directory: the largest has 2.7 MB (factor 12).
MAX_DIRECTORY = 32 * 2**20

#: Zeros behind a zip's end, of which uv passes over so many.
MAX_ZIP_PADDING = 4096

#: Bytes of a member's name: the longest has 238 (factor 4).
MAX_NAME = 1024

#: Bytes that an archive unpacks to: tensorflow-cpu has 1.27 GB (factor 13).
MAX_UNPACKED = 16 * 2**30

#: What unpacks to more than this and to more than so many times its size is a bomb
#: (the public index draws the line at the same 50). ansible-core 0.0.1a1 has 25.4
#: (factor 2) and xyzservices 17.7; one member of onnx has 1,016, so that there is no
#: bound for one.
BOMB_SIZE, BOMB_RATIO = 64 * 2**20, 50

#: Bytes of the path that a symbolic link leads to (PATH_MAX).
LONGEST_TARGET = 4096

#: Bytes of a wheel's WHEEL: the longest has 602 (factor 27). Tags in it: 14 are known
#: (factor 71).
MAX_WHEEL, MAX_WHEEL_TAGS = 16 * 2**10, 1_000

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

#: Bytes of the pax headers of a tar's members: of one, and of all. The largest are 258
#: (factor 254) and 4.4 MB (ansible 9.9.0, factor 3.8). Each member may have one.
MAX_PAX, MAX_PAX_SUM = 64 * 2**10, 16 * 2**20

#: Pax headers for all members, and bytes of them: uwsgi has one of 52 (factor 1,260).
MAX_GLOBAL_PAX = 16, 64 * 2**10

#: Bytes of a long name as GNU tar writes it: the longest is 205 (factor 20).
MAX_LONG_NAME = 4 * 2**10

#: Zeros behind a tar's end: the most are 10,752 (factor 98).
MAX_TAR_PADDING = 2**20

#: Bytes of all paths in a tar, of members and of links: ansible 9.9.0's are
#: 5.5 MB (factor 6).
MAX_PATHS = 32 * 2**20

#: Bytes of memory for unpacking xz: its highest preset, 9, takes 65 MiB.
MAX_XZ_MEMORY = 128 * 2**20
