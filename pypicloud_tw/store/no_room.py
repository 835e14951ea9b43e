"""Errors of an operating system that say that nothing more can be written."""

from __future__ import annotations

import errno

#: The disk is full, or a quota; or it is the longest file that the process may write.
NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
