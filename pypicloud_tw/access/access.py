"""Who asks and whether they may, of one index: the one place that is asked."""

from __future__ import annotations

from typing import Protocol

from attrs import define

from pypicloud_tw.access.document import AccessDocument
from pypicloud_tw.access.documents import AccessDocuments
from pypicloud_tw.access.policy import Policy
from pypicloud_tw.access.principal import ANONYMOUS, Credentials, Principal
from pypicloud_tw.errors import ReadOnly


class Authenticator(Protocol):
    """One way to find out who makes a request."""

    def takes(self, credentials: Credentials) -> bool:
        """Return whether these credentials are of its kind."""

    def recall(self, credentials: Credentials) -> Principal | None:
        """Return at once who it is, or None if that takes :meth:`authenticate`."""

    async def authenticate(self, credentials: Credentials) -> Principal:
        """Find out who it is.

        :raises Unauthorized: unknown, wrong or malformed.
        :raises TooManyRequests: too many wrong tries lately.
        :raises Unavailable: it cannot be found out now.
        """


@define(eq=False)
class Access:
    """Decides for one index.

    :ivar policy: the rules in force.
    :ivar authenticators: the first that takes a request's credentials decides.
    :ivar documents: what administrators set at run time; None: nothing.
    """

    policy: Policy
    authenticators: tuple[Authenticator, ...]
    documents: AccessDocuments | None = None

    def __attrs_post_init__(self) -> None:
        if self.documents is not None:
            self.documents.subscribe(self._obey)

    @property
    def fresh(self) -> bool:
        """Whether the rules in force may be relied on without asking anybody."""
        return self.documents is None or self.documents.fresh

    @property
    def problem(self) -> str | None:
        """Why what administrators set cannot be read, while it cannot: a sentence."""
        return None if self.documents is None else self.documents.problem

    async def learn(self) -> None:
        """Find out which rules are in force now, or were last.

        :raises Unavailable: it could never be found out, so that nothing is allowed.
        """
        if self.documents is not None:
            await self.documents.learn()

    @property
    def read_only(self) -> str | None:
        """Why nothing may be changed now (``pypi.read_only``); None: it may."""
        return self.policy.settings.read_only

    def refuse_while_read_only(self) -> None:
        """Return if changes may be made now; whoever takes one asks.

        :raises ReadOnly: none may.
        """
        if self.read_only is not None:
            raise ReadOnly(self.read_only)

    def recall(self, credentials: Credentials) -> Principal | None:
        """Return at once who makes a request; None if that takes a check."""
        authenticator = self._find(credentials)
        return ANONYMOUS if authenticator is None else authenticator.recall(credentials)

    async def authenticate(self, credentials: Credentials) -> Principal:
        """Find out who makes a request; errors as of :class:`Authenticator`."""
        authenticator = self._find(credentials)
        if authenticator is None:
            return ANONYMOUS
        return await authenticator.authenticate(credentials)

    def _obey(self, document: AccessDocument) -> None:
        self.policy = self.policy.with_document(document)

    def _find(self, credentials: Credentials) -> Authenticator | None:
        for authenticator in self.authenticators:
            if authenticator.takes(credentials):
                return authenticator
        return None
