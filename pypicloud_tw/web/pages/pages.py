"""What a person reads: the front page, the list of all files, an error.

Nothing is loaded from elsewhere and no script runs, so the strictest policy holds.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any, Literal
from urllib.parse import urlsplit

from attrs import define, field, frozen
from jinja2 import Environment, PackageLoader, StrictUndefined

from pypicloud_tw.index.model import Document
from pypicloud_tw.projects.affected.values import AffectedPage
from pypicloud_tw.web.media import PAGE_POLICY
from pypicloud_tw.web.simple import SLOT, anchor, fill

#: The Content-Security-Policy field's value for these pages: their own style, and
#: nothing else.
POLICY = PAGE_POLICY + b"; style-src 'unsafe-inline'"

#: What somebody needs to read: nothing; nothing for a part of what there is; a log-in.
Reading = Literal["open", "part", "log-in"]

#: What somebody needs to upload: nothing, a log-in, or what they do not have.
Uploads = Literal["open", "log-in"] | None

CONTENT_TYPE = b"text/html; charset=utf-8"

#: Where the sections go into the list of all files.
_HERE = SLOT


def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("pypicloud_tw.web.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )


@frozen
class Frame:
    """A page that is sent in pieces: what stands before them, and after."""

    start: bytes
    end: bytes


@define
class Pages:
    """Renders the pages that people read.

    :ivar version: of this program, shown to those who may read the index.
    """

    version: str
    _environment: Environment = field(factory=_environment, repr=False)

    def home(
        self,
        base_url: str,
        *,
        reading: Reading,
        uploads: Uploads = "log-in",
        read_only: str | None = None,
        manages: bool = False,
    ) -> bytes:
        """Say what this is, and how its reader can install and upload.

        :param base_url: this very server's address as the client knows it, with the
            path prefix if there is one.
        :param reading: whether that takes a log-in.
        :param uploads: whether they do, or None if the reader cannot.
        :param read_only: why nobody can now.
        :param manages: whether there is any project that the reader manages.
        """
        base = base_url.rstrip("/")
        return self._render(
            "home",
            version=self.version,
            home=None,
            base=base,
            base_for_reading=_with_user(base) if reading == "log-in" else base,
            reading=reading,
            uploads=uploads,
            read_only=read_only,
            manages=manages,
            insecure_host=_insecure_host(base),
        )

    def packages(self) -> Frame:
        """Return the frame of the list of all files; see :func:`packages_section`.

        It is meant to be sent section by section: with 100,000 files it has 40 MB.
        """
        page = self._render("packages", version=self.version, home="../", here=_HERE)
        start, _, end = page.partition(_HERE.encode())
        return Frame(start, end)

    def affected(self, page: AffectedPage, following: str | None) -> bytes:
        """Show what was taken that advisories affect.

        :param following: the address of what follows.
        """
        return self._render(
            "affected", version=self.version, home="./", page=page, following=following
        )

    def error(self, status: int, message: str, *, prefix: str = "") -> bytes:
        """Show what went wrong, without the version: an error is shown to anyone.

        :param message: a sentence that says what to do about it.
        :param prefix: the path under which this server is mounted, for its links.
        """
        return self._render(
            "error",
            version="",
            home=f"{prefix}/",
            status=status,
            phrase=_phrase(status),
            message=message,
        )

    def _render(self, name: str, **values: object) -> bytes:
        page = self._environment.get_template(f"{name}.html").render(values)
        # Half a surrogate pair is no character.
        return page.encode(errors="replace")


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
    texts.append(_size(file.get("size")))
    return f"<li>{link}{SLOT}</li>\n"


def _size(size: object) -> str:
    """Write a number of bytes as people do; nothing if it is none."""
    if not isinstance(size, int | float) or isinstance(size, bool):
        return ""
    if size < 1000:
        return f" {size} B"
    for unit in ("kB", "MB"):
        size /= 1000
        if size < 999.95:
            return f" {size:.1f} {unit}"
    return f" {size / 1000:.1f} GB"


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def _with_user(base: str) -> str:
    """Put placeholders for a log-in into an address."""
    scheme, separator, rest = base.partition("://")
    return f"{scheme}{separator}USER:PASSWORD@{rest}"


def _insecure_host(base: str) -> str | None:
    """Return the host that pip refuses until it is told to trust it; None if none.

    That is one without TLS, unless it is this machine.
    """
    try:
        address = urlsplit(base)
        host = address.hostname
    except ValueError:
        return None
    if address.scheme != "http" or not host or host == "localhost":
        return None
    try:
        return None if ip_address(host).is_loopback else host
    except ValueError:
        return host
