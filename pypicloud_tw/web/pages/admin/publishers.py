"""Trusted publishers, shown and changed on pages."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from pypicloud_tw.access.administration.administered import Administered
from pypicloud_tw.access.administration.stored import StoredAdministration
from pypicloud_tw.access.administration.values import NEW, PublisherTerms
from pypicloud_tw.config.publishers import AUDIENCE
from pypicloud_tw.errors import BadRequest
from pypicloud_tw.web.pages.admin.collection import Collection
from pypicloud_tw.web.pages.admin.users import PRESENT
from pypicloud_tw.web.pages.admin.visits import AdminVisit, FormResult, segment


@frozen(eq=False)
class PublisherPages(Collection):
    """Shows those that somebody may change, and takes their forms."""

    administered: Administered

    async def _list(self, visit: AdminVisit) -> bytes:
        window = visit.window()
        found = await self._doer(visit).publishers()
        publishers = visit.cut(
            one for one in found if window.has(one.name, *one.terms.projects)
        )
        return visit.send("publishers", publishers=publishers, audience=AUDIENCE)

    async def _show(self, visit: AdminVisit, name: str) -> bytes:
        publisher = await self._doer(visit).publisher(name)
        return visit.send("publisher", publisher=publisher)

    async def _add(self, visit: AdminVisit) -> FormResult:
        name, terms = visit.typed("name"), _terms(visit)
        changed = await self._doer(visit).put_publisher(name, terms, NEW)
        return FormResult(f"publishers/{segment(name)}", "added", changed.notices)

    async def _change(self, visit: AdminVisit, name: str) -> FormResult:
        doer = self._doer(visit)
        match visit.form.one("act"):
            case "set":
                changed = await doer.put_publisher(name, _terms(visit), PRESENT)
                return FormResult(f"publishers/{segment(name)}", "set", changed.notices)
            case "remove":
                visit.check_sure()
                changed = await doer.remove_publisher(name, PRESENT)
                return FormResult("publishers/", "removed", changed.notices)
        raise BadRequest("The form does not say what to do with the publisher.")

    def _doer(self, visit: AdminVisit) -> StoredAdministration:
        doer = visit.administration(self.administered)
        doer.authority.check_administers_some()
        return doer


def _terms(visit: AdminVisit) -> PublisherTerms:
    """Return the terms that were typed."""
    return PublisherTerms(
        visit.typed("issuer"),
        _claims(visit.form.one("claims")),
        visit.words("projects"),
        visit.typed("audience") or AUDIENCE,
        visit.actions(),
    )


def _claims(text: str) -> Mapping[str, str]:
    """Read claims, one a line: ``repository: acme/tool``."""
    claims: dict[str, str] = {}
    for line in filter(None, (line.strip() for line in text.splitlines())):
        name, colon, pattern = (part.strip() for part in line.partition(":"))
        if not colon or not name or not pattern or name in claims:
            raise BadRequest(
                "Write each claim once, on a line of its own, as repository: acme/tool."
            )
        claims[name] = pattern
    return claims
