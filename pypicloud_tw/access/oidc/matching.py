"""Which publishers a job is of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pypicloud_tw.config.claims import mismatches
from pypicloud_tw.config.rights import TrustedPublisher

#: Publishers that a log tells of when none fits: those that come nearest.
_TOLD = 5


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
        and not mismatches(publisher.claims, claims)
    )


def matching(
    publishers: Mapping[str, TrustedPublisher], claims: Mapping[str, str]
) -> tuple[str, ...]:
    """Name all publishers that trust a job: one token is for what any of them may."""
    return tuple(sorted(n for n, one in publishers.items() if trusts(one, claims)))


def explain(
    publishers: Mapping[str, TrustedPublisher], claims: Mapping[str, str]
) -> list[str]:
    """Say why none trusts a job, for the operator: the nearest first, a few of them."""
    found = sorted(
        ((list(_differences(p, claims)), n) for n, p in publishers.items()),
        key=lambda one: (len(one[0]), one[1]),
    )
    return [
        f"publisher.{name} differs: {'; '.join(wrong)}."
        for wrong, name in found[:_TOLD]
    ]


def _differences(
    publisher: TrustedPublisher, claims: Mapping[str, str]
) -> Iterator[str]:
    wanted = {"aud": publisher.audience, **dict(publisher.claims)}
    wrong = mismatches(publisher.claims, claims)
    if claims.get("aud") != publisher.audience:
        wrong = ["aud", *wrong]
    for name in wrong:
        shown = f"is {claims[name]!r}" if name in claims else "is not there"
        yield f"{name} {shown}, not {wanted[name]!r}"
