"""The routes, one line of intent each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from attrs import define, evolve, field, setters
from klein import Klein
from packaging.utils import is_normalized_name
from twisted.python.failure import Failure
from twisted.web.resource import Resource

from pypicloud_tw import __version__
from pypicloud_tw.access.access import Access
from pypicloud_tw.access.administration.administered import Administered
from pypicloud_tw.access.audit.witness import Witness
from pypicloud_tw.access.principal import ANONYMOUS, Principal
from pypicloud_tw.access.sessions.browser import BrowserLogIn
from pypicloud_tw.concurrency.budget import BufferBudget
from pypicloud_tw.concurrency.delivery import deliver
from pypicloud_tw.config.rights import Action
from pypicloud_tw.errors import Forbidden, PypicloudError, Unauthorized
from pypicloud_tw.index.admission import Screen, take_all
from pypicloud_tw.index.audit import Actor
from pypicloud_tw.index.index import Index
from pypicloud_tw.index.names import asked_project
from pypicloud_tw.metrics import CONTENT_TYPE, Metrics
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.projects.administered import AdministeredProjects
from pypicloud_tw.projects.affected.stored import AdministeredAdvisories
from pypicloud_tw.projects.derived.service import DerivedProjects
from pypicloud_tw.projects.described.interface import Described
from pypicloud_tw.projects.described.stored import StoredDescribed
from pypicloud_tw.projects.elsewhere import Elsewhere as NamesElsewhere
from pypicloud_tw.projects.explained.explainer import Explainer
from pypicloud_tw.projects.own_names import OwnNames
from pypicloud_tw.projects.statistics.stored import AdministeredStatistics
from pypicloud_tw.projects.stored_pruning import AdministeredPruning
from pypicloud_tw.upstream.provenance.pins import Pins
from pypicloud_tw.web.answers import (
    ErrorAnswers,
    measured,
    plain_text,
    redirect,
    set_html,
)
from pypicloud_tw.web.api import xml_rpc
from pypicloud_tw.web.api.former import FormerApi
from pypicloud_tw.web.api.namespaces import send_namespace, send_namespaces
from pypicloud_tw.web.api.oidc import TrustedPublishing
from pypicloud_tw.web.api.osv import OsvApi
from pypicloud_tw.web.api.project_json import ProjectJson
from pypicloud_tw.web.api.revealed import RevealedTokens
from pypicloud_tw.web.api.v1 import ApiParts
from pypicloud_tw.web.api.xml_rpc_methods import XmlRpc
from pypicloud_tw.web.authorization import (
    actor_of,
    authenticate,
    authorize,
    authorize_at_once,
    authorize_form,
    authorize_list,
    credentials,
    is_private,
    refuse_other_sites,
)
from pypicloud_tw.web.cors import Cors
from pypicloud_tw.web.downloads import Count, Downloads, FileSender
from pypicloud_tw.web.express_lane import ExpressLane
from pypicloud_tw.web.fallback import Fallback
from pypicloud_tw.web.feeds import Feeds
from pypicloud_tw.web.http.access_log import AccessLog
from pypicloud_tw.web.http.proxies import Proxies
from pypicloud_tw.web.http.site import Request
from pypicloud_tw.web.integrity import Integrity
from pypicloud_tw.web.known_pages import page_asked
from pypicloud_tw.web.pages.account import AccountPages
from pypicloud_tw.web.pages.acting import ActDoor
from pypicloud_tw.web.pages.admin.area import AdminArea
from pypicloud_tw.web.pages.affected import AffectedReleasesPage
from pypicloud_tw.web.pages.all_files import all_files
from pypicloud_tw.web.pages.door import PageDoor
from pypicloud_tw.web.pages.home import HomePage
from pypicloud_tw.web.pages.login import LogInPages, log_in_address, see_other
from pypicloud_tw.web.pages.managing.pages import Managing
from pypicloud_tw.web.pages.pages import packages_frame
from pypicloud_tw.web.pages.project.pages import ProjectPages
from pypicloud_tw.web.pages.search import SearchPage
from pypicloud_tw.web.pages.templating import Templates
from pypicloud_tw.web.pages.uploading import UploadPage
from pypicloud_tw.web.project_list import ProjectList
from pypicloud_tw.web.projects import Elsewhere, Found, Projects
from pypicloud_tw.web.publishing import Addressed, Sender, receive, taken
from pypicloud_tw.web.readiness import Readiness
from pypicloud_tw.web.request_heads import RequestHeads
from pypicloud_tw.web.root import Root
from pypicloud_tw.web.sending import PageSender, send_representation
from pypicloud_tw.web.upload import FORM_MEMORY

_READ = ["GET", "HEAD"]

#: How the addresses of pages begin that only people ask for.
_FOR_PEOPLE = (
    b"/project/",
    b"/search",
    b"/advisories",
    b"/account/",
    b"/upload",
    b"/admin/",
)


@define(eq=False)
class Application:
    """What the server answers.

    :ivar index: whose projects are served.
    :ivar access: who asks, and whether they may.
    :ivar administered: what administrators change over HTTP.
    :ivar publishing: what CI jobs ask that have no secret.
    :ivar revealed: takes reports of tokens that leaked.
    :ivar witness: makes records of what is refused.
    :ivar browser: logs people in, in a browser.
    :ivar fallback: what serves the projects that are not here; None: nothing does.
    :ivar metrics_read: judges who may read ``/metrics``, by principal and address;
        raises Unauthorized where a log-in would help.
    :ivar downloads: takes each file that was handed out; None: nothing does.
    :ivar statistics: how often projects are fetched, as far as that is counted.
    :ivar count: counts each file that is handed out; None: nothing does.
    :ivar pruning: what prunes the index, and the rules of the ini.
    :ivar advisories: what is asked of advisories, and the daily reports.
    :ivar pins: who publishes the projects of upstreams.
    :ivar derived: what is known of all projects at once.
    :ivar elsewhere: what is known here of other indexes.
    :ivar cors: what scripts of other sites may read; None: nothing.
    :ivar temp_dir: where files are put that are looked into; None is the system's
        folder for temporary files.
    :ivar forms: the memory that the forms of all uploads have together.
    """

    index: Index
    access: Access
    administered: Administered
    publishing: TrustedPublishing
    revealed: RevealedTokens
    offload: IOffload
    metrics: Metrics
    max_upload: int
    metrics_read: Callable[[Principal, str], bool]
    witness: Witness
    browser: BrowserLogIn
    fallback: Fallback | None = field(default=None, on_setattr=setters.frozen)
    downloads: Downloads | None = field(default=None, on_setattr=setters.frozen)
    pruning: AdministeredPruning = field(on_setattr=setters.frozen)
    advisories: AdministeredAdvisories = field(on_setattr=setters.frozen)
    pins: Pins = field(on_setattr=setters.frozen)
    statistics: AdministeredStatistics = field(on_setattr=setters.frozen)
    count: Count | None = field(default=None, on_setattr=setters.frozen)
    derived: DerivedProjects = field(on_setattr=setters.frozen)
    elsewhere: NamesElsewhere = field(factory=NamesElsewhere, on_setattr=setters.frozen)
    screen: Screen = field(default=take_all, on_setattr=setters.frozen)
    cors: Cors | None = field(default=None, on_setattr=setters.frozen)
    temp_dir: Path | None = field(default=None, on_setattr=setters.frozen)
    forms: BufferBudget = field(factory=lambda: BufferBudget(FORM_MEMORY), init=False)
    projects: Projects = field(init=False)
    _templates: Templates = field(factory=lambda: Templates(__version__), init=False)
    _door: PageDoor = field(init=False)
    _log_in: LogInPages = field(init=False)
    _errors: ErrorAnswers = field(init=False)
    _list: ProjectList = field(init=False)
    _sender: PageSender = field(init=False)
    files: FileSender = field(init=False)
    _feeds: Feeds = field(init=False)
    _json: ProjectJson = field(init=False)
    _integrity: Integrity = field(init=False)
    _readiness: Readiness = field(init=False)
    _administered_projects: AdministeredProjects = field(init=False)
    _xml_rpc: XmlRpc = field(init=False)
    _api: ApiParts = field(init=False)
    _former_api: FormerApi = field(init=False)
    _osv_api: OsvApi = field(init=False)
    _affected_page: AffectedReleasesPage = field(init=False)
    _project_pages: ProjectPages = field(init=False)
    _managing: Managing = field(init=False)
    _account: AccountPages = field(init=False)
    _upload_page: UploadPage = field(init=False)
    _admin: AdminArea = field(init=False)
    _described: Described | None = field(default=None, init=False)
    router = Klein()
    # A double slash is a wrong address, not a redirect that breaks uploads.
    router.url_map.merge_slashes = False

    @pruning.default
    def _without_rules(self) -> AdministeredPruning:
        return AdministeredPruning.of(self.index)

    @advisories.default
    def _without_advisories(self) -> AdministeredAdvisories:
        return AdministeredAdvisories.without(self.index)

    @statistics.default
    def _without_statistics(self) -> AdministeredStatistics:
        return AdministeredStatistics(self.index)

    @pins.default
    def _make_pins(self) -> Pins:
        return Pins(self.index.store, self.index.clock, self.index.standing)

    @derived.default
    def _make_derived(self) -> DerivedProjects:
        return DerivedProjects(self.index)

    @projects.default
    def _make_projects(self) -> Projects:
        index = self.index
        return Projects(index.catalog, index.store, index.unserved, self.fallback)

    @_errors.default
    def _make_errors(self) -> ErrorAnswers:
        return ErrorAnswers(self._templates)

    @_door.default
    def _make_door(self) -> PageDoor:
        return PageDoor(self.access, self._templates, self.browser)

    @_log_in.default
    def _make_log_in(self) -> LogInPages:
        return LogInPages(self._door, self.browser, self.witness)

    @_list.default
    def _make_list(self) -> ProjectList:
        return ProjectList(self.offload, self.index.clock)

    @_sender.default
    def _make_sender(self) -> PageSender:
        return PageSender(self.offload)

    @files.default
    def _make_files(self) -> FileSender:
        return FileSender(self.index.store, self.downloads, self.count)

    @_integrity.default
    def _make_integrity(self) -> Integrity:
        return Integrity(self.projects, self.offload)

    @_feeds.default
    def _make_feeds(self) -> Feeds:
        return Feeds(self.index)

    @_readiness.default
    def _make_readiness(self) -> Readiness:
        return Readiness(self.index, self.access, self.advisories.standing)

    @_json.default
    def _make_json(self) -> ProjectJson:
        return ProjectJson(self.projects, self.index.store, self.offload)

    @_xml_rpc.default
    def _make_xml_rpc(self) -> XmlRpc:
        pieces = self._administered_projects.pieces
        return XmlRpc(self.index, self.access, self._json, pieces)

    @_administered_projects.default
    def _make_administered_projects(self) -> AdministeredProjects:
        return AdministeredProjects(
            self.index,
            lambda: self.access.read_only,
            self.index.clock.seconds(),
            self.advisories.standing,
            self.derived,
            self.elsewhere,
        )

    def _explainer(self) -> Explainer:
        fallback = self.projects.fallback
        asked = None if fallback is None else fallback.asked
        known = self.advisories.affected.auditor.advisories
        private = self.access.policy.settings.private
        names = OwnNames(self.index.catalog, lambda: private)
        return Explainer(self.index, asked, known, names)

    def _describe(self) -> Described:
        """Return what tells of the inside of releases; it is made at the first use."""
        if self._described is None:
            fallback = self.projects.fallback
            asked = None if fallback is None else fallback.asked
            files = None if fallback is None else fallback.files
            self._described = StoredDescribed.of(
                self.index, asked, files, self.temp_dir
            )
        return self._described

    @_api.default
    def _make_api(self) -> ApiParts:
        return ApiParts.of(
            self.access,
            self.administered,
            self._administered_projects,
            self.pruning,
            self.advisories,
            self.pins,
            self._explainer,
            self.statistics,
            self.revealed,
            self.failed,
        )

    @_former_api.default
    def _make_former_api(self) -> FormerApi:
        return FormerApi(
            self.access,
            self._administered_projects,
            self.projects,
            self.files,
            self._receive,
            self.failed,
        )

    @_osv_api.default
    def _make_osv_api(self) -> OsvApi:
        return OsvApi(self.access, self.advisories.osv, self.failed)

    @_affected_page.default
    def _make_affected_page(self) -> AffectedReleasesPage:
        return AffectedReleasesPage(self._door, self.advisories)

    @_project_pages.default
    def _make_project_pages(self) -> ProjectPages:
        return ProjectPages(
            self._door,
            self.projects,
            self._explainer,
            self._describe,
            self.derived,
            self.statistics,
            self.offload,
            self.advisories.affected.auditor.advisories,
            self._administered_projects.pieces,
            self.failed,
        )

    @_managing.default
    def _make_managing(self) -> Managing:
        return Managing(
            ActDoor(self._door, self._note_refusal),
            self._administered_projects,
            self.administered,
            self.pins,
            lambda: self.projects.fallback is not None,
            self.failed,
        )

    @_account.default
    def _make_account(self) -> AccountPages:
        door = ActDoor(self._door, self._note_refusal)
        return AccountPages(door, self.administered, self.failed)

    @_upload_page.default
    def _make_upload_page(self) -> UploadPage:
        return UploadPage(
            self._door,
            self.index.publisher,
            self.max_upload,
            self.screen,
            self.forms,
            self._note_refusal,
        )

    @_admin.default
    def _make_admin(self) -> AdminArea:
        return AdminArea.of(
            self._door,
            self.administered,
            self._administered_projects,
            self.pruning,
            self.pins,
            self.projects,
            self.metrics,
            self._note_refusal,
            self.failed,
        )

    def resource(self) -> Resource:
        """Make the root resource of a Site."""
        routes = self.router.resource()
        return Root(self.send_known, routes, self._errors, self.cors)

    def express_lane(
        self,
        proxies: Proxies,
        observe: Callable[[bytes, int, float], None],
        access_log: AccessLog | None,
    ) -> ExpressLane | None:
        """Make what answers a Site's requests before any is made.

        :param observe: counts an answered request.
        :returns: None where answers differ by the site whose script asks.
        """
        if self.cors is not None:
            return None
        return ExpressLane(
            self.access,
            self.projects,
            self.files,
            RequestHeads.of(proxies),
            proxies,
            self.index.clock.seconds,
            observe,
            access_log,
        )

    async def warm_up(self) -> None:
        """Be quick for the first visitor, too."""
        await self.offload.in_thread(self._templates.load)

    def reload(self, *, metrics_read: Callable[[Principal, str], bool]) -> None:
        """Replace who may read the metrics."""
        self.metrics_read = metrics_read

    # -- for people -----------------------------------------------------------------

    @router.route("/", methods=_READ)
    async def home(self, request: Request) -> bytes:
        """Show what this is and how to use it."""
        page = HomePage(self._door, self.derived, self.statistics)
        return await page.send(request)

    @router.route("/static/<filename>", methods=_READ)
    def asset(self, request: Request, filename: str) -> bytes:
        """Serve what pages load."""
        asset = self._templates.assets.find(filename)
        request.setHeader(b"Content-Type", asset.kind)
        request.setHeader(b"Cache-Control", b"public, max-age=31536000, immutable")
        return measured(request, asset.data)

    @router.route("/search", methods=_READ)
    async def search(self, request: Request) -> bytes:
        """Find projects by words."""
        return await SearchPage(self._door, self._administered_projects).send(request)

    @router.route("/project/", branch=True)
    def project_pages(self, request: Request) -> Resource:
        """Show projects."""
        return self._project_pages.resource()

    @router.route("/project/<name>/manage", methods=_READ)
    def manage_without_slash(self, request: Request, name: str) -> None:
        """Show the way to the pages that change a project."""
        redirect(request, "manage/")

    @router.route("/project/<name>/manage/", branch=True)
    def manage_pages(self, request: Request, name: str) -> Resource:
        """Let people change a project."""
        return self._managing.resource(name)

    @router.route("/account", methods=_READ)
    def account_without_slash(self, request: Request) -> None:
        """Show the way to the account."""
        redirect(request, "account/")

    @router.route("/account/", branch=True)
    def account_pages(self, request: Request) -> Resource:
        """Show people who they are here, and what is theirs."""
        return self._account.resource()

    @router.route("/upload", methods=_READ)
    async def show_upload(self, request: Request) -> bytes:
        """Show the form of uploads."""
        return await self._upload_page.show(request)

    @router.route("/upload", methods=["POST"])
    async def take_uploads(self, request: Request) -> bytes:
        """Take files by that form."""
        return await self._upload_page.take(request)

    @router.route("/login", methods=_READ)
    async def show_login(self, request: Request) -> bytes:
        """Show the form of the log-in."""
        return await self._log_in.show(request)

    @router.route("/login", methods=["POST"])
    async def log_in(self, request: Request) -> bytes:
        """Log somebody in."""
        return await self._log_in.log_in(request)

    @router.route("/logout", methods=_READ)
    async def show_log_out(self, request: Request) -> bytes:
        """Show the form of the log-out."""
        return await self._log_in.show_log_out(request)

    @router.route("/logout", methods=["POST"])
    async def log_out(self, request: Request) -> bytes:
        """Log somebody out."""
        return await self._log_in.log_out(request)

    @router.route("/login/oidc", methods=["GET"])
    async def oidc_log_in(self, request: Request) -> bytes:
        """Send somebody to the provider of log-ins."""
        return await self._log_in.oidc_begin(request)

    @router.route("/login/oidc/callback", methods=["GET"])
    async def oidc_logged_in(self, request: Request) -> bytes:
        """Take whom the provider sends back."""
        return await self._log_in.oidc_callback(request)

    @router.route("/packages", methods=_READ)
    async def packages_without_slash(self, request: Request) -> None:
        """Show the way to the listing."""
        redirect(request, "packages/")

    @router.route("/packages/", methods=_READ)
    async def packages(self, request: Request) -> None:
        """List every file, project by project."""
        principal = await authorize_list(request, self.access)
        readable = self.access.policy.readable(principal)
        own = await self.index.catalog.names()
        set_html(request)
        if request.method == b"GET":
            names = filter(readable.allows, own)
            visitor = self._door.visitor(request, principal)
            frame = packages_frame(self._templates, visitor)
            await deliver(request, all_files(frame, self.index.catalog, names))

    @router.route("/advisories", methods=_READ)
    async def affected(self, request: Request) -> bytes:
        """Show what this index has or gave out that advisories affect."""
        return await self._affected_page.send(request)

    @router.route("/admin", methods=_READ)
    def admin_without_slash(self, request: Request) -> None:
        """Show the way to the administration."""
        redirect(request, "admin/")

    @router.route("/admin/", branch=True)
    def admin(self, request: Request) -> Resource:
        """Show and change what administrators and managers do."""
        return self._admin.resource()

    # -- the simple API -------------------------------------------------------------

    @router.route("/simple", methods=_READ)
    async def project_list_without_slash(self, request: Request) -> None:
        """Show the way to the list of projects (PEP 503: the final slash)."""
        redirect(request, "simple/")

    @router.route("/simple/", methods=_READ)
    async def project_list(self, request: Request) -> None:
        """List the projects."""
        principal = await authorize_list(request, self.access)
        choice = self._sender.choose(request)
        own = await self.index.catalog.names()
        fallback = self.projects.fallback
        kept = await fallback.kept_names() if fallback else frozenset()
        changelog = self.index.watch.changelog
        policy = self.access.policy
        made = await self._list.find(own, kept, policy, principal, choice, changelog)
        # Even what anybody gets: with a log-in it may be another list.
        private = not self.access.policy.public
        send_representation(request, made, private=private)

    @router.route("/simple/<name>", methods=_READ)
    async def project_without_slash(self, request: Request, name: str) -> None:
        """Show the way to the project's page (PEP 503: the final slash)."""
        redirect(request, f"{asked_project(name)}/")

    @router.route("/simple/<name>/", methods=_READ)
    async def project(self, request: Request, name: str) -> None:
        """List a project's files."""
        if not is_normalized_name(name):
            redirect(request, f"../{asked_project(name)}/")
            return
        normalized = asked_project(name)
        principal = await authorize(request, self.access, Action.READ, normalized)
        match await self.projects.page(normalized):
            case Elsewhere(address):
                request.setResponseCode(302)
                request.setHeader(b"Location", address.encode())
                measured(request, b"")
            case Found(page, warning):
                private = is_private(principal)
                await self._sender.send(request, page, private=private, warning=warning)

    @router.route("/namespaces", methods=_READ)
    async def namespaces(self, request: Request) -> bytes:
        """List the namespaces (PEP 752)."""
        await authorize_list(request, self.access)
        return send_namespaces(request, self.access.policy.settings.namespaces)

    @router.route("/namespace/<space>", methods=_READ)
    async def namespace(self, request: Request, space: str) -> bytes:
        """Describe a namespace."""
        await authorize_list(request, self.access)
        spaces = self.access.policy.settings.namespaces
        return send_namespace(request, spaces, asked_project(space))

    # -- files ----------------------------------------------------------------------

    @router.route("/packages/<name>/<digest>/<filename>", methods=_READ)
    async def file(
        self, request: Request, name: str, digest: str, filename: str
    ) -> None:
        """Serve a file, or the core metadata beside it."""
        normalized = asked_project(name)
        principal = await authorize(request, self.access, Action.READ, normalized)
        blob = await self.projects.blob(normalized, digest, filename)
        await self.files.send(request, blob, normalized, principal)

    @router.route("/integrity/<name>/<version>/<filename>/provenance", methods=_READ)
    async def provenance(
        self, request: Request, name: str, version: str, filename: str
    ) -> None:
        """Serve what is attested of a file, and by whom (PEP 740)."""
        normalized = asked_project(name)
        principal = await authorize(request, self.access, Action.READ, normalized)
        private = is_private(principal)
        await self._integrity.send(
            request, normalized, version, filename, private=private
        )

    @router.route("/packages/<kind>/<first>/<name>/<filename>", methods=_READ)
    async def file_by_name(
        self, request: Request, kind: str, first: str, name: str, filename: str
    ) -> None:
        """Lead from ``source/a/acme/acme-1.0.tar.gz`` to the file's own address."""
        normalized = asked_project(name)
        await authorize(request, self.access, Action.READ, normalized)
        path = await self.projects.own_path(normalized, filename)
        redirect(request, f"../../../../{path}", for_good=False)

    # -- feeds ----------------------------------------------------------------------

    @router.route("/feeds/releases.atom", methods=_READ)
    async def new_releases(self, request: Request) -> bytes:
        """Tell the newest releases of all projects."""
        principal = await authorize_list(request, self.access)
        readable = self.access.policy.readable(principal)
        return await self._feeds.of_all(request, readable)

    @router.route("/feeds/project/<name>.atom", methods=_READ)
    async def new_releases_of_project(self, request: Request, name: str) -> bytes:
        """Tell the newest releases of one."""
        normalized = asked_project(name)
        await authorize(request, self.access, Action.READ, normalized)
        entry = await self.projects.entry(normalized, asks=False)
        return self._feeds.of_project(request, entry.project)

    # -- the JSON API that the big index has ----------------------------------------

    @router.route("/pypi/<name>/json", methods=_READ)
    async def project_json(self, request: Request, name: str) -> bytes:
        """Describe a project's newest release."""
        return await self._send_json(request, name, None)

    @router.route("/pypi/<name>/<version>/json", methods=_READ)
    async def release_json(self, request: Request, name: str, version: str) -> bytes:
        """Describe one release."""
        return await self._send_json(request, name, version)

    # -- the API that OSV has -------------------------------------------------------

    @router.route("/osv/", branch=True)
    def osv_api(self, request: Request) -> Resource:
        """Answer clients that ask of advisories here, for they cannot ask elsewhere."""
        return self._osv_api.resource()

    # -- the API that pypicloud 1.x had ----------------------------------------------

    @router.route("/api/", branch=True)
    def former_api(self, request: Request) -> Resource:
        """Answer programs that were written for it, and lock files' addresses."""
        return self._former_api.resource()

    # -- changes --------------------------------------------------------------------

    @router.route("/", methods=["POST"])
    @router.route("/simple", methods=["POST"])
    @router.route("/simple/", methods=["POST"])
    @router.route("/legacy", methods=["POST"])
    @router.route("/legacy/", methods=["POST"])
    @router.route("/pypi", methods=["POST"])
    @router.route("/pypi/", methods=["POST"])
    async def upload(self, request: Request) -> bytes:
        """Take a file, or another form of the upload API."""
        if xml_rpc.is_call(request):
            return await self._xml_rpc.answer(request)
        refuse_other_sites(request)
        principal = await authorize_form(request, self.access)
        self.access.refuse_while_read_only()
        return taken(request, await self._receive(request, principal))

    # -- trusted publishing ---------------------------------------------------------

    @router.route("/_/oidc/audience", methods=_READ)
    async def oidc_audience(self, request: Request) -> bytes:
        """Tell a CI job for whom its identity token is to be."""
        return await self.publishing.audience(request)

    @router.route("/_/oidc/mint-token", methods=["POST"])
    @router.route("/_/oidc/github/mint-token", methods=["POST"])
    async def oidc_mint(self, request: Request) -> bytes:
        """Exchange a CI job's identity token for one of ours."""
        return await self.publishing.mint(request)

    @router.route("/_/oidc/burn-token", methods=["POST"])
    async def oidc_burn(self, request: Request) -> bytes:
        """Take such a token back."""
        return await self.publishing.burn(request)

    @router.route("/.well-known/pytp", methods=_READ)
    async def oidc_discovery(self, request: Request) -> bytes:
        """Tell upload clients where to do so."""
        return await self.publishing.discover(request)

    # -- access ---------------------------------------------------------------------

    @router.route("/api/v1/access/", branch=True)
    def access_api(self, request: Request) -> Resource:
        """Show and change who may do what."""
        return self._api.access.resource()

    # -- projects, and the rest of the API ------------------------------------------

    @router.route("/api/v1/prune/", branch=True)
    def pruning_api(self, request: Request) -> Resource:
        """Plan prunes, and carry them out."""
        return self._api.pruning.resource()

    @router.route("/api/v1/pins/", branch=True)
    def pins_api(self, request: Request) -> Resource:
        """Show and change who publishes the projects of upstreams."""
        return self._api.pins.resource()

    @router.route("/api/v1/upstream/", branch=True)
    def upstream_api(self, request: Request) -> Resource:
        """Explain what is made of the other index."""
        return self._api.upstream.resource()

    @router.route("/api/v1/stats/", branch=True)
    def statistics_api(self, request: Request) -> Resource:
        """Tell how often projects are fetched."""
        return self._api.statistics.resource()

    @router.route("/api/v1/", branch=True)
    def projects_api(self, request: Request) -> Resource:
        """Show and change projects."""
        return self._api.projects.resource()

    # -- for operators --------------------------------------------------------------

    @router.route("/health", methods=_READ)
    def health(self, request: Request) -> bytes:
        """Answer as long as the process runs."""
        return plain_text(request, "ok")

    @router.route("/ready", methods=_READ)
    async def readiness(self, request: Request) -> bytes:
        """Answer 200 if the store answers, the rules are known, and this goes on."""
        await self.index.ready()
        await self.access.learn()
        principal, operates = await self._operator(request)
        told = await self._readiness.problems(principal, by_name=operates)
        return plain_text(request, "\n".join(["ready", *told]))

    async def _operator(self, request: Request) -> tuple[Principal, bool]:
        """Find out who asks, and whether they may read the metrics."""
        try:
            principal = await authenticate(request, self.access)
            return principal, self.metrics_read(principal, request.client_address)
        except PypicloudError:
            return ANONYMOUS, False

    @router.route("/metrics", methods=_READ)
    async def show_metrics(self, request: Request) -> bytes:
        """Show the counters to those who may see them."""
        principal = await authenticate(request, self.access)
        if not self.metrics_read(principal, request.client_address):
            raise Forbidden(
                "Only those whom metrics.read in the ini names may read this."
            )
        request.setHeader(b"Content-Type", CONTENT_TYPE)
        return measured(request, await self.metrics.text())

    # -- errors ---------------------------------------------------------------------

    @router.handle_errors(Exception)  # type: ignore[arg-type]  # Site makes our Request
    def failed(self, request: Request, failure: Failure) -> bytes:
        """Answer what a route raised, or what no route takes."""
        error = failure.value
        if isinstance(error, PypicloudError):
            self._note_refusal(request, error)
        if isinstance(error, Unauthorized) and self._leads_to_log_in(request):
            return see_other(request, log_in_address(request))
        return self._errors.answer(request, failure)

    def _note_refusal(self, request: Request, error: PypicloudError) -> None:
        changes = request.method not in (b"GET", b"HEAD")
        self.witness.note(error, _asker(request), changes=changes)

    def _leads_to_log_in(self, request: Request) -> bool:
        """Return whether it is for people who can log in by a form.

        All others are told to show a password, by which browsers ask for one in a box
        of their own.
        """
        reads = request.method in (b"GET", b"HEAD")
        is_home = reads and request.path == b"/"  # uploads go there, too
        return (
            (is_home or request.path.startswith(_FOR_PEOPLE))
            and request.getHeader(b"Authorization") is None
            and self.browser.can_log_in
            and not request.startedWriting
        )

    # -- parts ----------------------------------------------------------------------

    def send_known(self, request: Request) -> bool:
        """Answer a request for a page that is known to be fresh, waiting for nothing.

        Measured: through Klein the same costs three times as much. Anything out of
        the ordinary, errors included, is left to the routes.
        """
        name = page_asked(request)
        if name is None:
            return False
        # First: who may not read a project must not find out here whether it exists.
        try:
            principal = authorize_at_once(request, self.access, Action.READ, name)
        except PypicloudError:
            return False
        if principal is None:
            return False
        page = self.projects.known_page(name)
        if page is None:
            return False
        if not self._sender.send_made(request, page, private=is_private(principal)):
            return False
        self.projects.count_known()
        return True

    async def _receive(
        self, request: Request, principal: Principal, addressed: Addressed | None = None
    ) -> tuple[str, ...]:
        """Take a form; parameters and errors as of :func:`receive`."""
        return await receive(
            request,
            self.index.acts,
            actor=actor_of(request, principal),
            sender=Sender(principal, self.access, credentials(request), self.screen),
            max_upload=self.max_upload,
            forms=self.forms,
            addressed=addressed,
        )

    async def _send_json(
        self, request: Request, name: str, version: str | None
    ) -> bytes:
        normalized = asked_project(name)
        await authorize(request, self.access, Action.READ, normalized)
        return await self._json.answer(request, normalized, version)


def _asker(request: Request) -> Actor:
    """Name who asked, as far as was found out before it was refused."""
    name = request.principal_name
    return evolve(
        actor_of(request, ANONYMOUS), name=None if name is None else name.decode()
    )
