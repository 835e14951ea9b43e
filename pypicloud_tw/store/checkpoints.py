"""Steps of a write, for tests that end the process between two of them."""

from __future__ import annotations

from collections.abc import Callable

#: Called with the name of each step that was just done.
Checkpoint = Callable[[str], None]


def pass_by(point: str) -> None:
    """Do nothing at a checkpoint, as servers do."""
