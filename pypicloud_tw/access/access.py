"""Who asks and whether they may, of one index: the one place that is asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Protocol

from attrs import define, field
from twisted.logger import Logger

from pypicloud_tw.access.audit.witness import (
    LogInFailedError,
    RightMissingError,
    claimed,
)
from pypicloud_tw.access.document import AccessDocument
from pypicloud_tw.access.documents import AccessDocuments
from pypicloud_tw.access.policy import Policy
from pypicloud_tw.access.principal import ANONYMOUS, Credentials, Principal
from pypicloud_tw.access.settings import AccessSettings
from pypicloud_tw.concurrency.steps import Steps
from pypicloud_tw.config.rights import Action
from pypicloud_tw.errors import (
    PypicloudError,
    ReadOnly,
    TooManyRequests,
    Unauthorized,
)
from pypicloud_tw.index.names import NormalizedName

#: Returns at once whose log-in it is; None: that takes a check again.
Recall = Callable[[], Principal | None]


class Authenticator(Protocol):
    """One way to find out who makes a request."""

    def takes(self, credentials: Credentials) -> bool:
        """Return whether these credentials are of its kind."""

    def recall(self, credentials: Credentials) -> Principal | None:
        """Return at once who it is, or None if that takes :meth:`authenticate`."""

    def find_recall(self, credentials: Credentials) -> Recall | None:
        """Return what does :meth:`recall` for these, with less to look for.

        None if there is no such thing.
        """

    async def authenticate(self, credentials: Credentials) -> Principal:
        """Find out who it is.

        :raises Unauthorized: unknown, wrong or malformed.
        :raises TooManyRequests: too many wrong tries lately.
        :raises Unavailable: it cannot be found out now.
        """


def _not_counted(kind: str, outcome: str) -> None:
    """Count no log-in."""


@define(eq=False)
class Access:
    """Decides for one index.

    :ivar policy: the rules in force.
    :ivar authenticators: the first that takes a request's credentials decides.
    :ivar documents: what administrators set at run time; None: nothing.
    :ivar count_login: told the kind of each log-in that took a check, and its outcome:
        ``done``, or an error's code.
    """

    policy: Policy
    authenticators: tuple[Authenticator, ...]
    documents: AccessDocuments | None = None
    count_login: Callable[[str, str], None] = field(default=_not_counted)
    _log: ClassVar[Logger] = Logger()

    def __attrs_post_init__(self) -> None:
        if self.documents is not None:
            self.documents.subscribe(self._obeying)

    @property
    def fresh(self) -> bool:
        """Whether the rules in force may be relied on without asking anybody."""
        return self.documents is None or self.documents.fresh

    @property
    def problem(self) -> str | None:
        """Why what administrators set cannot be read, while it cannot: a sentence."""
        return None if self.documents is None else self.documents.problem

    async def learn(self, *, changing: bool = False) -> None:
        """Find out which rules are in force now; see :meth:`AccessDocuments.learn`."""
        if self.documents is not None:
            await self.documents.learn(changing=changing)

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

    def check(
        self, principal: Principal, action: Action, project: NormalizedName | None
    ) -> None:
        """Return if it is allowed; parameters and errors as of :meth:`Policy.check`.

        An error's cause is a :class:`.RightMissingError`.
        """
        try:
            self.policy.check(principal, action, project)
        except PypicloudError as e:
            raise e from RightMissingError(principal, action, project)

    def recall(self, credentials: Credentials) -> Principal | None:
        """Return at once who makes a request; None if that takes a check.

        :raises Unauthorized: what it shows can be nobody's. It is not counted yet; its
            cause is a :class:`.LogInFailedError`.
        """
        authenticator = self._find(credentials)
        if authenticator is None:
            return ANONYMOUS
        try:
            return authenticator.recall(credentials)
        except Unauthorized as e:
            raise e from LogInFailedError(credentials)

    def find_recall(self, credentials: Credentials) -> Recall | None:
        """Return what recalls who shows these again; see :class:`Authenticator`."""
        authenticator = self._find(credentials)
        return None if authenticator is None else authenticator.find_recall(credentials)

    async def authenticate(self, credentials: Credentials) -> Principal:
        """Find out who makes a request; errors as of :class:`Authenticator`.

        Of a refusal, the cause is a :class:`.LogInFailedError`.
        """
        try:
            recalled = self.recall(credentials)
            authenticator = self._find(credentials)
            if recalled is not None or authenticator is None:
                return recalled or ANONYMOUS
            principal = await authenticator.authenticate(credentials)
        except PypicloudError as e:
            self.count_login(claimed(credentials)[0], e.code)
            if isinstance(e, Unauthorized | TooManyRequests):
                raise e from LogInFailedError(credentials)
            raise
        # Who shows an old session has not logged in.
        if credentials.session is None or principal is not ANONYMOUS:
            self.count_login(claimed(credentials)[0], "done")
        return principal

    def obey(self, settings: AccessSettings) -> None:
        """Decide by another ini from now on."""
        self._decide_by(self.policy.with_settings(settings))

    def _obeying(self, document: AccessDocument) -> Steps[Callable[[], None]]:
        policy = yield from self.policy.taking(document)

        def obey() -> None:
            # The ini may be another one by now.
            settings = self.policy.settings
            is_current = policy.settings is settings
            self._decide_by(policy if is_current else policy.with_settings(settings))

        return obey

    def _decide_by(self, policy: Policy) -> None:
        """Put rules into force, and tell what an operator would not expect of them."""
        before, self.policy = self.policy.rules, policy
        rules = policy.rules
        if rules.open is not before.open:
            self._log.warn("{summary}", summary=rules.summary)
        for notice in rules.notices:
            if notice not in before.notices:
                self._log.warn("{notice}", notice=notice)

    def _find(self, credentials: Credentials) -> Authenticator | None:
        for authenticator in self.authenticators:
            if authenticator.takes(credentials):
                return authenticator
        return None
