"""Trusted publishers, shown and changed; judged as those of the ini are."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import evolve, frozen

from pypicloud_tw.access import changes
from pypicloud_tw.access.administration.administered import Administered
from pypicloud_tw.access.administration.authority import Authority
from pypicloud_tw.access.administration.recorded import Change, RecordedChange
from pypicloud_tw.access.administration.shown import show_publisher
from pypicloud_tw.access.administration.values import (
    Changed,
    Publisher,
    PublisherTerms,
    Required,
)
from pypicloud_tw.access.document import AccessDocument
from pypicloud_tw.access.document_format import publisher_source
from pypicloud_tw.config.issuers import recommendations
from pypicloud_tw.config.publishers import PublisherError, make_publisher
from pypicloud_tw.config.rights import TrustedPublisher
from pypicloud_tw.errors import BadRequest, Forbidden, NotFound
from pypicloud_tw.index.audit import Act, Actor


@frozen
class PublisherAdministration:
    """Shows and changes those whose projects whoever asks administers."""

    parts: Administered
    actor: Actor
    authority: Authority

    async def list(self) -> Sequence[Publisher]:
        """Return those for what whoever asks administers."""
        policy = await self.parts.policy()
        known = policy.rules.publishers
        return [
            show_publisher(policy, known[name])
            for name in sorted(known)
            if self.authority.administers(*known[name].projects)
        ]

    async def find(self, name: str) -> Publisher:
        """See the interface."""
        policy = await self.parts.policy()
        found = policy.rules.publishers.get(name)
        if found is None or not self.authority.administers(*found.projects):
            raise NotFound(f"There is no trusted publisher {name} that you administer.")
        return show_publisher(policy, found)

    async def put(
        self, name: str, terms: PublisherTerms, required: Required
    ) -> Changed:
        """See the interface.

        :raises Forbidden: it is, or would be, for projects that whoever asks does not
            administer.
        """
        trusted = trusted_publisher(name, terms)
        self.authority.check_administers(*trusted.projects)

        def apply(document: AccessDocument) -> AccessDocument:
            self._check(document, name)
            return changes.put_publisher(document, self.parts.settings, trusted)

        changed = await self._change(name, "set", apply, required)
        safer = tuple(recommendations(trusted))
        return evolve(changed, notices=(*changed.notices, *safer))

    async def remove(self, name: str, required: Required) -> Changed:
        """See the interface; errors as of :meth:`put_publisher`."""

        def apply(document: AccessDocument) -> AccessDocument:
            self._check(document, name)
            return changes.remove_publisher(document, self.parts.settings, name)

        return await self._change(name, "removed", apply, required)

    async def _change(
        self, name: str, done: str, change: Change, required: Required
    ) -> Changed:
        record = Act(self.actor, f"{done} a publisher", reason=name)
        return await self.parts.change(
            RecordedChange("publishers", name, record, change, required)
        )

    def _check(self, document: AccessDocument, name: str) -> None:
        """Return if one of that name may be changed by whoever asks."""
        there = document.publishers.get(name)
        if there is not None and not self.authority.administers(*there.projects):
            # Not for which: whoever asks may not even know of these projects.
            raise Forbidden(
                f"The publisher {name} is for projects that you do not administer."
            )


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
