"""What the rules in force come to, as administrators see it."""

from __future__ import annotations

from pypicloud_tw.access.administration.values import (
    Decision,
    Exempted,
    Group,
    Publisher,
    PublisherTerms,
    Right,
    User,
    Verdict,
)
from pypicloud_tw.access.explain import Explanation
from pypicloud_tw.access.policy import Policy
from pypicloud_tw.config.exemptions import Exemption
from pypicloud_tw.config.rights import RightLine, TrustedPublisher


def show_user(policy: Policy, name: str) -> User:
    """Show a user, who must be known."""
    fixed = name in policy.settings.users
    stored = policy.document.users.get(name)
    return User(
        name,
        administrator=name in policy.rules.administrators,
        password=fixed or (stored is not None and stored.hash is not None),
        groups=tuple(sorted(policy.rules.groups_of(name))),
        fixed=fixed,
    )


def show_group(policy: Policy, name: str) -> Group:
    """Show a group, which must be known."""
    fixed = policy.settings.groups.get(name)
    members = policy.document.groups[name] if fixed is None else fixed
    return Group(name, tuple(sorted(members)), fixed=fixed is not None)


def show_right(policy: Policy, line: RightLine, *, fixed: bool) -> Right:
    """Show a line."""
    return Right(
        line.project,
        line.kind,
        line.name,
        line.actions,
        line.source,
        fixed,
        counts=fixed or line.project in policy.rules.stored_lines,
    )


def show_publisher(policy: Policy, trusted: TrustedPublisher) -> Publisher:
    """Show a trusted publisher."""
    terms = PublisherTerms(
        trusted.issuer,
        dict(trusted.claims),
        trusted.projects,
        trusted.audience,
        trusted.actions,
    )
    fixed = trusted.name in policy.settings.publishers
    return Publisher(trusted.name, terms, trusted.source, fixed)


def show_exemption(exemption: Exemption, now: float) -> Exempted:
    """Show an exemption; *now* is in seconds since the epoch."""
    return Exempted(
        exemption.id,
        exemption.what,
        exemption.project,
        exemption.versions,
        exemption.sha256,
        exemption.rule.value,
        exemption.until,
        exemption.reason,
        exemption.source,
        fixed=not exemption.id,
        ended=now >= exemption.until.timestamp(),
    )


#: Why something is not allowed, to who may do nothing at all with a project: lines for
#: it tell that there is one.
UNTOLD = "you may do nothing with it; ask an administrator why"


def hide_decision(explanation: Explanation) -> Decision:
    """Show that nothing is allowed, and not which lines there are."""
    verdicts = (Verdict(one.action, False, (UNTOLD,)) for one in explanation.verdicts)
    return Decision(explanation.project, None, False, tuple(verdicts))


def show_decision(explanation: Explanation) -> Decision:
    """Show why somebody may do something with a project, or may not."""
    return Decision(
        explanation.project,
        explanation.decided_by,
        explanation.fixed,
        tuple(
            Verdict(one.action, one.allowed, one.reasons)
            for one in explanation.verdicts
        ),
    )
