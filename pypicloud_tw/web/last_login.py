"""Who logs in again on a connection, as clients do for each page that they ask for.

To find out anew who shows a password or a token takes a tenth of a warm page's time.
"""

from __future__ import annotations

from collections.abc import Callable
from hmac import compare_digest
from typing import Protocol

from attrs import define, field

from pypicloud_tw.access.access import Access, Recall
from pypicloud_tw.access.principal import Credentials, Principal

#: Longer fields are not kept.
_LONGEST = 1024


@define(eq=False)
class LastLogin:
    """What the last request of a connection showed to say who makes it.

    :ivar client: the address of who did; a proxy's connection has requests of many.
    :ivar recall: tells whose it is still; None: that is not known, or it came once.
    """

    authorization: bytes = field(default=b"", repr=False)
    client: str = ""
    recall: Recall | None = None

    def find(self, authorization: bytes, client: str) -> Principal | None:
        """Return at once who shows this, if the last request did."""
        if self.recall is None or not self._is(authorization, client):
            return None
        return self.recall()

    def note(self, shown: Credentials, access: Access) -> None:
        """Take down what a request shows; what comes twice is kept."""
        authorization = shown.authorization or b""
        again = self._is(authorization, shown.client)
        self.recall = access.find_recall(shown) if again else None
        if not again and len(authorization) <= _LONGEST:
            self.authorization, self.client = authorization, shown.client

    def _is(self, authorization: bytes, client: str) -> bool:
        return client == self.client and compare_digest(
            authorization, self.authorization
        )


class Connection(Protocol):
    """What a request comes by.

    :ivar kept: what is kept of one request for the next.
    """

    kept: object


def recall_login(
    connection: Connection,
    authorization: bytes,
    client: str,
    access: Access,
    shown: Callable[[], Credentials],
) -> Principal | None:
    """Return at once who shows an Authorization field; None if that takes a check.

    :param shown: collects all that the request shows.
    :raises Unauthorized: as of :meth:`Access.recall`.
    """
    last = connection.kept
    if not isinstance(last, LastLogin):
        last = connection.kept = LastLogin()
    principal = last.find(authorization, client)
    if principal is None:
        credentials = shown()
        principal = access.recall(credentials)
        if principal is not None:
            last.note(credentials, access)
    return principal
