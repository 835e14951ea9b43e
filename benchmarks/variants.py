"""Ours with other options than those that it has by itself."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from attrs import field, frozen

from benchmarks.figures import OURS


@frozen
class Variant:
    """Ours, perhaps with other options.

    :ivar programs: the folder of another version's programs.
    :ivar checkout: where another version's source is.
    """

    name: str = OURS
    options: Sequence[str] = ()
    settings: Mapping[str, str] = field(factory=dict)
    programs: Path | None = None
    checkout: Path | None = None

    @classmethod
    def parse(cls, text: str) -> Variant:
        """Read ``NAME=WORDS``.

        ``programs=BIN`` is a folder of programs, ``checkout=FOLDER`` what goes before
        this version on Python's path; other words are options, if they begin with a
        hyphen, or ``KEY=VALUE`` of the ini. Those with spaces are quoted.

        :raises ValueError: with a sentence that says what is wrong.
        """
        name, found, rest = text.partition("=")
        if not found or not name.strip():
            raise ValueError(f"{text!r}: NAME=WORDS was expected")
        options, settings = [], {}
        for word in shlex.split(rest):
            key, equals, value = word.partition("=")
            if word.startswith("-"):
                options.append(word)
            elif equals:
                settings[key.strip()] = value.strip()
            else:
                raise ValueError(f"{word!r}: neither an option nor KEY=VALUE")
        programs, checkout = (
            Path(settings.pop(key)) if key in settings else None
            for key in ("programs", "checkout")
        )
        return cls(name.strip(), options, settings, programs, checkout)
