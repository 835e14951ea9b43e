"""An upstream index: its address, its credentials, and how it may be asked."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from attrs import field, frozen

from pypicloud_tw.config.sections.upstream import UpstreamSection
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.outbound.origins import PORTS, Origin, host_and_port, origin_of
from pypicloud_tw.upstream.statuses import ABSENT


@frozen
class ClientLimits:
    """How long an upstream is waited for, and how much is taken from it.

    :ivar connect: seconds for a connection (and its TLS).
    :ivar first_byte: seconds after that for the head of an answer.
    :ivar silence: seconds between two pieces of a body.
    :ivar total: seconds for one attempt at a whole page: the largest is of 30 MB, 5 MB
        compressed, which comes in half of it at 0.7 Mbit/s.
    :ivar probe: seconds for the attempt that finds out whether a failed upstream is
        back: the client who happens to make it must not wait as the first one did.
    :ivar retries: attempts after the first, where trying again is safe and quick.
    :ivar redirects: how many are followed; real chains have up to three (an index, its
        log-in, its CDN).
    :ivar page: bytes of a page, on its way and unpacked; four times the largest known,
        which has 40,000 files in 30 MB.
    :ivar metadata: bytes of a file's core metadata; sixteen times the largest known.
    :ivar absent: statuses that mean that there is no such page.
    :ivar untold: bytes of a file whose size nobody tells before it has come; four
        times the largest wheels known, of some 4.5 GB (torch for ROCm).
    """

    connect: float = 5.0
    first_byte: float = 30.0
    silence: float = 30.0
    total: float = 120.0
    probe: float = 3.0
    retries: int = 2
    redirects: int = 5
    page: int = 128 * 2**20
    metadata: int = 16 * 2**20
    untold: int = 16 * 2**30
    absent: frozenset[int] = ABSENT

    @classmethod
    def from_config(cls, upstream: UpstreamSection) -> ClientLimits:
        """Read the limits out of the configuration's section."""
        return cls(
            connect=upstream.connect_timeout,
            first_byte=upstream.first_byte_timeout,
            silence=upstream.silence_timeout,
            page=upstream.max_page,
            absent=ABSENT | {*upstream.absent_statuses},
        )


@frozen
class UpstreamIndex:
    """One configured upstream.

    :ivar base: its simple API's root, without credentials, ending in a slash.
    :ivar authorization: the value of the header field that only its origin is sent.
    """

    base: str
    authorization: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, url: str) -> UpstreamIndex:
        """Read an address as ``pypi.fallback_url`` has it, credentials included.

        :raises ValueError: it is no address of a web server. The message does not
            repeat it, for it may hold a password.
        """
        parts = urlsplit(url.strip())
        if parts.scheme not in PORTS or not parts.hostname or parts.query:
            raise ValueError("it must be http:// or https:// with a host, no query")
        _ = parts.port  # raises ValueError where it is no number
        authorization = None
        if parts.username is not None:
            name, password = unquote(parts.username), unquote(parts.password or "")
            token = b64encode(f"{name}:{password}".encode()).decode()
            authorization = f"Basic {token}"
        netloc = host_and_port(parts)
        path = parts.path.rstrip("/") + "/"
        return cls(urlunsplit((parts.scheme, netloc, path, "", "")), authorization)

    @property
    def origin(self) -> Origin:
        """What the credentials belong to."""
        return origin_of(self.base)

    def project_url(self, name: NormalizedName) -> str:
        """Return the address of a project's page; normalised, with its slash."""
        return f"{self.base}{name}/"

    def legacy_url(self, name: NormalizedName, version: str | None) -> str | None:
        """Return the older JSON API's address beside ``/simple/``, if there is one."""
        root, found, _ = self.base.rpartition("simple/")
        if not found or not root.endswith("/"):
            return None
        release = "" if version is None else f"{quote(version, safe='')}/"
        return f"{root}pypi/{name}/{release}json"


def sources(urls: Iterable[str]) -> tuple[UpstreamIndex, ...]:
    """Read every configured upstream, in order.

    :raises ValueError: one is no address; the message tells which by its place.
    """
    found = []
    for place, url in enumerate(urls, 1):
        try:
            found.append(UpstreamIndex.parse(url))
        except ValueError as e:
            # Python's own messages quote parts of the address.
            why = e if str(e).startswith("it must") else "its host or port is not valid"
            raise ValueError(f"pypi.fallback_url, number {place}: {why}") from None
    return tuple(found)
