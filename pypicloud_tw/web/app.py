"""The routes, one line of intent each, and what an error becomes, in one place."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from urllib.parse import quote

from attrs import define, evolve, field
from klein import Klein
from packaging.utils import is_normalized_name
from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET
from werkzeug.exceptions import BadHost, HTTPException, MethodNotAllowed

from pypicloud_tw import __version__
from pypicloud_tw.access.policy import Action, Policy, refuse_cross_site
from pypicloud_tw.access.principal import ANONYMOUS, Principal
from pypicloud_tw.access.users import Users
from pypicloud_tw.concurrency.budget import BufferBudget
from pypicloud_tw.concurrency.coalesced import Coalesced
from pypicloud_tw.errors import (
    BadRequest,
    Forbidden,
    ManifestDamaged,
    ManifestLost,
    NotFound,
    ObjectNotFound,
    PypicloudError,
)
from pypicloud_tw.index.archive import MAX_METADATA
from pypicloud_tw.index.catalog import Catalog, Entry
from pypicloud_tw.index.manifest import public_document
from pypicloud_tw.index.model import Document, Project
from pypicloud_tw.index.names import NormalizedName, project_name
from pypicloud_tw.index.publish import Publisher
from pypicloud_tw.index.unserved import Unserved
from pypicloud_tw.metrics import CONTENT_TYPE, Metrics
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.store.delivery import deliver
from pypicloud_tw.store.interfaces import IObjectStore
from pypicloud_tw.web.answers import answer_error, measured
from pypicloud_tw.web.api import legacy_json, xml_rpc
from pypicloud_tw.web.fallback import Fallback, shadows
from pypicloud_tw.web.files import Blob, find_blob, redirect_to_store, send_blob
from pypicloud_tw.web.http.conditions import check_required, is_known, requires
from pypicloud_tw.web.http.fields import joined
from pypicloud_tw.web.http.paths import is_canonical
from pypicloud_tw.web.http.site import Request
from pypicloud_tw.web.negotiation import Choice, Negotiator
from pypicloud_tw.web.pages.pages import POLICY, Pages, packages_section
from pypicloud_tw.web.publishing import receive, taken
from pypicloud_tw.web.representation import Page
from pypicloud_tw.web.simple import render_index
from pypicloud_tw.web.upload import FORM_MEMORY
from pypicloud_tw.web.views import DIGEST_DIGITS, ProjectView, file_path

_READ = ["GET", "HEAD"]
_SIMPLE = b"/simple/"

#: Projects up to which their list is rendered in less time than a helper takes.
QUICK_INDEX = 2000


@define(eq=False)
class Application:
    """What the server answers. It is rebuilt by nobody: a reload replaces ``policy``.

    :ivar ready: returns if the server can do its work, raises Unavailable if not.
    :ivar fallback: what serves the projects that are not here; None: nothing does.
    :ivar metrics_read: judges who may read ``/metrics``, by principal and address;
        raises Unauthorized where a log-in would help.
    :ivar forms: the memory that the forms of all uploads have together.
    """

    users: Users
    policy: Policy
    catalog: Catalog[ProjectView]
    publisher: Publisher
    store: IObjectStore
    offload: IOffload
    metrics: Metrics
    max_upload: int
    ready: Callable[[], Awaitable[None]]
    metrics_read: Callable[[Principal, str], bool]
    fallback: Fallback | None = None
    forms: BufferBudget = field(factory=lambda: BufferBudget(FORM_MEMORY), init=False)
    _negotiator: Negotiator = field(factory=Negotiator, init=False)
    _pages: Pages = field(factory=lambda: Pages(__version__), init=False)
    _index: (
        tuple[tuple[NormalizedName, ...], frozenset[NormalizedName], Page] | None
    ) = field(default=None, init=False)
    _index_pages: Coalesced[Page] = field(factory=Coalesced, init=False)
    _log = Logger()

    router = Klein()
    # A double slash is a wrong address, not a redirect that breaks uploads.
    router.url_map.merge_slashes = False

    @property
    def unserved(self) -> Unserved:
        """What knows the names that are ours although they have no page."""
        return self.publisher.unserved

    def resource(self) -> Resource:
        """Make the root resource of a Site."""
        return _Root(self)

    def reload(
        self, *, policy: Policy, metrics_read: Callable[[Principal, str], bool]
    ) -> None:
        """Put new settings of access into force."""
        self.policy, self.metrics_read = policy, metrics_read

    # -- for people -----------------------------------------------------------------

    @router.route("/", methods=_READ)
    async def home(self, request: Request) -> bytes:
        """Tell what this is and how to use it."""
        await self._authorize(request, Action.READ)
        _is_html(request)
        page = self._pages.home(
            request.origin.base_url, open_to_read=self.policy.public
        )
        return measured(request, page)

    @router.route("/packages", methods=_READ)
    async def packages_without_slash(self, request: Request) -> None:
        """Show the way to the listing."""
        _redirect(request, "packages/")

    @router.route("/packages/", methods=_READ)
    async def packages(self, request: Request) -> None:
        """List every file, project by project."""
        await self._authorize(request, Action.READ)
        names = await self.catalog.names()
        _is_html(request)
        if request.method == b"GET":
            await deliver(request, self._all_files(names))

    # -- the simple API -------------------------------------------------------------

    @router.route("/simple", methods=_READ)
    async def index_without_slash(self, request: Request) -> None:
        """Show the way to the list of projects (PEP 503: the final slash)."""
        _redirect(request, "simple/")

    @router.route("/simple/", methods=_READ)
    async def index(self, request: Request) -> None:
        """List the projects."""
        await self._authorize(request, Action.READ)
        own = await self.catalog.names()
        kept = await self.fallback.kept_names() if self.fallback else frozenset()
        if self._index is None or self._index[:2] != (own, kept):
            question = f"{id(own)} {id(kept)}"
            page = await self._index_pages.ask(
                question, lambda: self._render_index(own, kept)
            )
            self._index = own, kept, page
        await self._send_page(request, self._index[2])

    @router.route("/simple/<name>", methods=_READ)
    async def project_without_slash(self, request: Request, name: str) -> None:
        """Show the way to the project's page (PEP 503: the final slash)."""
        _redirect(request, f"{_project(name)}/")

    @router.route("/simple/<name>/", methods=_READ)
    async def project(self, request: Request, name: str) -> None:
        """List a project's files."""
        if not is_normalized_name(name):
            _redirect(request, f"../{_project(name)}/")
            return
        normalized = _project(name)
        await self._authorize(request, Action.READ, normalized)
        # What is not here may be asked of others: they must not hear our names.
        asks = self.fallback is not None and not self.fallback.upstreams.knows(
            normalized
        )
        try:
            entry = await self._entry(normalized, asks)
        except NotFound:
            if self.fallback is None:
                raise
            await self._send_upstream(request, self.fallback, normalized)
            return
        page, warning = entry.page.page, None
        if self.fallback is not None and normalized in self.fallback.merge:
            page, warning = await self.fallback.merged(normalized, page)
        await self._send_page(request, page, warning)

    # -- files ----------------------------------------------------------------------

    @router.route("/packages/<name>/<digest>/<filename>", methods=_READ)
    async def file(
        self, request: Request, name: str, digest: str, filename: str
    ) -> None:
        """Serve a file, or the core metadata beside it."""
        normalized = _project(name)
        await self._authorize(request, Action.READ, normalized)
        await self._send_file(request, await self._blob(normalized, digest, filename))

    @router.route("/api/package/<name>/<filename>", methods=_READ)
    async def former_file(self, request: Request, name: str, filename: str) -> None:
        """Serve a file by the address that old lock files have for it."""
        normalized = _project(name)
        await self._authorize(request, Action.READ, normalized)
        entry = await self._entry(normalized, asks=False)
        file = entry.project.file(filename)
        if file is None:
            raise NotFound("There is no such file here; it may have been removed.")
        digest = file.sha256[:DIGEST_DIGITS]
        blob = find_blob(entry.page.files, digest, filename, self.store)
        # This address has no digest in it: what lies under it may change.
        await self._send_file(request, evolve(blob, permanent=False))

    # -- the JSON API that the big index has ----------------------------------------

    @router.route("/pypi/<name>/json", methods=_READ)
    async def project_json(self, request: Request, name: str) -> bytes:
        """Tell of a project's newest release."""
        return await self._legacy_json(request, name, None)

    @router.route("/pypi/<name>/<version>/json", methods=_READ)
    async def release_json(self, request: Request, name: str, version: str) -> bytes:
        """Tell of one release."""
        return await self._legacy_json(request, name, version)

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
            request.setHeader(b"Content-Type", xml_rpc.CONTENT_TYPE)
            return measured(request, xml_rpc.refusal(request.origin.prefix))
        refuse_cross_site(
            "POST",
            origin=_text(request.getHeader(b"Origin")),
            sec_fetch_site=_text(request.getHeader(b"Sec-Fetch-Site")),
            own_origin=request.origin.base_url,
        )
        principal = await self._authorize(request, Action.WRITE)
        assert principal.name is not None, "the policy lets nobody write unnamed"
        warnings = await receive(
            request,
            self.publisher,
            uploader=principal.name,
            max_upload=self.max_upload,
            forms=self.forms,
        )
        return taken(request, warnings)

    # -- for operators --------------------------------------------------------------

    @router.route("/health", methods=_READ)
    def health(self, request: Request) -> bytes:
        """Tell that the process lives."""
        return _plain(request, "ok")

    @router.route("/ready", methods=_READ)
    async def readiness(self, request: Request) -> bytes:
        """Tell whether the store answers and the server is not stopping."""
        await self.ready()
        return _plain(request, "\n".join(["ready", *await self._details(request)]))

    async def _details(self, request: Request) -> list[str]:
        """Tell what is not served, by name to those who may read the metrics."""
        known = self.unserved.reasons()
        if known is None:
            return ["It is not known yet which projects in the store cannot be served."]
        reasons = {n: why for n, why in known.items() if not self.catalog.has(n)}
        if not reasons:
            return []
        count = f"{len(reasons)} project(s) in the store cannot be served."
        try:
            principal = await self._principal(request)
            if not self.metrics_read(principal, request.client_address):
                return [count]
        except PypicloudError:
            return [count]
        return [count, *(f"{name}: {why}" for name, why in sorted(reasons.items()))]

    @router.route("/metrics", methods=_READ)
    async def show_metrics(self, request: Request) -> bytes:
        """Show the counters to those who may see them."""
        principal = await self._principal(request)
        if not self.metrics_read(principal, request.client_address):
            raise Forbidden(
                "Only those whom metrics.read in the ini names may read this."
            )
        request.setHeader(b"Content-Type", CONTENT_TYPE)
        return measured(request, self.metrics.render())

    # -- errors ---------------------------------------------------------------------

    @router.handle_errors(PypicloudError)  # type: ignore[arg-type]  # Site makes our Request
    def domain_error(self, request: Request, failure: Failure) -> bytes:
        """Answer with the error's own status and sentence."""
        error = failure.value
        assert isinstance(error, PypicloudError), "registered for these alone"
        return self._tell(
            request, error.status, error.code, error.message, error.headers
        )

    @router.handle_errors(HTTPException)  # type: ignore[arg-type]  # Site makes our Request
    def routing_error(self, request: Request, failure: Failure) -> bytes:
        """Answer what no route takes."""
        error = failure.value
        if isinstance(error, MethodNotAllowed):
            allowed = {"Allow": ", ".join(sorted(error.valid_methods or ()))}
            sentence = f"This address does not take that method; {_way(request)}."
            return self._tell(request, 405, "method-not-allowed", sentence, allowed)
        return self.tell_nothing_there(request)

    @router.handle_errors(Exception)  # type: ignore[arg-type]  # Site makes our Request
    def bug(self, request: Request, failure: Failure) -> bytes:
        """Answer what nobody foresaw; registered last, so that it catches the rest."""
        if failure.check(CancelledError, ConnectionLost, ConnectionDone):
            return b""  # the client went away, and hears nothing
        self._log.failure("Answering {path!r} failed", failure, path=request.path)
        sentence = "Something went wrong in the server; see its log."
        return self._tell(request, 500, "internal-error", sentence, {})

    def tell_nothing_there(self, request: Request) -> bytes:
        """Answer for an address that is none of ours."""
        sentence = f"There is nothing at this address; {_way(request)}."
        return self._tell(request, 404, "not-found", sentence, {})

    def tell_bad_host(self, request: Request) -> bytes:
        """Answer for a Host that cannot be a host's name."""
        sentence = "The request's Host is not one valid name."
        return self._tell(request, BadRequest.status, BadRequest.code, sentence, {})

    def _tell(
        self,
        request: Request,
        status: int,
        code: str,
        message: str,
        headers: Mapping[str, str],
    ) -> bytes:
        return answer_error(
            request,
            self._pages,
            status=status,
            code=code,
            message=message,
            headers=headers,
        )

    # -- parts ----------------------------------------------------------------------

    def send_known(self, request: Request) -> bool:
        """Answer a request for a page that is known to be fresh, waiting for nothing.

        Measured: through Klein the same costs three times as much. Anything out of
        the ordinary, errors included, is left to the routes.
        """
        path = request.path
        if not (path.startswith(_SIMPLE) and path.endswith(b"/")):
            return False
        if request.method not in (b"GET", b"HEAD") or request.args:
            return False
        if requires(request):
            return False
        page = self._known_page(path[len(_SIMPLE) : -1].decode("latin-1"))
        if page is None:
            return False
        if not self.policy.public:
            principal = self.users.remembered(
                request.getHeader(b"Authorization"), request.client_address
            )
            if principal is None or principal is ANONYMOUS:
                return False
            request.principal_name = _log_name(principal)
        return self._send_made(request, page)

    async def _render_index(
        self, own: tuple[NormalizedName, ...], kept: frozenset[NormalizedName]
    ) -> Page:
        names = own if kept <= set(own) else tuple(sorted({*own, *kept}))
        if len(names) <= QUICK_INDEX:
            return render_index(names)
        return await self.offload.in_process(render_index, names)

    def _known_page(self, name: str) -> Page | None:
        entry = self.catalog.fresh(name)
        fallback = self.fallback
        if entry is not None:
            merged = fallback is not None and name in fallback.merge
            return None if merged else entry.page.page
        if fallback is None or not self.catalog.known_absent(name):
            return None
        if self.unserved.holds(name) and name not in fallback.merge:
            return None
        known = fallback.upstreams.fresh(NormalizedName(name))
        return None if known is None or known.stale else known.page

    async def _send_upstream(
        self, request: Request, fallback: Fallback, name: NormalizedName
    ) -> None:
        if fallback.redirects:
            request.setResponseCode(302)
            address = fallback.upstreams.address(name)
            request.setHeader(b"Location", address.encode())
            measured(request, b"")
            return
        known = await fallback.page(name)
        await self._send_page(request, known.page, known.warning)

    async def _blob(self, name: NormalizedName, digest: str, filename: str) -> Blob:
        fallback = self.fallback
        asks = fallback is not None and fallback.asks(name, digest, filename)
        try:
            entry = await self._entry(name, asks)
        except NotFound:
            if fallback is None:
                raise
            return await fallback.blob(name, digest, filename)
        try:
            return find_blob(entry.page.files, digest, filename, self.store)
        except NotFound:
            if fallback is None or name not in fallback.merge:
                raise
            if shadows(entry.project, filename):
                raise
            return await fallback.blob(name, digest, filename)

    async def _entry(self, name: NormalizedName, asks: bool) -> Entry[ProjectView]:
        """Find a project of ours.

        :param asks: where there is none, others may be asked for it.
        :raises NotFound: it is proved that there is none.
        :raises Unavailable: it is ours all the same, and cannot be served.
        """
        try:
            return await self.catalog.project(name, prove_absence=asks)
        except NotFound:
            # Of what is merged, the upstream's files may be shown at any time.
            if self.fallback is None or name not in self.fallback.merge:
                await self.unserved.refuse(name, asks=asks)
            raise

    def _send_made(
        self, request: Request, page: Page, warning: str | None = None
    ) -> bool:
        """Send a page in the client's form if it was made in that form already."""
        try:
            variant = page.variant(self._choose(request))
        except PypicloudError:
            return False
        representation = page.find(variant)
        if representation is None:
            return False
        private = not self.policy.public
        more = b"" if warning is None else f"Warning: {warning}\r\n".encode()
        if is_known(request, representation.etag, representation.modified):
            block = representation.not_modified_block(private)
            request.send_whole(304, block + more, b"")
        else:
            block = representation.header_block(private)
            request.send_whole(200, block + more, representation.body)
        return True

    async def _send_page(
        self, request: Request, page: Page, warning: str | None = None
    ) -> None:
        variant = page.variant(self._choose(request))
        made = page.find(variant)
        if made is None:
            if page.quick(variant):
                made = page.make(variant)
            else:
                made = await self.offload.in_thread(page.make, variant)
        check_required(request, made.etag, made.modified)
        self._send_made(request, page, warning)

    async def _send_file(self, request: Request, blob: Blob) -> None:
        if not redirect_to_store(request, blob, self.store):
            await send_blob(request, blob, private=not self.policy.public)

    def _choose(self, request: Request) -> Choice:
        formats = request.args.get(b"format") if request.args else None
        return self._negotiator.choose(
            joined(request, b"Accept"),
            joined(request, b"Accept-Encoding"),
            formats[0] if formats else None,
        )

    async def _principal(self, request: Request) -> Principal:
        header = request.getHeader(b"Authorization")
        principal = await self.users.authenticate(header, request.client_address)
        request.principal_name = _log_name(principal)
        return principal

    async def _authorize(
        self,
        request: Request,
        action: Action,
        project: NormalizedName | None = None,
    ) -> Principal:
        # What everyone may read is not refused to a client with a stale password.
        if action is Action.READ and self.policy.public:
            return ANONYMOUS
        principal = await self._principal(request)
        self.policy.check(principal, action, project)
        return principal

    async def _legacy_json(
        self, request: Request, name: str, version: str | None
    ) -> bytes:
        normalized = _project(name)
        await self._authorize(request, Action.READ, normalized)
        asks = self.fallback is not None
        try:
            entry = await self._entry(normalized, asks)
        except NotFound:
            if self.fallback is None:
                raise
            return await self._upstream_json(
                request, self.fallback, normalized, version
            )
        project = entry.project
        described = (
            legacy_json.latest_version(project)
            if version is None
            else legacy_json.find_version(project, version)
        )
        metadata = await self._core_metadata(project, described)
        base = request.origin.base_url
        if legacy_json.is_quick(project, metadata):
            document = legacy_json.render(project, version, base, metadata)
        else:
            document = await self.offload.in_process(
                legacy_json.render, project, version, base, metadata
            )
        request.setHeader(b"Content-Type", b"application/json")
        request.setHeader(b"Cache-Control", b"no-cache, private")
        return measured(request, document)

    async def _upstream_json(
        self,
        request: Request,
        fallback: Fallback,
        name: NormalizedName,
        version: str | None,
    ) -> bytes:
        document, warning = await fallback.upstreams.legacy_json(
            name, version, request.origin.base_url
        )
        if warning is not None:
            request.setHeader(b"Warning", warning.encode())
        request.setHeader(b"Content-Type", b"application/json")
        request.setHeader(b"Cache-Control", b"no-cache, private")
        return measured(request, document)

    async def _core_metadata(self, project: Project, version: str) -> bytes | None:
        file = legacy_json.described_by(project, version)
        if file is None or file.metadata_key is None:
            return None
        try:
            stored = await self.store.get(file.metadata_key, limit=MAX_METADATA)
        except ObjectNotFound:
            self._log.error("The core metadata {key} is lost.", key=file.metadata_key)
            return None
        assert stored is not None, "an unconditional read answers"
        return stored.data

    async def _all_files(
        self, names: tuple[NormalizedName, ...]
    ) -> AsyncIterator[bytes]:
        frame = self._pages.packages()
        yield frame.start
        for name in names:
            try:
                project = (await self.catalog.project(name)).project
            except (NotFound, ManifestLost, ManifestDamaged):
                continue  # this says nothing of the others
            yield packages_section(_below_packages(project))
        yield frame.end


class _Root(Resource):
    """Sends what is known at once, and leaves everything else to the routes."""

    isLeaf = True

    def __init__(self, application: Application) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's
        self._application = application
        self._routes = application.router.resource()

    def render(self, request: Request) -> object:
        """Answer a request."""
        if self._application.send_known(request):
            return NOT_DONE_YET
        segments = request.postpath or [b""]
        try:
            b"/".join(segments).decode()
        except UnicodeDecodeError:
            # Klein would log a traceback of it.
            return self._application.tell_nothing_there(request)
        if not is_canonical(request.path, segments):
            return self._application.tell_nothing_there(request)
        try:
            return self._routes.render(request)
        except BadHost:
            # An empty or overlong label, which werkzeug finds although no route asks.
            return self._application.tell_bad_host(request)


def _project(name: str) -> NormalizedName:
    """Understand the name in an address; what cannot be a name is not here."""
    try:
        return project_name(name)
    except BadRequest:
        raise NotFound(
            "There is no project of that name: it is not a valid one."
        ) from None


def _log_name(principal: Principal) -> bytes | None:
    return None if principal.name is None else principal.name.encode()


def _way(request: Request) -> str:
    """Name the address that was probably meant."""
    if request.method == b"POST":
        return f"uploads go to {request.origin.prefix}/legacy/"
    return f"the packages are at {request.origin.prefix}/simple/"


def _redirect(request: Request, relative: str) -> None:
    """Redirect for good; relative, so that it is right under every path prefix.

    The query goes along: it may name the form that is wanted (PEP 691).
    """
    _, question, query = request.uri.partition(b"?")
    location = quote(relative, safe="/.-_~").encode() + question + query
    request.setResponseCode(301)
    request.setHeader(b"Location", location)
    measured(request, b"")


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode("latin-1")


def _plain(request: Request, text: str) -> bytes:
    request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
    request.setHeader(b"Cache-Control", b"no-store")
    return measured(request, text.encode() + b"\n")


def _below_packages(project: Project) -> Document:
    return public_document(project, lambda file: f"../{file_path(project.name, file)}")


def _is_html(request: Request) -> None:
    # It may name the user's own address and version: not for shared caches.
    request.setHeader(b"Content-Type", b"text/html; charset=utf-8")
    request.setHeader(b"Cache-Control", b"no-cache, private")
    request.setHeader(b"Content-Security-Policy", POLICY)
