"""What is found about a file, by weight; one mechanism for every rule."""

from __future__ import annotations

from typing import NoReturn

from attrs import define, field

from pypicloud_tw.errors import BadRequest
from pypicloud_tw.plain_texts import shortened

#: Sentences of each weight that are kept; one is enough to know what to do.
MOST = 10

#: Characters of a name that are shown of one out of an archive.
_SHOWN = 100


def refuse(sentence: str) -> NoReturn:
    """Refuse a file at every door.

    For what is unsafe, what two installers would unpack differently, and what is not
    the file that its name promises.

    :raises BadRequest: always.
    """
    raise BadRequest(sentence)


def quoted(name: str) -> str:
    """Show a name out of an archive: in ASCII without control characters, and cut."""
    return shortened(ascii(name[: _SHOWN + 1]), _SHOWN)


@define
class Findings:
    """Collects what does not refuse a file at every door; each is a whole sentence.

    :ivar shortfalls: rules of RECORD or of core metadata that are not met. An upload is
        refused for them unless ``pypi.legacy_formats`` is set; a file that lies in the
        store is adopted with them as warnings, and one of the upstream is served.
    :ivar warnings: what is worth knowing, and no reason to refuse a file.
    """

    shortfalls: list[str] = field(factory=list)
    warnings: list[str] = field(factory=list)

    def refuse(self, sentence: str) -> NoReturn:
        """Refuse the file at every door; see :func:`refuse`."""
        refuse(sentence)

    def fall_short(self, sentence: str) -> None:
        """Note a rule that is not met; see :attr:`shortfalls`."""
        _note(self.shortfalls, sentence)

    def warn(self, sentence: str) -> None:
        """Note a warning; see :attr:`warnings`."""
        _note(self.warnings, sentence)


def _note(sentences: list[str], sentence: str) -> None:
    if len(sentences) < MOST and sentence not in sentences:
        sentences.append(sentence)
