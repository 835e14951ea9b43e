"""What an index's own API answers, read strictly, and pages of it."""

from __future__ import annotations

import itertools
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from attrs import evolve

from pypicloud_tw.errors import UpstreamError
from pypicloud_tw.index.imported import parse_moment
from pypicloud_tw.json_values import NotAsDeclared, decode
from pypicloud_tw.moving.http import SourceHttp
from pypicloud_tw.moving.source import SourceFile
from pypicloud_tw.outbound.origins import shown
from pypicloud_tw.upstream.parse import load_json

T = TypeVar("T")

#: Of a list: as many files as a thousand projects have with a thousand each.
MOST = 1_000_000

#: What a path of an index's API may be made of, where the index itself tells it.
_PATH = re.compile(r"/[A-Za-z0-9/_.:-]+")


def understood(kind: type[T], document: object, url: str, title: str) -> T:
    """Read an object of an answer; what else it has is ignored.

    :param title: what the index was taken for.
    :raises UpstreamError: it is of another form.
    """
    try:
        return decode(kind, document, strict=False)
    except NotAsDeclared as e:
        raise unlike(url, title, str(e)) from None


def understood_list(
    kind: type[T], document: object, url: str, title: str
) -> tuple[T, ...]:
    """Read a list of an answer; parameters and errors as of :func:`understood`."""
    if not isinstance(document, list):
        raise unlike(url, title, "The document must be a list.")
    return tuple(understood(kind, one, url, title) for one in document)


def moment(text: str | None, url: str, title: str) -> datetime | None:
    """Read a moment that an answer may have, in UTC; errors as of :func:`understood`.

    :raises UpstreamError: what it has is none.
    """
    at = parse_moment(text)
    if text and at is None:
        raise unlike(url, title, "What it tells as a time is none.")
    return at


def unlike(url: str, title: str, why: str) -> UpstreamError:
    """Say that an answer is not as it should be, and what is left to be done."""
    return UpstreamError(
        f"{shown(url)} does not answer as {title} does: {why} If it is another kind of "
        "index, say which: --kind simple takes any."
    )


async def numbered_pages(
    ask: Callable[[int], Awaitable[Sequence[T]]], size: int
) -> AsyncIterator[T]:
    """Go through a list that is asked for page by page, by number, from 1.

    :param size: of a page; a shorter one is the last.
    :raises UpstreamError: it does not end, or goes round in a circle.
    """
    last: Sequence[T] = ()
    count = 0
    for number in itertools.count(1):
        page = await ask(number)
        count += len(page)
        if count > MOST or (page and page == last):
            raise endless()
        for one in page:
            yield one
        if len(page) < size:
            return
        last = page


def endless() -> UpstreamError:
    """Say that a list does not end."""
    return UpstreamError("The list of what the index has does not come to an end.")


async def looked(http: SourceHttp, url: str) -> object:
    """Return what JSON an address answers, to find out what a server is; None: none.

    :raises PypicloudError: as :meth:`.http.SourceHttp.look` does.
    """
    page = await http.look(url, "application/json")
    try:
        return None if page is None else load_json(page)
    except ValueError:
        return None


def api_path(path: str, url: str, title: str) -> str:
    """Return a path of the API that the index told, if it can be one.

    :raises UpstreamError: it leads elsewhere.
    """
    if _PATH.fullmatch(path) is None or path.startswith("//") or ".." in path:
        raise unlike(url, title, "A path that it tells is none of its API.")
    return path


def with_facts(file: SourceFile, digest: str | None, **facts: Any) -> SourceFile:
    """Add to a file what an API tells of it, if it is about the same bytes.

    :param digest: the sha256 that the API tells.
    :param facts: fields of :class:`.source.SourceFile`; None: not told.
    """
    known = file.digests.get("sha256")
    if digest is not None and known is not None and digest.lower() != known:
        return file
    told = {name: value for name, value in facts.items() if value is not None}
    if digest is not None and known is None:
        told["digests"] = {**file.digests, "sha256": digest.lower()}
    return evolve(file, **told)
