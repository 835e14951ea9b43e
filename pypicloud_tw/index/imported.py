"""What another index said of a file that is taken from there."""

from __future__ import annotations

from datetime import UTC, datetime

from attrs import frozen

#: Characters that are kept of who uploaded it, of where it comes from, and of a reason.
_USER, _SOURCE, _REASON = 256, 500, 1000


@frozen
class Imported:
    """Where a file comes from, and what is kept of what is said of it there.

    :ivar source: which index, for the history and the audit; no secret.
    :ivar uploaded: when it was uploaded there; aware. None: it is not told.
    :ivar uploader: who did; None: it is not told.
    :ivar yanked: None, or the reason, which may be empty (PEP 592).
    :ivar began: when the import began, whose files are one entry of the history; None:
        each is one of its own.
    """

    source: str
    uploaded: datetime | None = None
    uploader: str | None = None
    yanked: str | None = None
    began: datetime | None = None

    @classmethod
    def of(
        cls,
        source: str,
        uploaded: datetime | None = None,
        uploader: str | None = None,
        yanked: str | None = None,
        began: datetime | None = None,
    ) -> Imported:
        """Make it of a stranger's words, which may be anything."""
        return cls(
            one_line(source, _SOURCE),
            uploaded,
            None if uploader is None else one_line(uploader, _USER) or None,
            None if yanked is None else one_line(yanked, _REASON),
            began,
        )

    def uploaded_by(self, now: datetime) -> datetime:
        """Return when it was uploaded, which is never later than now."""
        return now if self.uploaded is None else min(self.uploaded, now)


def one_line(text: str, longest: int = _REASON) -> str:
    """Make of a stranger's words what may stand in a line of ours."""
    words = " ".join(text.split())
    return "".join(filter(str.isprintable, words))[:longest]


def parse_moment(text: object) -> datetime | None:
    """Read a moment (ISO 8601), in UTC where it has no zone; None: it is none."""
    if not isinstance(text, str):
        return None
    try:
        at = datetime.fromisoformat(text)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
