"""``pypicloud refresh --derived``: what is derived, made anew."""

from __future__ import annotations

from typing import TextIO

from pypicloud_tw.index.index import Index
from pypicloud_tw.projects.derived.service import COMMAND_AT_ONCE, DerivedProjects

#: Projects from one line of progress to the next.
_TOLD_EVERY = 5000


async def rebuild_derived(index: Index, out: TextIO, err: TextIO) -> int:
    """Write what is known of all projects anew, of their manifests.

    Servers read it at their next start. It may run beside them.

    :returns: 1 if some could not be described.
    """
    told = 0

    def report(described: int) -> None:
        nonlocal told
        if described >= told + _TOLD_EVERY:
            told = described
            print(f"{described} projects described", file=err)

    derived = DerivedProjects(index, at_once=COMMAND_AT_ONCE)
    rebuilt = await derived.rebuild(report)
    for name, why in rebuilt.unreadable:
        print(f"pypicloud: {name} is left out: {why}", file=err)
    for key in rebuilt.left:
        print(f"pypicloud: {key} is of a newer version, and left as it is.", file=err)
    print(f"{rebuilt.described} projects are described anew.", file=out)
    return 1 if rebuilt.unreadable or rebuilt.left else 0
