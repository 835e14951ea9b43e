"""What pypicloud 1.x knew of users, groups and rights, wherever it kept that."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from attrs import frozen

#: A key of its ini. A name may have dots in it, which it passed over.
_RIGHT = re.compile(r"package\.(.+?)\.(user|group)\.(.+)")


@frozen
class FormerRight:
    """What somebody could do with one package.

    :ivar package: the name as it was written.
    :ivar kind: ``user`` or ``group``.
    :ivar told: as it was written, where that says more than the parts.
    """

    package: str
    kind: str
    name: str
    reads: bool
    writes: bool
    told: str = ""

    @classmethod
    def of_words(
        cls, package: str, kind: str, name: str, words: list[str], told: str = ""
    ) -> FormerRight:
        """Understand words for rights."""
        return cls(package, kind, name, "read" in words, "write" in words, told)

    @classmethod
    def of_text(cls, package: str, kind: str, name: str, text: str) -> FormerRight:
        """Understand a text as pypicloud 1.3 did.

        Of up to two characters it was letters, else words with blanks between them: in
        "read, write" it found "write" alone, in "r w" nothing.
        """
        told = " ".join(text.split())
        if len(text) > 2:
            return cls.of_words(package, kind, name, text.split(), told)
        return cls(package, kind, name, "r" in text, "w" in text, told)

    @property
    def letters(self) -> str:
        """Return ``r``, ``w``, ``rw`` or ``none``."""
        return ("r" if self.reads else "") + ("w" if self.writes else "") or "none"


@frozen
class FormerAccess:
    """All of it.

    :ivar users: hashes by name; no user who waited for an administrator's consent.
    :ivar groups: members by the group's name.
    :ivar pending: how many users waited.
    """

    users: Mapping[str, str]
    admins: tuple[str, ...]
    groups: Mapping[str, tuple[str, ...]]
    rights: tuple[FormerRight, ...]
    pending: int = 0


def access_of_ini(old: Mapping[str, str]) -> FormerAccess:
    """Take it out of an old ini's settings."""
    admins = (old.get(f"{section}.admins", "") for section in ("auth", "pypi"))
    return FormerAccess(
        users={name: old[f"user.{name}"] for name in _named(old, "user.")},
        admins=tuple(" ".join(admins).split()),
        groups={
            name: tuple(old[f"group.{name}"].split()) for name in _named(old, "group.")
        },
        rights=tuple(_rights(old)),
    )


def _rights(old: Mapping[str, str]) -> Iterator[FormerRight]:
    for key, text in old.items():
        if right := _RIGHT.fullmatch(key):
            yield FormerRight.of_text(right[1], right[2], right[3], text)


def _named(old: Mapping[str, str], start: str) -> Iterator[str]:
    return (key.removeprefix(start) for key in old if key.startswith(start))
