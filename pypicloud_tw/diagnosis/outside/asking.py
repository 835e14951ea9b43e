"""Asking a server as its clients do, one question at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit

from attrs import frozen
from twisted.internet.interfaces import IReactorTime
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent

from pypicloud_tw import __version__
from pypicloud_tw.access.basic import Login
from pypicloud_tw.client.address import IndexAddress
from pypicloud_tw.client.api import Answer, Requester, Unanswered, authorization
from pypicloud_tw.outbound.origins import host_and_port, origin_of

#: What is to be looked at where something stands in front.
PROXY = "See docs/guide/proxy.rst and pypicloud contrib nginx.conf."

#: Seconds for an answer, for whoever looks at many.
PATIENCE = 20.0

#: Bytes of an answer: a list of 100,000 projects has some 10 MB.
_MOST = 64 * 2**20

JSON_PAGE = "application/vnd.pypi.simple.v1+json"
HTML_PAGE = "text/html"


@frozen
class Visitor:
    """Asks one server.

    :ivar login: sent to that server alone; None: nobody logs in.
    """

    address: IndexAddress
    login: Login | None
    agent: IAgent
    clock: IReactorTime

    def url(self, path: str) -> str:
        """Return the address of a path of the index, as ``/simple/``."""
        return f"{self.address.base}{path}"

    async def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        fields: Mapping[str, str] | None = None,
        as_nobody: bool = False,
        whole: float | None = None,
    ) -> Answer:
        """Ask for a path of the index, or for a whole address.

        :param whole: seconds for all of the answer; None: as long as it comes.
        :raises Unanswered: nothing came.
        :raises ConfigError: as :func:`~pypicloud_tw.client.api.authorization` does.
        """
        url = self.url(path) if path.startswith("/") else path
        sent = {"User-Agent": f"pypicloud/{__version__}", "Accept": "*/*"}
        if self.login is not None and not as_nobody and self._is_its(url):
            sent["Authorization"] = authorization(self.login)
        sent |= fields or {}
        requester = Requester(self.agent, self.clock, _unanswered(url), PATIENCE, whole)
        headers = Headers({name: [text] for name, text in sent.items()})
        return await requester.send(method, url, headers, None, _MOST)

    def joined(self, base: str, reference: str) -> str:
        """Resolve an address that a page has; what is none stays as it is."""
        try:
            return urljoin(self.url(base) if base.startswith("/") else base, reference)
        except ValueError:
            return reference

    def _is_its(self, url: str) -> bool:
        try:
            return origin_of(url) == origin_of(self.address.base)
        except ValueError:
            return False


def _unanswered(url: str) -> Callable[[str], Unanswered]:
    # A query may have a signature in it.
    parts = split(url)
    where = f"{parts.scheme}://{host_and_port(parts)}{parts.path[:200]}"
    if not parts.scheme:
        where = "What it names"
    return lambda why: Unanswered(f"{where} could not be asked: {why}.")


def split(url: str) -> SplitResult:
    """Take apart an address that others name; one that is none has no parts."""
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")


def document(answer: Answer) -> Any:
    """Read an answer's JSON; None: it is none."""
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
