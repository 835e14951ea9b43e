"""What an error tells an auditor: who was refused what, by want of which right.

Errors of :mod:`pypicloud_tw.errors` say to clients what they may know. Whoever raises
one for want of a right, or because a log-in failed, names one of these as its cause.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import evolve, frozen

from pypicloud_tw.access.basic import is_basic, parse_basic
from pypicloud_tw.access.principal import Credentials, Principal
from pypicloud_tw.access.tokens.shown import shows_token
from pypicloud_tw.config.rights import Action
from pypicloud_tw.errors import PypicloudError, RefusedByRule, Unauthorized
from pypicloud_tw.index.audit import Act, Actor, Audit, Proof
from pypicloud_tw.metrics import Metrics


class RightMissingError(Exception):
    """Somebody has not the right to do something.

    :ivar project: None for what belongs to no project.
    """

    def __init__(
        self, principal: Principal, action: Action, project: str | None
    ) -> None:
        super().__init__(action.value)
        self.principal = principal
        self.action = action
        self.project = project


class LogInFailedError(Exception):
    """A log-in that was refused.

    :ivar kind: of the proof that was tried, as of :class:`.Proof`.
    :ivar user: whom it named, as sent; a password typed into the wrong field is one.
    """

    def __init__(self, credentials: Credentials) -> None:
        self.kind, self.user = claimed(credentials)
        super().__init__(self.kind)


def claimed(credentials: Credentials) -> tuple[str, str | None]:
    """Tell what kind of proof is tried, and for whom; nothing is checked."""
    authorization = credentials.authorization
    if authorization is not None and shows_token(authorization):
        return "token", None
    if credentials.forwarded_user is not None:
        # The proxy's own, unless it is of a user of ours.
        if authorization is None or not is_basic(authorization):
            return "proxy", None
    elif authorization is None:
        return _without_authorization(credentials), None
    try:
        return "password", parse_basic(authorization).user
    except Unauthorized:
        return "password", None


def _without_authorization(credentials: Credentials) -> str:
    if credentials.certificate is not None:
        return "certificate"
    return "none" if credentials.session is None else "session"


@frozen
class Witness:
    """Makes records of what is refused.

    :ivar audit: takes them.
    :ivar knows: whether there is a user of that name. What is no user's name may be a
        password, and is not written down.
    """

    audit: Audit
    metrics: Metrics
    knows: Callable[[str], bool]

    def note(self, error: PypicloudError, actor: Actor, *, changes: bool) -> None:
        """Make a record, if an error is a refusal that matters.

        A log-in is; so is what a rule keeps back; whatever was asked for by somebody
        who is known; and any change.

        :param actor: whence it was asked; who it was is of the error's cause.
        :param changes: whether the request was for a change.
        """
        if isinstance(error, RefusedByRule):
            self._refuse_by_rule(error, actor, "upload" if changes else "fetch")
            return
        match error.__cause__:
            case LogInFailedError() as failed:
                self._refuse(_tried(failed, actor, self.knows), "log-in", None, error)
            case RightMissingError(principal=principal) as missing:
                action = missing.action.value
                self.metrics.observe_refusal(action, error.code)
                if changes or not principal.anonymous:
                    who = evolve(actor, name=principal.label, proof=principal.proof)
                    self._refuse(who, action, missing.project, error)
            case None if changes and error.status in (401, 403):
                self.metrics.observe_refusal("change", error.code)
                self._refuse(actor, "change", None, error)

    def _refuse_by_rule(self, error: RefusedByRule, actor: Actor, act: str) -> None:
        """Make a record of what came from elsewhere and was not given out."""
        self.audit(
            Act(
                actor,
                act,
                error.project,
                file=error.file,
                reason=error.message,
                outcome="refused",
            )
        )

    def _refuse(
        self, actor: Actor, act: str, project: str | None, error: PypicloudError
    ) -> None:
        self.audit(Act(actor, act, project, reason=error.message, outcome="refused"))


def _tried(
    failed: LogInFailedError, actor: Actor, knows: Callable[[str], bool]
) -> Actor:
    name = failed.user if failed.user is not None and knows(failed.user) else None
    return evolve(actor, name=name, proof=Proof("none", {"tried": failed.kind}))
