"""What becomes of the files that lock files name."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from attrs import define, field, frozen

from pypicloud_tw.index.model import File
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.upstream.links import Link


class Outcome(Enum):
    """What became of a file."""

    FETCHED = "fetched"
    PLANNED = "planned"
    THERE = "there"
    OWN = "own"
    MISSING = "missing"
    REFUSED = "refused"
    FAILED = "failed"


#: What is wrong, the worst last, and the exit code of each.
_CODES = {Outcome.MISSING: 1, Outcome.REFUSED: 1, Outcome.FAILED: 2}


@frozen
class Mirrored:
    """A file, or all of a project that could not be looked at.

    :ivar filename: None: it is about the release as a whole.
    :ivar size: in bytes, if it is known.
    :ivar why: a sentence where it was not fetched.
    :ivar sha256: as its lock has it, where the index has no such file.
    """

    project: str
    outcome: Outcome
    filename: str | None = None
    size: int | None = None
    why: str = ""
    sha256: str | None = None

    @property
    def name(self) -> str:
        """What the report calls it."""
        return self.project if self.filename is None else self.filename


@frozen
class WantedFile:
    """A file that is to be mirrored.

    :ivar link: where the other index has it; None: it is this index's own.
    :ivar own: as this index has it, if it is its own.
    """

    project: NormalizedName
    link: Link | None = None
    own: File | None = None

    @property
    def filename(self) -> str:
        """Its name."""
        return self._file.filename

    @property
    def size(self) -> int | None:
        """In bytes, if it is told."""
        return self._file.size

    @property
    def _file(self) -> Link | File:
        file = self.own if self.link is None else self.link
        assert file is not None, "it is somewhere"
        return file


@define
class Plan:
    """What is to be done, and what is known already.

    :ivar files: what is to be fetched.
    :ivar done: what became of the others.
    """

    files: list[WantedFile] = field(factory=list)
    done: list[Mirrored] = field(factory=list)

    def add(self, other: Plan) -> None:
        """Take what another has."""
        self.files += other.files
        self.done += other.done


@frozen
class Report:
    """What became of everything, and what no index has.

    :ivar notes: of the locks, a sentence each.
    :ivar dry_run: nothing was fetched; what would be is planned.
    """

    done: tuple[Mirrored, ...]
    notes: tuple[str, ...] = ()
    dry_run: bool = False

    @property
    def exit_code(self) -> int:
        """0: all is there; 1: something is missing or refused; 2: or has failed."""
        return max((_CODES.get(one.outcome, 0) for one in self.done), default=0)

    def of(self, *outcomes: Outcome) -> list[Mirrored]:
        """Return what had one of some outcomes."""
        return [one for one in self.done if one.outcome in outcomes]

    def size(self, *outcomes: Outcome) -> int:
        """Add up the bytes of these."""
        return total_size(self.of(*outcomes))


def total_size(files: Iterable[Mirrored]) -> int:
    """Add up bytes, as far as they are told."""
    return sum(file.size or 0 for file in files)
