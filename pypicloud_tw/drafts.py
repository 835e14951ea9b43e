"""Files that are put in their place whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO


@contextmanager
def draft_in(folder: Path) -> Iterator[IO[bytes]]:
    """Make a file that only its owner may read, to be moved when it is written.

    It is in the folder that it will stay in, so that it can be moved. If it was not it
    is removed.

    :raises OSError: none can be made there.
    """
    with NamedTemporaryFile(dir=folder, prefix=".", delete=False) as file:
        try:
            yield file
        finally:
            Path(file.name).unlink(missing_ok=True)
