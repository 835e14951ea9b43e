"""Names of projects and versions for the completion of a shell."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

import click
from click.shell_completion import CompletionItem

from pypicloud_tw.cli.target import Target
from pypicloud_tw.projects.values import MOST

if TYPE_CHECKING:
    from pypicloud_tw.cli.administration import Work

T = TypeVar("T")

#: Seconds that an index has for its answer while somebody waits for a key.
_PATIENCE = 2.0

_PINNED = "=="

#: Names and versions are of these; anything else is not put into a command line.
_PLAIN = re.compile(r"[A-Za-z0-9._+!-]+")


def complete_project(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete the name of a project."""
    wanted = incomplete or None
    page = _ask(ctx, lambda index: index.projects.projects(None, MOST, wanted))
    names = [] if page is None else [one.name for one in page.items]
    return [
        CompletionItem(name)
        for name in names
        if name.startswith(incomplete.lower()) and _PLAIN.fullmatch(name)
    ]


def complete_release(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete PROJECT, PROJECT==VERSION, or the VERSION after PROJECT.

    Bash takes ``==`` for a word of its own.
    """
    words = [*(ctx.params.get(param.name or "") or ())]
    if incomplete == _PINNED:
        words, incomplete = [*words, incomplete], ""
    project, pinned, version = incomplete.partition(_PINNED)
    if pinned:
        return _versions(ctx, project, version, f"{project}{_PINNED}")
    if not words:
        return complete_project(ctx, param, incomplete)
    return _versions(ctx, words[0].partition(_PINNED)[0], incomplete, "")


def _versions(
    ctx: click.Context, project: str, begin: str, before: str
) -> list[CompletionItem]:
    found = _ask(ctx, lambda index: index.projects.project(project))
    versions = [] if found is None else [one.version for one in found.releases]
    # The newest first, as far as the shell leaves them in order.
    return [
        CompletionItem(f"{before}{version}")
        for version in reversed(versions)
        if version.startswith(begin) and _PLAIN.fullmatch(version)
    ]


def _ask(ctx: click.Context, work: Work[T]) -> T | None:
    """Ask the server of the index that the command line means; None: it is silent.

    A store itself is not asked: it takes longer than somebody waits.
    """
    if ctx.params.get("config") is not None:
        return None
    try:
        with ctx.scope(cleanup=False):
            return Target(None, ctx.params.get("index")).peek(work, _PATIENCE)
    except Exception:
        # Whatever it is, nobody is to read of it amid a command line.
        return None
