"""The routes below /admin/, one line of intent each."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define
from klein import Klein
from twisted.python.failure import Failure
from twisted.web.resource import Resource

from pypicloud_tw.access.administration.administered import Administered
from pypicloud_tw.config.rights import Action
from pypicloud_tw.errors import PypicloudError
from pypicloud_tw.metrics import Metrics
from pypicloud_tw.projects.administered import AdministeredProjects
from pypicloud_tw.projects.stored_pruning import AdministeredPruning
from pypicloud_tw.upstream.provenance.pins import Pins
from pypicloud_tw.web.http.site import Request
from pypicloud_tw.web.pages.admin.audit import AuditPages
from pypicloud_tw.web.pages.admin.exemptions import ExemptionPages
from pypicloud_tw.web.pages.admin.groups import GroupPages
from pypicloud_tw.web.pages.admin.pins import PinPages
from pypicloud_tw.web.pages.admin.pruning import PrunePages
from pypicloud_tw.web.pages.admin.publishers import PublisherPages
from pypicloud_tw.web.pages.admin.rights import RightPages
from pypicloud_tw.web.pages.admin.server import ServerPage
from pypicloud_tw.web.pages.admin.tokens import TokenPages
from pypicloud_tw.web.pages.admin.users import UserPages
from pypicloud_tw.web.pages.admin.visits import AdminDoor
from pypicloud_tw.web.pages.door import PageDoor
from pypicloud_tw.web.pages.forms import FormDoor
from pypicloud_tw.web.projects import Projects

_READ, _SEND = ["GET", "HEAD"], ["POST"]

_TOKEN = "/tokens/<string(length=32):id>"  # noqa: S105  an address
_EXEMPTION = "/exemptions/<string(length=16):id>"


@define(eq=False)
class AdminArea:
    """Leads to the parts; each judges who may see and change what.

    :ivar answer_failure: answers what a route raised, or what no route takes.
    """

    door: AdminDoor
    users: UserPages
    groups: GroupPages
    rights: RightPages
    publishers: PublisherPages
    tokens: TokenPages
    exemptions: ExemptionPages
    pins: PinPages
    audit: AuditPages
    pruning: PrunePages
    server: ServerPage
    answer_failure: Callable[[Request, Failure], bytes]

    router = Klein()
    router.url_map.merge_slashes = False

    @classmethod
    def of(
        cls,
        page_door: PageDoor,
        administered: Administered,
        projects: AdministeredProjects,
        pruning: AdministeredPruning,
        pins: Pins,
        served: Projects,
        metrics: Metrics,
        refused: Callable[[Request, PypicloudError], None],
        answer_failure: Callable[[Request, Failure], bytes],
    ) -> AdminArea:
        """Make the parts.

        :param administered: what administrators change of access.
        :param projects: what projects are shown and changed in.
        :param pruning: what prunes the index, and the rules of the ini.
        :param pins: who publishes the projects of upstreams.
        :param served: what serves projects, be they here or elsewhere.
        :param refused: makes a record of what is refused.
        """
        door = AdminDoor(page_door, FormDoor(page_door.access), refused)
        pieces = projects.pieces
        return cls(
            door,
            UserPages(door, administered, pieces),
            GroupPages(door, administered, pieces),
            RightPages(door, administered, pieces),
            PublisherPages(door, administered),
            TokenPages(door, administered),
            ExemptionPages(door, administered),
            PinPages(door, pins, administered.audit),
            AuditPages(door, projects.index),
            PrunePages(door, pruning),
            ServerPage(door, projects, served, metrics),
            answer_failure,
        )

    def resource(self) -> Resource:
        """Make the resource of ``/admin/``."""
        resource: Resource = self.router.resource()
        return resource

    @router.route("/", methods=_READ)
    async def overview(self, request: Request) -> bytes:
        """Show what there is to administer, for whoever administers or manages some."""
        visit = await self.door.enter(request)
        visit.who.authority.check_some(Action.MANAGE)
        return visit.send("overview")

    # -- users ------------------------------------------------------------------------
    @router.route("/users/", methods=_READ)
    async def list_users(self, request: Request) -> bytes:
        """List the users."""
        return await self.users.list(request)

    @router.route("/users/", methods=_SEND)
    async def add_user(self, request: Request) -> bytes:
        """Add a user."""
        return await self.users.add(request)

    @router.route("/users/<user>", methods=_READ)
    async def show_user(self, request: Request, user: str) -> bytes:
        """Show a user."""
        return await self.users.show(request, user)

    @router.route("/users/<user>", methods=_SEND)
    async def change_user(self, request: Request, user: str) -> bytes:
        """Change a user, or remove one."""
        return await self.users.change(request, user)

    # -- groups -----------------------------------------------------------------------
    @router.route("/groups/", methods=_READ)
    async def list_groups(self, request: Request) -> bytes:
        """List the groups."""
        return await self.groups.list(request)

    @router.route("/groups/", methods=_SEND)
    async def add_group(self, request: Request) -> bytes:
        """Add a group."""
        return await self.groups.add(request)

    @router.route("/groups/<group>", methods=_READ)
    async def show_group(self, request: Request, group: str) -> bytes:
        """Show a group."""
        return await self.groups.show(request, group)

    @router.route("/groups/<group>", methods=_SEND)
    async def change_group(self, request: Request, group: str) -> bytes:
        """Change who is in a group, or remove it."""
        return await self.groups.change(request, group)

    # -- rights -----------------------------------------------------------------------
    @router.route("/rights/", methods=_READ)
    async def list_rights(self, request: Request) -> bytes:
        """List the lines of rights."""
        return await self.rights.list(request)

    @router.route("/rights/", methods=_SEND)
    async def add_right(self, request: Request) -> bytes:
        """Add a line."""
        return await self.rights.add(request)

    @router.route("/rights/line", methods=_READ)
    async def show_right(self, request: Request) -> bytes:
        """Show a line."""
        return await self.rights.show(request)

    @router.route("/rights/line", methods=_SEND)
    async def change_right(self, request: Request) -> bytes:
        """Change a line, or remove it."""
        return await self.rights.change(request)

    @router.route("/explain", methods=_READ)
    async def explain(self, request: Request) -> bytes:
        """Explain what somebody may do."""
        return await self.rights.explain(request)

    # -- publishers -------------------------------------------------------------------
    @router.route("/publishers/", methods=_READ)
    async def list_publishers(self, request: Request) -> bytes:
        """List the trusted publishers."""
        return await self.publishers.list(request)

    @router.route("/publishers/", methods=_SEND)
    async def add_publisher(self, request: Request) -> bytes:
        """Trust a publisher."""
        return await self.publishers.add(request)

    @router.route("/publishers/<publisher>", methods=_READ)
    async def show_publisher(self, request: Request, publisher: str) -> bytes:
        """Show a trusted publisher."""
        return await self.publishers.show(request, publisher)

    @router.route("/publishers/<publisher>", methods=_SEND)
    async def change_publisher(self, request: Request, publisher: str) -> bytes:
        """Change a publisher's terms, or trust it no more."""
        return await self.publishers.change(request, publisher)

    # -- tokens -----------------------------------------------------------------------
    @router.route("/tokens/", methods=_READ)
    async def list_tokens(self, request: Request) -> bytes:
        """List everybody's tokens."""
        return await self.tokens.list(request)

    @router.route(_TOKEN, methods=_READ)
    async def show_token(self, request: Request, id: str) -> bytes:
        """Show a token."""
        return await self.tokens.show(request, id)

    @router.route(_TOKEN, methods=_SEND)
    async def revoke_token(self, request: Request, id: str) -> bytes:
        """Revoke a token."""
        return await self.tokens.revoke(request, id)

    # -- what comes from other indexes ------------------------------------------------
    @router.route("/exemptions/", methods=_READ)
    async def list_exemptions(self, request: Request) -> bytes:
        """List the exemptions."""
        return await self.exemptions.list(request)

    @router.route("/exemptions/", methods=_SEND)
    async def add_exemption(self, request: Request) -> bytes:
        """Exempt something."""
        return await self.exemptions.add(request)

    @router.route(_EXEMPTION, methods=_READ)
    async def show_exemption(self, request: Request, id: str) -> bytes:
        """Show an exemption."""
        return await self.exemptions.show(request, id)

    @router.route(_EXEMPTION, methods=_SEND)
    async def remove_exemption(self, request: Request, id: str) -> bytes:
        """Remove an exemption."""
        return await self.exemptions.change(request, id)

    @router.route("/pins/", methods=_READ)
    async def list_pins(self, request: Request) -> bytes:
        """List who publishes what."""
        return await self.pins.list(request)

    @router.route("/pins/", methods=_SEND)
    async def add_pin(self, request: Request) -> bytes:
        """Pin a publisher."""
        return await self.pins.add(request)

    @router.route("/pins/<name>", methods=_READ)
    async def show_pin(self, request: Request, name: str) -> bytes:
        """Show who publishes a project."""
        return await self.pins.show(request, name)

    @router.route("/pins/<name>", methods=_SEND)
    async def change_pin(self, request: Request, name: str) -> bytes:
        """Pin another publisher, or nobody."""
        return await self.pins.change(request, name)

    # -- what was done, and what may go -----------------------------------------------
    @router.route("/audit", methods=_READ)
    async def show_records(self, request: Request) -> bytes:
        """Show records of who did what."""
        return await self.audit.show(request)

    @router.route("/audit.jsonl", methods=_READ)
    async def download_records(self, request: Request) -> None:
        """Send them, a record a line."""
        await self.audit.download(request)

    @router.route("/prune", methods=_READ)
    async def show_plan(self, request: Request) -> bytes:
        """Show what a prune would delete."""
        return await self.pruning.show(request)

    @router.route("/prune", methods=_SEND)
    async def apply_plan(self, request: Request) -> bytes:
        """Carry out what was ticked of a plan."""
        return await self.pruning.apply(request)

    # -- the server -------------------------------------------------------------------
    @router.route("/server", methods=_READ)
    async def show_server(self, request: Request) -> bytes:
        """Show how the server stands."""
        return await self.server.show(request)

    # -- errors ---------------------------------------------------------------------

    @router.handle_errors(Exception)  # type: ignore[arg-type]  # Site makes our Request
    def failed(self, request: Request, failure: Failure) -> bytes:
        """Answer with an error."""
        return self.answer_failure(request, failure)
