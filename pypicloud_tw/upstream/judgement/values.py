"""What is judged, and what is said of it."""

from __future__ import annotations

from attrs import frozen

from pypicloud_tw.config.exemptions import Rule
from pypicloud_tw.errors import NotFound, PypicloudError, RefusedByRule


@frozen
class Candidate:
    """A file of an upstream project, as far as it is judged.

    :ivar version: that its name carries; None where it cannot be told.
    :ivar sha256: hexadecimal; None where nobody tells.
    :ivar uploaded: when, by the upstream; seconds since the epoch, None where it does
        not tell. Of a kept file, what it said first.
    :ivar provenance: its page says that there is some.
    """

    filename: str
    version: str | None
    sha256: str | None = None
    uploaded: float | None = None
    provenance: bool = False


@frozen
class Refusal:
    """Why something may not be had here.

    :ivar sentence: says what it is, by which rule, and what to do; for whoever asked.
    :ivar lifted_by: a sentence: who may lift it, and how.
    :ivar since: when it began, in seconds since the epoch, where that is known.
    :ivar until: when time lifts it; None: time does not.
    :ivar advisory: the id of the advisory that it follows, if it does.
    """

    rule: Rule
    sentence: str
    lifted_by: str
    since: float | None = None
    until: float | None = None
    advisory: str | None = None

    def error(
        self, now: float, project: str, file: str | None = None
    ) -> PypicloudError:
        """Return it as an error for whoever asked for it.

        :param file: what was asked for, where that was a file.

        :return: NotFound for a reserved name: clients are told no more than that.
        """
        if self.rule is Rule.PRIVATE:
            return NotFound(self.sentence)
        text = f"{self.sentence} {self.lifted_by}".rstrip()
        return RefusedByRule(
            text, self.rule.value, self.until, now, project=project, file=file
        )


@frozen
class Standing:
    """What an upstream says of a project as a whole (PEP 792).

    :ivar since: when that was first seen; seconds since the epoch.
    """

    status: str = "active"
    reason: str = ""
    since: float | None = None
