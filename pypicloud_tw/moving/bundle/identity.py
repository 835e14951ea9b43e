"""Which index a bundle is of: an id that is kept in that index's store.

By it two bundles of one index are compared, whatever chains they are of.
"""

from __future__ import annotations

import re
from contextlib import suppress
from secrets import token_hex

from pypicloud_tw.errors import (
    AmbiguousWrite,
    ObjectNotFound,
    PreconditionFailed,
    StoreError,
)
from pypicloud_tw.store.interfaces import IfAbsent, IObjectStore

#: No project's name begins with a dot.
FOLDER = ".bundles/"

KEY = f"{FOLDER}id"

ID = re.compile(r"[0-9a-f]{32}")


async def find_identity(store: IObjectStore) -> str | None:
    """Return the id of a store's index; None: it has none yet.

    :raises StoreError: the store is away, or the object is damaged.
    """
    try:
        stored = await store.get(KEY)
    except ObjectNotFound:
        return None
    assert stored is not None, "an unconditional read gives bytes"
    text = stored.data.decode("ascii", "replace")
    if ID.fullmatch(text) is None:
        raise StoreError(
            f"The object {KEY} is damaged. Write into it what a bundle of this index "
            "has as its source; or remove it, and make the next bundle without "
            "--since-bundle: it counts as one of a new index."
        )
    return text


async def identity(store: IObjectStore) -> str:
    """Return the id of a store's index, which gets one where it has none.

    :raises StoreError: the store is away, or the object is damaged.
    """
    found = await find_identity(store)
    while found is None:
        with suppress(PreconditionFailed, AmbiguousWrite):  # another command's is there
            await store.put(KEY, token_hex(16).encode(), condition=IfAbsent())
        found = await find_identity(store)
    return found
