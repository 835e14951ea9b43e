"""Exemptions from rules for what comes from upstream, shown and changed."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from pypicloud_tw.access.administration.administered import Administered
from pypicloud_tw.access.administration.authority import Authority
from pypicloud_tw.access.administration.recorded import Change, RecordedChange
from pypicloud_tw.access.administration.shown import show_exemption
from pypicloud_tw.access.administration.values import (
    Changed,
    Exempted,
    NewExemption,
    Required,
)
from pypicloud_tw.access.document import AccessDocument
from pypicloud_tw.access.exemption_changes import (
    exemption_id,
    put_exemption,
    remove_exemption,
)
from pypicloud_tw.access.exemptions import exemptions_of
from pypicloud_tw.config.exemptions import Exemption, make_exemption, split_what
from pypicloud_tw.config.values import BadValueError
from pypicloud_tw.errors import BadRequest, Forbidden, NotFound
from pypicloud_tw.index.audit import Act, Actor


@frozen
class ExemptionAdministration:
    """Shows and changes those of projects that whoever asks administers."""

    parts: Administered
    actor: Actor
    authority: Authority

    async def list(self) -> Sequence[Exempted]:
        """Return those of what whoever asks administers, the ini's first."""
        policy, now = await self.parts.policy(), self._now
        return [
            show_exemption(one, now)
            for one in exemptions_of(policy)
            if self.authority.administers(one.project)
        ]

    async def find(self, id: str) -> Exempted:
        """See the interface."""
        policy = await self.parts.policy()
        found = policy.document.exemptions.get(id)
        if found is None or not self.authority.administers(found.project):
            raise NotFound(f"There is no exemption {id} that you administer.")
        return show_exemption(found, self._now)

    async def add(self, new: NewExemption, required: Required) -> Exempted:
        """See the interface.

        :raises Forbidden: whoever asks does not administer the project.
        """
        wanted = _exemption(new, self.actor)
        self.authority.check_administers(wanted.project)
        now, id = self._now, exemption_id(wanted)
        await self._change(
            id,
            "added an exemption",
            wanted.project,
            lambda document: put_exemption(document, wanted, now),
            required,
        )
        return await self.find(id)

    async def remove(self, id: str, required: Required) -> Changed:
        """See the interface; errors as of :meth:`add`."""
        there = await self.find(id)
        now = self._now

        def apply(document: AccessDocument) -> AccessDocument:
            found = document.exemptions.get(id)
            if found is not None and not self.authority.administers(found.project):
                raise Forbidden("This exemption is not yours to remove.")
            return remove_exemption(document, id, now)

        act = "removed an exemption"
        return await self._change(id, act, there.project, apply, required)

    async def _change(
        self, id: str, act: str, project: str, change: Change, required: Required
    ) -> Changed:
        record = Act(self.actor, act, project=project)
        return await self.parts.change(
            RecordedChange("exemptions", id, record, change, required)
        )

    @property
    def _now(self) -> float:
        return self.parts.documents.clock.seconds()


def _exemption(new: NewExemption, actor: Actor) -> Exemption:
    if split_what(new.project)[1] or split_what(new.versions)[0]:
        raise BadRequest(
            "This exemption must have a name as its project, and a version specifier "
            "as ==2.5.1 as its versions, or none."
        )
    try:
        return make_exemption(
            f"{new.project}{new.versions}",
            until=new.until,
            reason=new.reason,
            sha256=new.sha256,
            rule=new.rule,
            source=actor.name or "",
        )
    except BadValueError as e:
        raise BadRequest(f"This exemption {e}") from None
