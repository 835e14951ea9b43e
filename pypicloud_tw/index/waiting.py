"""Projects whose files wait in the store to be adopted: not here, nor absent."""

from __future__ import annotations

from pypicloud_tw.errors import Unavailable
from pypicloud_tw.index.names import NormalizedName

#: Names; None while any project may be such a one.
Waiting = frozenset[NormalizedName] | None


def refuse_waiting(name: NormalizedName, waiting: Waiting) -> None:
    """Return if a project that is not here is not expected either.

    Whoever has taken this name elsewhere must not be taken for us meanwhile: neither we
    nor a client with several indexes may look there.

    :raises Unavailable: its files may wait.
    """
    if waiting is None or name in waiting:
        raise Unavailable(
            "The files in the store are being read, and this project's may be among "
            "them; try again."
        )
