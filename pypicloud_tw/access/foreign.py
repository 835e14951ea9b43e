"""Names that others give us: a proxy, a directory, an authority of certificates."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.logger import Logger

from pypicloud_tw.config.rights import RESERVED
from pypicloud_tw.config.sources import user_name_problem

#: Characters of a name; as for those that log in by a password.
_MAX_NAME = 256

#: Groups that are kept of one user.
_MAX_GROUPS = 1000

_log = Logger()


def user_of(name: str, whose: str) -> str | None:
    """Return a user's name if it can be one here; what cannot is told in the log.

    :param whose: who gave it, as a sentence begins.
    """
    problem = user_name_problem(name)
    if problem is None and len(name) <= _MAX_NAME:
        return name
    _log.warn(
        "{whose} names a user {name!r}, who is not let in. {problem}",
        whose=whose,
        name=name[:_MAX_NAME],
        problem=problem or f"A user's name has at most {_MAX_NAME} characters.",
    )
    return None


def groups_of(names: Iterable[str]) -> frozenset[str]:
    """Return the names that can be groups here; the first thousand by the alphabet."""
    usable = {
        name
        for name in map(str.strip, names)
        if name
        and name.isprintable()
        and len(name) <= _MAX_NAME
        # Whoever is in groups that are called so elsewhere.
        and name.lower() not in RESERVED
    }
    if len(usable) > _MAX_GROUPS:
        _log.warn(
            "A user is in {n} groups elsewhere; the first {most} by alphabet count.",
            n=len(usable),
            most=_MAX_GROUPS,
        )
    return frozenset(sorted(usable)[:_MAX_GROUPS])
