"""The routes below /project/: what there is to see of a project, for whoever may."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import takewhile

from attrs import define, frozen
from klein import Klein
from packaging.utils import is_normalized_name
from twisted.python.failure import Failure
from twisted.web.resource import Resource

from pypicloud_tw.access.administration.authority import (
    Authority,
)
from pypicloud_tw.advisories.values import Advisory, IAdvisories
from pypicloud_tw.concurrency.pieces import Pieces
from pypicloud_tw.config.rights import Action
from pypicloud_tw.errors import BadRequest, NotFound, PypicloudError
from pypicloud_tw.index.names import NormalizedName, asked_project
from pypicloud_tw.offload.packing import pack
from pypicloud_tw.offload.service import IOffload, unpack_apart
from pypicloud_tw.projects.derived.service import DerivedProjects
from pypicloud_tw.projects.described.interface import Described
from pypicloud_tw.projects.described.values import (
    ReleaseMetadata,
    RenderedDescription,
)
from pypicloud_tw.projects.explained.explainer import Explainer
from pypicloud_tw.projects.explained.stored import StoredExplanations
from pypicloud_tw.projects.statistics.stored import (
    AdministeredStatistics,
    StoredStatistics,
)
from pypicloud_tw.projects.statistics.values import USUAL_DAYS, ProjectFetches
from pypicloud_tw.web.answers import preferred_form, redirect
from pypicloud_tw.web.api.json_api import number, parameter
from pypicloud_tw.web.http.site import Request
from pypicloud_tw.web.pages.charts import Chart, bars
from pypicloud_tw.web.pages.door import PageDoor
from pypicloud_tw.web.pages.project.reading import (
    show_document,
    show_document_elsewhere,
    show_own,
)
from pypicloud_tw.web.pages.project.values import ServedFrom, ShownProject
from pypicloud_tw.web.pages.setups import setup_for
from pypicloud_tw.web.pages.visitor import Visitor
from pypicloud_tw.web.projects import Elsewhere, Found, Projects

_READ = ["GET", "HEAD"]

#: Bytes of a page of the simple API that is read in the reactor's thread: 3 ms.
QUICK = 256 * 1024

#: Releases that a project's page lists, and a page of all of them.
LISTED, MOST_LISTED = 15, 200

#: Files of one release that its page lists: with more it would have over 100 kB.
MOST_FILES = 20

#: Dependencies and the like of a release that its page lists; of what may be longer,
#: half as many.
MOST_TOLD = 40

#: Projects that require one, as its page lists them.
MOST_DEPENDENTS = 20

#: Names that are like one that is not here.
MOST_NEAR = 5

#: Versions that a picture shows, and days.
MOST_BARS = 20
MOST_DAYS = 366


def _folded(shown: ShownProject) -> dict[str, object]:
    """Return the releases that a project's page lists, and those that are folded.

    Pre-releases are, but where there is nothing else.
    """
    final = [one for one in shown.releases if not one.prerelease]
    early = [one for one in shown.releases if one.prerelease and final]
    listed = final or shown.releases
    return {
        "listed": listed[:LISTED],
        "folded": early[:LISTED],
        "most_folded": LISTED,
    }


def _before(shown: ShownProject) -> str | None:
    """Return the version before the one that is shown; None: there is none.

    Pre-releases are left out.
    """
    later = takewhile(lambda one: one.version != shown.version, shown.releases)
    older = shown.releases[len(list(later)) + 1 :]
    return next((one.version or None for one in older if not one.prerelease), None)


@frozen
class Fetched:
    """How often a project was fetched, in pictures by day and by version."""

    told: ProjectFetches
    picture: Chart
    versions: Chart


@define(eq=False)
class ProjectPages:
    """Lets readers in, and shows them projects.

    Whoever may not read a project is refused by its name alone.

    :ivar door: where visitors come in and pages go out.
    :ivar explainer: makes what explains what clients see.
    :ivar derived: what is known of all projects at once.
    :ivar statistics: how often projects are fetched.
    :ivar described: gives what tells what releases and files say of themselves.
    :ivar answer_failure: answers what a route raised, or what no route takes.
    """

    door: PageDoor
    projects: Projects
    explainer: Callable[[], Explainer]
    described: Callable[[], Described]
    derived: DerivedProjects
    statistics: AdministeredStatistics
    offload: IOffload
    advisories: IAdvisories
    pieces: Pieces
    answer_failure: Callable[[Request, Failure], bytes]

    router = Klein()
    router.url_map.merge_slashes = False

    def resource(self) -> Resource:
        """Make the resource of ``/project/``."""
        resource: Resource = self.router.resource()
        return resource

    @router.route("/<name>", methods=_READ)
    @router.route("/<name>/<version>", methods=_READ)
    def without_slash(self, request: Request, name: str, version: str = "") -> None:
        """Show the way to the page."""
        redirect(request, f"{version or asked_project(name)}/")

    @router.route("/<name>/", methods=_READ)
    async def project(self, request: Request, name: str) -> bytes:
        """Show a project and its newest release."""
        return await self._send(request, name, None)

    @router.route("/<name>/<version>/", methods=_READ)
    async def release(self, request: Request, name: str, version: str) -> bytes:
        """Show a project and one of its releases."""
        return await self._send(request, name, version)

    @router.route("/<name>/releases/", methods=_READ)
    async def releases(self, request: Request, name: str) -> bytes:
        """List every release."""
        normalized = asked_project(name)
        visitor = await self.door.admit_to(request, normalized)
        shown = await self._find(visitor, normalized, None)
        before = number(request, "after", 0, 10**6)
        listed = shown.releases[before : before + MOST_LISTED]
        following = before + MOST_LISTED
        return self.door.send(
            request,
            "project/releases",
            visitor,
            project=shown,
            listed=listed,
            folded=(),
            most_folded=0,
            following=following if following < len(shown.releases) else None,
        )

    @router.route("/<name>/stats/", methods=_READ)
    async def stats(self, request: Request, name: str) -> bytes:
        """Show how often a project was fetched."""
        normalized = asked_project(name)
        visitor = await self.door.admit_to(request, normalized)
        authority = self.door.authority(visitor)
        days = number(request, "days", USUAL_DAYS, MOST_DAYS)
        fetched = await self._fetched(normalized, authority, days)
        if fetched is None:
            raise NotFound("Downloads are not counted here.")
        return self.door.send(
            request, "project/stats", visitor, name=normalized, fetched=fetched
        )

    @router.route("/<name>/explain/", methods=_READ)
    async def explain(self, request: Request, name: str) -> bytes:
        """Tell what a client sees of a project, or of a release, and why."""
        normalized = asked_project(name)
        visitor = await self.door.admit_to(request, normalized)
        authority = self.door.authority(visitor)
        version = parameter(request, "version")
        doer = StoredExplanations(self.explainer(), authority)
        told = await doer.explain(normalized, version)
        return self.door.send(request, "project/explain", visitor, told=told)

    @router.route("/<name>/compare/", methods=_READ)
    async def compare(self, request: Request, name: str) -> bytes:
        """Tell what changes of what a project needs between two releases."""
        normalized = asked_project(name)
        visitor = await self.door.admit_to(request, normalized)
        shown = await self._find(visitor, normalized, parameter(request, "to"))
        old, new = parameter(request, "from") or _before(shown), shown.version
        changes, trouble = None, None
        if old is not None and new is not None:
            try:
                changes = await self.described().compare(normalized, old, new)
            except (NotFound, BadRequest) as e:
                trouble = e.message
        return self.door.send(
            request,
            "project/compare",
            visitor,
            project=shown,
            old=old,
            changes=changes,
            trouble=trouble,
            linked=self._linked(visitor),
        )

    @router.route("/<name>/files/<filename>/", methods=_READ)
    async def contents(self, request: Request, name: str, filename: str) -> bytes:
        """Show what is in a file, or the text of one that is in it."""
        normalized = asked_project(name)
        visitor = await self.door.admit_to(request, normalized)
        path, described = parameter(request, "path"), self.described()
        contents, member = None, None
        if path is not None:
            member = await described.member(normalized, filename, path)
        else:
            cursor = parameter(request, "cursor")
            contents = await described.contents(normalized, filename, cursor)
        return self.door.send(
            request,
            "project/contents",
            visitor,
            name=normalized,
            filename=filename,
            contents=contents,
            member=member,
        )

    @router.handle_errors(Exception)  # type: ignore[arg-type]  # Site makes our Request
    def failed(self, request: Request, failure: Failure) -> bytes:
        """Answer with an error."""
        return self.answer_failure(request, failure)

    async def _send(self, request: Request, name: str, version: str | None) -> bytes:
        normalized = asked_project(name)
        visitor = await self.door.admit_to(request, normalized)
        if not is_normalized_name(name):
            up = "../../" if version is not None else "../"
            down = f"{version}/" if version is not None else ""
            redirect(request, f"{up}{normalized}/{down}")
            return b""
        try:
            shown = await self._find(visitor, normalized, version)
        except NotFound as e:
            return self._send_missing(request, visitor, normalized, version, e)
        policy = self.door.access.policy
        authority = self.door.authority(visitor)
        reads = authority.reads()
        told, description, trouble = await self._told(shown)
        dependents = await self.derived.dependents(normalized, MOST_DEPENDENTS, reads)
        return self.door.send(
            request,
            "project/project",
            visitor,
            project=shown,
            pinned=version is not None,
            setup=setup_for(visitor, open_to_all=policy.anyone_reads(normalized)),
            **_folded(shown),
            files=shown.files[:MOST_FILES],
            affecting=self._affecting(shown),
            told=told,
            most=MOST_TOLD,
            description=description,
            trouble=trouble,
            linked=self._linked(visitor),
            dependents=dependents,
            fetched=await self._fetched(normalized, authority, USUAL_DAYS),
            can_manage=policy.may(visitor.principal, Action.MANAGE, normalized),
        )

    def _send_missing(
        self,
        request: Request,
        visitor: Visitor,
        name: NormalizedName,
        version: str | None,
        error: NotFound,
    ) -> bytes:
        """Say that there is no such project or release, and what may be meant.

        :raises NotFound: whoever asks reads no page.
        """
        if preferred_form(request) != "text/html":
            raise error
        reads = self.door.authority(visitor).reads()
        request.setResponseCode(error.status)
        return self.door.send_once(
            request,
            "project/missing",
            visitor,
            name=name,
            release=version,
            message=error.message,
            is_here=self._linked(visitor)(name),
            near=self.derived.near(name, MOST_NEAR, reads),
        )

    async def _fetched(
        self, name: NormalizedName, authority: Authority, days: int
    ) -> Fetched | None:
        """Tell how often a project was fetched; None: nothing is counted here."""
        if self.statistics.counted is None:
            return None
        doer = StoredStatistics(self.statistics, authority)
        told = await doer.project(name, days)
        return Fetched(
            told,
            bars([day.fetches for day in told.by_day]),
            bars([one.fetches for one in told.versions[:MOST_BARS]]),
        )

    async def _told(
        self, shown: ShownProject
    ) -> tuple[ReleaseMetadata | None, RenderedDescription | None, str | None]:
        """Find what a release says of itself; else why that is not known."""
        if shown.release is None or not shown.version:
            return None, None, None
        described, name = self.described(), NormalizedName(shown.name)
        try:
            told = await described.metadata(name, shown.version)
        except PypicloudError as e:
            return None, None, e.message
        if told is None:
            return None, None, None
        return told, await described.rendered(told), None

    def _linked(self, visitor: Visitor) -> Callable[[str], bool]:
        """Return what tells of which projects there is a page for a visitor."""
        readable = self.door.access.policy.readable(visitor.principal)
        has, entry = self.projects.catalog.has, self.derived.entry
        return lambda name: (
            (has(name) or entry(name) is not None) and readable.allows(name)
        )

    def _affecting(self, shown: ShownProject) -> Sequence[Advisory]:
        if shown.version is None:
            return ()
        known = self.advisories.of(shown.name).advisories
        found = (one for one in known if one.affects(shown.version))
        return sorted(found, key=lambda one: (not one.malware, -one.severity, one.id))

    async def _find(
        self, visitor: Visitor, name: NormalizedName, version: str | None
    ) -> ShownProject:
        """Find a project: ours as its manifest has it, another as its page does.

        :raises NotFound: there is no such project or release.
        """
        fallback = self.projects.fallback
        if fallback is not None and name in fallback.merge:
            return await self._read(
                await self.projects.page(name), name, version, "both"
            )
        try:
            entry = await self.projects.own(name)
        except NotFound:
            if fallback is None:
                raise
            served = await self.projects.elsewhere(name, fallback)
            return await self._read(served, name, version, "upstream")
        policy = self.door.access.policy
        managed = policy.may(visitor.principal, Action.MANAGE, name)
        shown = show_own(entry.project, version, managed=managed)
        return await self.pieces.finish(shown)

    async def _read(
        self,
        served: Found | Elsewhere,
        name: NormalizedName,
        version: str | None,
        origin: ServedFrom,
    ) -> ShownProject:
        if isinstance(served, Elsewhere):
            raise NotFound(
                f"{name} is not here: installers are sent to {served.address} for it."
            )
        data = served.page.json
        if len(data) <= QUICK:
            return show_document(data, name, version, origin)
        question = await self.offload.in_thread(pack, (data, name, version, origin))
        answer = await self.offload.in_process(show_document_elsewhere, question)
        return await unpack_apart(self.offload, answer)
