"""What a person reads that has no part of its own: the list of all files, an error."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from attrs import frozen

from pypicloud_tw.index.model import Document
from pypicloud_tw.web.pages.templating import Templates, in_bytes
from pypicloud_tw.web.pages.visitor import Visitor
from pypicloud_tw.web.simple import SLOT, anchor, fill


@frozen
class PageFrame:
    """A page that is sent in pieces: what stands before them, and after."""

    start: bytes
    end: bytes


def packages_frame(templates: Templates, visitor: Visitor) -> PageFrame:
    """Return the frame of the list of all files; see :func:`packages_section`.

    It is meant to be sent section by section: with 100,000 files it has 40 MB.
    """
    page = templates.render("packages", visitor)
    start, _, end = page.partition(b'<div id="here"></div>')
    return PageFrame(start, end)


def error_page(
    templates: Templates, status: int, message: str, *, prefix: str = ""
) -> bytes:
    """Show what went wrong, to whoever it is.

    :param message: a sentence that says what to do about it.
    :param prefix: the path under which this server is mounted, for its links.
    """
    visitor = Visitor("", f"{prefix}/")
    phrase = _phrase(status)
    return templates.render(
        "error", visitor, status=status, phrase=phrase, message=message
    )


def packages_section(document: Document) -> bytes:
    """Write one project's files into the list of all files.

    The links say all that those of the simple API do, so that ``--find-links`` works.

    :param document: the project's public one (see :mod:`pypicloud_tw.web.simple`), with
        addresses relative to ``/packages/``, or absolute.
    """
    # A normalized name is its own address, and the simple API's page of it.
    texts: list[str] = [document["name"]] * 3
    rows = "".join([_row(file, texts) for file in document["files"]])
    section = (
        f'<section aria-labelledby="p-{SLOT}">\n'
        f'<h2 id="p-{SLOT}">{SLOT}</h2>\n<ul>\n{rows}</ul>\n</section>\n'
    )
    return fill(section, texts).encode(errors="replace")


def _row(file: Mapping[str, Any], texts: list[str]) -> str:
    link = anchor(file, texts)
    size = in_bytes(file.get("size"))
    texts.append(f" {size}" if size else "")
    return f"<li>{link}{SLOT}</li>\n"


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
