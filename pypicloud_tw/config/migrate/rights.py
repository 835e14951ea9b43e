"""Who could read what under pypicloud 1.x, to tell what the new file opens.

Found by running version 1.3: a project that has rights of its own is for those they
name, and for administrators; any other is for the groups of ``pypi.default_read``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from attrs import frozen

#: Stands for whoever has not logged in, which is no user's name.
_ANYONE = ""

#: A name may have dots in it: ``package.zope.interface.user.bob``.
_RIGHT = re.compile(r"package\.(.+?)\.(user|group)\.(.+)")
_READS = frozenset({"r", "rw", "wr", "read"})

#: More names than these are counted.
_MOST_NAMES = 5


@frozen
class FormerRights:
    """What the old file says of reading.

    :ivar users: every user that it names.
    :ivar admins: who may do everything.
    :ivar groups: members by the group's name.
    :ivar default: the groups that may read what has no rights of its own.
    :ivar projects: who may read each: pairs of ``user`` or ``group``, and a name.
    """

    users: frozenset[str]
    admins: frozenset[str]
    groups: Mapping[str, frozenset[str]]
    default: Sequence[str]
    projects: Mapping[str, Sequence[tuple[str, str]]]

    @classmethod
    def of(cls, old: Mapping[str, str]) -> FormerRights:
        """Take them out of an old file's settings."""
        projects: dict[str, list[tuple[str, str]]] = {}
        for key, text in old.items():
            if right := _RIGHT.fullmatch(key):
                readers = projects.setdefault(right[1], [])
                if _READS & {*text.split()}:
                    readers.append((right[2], right[3]))
        return cls(
            users=frozenset(_named(old, "user.")),
            admins=frozenset(
                name
                for section in ("auth", "pypi")
                for name in old.get(f"{section}.admins", "").split()
            ),
            groups={
                name: frozenset(old[f"group.{name}"].split())
                for name in _named(old, "group.")
            },
            default=old.get("pypi.default_read", "authenticated").split(),
            projects=projects,
        )

    def opened(self, *, to_everyone: bool) -> Iterator[str]:
        """Say of each project with rights of its own what the new file opens.

        :param to_everyone: by the new file, whoever has not logged in may read.
        """
        whoever = "everyone" if to_everyone else "every user"
        for project, allowed in self.projects.items():
            readers = self._members(allowed)
            if self._may_now(to_everyone) - readers:
                yield (
                    f"{project[:80]} could be read by {_listed(readers)}; now by "
                    f"{whoever}."
                )

    def default_opened(self, *, to_everyone: bool) -> bool:
        """Return whether the new file opens what has no rights of its own."""
        readers = self._members([("group", name) for name in self.default])
        return bool(self._may_now(to_everyone) - readers)

    def _may_now(self, to_everyone: bool) -> frozenset[str]:
        # Where the file names nobody, users are kept elsewhere: somebody will come.
        users = self.users or frozenset({"another"})
        return users | {_ANYONE} if to_everyone else users

    def _members(self, allowed: Sequence[tuple[str, str]]) -> frozenset[str]:
        members = self.admins
        for kind, name in allowed:
            members |= {name} if kind == "user" else self._group(name)
        return members

    def _group(self, name: str) -> frozenset[str]:
        match name:
            case "everyone":
                return self._may_now(True)
            case "authenticated":
                return self._may_now(False)
            case _:
                return self.groups.get(name, frozenset())


def _named(old: Mapping[str, str], start: str) -> Iterator[str]:
    return (key.removeprefix(start) for key in old if key.startswith(start))


def _listed(names: frozenset[str]) -> str:
    if not names:
        return "nobody"
    shown = sorted(names)[:_MOST_NAMES]
    more = len(names) - len(shown)
    return " and ".join([", ".join(shown), *([f"{more} more"] if more else [])])
