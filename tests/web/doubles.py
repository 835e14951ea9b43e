"""One server in memory, from the store to the bytes on the wire, and its clients."""

from __future__ import annotations

import base64
import json
from collections.abc import Coroutine, Iterable, Iterator, Mapping
from hashlib import sha256
from itertools import count
from random import Random
from typing import Any, TypeVar

from attrs import define, evolve, field, frozen
from twisted.internet import main
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from pypicloud_tw.access.access import Access
from pypicloud_tw.access.administration.administered import Administered
from pypicloud_tw.access.audit.record import Download
from pypicloud_tw.access.audit.witness import Witness
from pypicloud_tw.access.documents import AccessDocuments
from pypicloud_tw.access.oidc.exchange import Exchange
from pypicloud_tw.access.oidc.issuers import Issuers
from pypicloud_tw.access.oidc.provider import ProviderLogIn
from pypicloud_tw.access.patterns import match_any
from pypicloud_tw.access.policy import Policy
from pypicloud_tw.access.sessions.accounts import Accounts
from pypicloud_tw.access.sessions.browser import BrowserLogIn
from pypicloud_tw.access.sessions.login import SessionLogin
from pypicloud_tw.access.sessions.sessions import Sessions
from pypicloud_tw.access.throttle import Throttle
from pypicloud_tw.access.tokens.documents import TokenDocuments
from pypicloud_tw.access.tokens.last_use import LastUses
from pypicloud_tw.access.tokens.login import TokenLogin
from pypicloud_tw.access.tokens.minted import Minted
from pypicloud_tw.access.tokens.owners import TokenOwners
from pypicloud_tw.access.tokens.tokens import Tokens
from pypicloud_tw.access.users import PasswordLogin, Users
from pypicloud_tw.advisories.values import AdvisoriesStanding
from pypicloud_tw.config.rights import TrustedPublisher
from pypicloud_tw.config.sections.access import OidcLoginSection
from pypicloud_tw.index.admission import Claims, UploadRules
from pypicloud_tw.index.attestations.service import Attestations
from pypicloud_tw.index.attestations.stored import is_about
from pypicloud_tw.index.audit import SERVER, Act, Actor
from pypicloud_tw.index.catalog import Catalog
from pypicloud_tw.index.index import Index
from pypicloud_tw.index.manifest import project_of
from pypicloud_tw.index.manifests import Manifests
from pypicloud_tw.index.marker import Marker
from pypicloud_tw.index.model import Project, Selection
from pypicloud_tw.index.names import Filename, NormalizedName, project_name
from pypicloud_tw.index.publication import Publication
from pypicloud_tw.index.publish import Publisher
from pypicloud_tw.index.watch import MarkerWatch
from pypicloud_tw.metrics import Metrics
from pypicloud_tw.projects.affected.interface import (
    IFetches,
    IKept,
    IRecords,
    NoRecords,
    NothingKept,
    NothingVisible,
)
from pypicloud_tw.projects.affected.stored import AdministeredAdvisories
from pypicloud_tw.projects.elsewhere import Elsewhere
from pypicloud_tw.projects.statistics.stored import AdministeredStatistics
from pypicloud_tw.statistics.downloads import CountedDownloads
from pypicloud_tw.store.memory import MemoryStore
from pypicloud_tw.web.api.oidc import TrustedPublishing
from pypicloud_tw.web.api.revealed import RevealedTokens
from pypicloud_tw.web.app import Application
from pypicloud_tw.web.cors import Cors
from pypicloud_tw.web.downloads import Downloads
from pypicloud_tw.web.http.access_log import AccessLog
from pypicloud_tw.web.http.proxies import Proxies
from pypicloud_tw.web.http.site import ConnectionLimits, Site
from pypicloud_tw.web.views import ProjectView, Views
from tests.access.oidc.doubles import Issuer
from tests.builders import simple_policy
from tests.doubles import InlineOffload, quick_hash
from tests.manifests import whole_project
from tests.web.http.doubles import PEER, Wire

T = TypeVar("T")

ACME = project_name("acme")

#: When a test's clock begins; a moment of 2026.
BEGINNING = 1_772_357_400.0


def new_clock() -> Clock:
    """A clock that shows a time of our days."""
    clock = Clock()
    clock.advance(BEGINNING)
    return clock


def started(work: Coroutine[Any, Any, T]) -> Deferred[T]:
    """Begin *work*, as a server does for each request."""
    return Deferred.fromCoroutine(work)


@define
class Domain:
    """What one process knows of an index; several can share a store and a clock.

    :ivar seeds: no two processes on one store draw the same ids.
    """

    clock: Clock = field(factory=new_clock)
    store: MemoryStore = field()
    rules: UploadRules = field(factory=UploadRules)
    fresh_for: float = 1.0
    offload: InlineOffload = field(factory=InlineOffload)
    seeds: Iterator[int] = field(factory=lambda: count(1))
    make_index: type[Index] = Index
    attestations: Attestations = field(factory=Attestations)
    #: Files may be replaced by what is published without HTTP.
    overwrite: bool = False
    manifests: Manifests = field(init=False)
    catalog: Catalog[ProjectView] = field(init=False)
    publisher: Publisher = field(init=False)
    index: Index = field(init=False)
    #: The steps of publishes, in order.
    steps: list[str] = field(factory=list)

    @store.default
    def _new_store(self) -> MemoryStore:
        return MemoryStore(InlineOffload(), clock=self.clock.seconds)

    def __attrs_post_init__(self) -> None:
        marker = Marker(self.store)
        self.manifests = Manifests(
            self.store,
            self.clock,
            Random(next(self.seeds)),
            last_serial=lambda: marker.changelog.last,
        )
        self.catalog = Catalog(
            self.manifests,
            MarkerWatch(marker, self.clock, self.fresh_for),
            self.clock,
            Views(),
        )
        self.publisher = Publisher(
            self.store,
            self.manifests,
            self.catalog,
            self.offload,
            self.clock,
            self.rules,
            self.steps.append,
            attestations=self.attestations,
        )
        self.index = self.make_index(
            self.store, self.manifests, self.catalog, self.publisher, self.clock
        )

    def beside(self) -> Domain:
        """Another process on the same store."""
        return Domain(
            clock=self.clock,
            store=self.store,
            rules=self.rules,
            fresh_for=self.fresh_for,
            seeds=self.seeds,
            attestations=self.attestations,
        )

    async def publish(
        self,
        filename: str,
        data: bytes,
        claims: Claims | None = None,
        uploader: str | None = "ann",
    ) -> Project:
        """Take a file whole, as the edge does."""
        name = Filename.parse(filename, legacy=self.rules.legacy_formats)
        publication = Publication(self.publisher, Actor(uploader), len(data))
        await publication.begin(name)
        try:
            await publication.write(data)
            return await publication.finish(
                claims or Claims(), overwrite=self.overwrite
            )
        finally:
            await publication.abort()

    async def yank(
        self, version: str, reason: str | None, actor: Actor = SERVER
    ) -> Project:
        """Yank a release of acme, or un-yank it."""
        acts, what = self.index.acts, Selection(version)
        if reason is None:
            return (await acts.unyank(ACME, what, actor=actor)).project
        return (await acts.yank(ACME, what, reason, actor=actor)).project

    async def delete(self, version: str, actor: Actor = SERVER) -> Project:
        """Delete a release of acme."""
        acted = await self.index.acts.delete(ACME, Selection(version), actor=actor)
        return acted.project

    def settle(self, work: Deferred[Any]) -> None:
        """Let the pauses between tries pass."""
        for _ in range(200):
            if work.called:
                return
            self.clock.advance(2)


def stored_project(store: MemoryStore, name: str = "acme") -> Project:
    """Read a project as it lies in the store."""
    normalized = project_name(name)
    return whole_project(normalized, lambda key: store.objects[key].data)


def stored_projects(store: MemoryStore) -> dict[NormalizedName, Project]:
    """Read every project that lies in the store."""
    names = filter(None, (project_of(key) for key in store.objects))
    return {name: stored_project(store, name) for name in names}


def token_parts(index: Index, owners: TokenOwners) -> Tokens:
    """Make what the tokens of an index are made of."""
    store, clock, standing = index.store, index.clock, index.standing
    throttle = Throttle(clock.seconds)
    return Tokens(
        TokenDocuments(store, index.watch, standing, clock, throttle),
        Minted(store, standing, clock, throttle, index.watch.fresh_for),
        owners.identify,
        LastUses(store, clock, "web"),
        clock,
        index.publisher.audit,
    )


def token_login(tokens: Tokens) -> TokenLogin:
    """Make the authenticator of tokens."""
    return TokenLogin(
        tokens.documents, tokens.minted, tokens.owners, tokens.uses, tokens.clock
    )


def session_parts(index: Index, tokens: Tokens, users: Users) -> SessionLogin:
    """Make the authenticator of sessions."""
    throttle = Throttle(index.clock.seconds)
    sessions = Sessions(
        index.store, index.standing, index.clock, throttle, index.watch.fresh_for
    )
    accounts = Accounts(tokens.owners, users.password_mark, tokens.people)
    return SessionLogin(sessions, accounts, index.clock)


def damage(store: MemoryStore) -> list[str]:
    """Tell what the manifests name and the store does not have as it should be."""
    found = []
    for project in stored_projects(store).values():
        for file in project.files:
            wanted = [(file.key, file.sha256)]
            if file.metadata_key is not None:
                wanted.append((file.metadata_key, file.metadata_sha256 or ""))
            for key, digest in wanted:
                there = store.objects.get(key)
                if there is None:
                    found.append(f"{key} is missing")
                elif sha256(there.data).hexdigest() != digest:
                    found.append(f"{key} has other bytes")
            if file.provenance_key is not None:
                there = store.objects.get(file.provenance_key)
                if there is None or not is_about(there.data, file.sha256):
                    found.append(f"{file.provenance_key} is missing or wrong")
    return found


def named(store: MemoryStore) -> set[str]:
    """Give the keys that a manifest names."""
    return {
        key
        for project in stored_projects(store).values()
        for file in project.files
        for key in file.keys
    }


def data_keys(store: MemoryStore) -> set[str]:
    """Give the keys of everything but manifests and the marker."""
    return {key for key in store.objects if not key.startswith(".")}


# -- HTTP ------------------------------------------------------------------------------

#: As cheap as a hash can be; of the password ``secret``.
HASH = quick_hash("secret")

#: What may log in.
USERS = {"ann": HASH}

HOST_HEADER = "pypi.example:6543"

Headers = Mapping[str, str]
#: A form's fields; a file's value is its name and its bytes.
Fields = Iterable[tuple[str, str | tuple[str, bytes]]]


def basic(user: str = "ann", password: str = "secret") -> dict[str, str]:
    """The header field of somebody who logs in."""
    text = base64.b64encode(f"{user}:{password}".encode()).decode()
    return {"Authorization": f"Basic {text}"}


@frozen
class Response:
    """An answer, taken from the wire.

    :ivar fields: names in lower case; the values of several fields of one name are
        joined by commas.
    :ivar body: without what chunks add.
    """

    status: int
    reason: str
    fields: Mapping[str, str]
    body: bytes

    def __getitem__(self, name: str) -> str | None:
        """Give a header field's value, or None."""
        return self.fields.get(name.lower())

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    @property
    def json(self) -> Any:
        """The body, understood."""
        return json.loads(self.body)


def parse_response(data: bytes, method: str = "GET") -> tuple[Response, bytes] | None:
    """Take the first answer from what came; None if it has not come whole.

    :returns: it, and the bytes behind it.
    """
    head, end, rest = data.partition(b"\r\n\r\n")
    if not end:
        return None
    line, *lines = head.decode("latin-1").split("\r\n")
    version, status, reason = line.split(" ", 2)
    assert version == "HTTP/1.1", line
    fields: dict[str, str] = {}
    for one in lines:
        name, colon, value = one.partition(":")
        assert colon and name == name.strip(), one
        lower = name.lower()
        value = value.strip()
        fields[lower] = f"{fields[lower]}, {value}" if lower in fields else value
    body = b""
    if int(status) == 100 or method == "HEAD" or int(status) in (204, 304):
        pass
    elif "content-length" in fields:
        length = int(fields["content-length"])
        if len(rest) < length:
            return None
        body, rest = rest[:length], rest[length:]
    elif fields.get("transfer-encoding") == "chunked":
        parsed = _parse_chunks(rest)
        if parsed is None:
            return None
        body, rest = parsed
    else:
        body, rest = rest, b""
    return Response(int(status), reason, fields, body), rest


def _parse_chunks(data: bytes) -> tuple[bytes, bytes] | None:
    body = b""
    while True:
        size, end, data = data.partition(b"\r\n")
        if not end:
            return None
        length = int(size, 16)
        if len(data) < length + 2:
            return None
        body, data = body + data[:length], data[length + 2 :]
        if not length:
            return body, data


def request_bytes(
    method: str, path: str, headers: Headers | None = None, body: bytes = b""
) -> bytes:
    """Write a request; Host and Content-Length are added where they are missing."""
    fields = {"Host": HOST_HEADER, **(headers or {})}
    if body and not {"Content-Length", "Transfer-Encoding"} & set(fields):
        fields["Content-Length"] = str(len(body))
    lines = [f"{method} {path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


BOUNDARY = "an-unlikely-boundary"


def form_bytes(fields: Fields) -> bytes:
    """Write a multipart form."""
    parts = b""
    for name, value in fields:
        disposition = f'form-data; name="{name}"'
        data = value.encode() if isinstance(value, str) else value[1]
        if not isinstance(value, str):
            disposition += f'; filename="{value[0]}"'
        parts += (
            f"--{BOUNDARY}\r\nContent-Disposition: {disposition}\r\n\r\n".encode()
            + data
            + b"\r\n"
        )
    return parts + f"--{BOUNDARY}--\r\n".encode()


FORM_TYPE = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}


def upload_form(
    filename: str, data: bytes, *, name: str = "acme", version: str = "1.0", **more: str
) -> bytes:
    """Write the form that uploads a file, with what twine sends beside it."""
    given = {
        ":action": "file_upload",
        "protocol_version": "1",
        "metadata_version": "2.1",
        "filetype": "bdist_wheel",
        "name": name,
        "version": version,
        "sha256_digest": sha256(data).hexdigest(),
        **more,
    }
    return form_bytes([*given.items(), ("content", (filename, data))])


class Connection:
    """One client's connection to a server in memory."""

    def __init__(
        self, site: Site, peer: IAddress = PEER, wire: Wire | None = None
    ) -> None:
        self.wire = wire or Wire(peer)
        self.channel = site.buildProtocol(peer)
        self.channel.makeConnection(self.wire)
        self._received = b""

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.channel.dataReceived(data)

    def response(self, method: str = "GET") -> Response | None:
        """Take the next answer, if it has come whole."""
        self._received += self.wire.value()
        self.wire.clear()
        taken = parse_response(self._received, method)
        if taken is None:
            return None
        response, self._received = taken
        return response

    @property
    def unread(self) -> bytes:
        """What came and is no whole answer."""
        self._received += self.wire.value()
        self.wire.clear()
        return self._received

    def leave(self) -> None:
        """Close from the client's side."""
        self.channel.connectionLost(Failure(main.CONNECTION_DONE))


@define
class Web:
    """A server: the real site and application over a domain in memory."""

    domain: Domain = field(factory=Domain)
    users: Mapping[str, str] = field(factory=lambda: USERS)
    default_read: Any = "everyone"
    #: What is said of rights beyond that.
    policy: Policy | None = None
    max_upload: int = 10_000_000
    limits: ConnectionLimits = field(factory=ConnectionLimits)
    proxies: Proxies = field(factory=Proxies)
    publishers: Mapping[str, TrustedPublisher] = field(factory=dict)
    issuer: Issuer = field()
    #: By whom people log in.
    provider: OidcLoginSection | None = None
    records: list[Act] = field(factory=list)
    documents: AccessDocuments = field(init=False)
    tokens: Tokens = field(init=False)
    application: Application = field(init=False)
    site: Site = field(init=False)
    downloads: list[Download] = field(factory=list)
    download_log: Downloads | None = None
    logs_downloads: bool = True
    cors: Cors | None = None
    #: What is known of advisories, which files are kept, and what was fetched.
    known: IRecords = field(factory=NoRecords)
    kept: IKept = field(factory=NothingKept)
    fetches: IFetches | None = None
    counted: CountedDownloads = field(init=False)
    advisories: AdvisoriesStanding | None = None
    #: What is known of other indexes' names.
    elsewhere: Elsewhere = field(factory=Elsewhere)
    access_log: AccessLog | None = None
    #: Whether what is known is answered without making requests.
    express: bool = True
    metrics: Metrics = field(init=False)

    @issuer.default
    def _make_issuer(self) -> Issuer:
        return Issuer(self.domain.clock.seconds)

    def __attrs_post_init__(self) -> None:
        domain = self.domain
        metrics = self.metrics = Metrics(domain.clock)
        users = Users(self.users, offload=InlineOffload(), clock=domain.clock)
        index = domain.index
        self.documents = AccessDocuments(
            index.store, index.watch, index.standing, domain.clock
        )
        self.documents.subscribe(users.obeying)
        owners = TokenOwners(users.source_of)
        self.documents.subscribe(owners.obeying)
        self.tokens = token_parts(index, owners)
        policy = self.policy or simple_policy(
            self.default_read, has_users=bool(self.users)
        )
        settings = evolve(policy.settings, publishers=self.publishers)
        session_login = session_parts(index, self.tokens, users)
        access = Access(
            policy.with_settings(settings),
            (token_login(self.tokens), session_login, PasswordLogin(users)),
            self.documents,
            metrics.observe_login,
        )
        issuers = Issuers(lambda _: self.issuer, domain.clock.seconds)
        provider = None
        if self.provider is not None:
            provider = ProviderLogIn(self.provider, issuers, domain.clock.seconds)
        browser = BrowserLogIn(
            access,
            session_login.sessions,
            session_login.accounts,
            self.records.append,
            lambda: users.exist,
            provider,
        )
        exchange = Exchange(
            access,
            issuers,
            self.tokens.minted,
            self.records.append,
            domain.clock.seconds,
            900,
        )
        self.counted = CountedDownloads(domain.store, domain.offload, domain.clock)
        self.application = Application(
            domain.index,
            access=access,
            publishing=TrustedPublishing(exchange),
            administered=Administered(
                access,
                self.documents,
                self.tokens,
                domain.offload,
                self.records.append,
            ),
            revealed=RevealedTokens(self.tokens, domain.clock.seconds),
            offload=domain.offload,
            metrics=metrics,
            max_upload=self.max_upload,
            metrics_read=lambda principal, client: True,
            witness=Witness(self._audit, metrics, self.users.__contains__),
            browser=browser,
            downloads=(self.download_log or self.downloads.append)
            if self.logs_downloads
            else None,
            cors=self.cors,
            statistics=AdministeredStatistics(domain.index, self.counted),
            count=self.counted.count,
            advisories=AdministeredAdvisories.of(
                domain.index,
                self.known,
                lambda name: match_any(policy.settings.private, name),
                self.kept,
                self.fetches,
                NothingVisible(),
                lambda: self.advisories,
            ),
            elsewhere=self.elsewhere,
        )
        observe, lane = metrics.observe, None
        if self.express:
            lane = self.application.express_lane(self.proxies, observe, self.access_log)
        self.site = Site(
            self.application.resource(),
            reactor=domain.clock,
            limits=self.limits,
            proxies=self.proxies,
            access_log=self.access_log,
            observe=lambda request, seconds: observe(
                request.method, request.code, seconds
            ),
            express=None if lane is None else lane.answers,
        )

    def _audit(self, act: Act) -> None:
        self.domain.publisher.audit(act)

    @property
    def store(self) -> MemoryStore:
        """Where everything lies."""
        return self.domain.store

    def connect(self) -> Connection:
        """Open a connection."""
        return Connection(self.site)

    def request(
        self, method: str, path: str, headers: Headers | None = None, body: bytes = b""
    ) -> Response:
        """Ask on a connection of its own, and wait for the answer."""
        connection = self.connect()
        connection.send(request_bytes(method, path, headers, body))
        for _ in range(200):
            response = connection.response(method)
            if response is not None:
                connection.leave()
                return response
            self.domain.clock.advance(0.5)
        raise AssertionError(f"no answer, only {connection.unread!r}")

    def get(self, path: str, headers: Headers | None = None) -> Response:
        """GET."""
        return self.request("GET", path, headers)

    def head(self, path: str, headers: Headers | None = None) -> Response:
        """HEAD."""
        return self.request("HEAD", path, headers)

    def post(
        self, body: bytes, path: str = "/", headers: Headers | None = None
    ) -> Response:
        """Send a form, logged in unless *headers* say otherwise."""
        return self.request("POST", path, {**FORM_TYPE, **(headers or basic())}, body)

    def describe(self) -> None:
        """Have all projects described, as a server does in its own time."""
        self.wait(self.application.derived.catch_up())

    def publish(self, filename: str, data: bytes) -> None:
        """Have a file, without HTTP."""
        self.wait(self.domain.publish(filename, data))

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Do something without HTTP, and return what comes of it."""
        done: list[Any] = []
        deferred = started(work)
        deferred.addBoth(done.append)
        self.domain.settle(deferred)
        (result,) = done
        if isinstance(result, Failure):
            result.raiseException()
        return result  # type: ignore[no-any-return]  # of that work
