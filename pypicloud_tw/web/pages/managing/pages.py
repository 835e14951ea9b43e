"""The routes below /project/NAME/manage/: what is changed of a project, by forms."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, frozen
from klein import Klein
from twisted.python.failure import Failure
from twisted.web.resource import Resource

from pypicloud_tw.access.administration.administered import Administered
from pypicloud_tw.config.rights import Action
from pypicloud_tw.errors import NotFound
from pypicloud_tw.index.model import Selection
from pypicloud_tw.index.names import NormalizedName, asked_project
from pypicloud_tw.projects.administered import AdministeredProjects
from pypicloud_tw.upstream.provenance.pins import Pins
from pypicloud_tw.web.answers import redirect
from pypicloud_tw.web.http.site import Request
from pypicloud_tw.web.pages.acting import ActDoor
from pypicloud_tw.web.pages.managing.project import ManagedProject
from pypicloud_tw.web.pages.managing.upstream import ManagedUpstream
from pypicloud_tw.web.pages.visitor import Visitor

_READ = ["GET", "HEAD"]


@frozen(eq=False)
class Managing:
    """What the pages of every project are made of.

    :ivar has_upstream: whether there is anything beside what is ours.
    :ivar answer_failure: answers what a route raised, or what no route takes.
    """

    door: ActDoor
    projects: AdministeredProjects
    administered: Administered
    pins: Pins
    has_upstream: Callable[[], bool]
    answer_failure: Callable[[Request, Failure], bytes]

    def resource(self, name: str) -> Resource:
        """Make the resource of ``/project/NAME/manage/``.

        :param name: as it stands in the address.
        """
        resource: Resource = ManagePages(self, name).router.resource()
        return resource


@define(eq=False)
class ManagePages:
    """Judges who asks by the project's name alone, and hands on to what does the work.

    :ivar given: the project's name, as it stands in the address.
    """

    parts: Managing
    given: str

    router = Klein()
    router.url_map.merge_slashes = False

    @router.route("/", methods=_READ)
    async def project(self, request: Request) -> bytes:
        """Show a project's status and releases."""
        visitor = await self._admit(request)
        try:
            return await self._project.show(request, visitor)
        except NotFound:
            if not self._is_upstream(visitor):
                raise
        redirect(request, "upstream/", for_good=False)
        return b""

    @router.route("/release/<version>/", methods=_READ)
    async def release(self, request: Request, version: str) -> bytes:
        """Show a release."""
        visitor = await self._admit(request)
        what = Selection(version=version)
        return await self._project.show_part(request, visitor, what)

    @router.route("/file/<filename>/", methods=_READ)
    async def file(self, request: Request, filename: str) -> bytes:
        """Show a file."""
        visitor = await self._admit(request)
        what = Selection(file=filename)
        return await self._project.show_part(request, visitor, what)

    @router.route("/delete", methods=_READ)
    async def ask_to_delete(self, request: Request) -> bytes:
        """Ask whether something is really to be deleted."""
        visitor = await self._admit(request, Action.DELETE)
        return await self._project.show_deletion(request, visitor)

    @router.route("/deleted", methods=_READ)
    async def deleted(self, request: Request) -> bytes:
        """Show what can be restored."""
        visitor = await self._admit(request)
        return await self._project.show_deleted(request, visitor)

    @router.route("/history", methods=_READ)
    async def history(self, request: Request) -> bytes:
        """Show who did what."""
        visitor = await self._admit(request)
        return await self._project.show_history(request, visitor)

    @router.route("/yank", methods=["POST"])
    async def yank(self, request: Request) -> bytes:
        """Yank a release or a file (PEP 592), or give another reason."""
        return await self._project.yank(request)

    @router.route("/unyank", methods=["POST"])
    async def unyank(self, request: Request) -> bytes:
        """Take back that something is yanked."""
        return await self._project.unyank(request)

    @router.route("/status", methods=["POST"])
    async def set_status(self, request: Request) -> bytes:
        """Set what has become of the project (PEP 792)."""
        return await self._project.set_status(request)

    @router.route("/delete", methods=["POST"])
    async def delete(self, request: Request) -> bytes:
        """Delete a file, a release, or all that there is."""
        return await self._project.delete(request)

    @router.route("/restore", methods=["POST"])
    async def restore(self, request: Request) -> bytes:
        """Publish again what was deleted."""
        return await self._project.restore(request)

    @router.route("/undo", methods=["POST"])
    async def undo(self, request: Request) -> bytes:
        """Undo an act."""
        return await self._project.undo(request)

    # -- what comes from elsewhere ----------------------------------------------------

    @router.route("/upstream/", methods=_READ)
    async def upstream(self, request: Request) -> bytes:
        """Show what is exempted from rules, and who publishes the project."""
        visitor = await self._admit(request, Action.ADMINISTER)
        return await self._upstream.show(request, visitor)

    @router.route("/upstream/exempt", methods=["POST"])
    async def exempt(self, request: Request) -> bytes:
        """Exempt versions from a rule, until a day."""
        return await self._upstream.exempt(request)

    @router.route("/upstream/end", methods=["POST"])
    async def end_exemption(self, request: Request) -> bytes:
        """Exempt something no more."""
        return await self._upstream.end_exemption(request)

    @router.route("/upstream/pin", methods=["POST"])
    async def pin(self, request: Request) -> bytes:
        """Pin a publisher, or accept another."""
        return await self._upstream.pin(request)

    @router.route("/upstream/unpin", methods=["POST"])
    async def unpin(self, request: Request) -> bytes:
        """Pin nobody: whoever publishes the next file will be."""
        return await self._upstream.unpin(request)

    @router.handle_errors(Exception)  # type: ignore[arg-type]  # Site makes our Request
    def failed(self, request: Request, failure: Failure) -> bytes:
        """Answer with an error."""
        return self.parts.answer_failure(request, failure)

    # -- parts ------------------------------------------------------------------------

    async def _admit(self, request: Request, action: Action = Action.MANAGE) -> Visitor:
        return await self.parts.door.door.admit_to(request, self._name, action)

    def _is_upstream(self, visitor: Visitor) -> bool:
        policy = self.parts.door.access.policy
        administers = policy.may(visitor.principal, Action.ADMINISTER, self._name)
        return administers and self.parts.has_upstream()

    @property
    def _name(self) -> NormalizedName:
        return asked_project(self.given)

    @property
    def _project(self) -> ManagedProject:
        parts = self.parts
        upstream = parts.has_upstream()
        return ManagedProject(parts.door, parts.projects, self._name, upstream)

    @property
    def _upstream(self) -> ManagedUpstream:
        parts, name = self.parts, self._name
        ours = parts.projects.catalog.has(name)
        return ManagedUpstream(parts.door, parts.administered, parts.pins, name, ours)
