"""Which publishers a job is of."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from heapq import nsmallest

from pypicloud_tw.config.claims import fit_all, mismatches
from pypicloud_tw.config.rights import TrustedPublisher

#: Publishers that one token can be of: each is asked again at each of its uses.
MOST = 100

#: Publishers that a log tells of when none fits: those that come nearest.
_TOLD = 5

#: What tells a job from others of its issuer, as far as it has them.
_TELLING = (
    "repository",
    "project_path",
    "organization_slug",
    "pipeline_slug",
    "email",
    "workflow_ref",
    "ci_config_ref_uri",
    "ref",
    "build_branch",
    "environment",
)


def trusts(publisher: TrustedPublisher, claims: Mapping[str, str]) -> bool:
    """Return whether a job is of a publisher.

    Asked again at each use of a token that was minted for it, of the publisher as it
    then is: so narrowing or removing one ends its tokens.

    :param claims: of the job, with ``iss`` and ``aud``.
    """
    return (
        # Without any, every job of the issuer would fit.
        bool(publisher.claims)
        and claims.get("iss") == publisher.issuer
        and claims.get("aud") == publisher.audience
        and fit_all(publisher.claims, claims)
    )


def matching(
    publishers: Mapping[str, TrustedPublisher],
    claims: Mapping[str, str],
    fixed: Container[str] = (),
) -> tuple[str, ...]:
    """Name the publishers that trust a job: one token is for what any of them may.

    There are :data:`MOST` at most. Whoever administers a project can trust anybody's
    job with it, as often as they please, and must not burden its token.

    :param fixed: the names of those of the ini, which come first.
    """
    found = (name for name, one in publishers.items() if trusts(one, claims))
    return tuple(sorted(found, key=lambda name: (name not in fixed, name))[:MOST])


def explain(
    publishers: Mapping[str, TrustedPublisher], claims: Mapping[str, str]
) -> list[str]:
    """Say why none trusts a job, for the operator: the nearest first, a few of them."""
    wrong = ((_wrong(one, claims), name) for name, one in publishers.items())
    nearest = nsmallest(_TOLD, wrong, key=lambda found: (len(found[0]), found[1]))
    return [
        f"publisher.{name} differs: "
        f"{'; '.join(_differences(publishers[name], names, claims))}."
        for names, name in nearest
    ]


def _wrong(publisher: TrustedPublisher, claims: Mapping[str, str]) -> list[str]:
    wrong = mismatches(publisher.claims, claims)
    return wrong if claims.get("aud") == publisher.audience else ["aud", *wrong]


def _differences(
    publisher: TrustedPublisher, names: Iterable[str], claims: Mapping[str, str]
) -> Iterator[str]:
    wanted = {"aud": publisher.audience, **dict(publisher.claims)}
    for name in names:
        if name in claims:
            yield f"{name} is {claims[name]!r}, not {wanted[name]!r}"
        else:
            yield f"{name} is not there, and is to be {wanted[name]!r}"


def describe(claims: Mapping[str, str]) -> str:
    """Say what a job says of itself; it need not be told what would be right."""
    found = [f"{name} {claims[name][:200]}" for name in _TELLING if name in claims]
    return ", ".join(found) or f"sub {claims.get('sub', 'none')[:200]}"
