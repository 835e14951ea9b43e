"""How much an archive unpacks to."""

from __future__ import annotations

from pypicloud_tw.index.archive.bounds import (
    BOMB_RATIO,
    BOMB_SIZE,
    MAX_MEMBERS,
    MAX_UNPACKED,
)
from pypicloud_tw.index.archive.findings import refuse


def check_volume(members: int, unpacked: int, size: int) -> None:
    """Refuse an archive of *size* bytes that unpacks to too much."""
    if members > MAX_MEMBERS:
        refuse(f"The archive has more than {MAX_MEMBERS} members.")
    if unpacked > MAX_UNPACKED:
        refuse(f"The archive unpacks to more than {MAX_UNPACKED // 2**30} GiB.")
    if unpacked > BOMB_SIZE and unpacked > BOMB_RATIO * size:
        refuse(
            f"The archive unpacks to more than {BOMB_RATIO} times its size; it is "
            "taken for an archive bomb."
        )


def in_words(size: int) -> str:
    """Spell one of the bounds, in bytes."""
    return f"{size // 2**20} MiB" if size >= 2**20 else f"{size // 2**10} KiB"
