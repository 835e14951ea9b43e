"""How far adopting files has come, and what became of each."""

from __future__ import annotations

from attrs import define, field, frozen

from pypicloud_tw.index.names import NormalizedName


@frozen
class Skipped:
    """A file that was not adopted, and why."""

    key: str
    reason: str


@frozen
class Warned:
    """A file that was adopted although an upload of it would be refused or warned of.

    :ivar warnings: in the words that the upload would be answered with.
    """

    key: str
    warnings: tuple[str, ...]


@define
class Progress:
    """How far a run has come.

    :ivar found: files that are not ours and look like distributions.
    :ivar known: those that a manifest names already.
    :ivar lost: projects whose manifests are gone; they are left as they are.
    """

    found: int = 0
    known: int = 0
    adopted: int = 0
    skipped: list[Skipped] = field(factory=list)
    warned: list[Warned] = field(factory=list)
    lost: set[NormalizedName] = field(factory=set)

    @property
    def done(self) -> int:
        """Files that need no more work."""
        return self.known + self.adopted + len(self.skipped)
