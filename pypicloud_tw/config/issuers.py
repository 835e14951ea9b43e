"""What is known of the issuers of identity tokens: whose job a token is of.

Any issuer works that has discovery; of these, some mistakes can be told beforehand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from attrs import frozen

from pypicloud_tw.config.claims import Claims, has_star, literal_start
from pypicloud_tw.config.rights import TrustedPublisher


@frozen
class _Tie:
    """A claim that says whose job it is.

    :ivar claim: its name.
    :ivar before: what of its value says so, as a regular expression. It is matched
        against what a pattern has before its first star, and NUL if there is one.
    """

    claim: str
    before: str


#: A whole value, without a star.
_WHOLE = r"[^\0]+\Z"
_OWNER = r"[^/\0]+/"

#: Issuers that anybody can get a token of, by what ties one to somebody. Of others that
#: many share, the issuer's own address names the organization.
SHARED: Mapping[str, tuple[_Tie, ...]] = MappingProxyType(
    {
        "https://token.actions.githubusercontent.com": (
            _Tie("repository", _OWNER),
            _Tie("repository_id", _WHOLE),
            _Tie("repository_owner", _WHOLE),
            _Tie("repository_owner_id", _WHOLE),
            _Tie("enterprise_id", _WHOLE),
            _Tie("sub", r"repo:[^/:\0]+/|repository_owner(?:_id)?:[^:\0]+:"),
        ),
        "https://gitlab.com": (
            _Tie("project_path", _OWNER),
            _Tie("project_id", _WHOLE),
            _Tie("namespace_path", r"[^/\0]+(?:/|\Z)"),
            _Tie("namespace_id", _WHOLE),
            _Tie("sub", r"project_path:[^/:\0]+/"),
        ),
        "https://accounts.google.com": (
            _Tie("email", _WHOLE),
            _Tie("sub", _WHOLE),
        ),
        "https://agent.buildkite.com": (
            _Tie("organization_slug", _WHOLE),
            _Tie("organization_id", _WHOLE),
            _Tie("pipeline_id", _WHOLE),
            _Tie("sub", r"organization:[^:\0]+:"),
        ),
    }
)

#: Names that somebody else can take after a rename, by the claims that nobody can.
_REUSABLE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "repository": ("repository_id", "repository_owner_id"),
        "repository_owner": ("repository_owner_id",),
        "project_path": ("project_id", "namespace_id"),
        "namespace_path": ("namespace_id", "project_id"),
        "organization_slug": ("organization_id", "pipeline_id"),
        "pipeline_slug": ("pipeline_id",),
        "email": ("sub",),
    }
)


def is_tied(issuer: str, claims: Claims) -> bool:
    """Return whether claims leave a token to one owner, where many have tokens."""
    ties = SHARED.get(issuer)
    named = dict(claims)
    return ties is None or any(
        tie.claim in named and re.match(tie.before, _up_to_star(named[tie.claim]))
        for tie in ties
    )


def _up_to_star(pattern: str) -> str:
    return literal_start(pattern) + ("\0" if has_star(pattern) else "")


def untied(issuer: str) -> str:
    """Say what is missing where :func:`is_tied` is false; ends a sentence."""
    names = ", ".join(dict.fromkeys(tie.claim for tie in SHARED[issuer]))
    return (
        "does not say whose jobs are meant, and anybody can get a token of this "
        f"issuer; name an owner by one of {names}, without a star in it."
    )


def recommendations(publisher: TrustedPublisher) -> Iterator[str]:
    """Say what could be safer, a sentence each."""
    named = {name for name, _ in publisher.claims}
    for claim, lasting in _REUSABLE.items():
        if claim in named and named.isdisjoint(lasting):
            yield (
                f"publisher.{publisher.name}.claims: after a rename or a removal "
                f"somebody else can have this {claim}; name {' or '.join(lasting)}, "
                "too, which are never given again."
            )
            return
