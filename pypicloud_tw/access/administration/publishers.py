"""Trusted publishers of requests, judged by the rules that those of the ini are."""

from __future__ import annotations

from pypicloud_tw.access.administration.values import PublisherTerms
from pypicloud_tw.access.document_format import publisher_source
from pypicloud_tw.config.publishers import PublisherError, make_publisher
from pypicloud_tw.config.rights import TrustedPublisher
from pypicloud_tw.errors import BadRequest


def trusted_publisher(name: str, terms: PublisherTerms) -> TrustedPublisher:
    """Make a publisher of its terms.

    :raises BadRequest: it cannot be; the message has every reason.
    """
    settings = {
        "issuer": terms.issuer,
        "audience": terms.audience,
        "claims": ", ".join(f'"{one}:{is_}"' for one, is_ in terms.claims.items()),
        "projects": ", ".join(terms.projects),
        "acts": ", ".join(sorted(action.value for action in terms.actions)),
    }
    try:
        made = make_publisher(name, settings, publisher_source(name))
    except PublisherError as e:
        problems = "; ".join(
            f"the {key} {what}" if key else f"it {what}" for key, what in e.problems
        )
        raise BadRequest(
            f"There can be no such publisher: {problems.rstrip('.')}."
        ) from None
    # The settings are texts, and a comma or a quote in one would have made two of it.
    if dict(made.claims) != dict(terms.claims) or len(made.projects) != len(
        terms.projects
    ):
        raise BadRequest(
            "A claim is a name without a colon and a pattern without a double quote; a "
            "project is a name or a pattern, each once."
        )
    return made
