"""What each address asks for: a row for every route that the router has.

Whoever adds a route adds its row here; ``tests.web.test_rights`` runs them all, for
everybody and every kind of project.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Literal
from urllib.parse import urlencode
from xmlrpc.client import dumps

from attrs import field, frozen
from klein import Klein

from pypicloud_tw.access.principal import Scope
from pypicloud_tw.config.rights import Action
from pypicloud_tw.web.pages.account import AccountPages
from pypicloud_tw.web.pages.admin.area import AdminArea
from pypicloud_tw.web.pages.assets import Assets
from pypicloud_tw.web.pages.managing.pages import ManagePages
from pypicloud_tw.web.pages.project.pages import ProjectPages
from tests.builders import wheel
from tests.web.doubles import FORM_TYPE, form_bytes, upload_form

#: Projects that are there, by what kind of rights they have. For each there is one that
#: is not, of the same rights and the same length: see :meth:`Subject.absent`.
KINDS = ("open", "team", "secret")

#: The rights of all sources: both say the same by other means.
DEFAULTS = """
pypi.default_read = everyone
pypi.default_write = dev
pypi.allow_overwrite_groups = dev
pypi.private = secret-*
"""
GROUPS = {"dev": ("dev1",)}
ADMINISTRATORS = ("boss",)
RIGHTS: tuple[tuple[str, Literal["user", "group"], str, str], ...] = (
    ("team-*", "group", "dev", "rw"),
    ("secret-*", "user", "bob", "r"),
)

READ, UPLOAD = Action.READ, Action.UPLOAD
DELETE, OVERWRITE = Action.DELETE, Action.OVERWRITE
MANAGE, ADMINISTER = Action.MANAGE, Action.ADMINISTER

_READER = frozenset({READ})
_WRITER = frozenset({READ, UPLOAD, MANAGE, DELETE, OVERWRITE})
#: Administrators are not exempt from pypi.allow_overwrite_groups.
_BOSS = frozenset({READ, UPLOAD, MANAGE, DELETE, ADMINISTER})
_UPLOADS = frozenset({UPLOAD})
_UPLOADER = _READER | _UPLOADS
_NOTHING: frozenset[Action] = frozenset()

#: Who may do what, written by hand: by user and by kind.
EXPECTED = {
    None: {"open": _READER, "team": _NOTHING, "secret": _NOTHING},
    "bob": {"open": _READER, "team": _NOTHING, "secret": _READER},
    "dev1": {"open": _WRITER, "team": _WRITER, "secret": _NOTHING},
    "boss": {"open": _BOSS, "team": _BOSS, "secret": _BOSS},
    # By tokens, see TOKENS and PUBLISHER: what they are for, and what everyone may.
    "dev1's": {"open": _READER, "team": _READER, "secret": _NOTHING},
    "boss's": {"open": _UPLOADER, "team": _UPLOADS, "secret": _UPLOADS},
    "a job": {"open": _READER, "team": _UPLOADS, "secret": _NOTHING},
}

#: Whose tokens there are, and what they are narrowed to.
TOKENS = {
    "dev1's": ("dev1", Scope(_READER, ("team-*", "secret-*"))),
    "boss's": ("boss", Scope(_UPLOADS)),
}
#: What the publisher of a job is for.
PUBLISHER = {"projects": "team-*", "acts": "upload"}


Asked = Action | Literal["log-in", "password"] | None


@frozen
class Subject:
    """A project that is asked for.

    :ivar digest: the segment of its file's address.
    """

    kind: str
    name: str
    digest: str

    @classmethod
    def present(cls, kind: str, digest: str) -> Subject:
        """One that is there."""
        return cls(kind, f"{kind}-one", digest)

    def absent(self) -> Subject:
        """The same that is not there."""
        return Subject(self.kind, f"{self.kind}-two", self.digest)

    @property
    def filename(self) -> str:
        """Its wheel."""
        return f"{self.name.replace('-', '_')}-1.0-py3-none-any.whl"

    def fill(self, path: str) -> str:
        """Put it into an address."""
        return path.format(
            name=self.name,
            digest=self.digest,
            file=self.filename,
            new=former_filename(self),
        )


@frozen
class Row:
    """What one address asks for.

    :ivar route: the router's rule.
    :ivar path: an address of it, with ``{name}``, ``{digest}`` and ``{file}`` where it
        is about a project.
    :ivar asks: what must be allowed; ``log-in``: whoever has logged in may;
        ``password``: but by no token; None: nothing is asked.
    :ivar status: of the answer to whoever may.
    :ivar body: makes what is sent.
    :ivar changes: it is refused while the server is read-only.
    :ivar form: it is sent by a form of our pages, which has :data:`TOKEN` in it and may
        have :data:`STATE`; they stand for what is there when it is made.
    """

    method: str
    route: str
    path: str
    asks: Asked = None
    status: int = 200
    body: Callable[[Subject], bytes] = field(default=lambda subject: b"")
    headers: dict[str, str] = field(factory=dict)
    changes: bool = False
    form: bool = False

    @property
    def for_people(self) -> bool:
        """Whether it is a page, which leads whoever is nobody yet to the log-in."""
        pages = (
            "/project/",
            "/search",
            "/advisories",
            "/account/",
            "/upload",
            "/admin/",
        )
        is_page = self.path == "/" or self.path.startswith(pages)
        return self.form or (self.method == "GET" and is_page)

    @property
    def about_a_project(self) -> bool:
        """Whether its answer depends on a project's name."""
        return "{name}" in self.path or self.body(_ONE) != self.body(_TWO)

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


#: In the body of a form: its token, and the state of the project.
TOKEN, STATE = b"THE-TOKEN", b"THE-STATE"

#: The name that the stylesheet has in addresses.
STYLE = Assets.load().names["style"]

_ONE, _TWO = Subject("x", "x-one", ""), Subject("x", "x-two", "")


def former_upload(subject: Subject) -> bytes:
    """A file that is new, to an address that says what it is."""
    data = wheel(subject.name.replace("-", "_"), "3.0")
    return form_bytes([("content", (former_filename(subject), data))])


def former_filename(subject: Subject) -> str:
    """That file's name."""
    return f"{subject.name.replace('-', '_')}-3.0-py3-none-any.whl"


def upload(subject: Subject) -> bytes:
    """A file that is new."""
    name = subject.name
    filename = f"{name.replace('-', '_')}-2.0-py3-none-any.whl"
    data = wheel(name.replace("-", "_"), "2.0")
    return upload_form(filename, data, name=name, version="2.0")


def overwrite(subject: Subject) -> bytes:
    """Other bytes for a file that is there."""
    module = subject.name.replace("-", "_")
    data = wheel(module, extra=[(f"{module}/__init__.py", b"other = True\n")])
    return upload_form(subject.filename, data, name=subject.name)


def removal(subject: Subject) -> bytes:
    """``remove_pkg``."""
    fields = {":action": "remove_pkg", "name": subject.name, "version": "1.0"}
    return form_bytes(fields.items())


def call(subject: Subject) -> bytes:
    """``pip search``."""
    return dumps(({"name": "x"},), "search").encode()


def release_call(subject: Subject) -> bytes:
    """What older tools ask of a release."""
    return dumps((subject.name, "1.0"), "release_urls").encode()


def token(subject: Subject) -> bytes:
    """A token that is none."""
    return b'{"token": "x"}'


def report(subject: Subject) -> bytes:
    """What a secret scanner sends."""
    return b'[{"token": "x"}]'


def nobodys_form(subject: Subject) -> bytes:
    """A form that no page of ours has made."""
    return b"user=boss&password=secret&token=x"


FORM = {"Content-Type": "application/x-www-form-urlencoded"}

AUDIT = "/api/v1/audit"
DISCOVERY = "/.well-known/pytp"
GITHUB = "/_/oidc/github/mint-token"
REVEALED = "/api/v1/access/tokens/revealed"
JSON = {"Content-Type": "application/json"}
XML = {"Content-Type": "text/xml"}

PROVENANCE = "/integrity/<name>/<version>/<filename>/provenance"
FILE = "/packages/<name>/<digest>/<filename>"
BY_NAME = "/packages/<kind>/<first>/<name>/<filename>"

#: Routes that take forms of the upload API.
FORMS = ("/", "/simple", "/simple/", "/legacy", "/legacy/", "/pypi", "/pypi/")

#: Below this are the routes of :class:`~pypicloud_tw.web.api.access.AccessApi`.
ACCESS = "/api/v1/access"

_RIGHT = "/rights/<project>/<any(user, group):kind>/<name>"


def _access_rows() -> Iterator[Row]:
    """Who may do what, shown and changed: that is no project's, and there is no thing.

    ``tests.web.api.test_access`` has those who administer single projects.
    """
    own: Asked = "log-in"
    password: Asked = "password"
    for route, asks, status in (
        ("/", ADMINISTER, 200),
        ("/users", ADMINISTER, 200),
        ("/users/<name>", ADMINISTER, 404),
        ("/groups", ADMINISTER, 200),
        ("/groups/<name>", ADMINISTER, 404),
        ("/rights", ADMINISTER, 200),
        ("/publishers", ADMINISTER, 200),
        ("/publishers/<name>", ADMINISTER, 404),
        ("/exemptions", ADMINISTER, 200),
        ("/exemptions/<string(length=16):id>", ADMINISTER, 404),
        ("/tokens", password, 200),
        ("/rights-of", own, 200),
        ("/whoami", own, 200),
    ):
        yield _access_row("GET", route, asks, status)
    for method, route, asks, status, body in (
        ("PUT", "/users/<name>", ADMINISTER, 201, b"{}"),
        ("PATCH", "/users/<name>", ADMINISTER, 200, b"{}"),
        ("DELETE", "/users/<name>", ADMINISTER, 200, b""),
        ("PUT", "/groups/<name>", ADMINISTER, 201, b'{"members": []}'),
        ("PUT", "/groups/<name>/members/<user>", ADMINISTER, 200, b""),
        ("DELETE", "/groups/<name>/members/<user>", ADMINISTER, 200, b""),
        ("DELETE", "/groups/<name>", ADMINISTER, 200, b""),
        ("PUT", _RIGHT, ADMINISTER, 201, b'{"actions": []}'),
        ("DELETE", _RIGHT, ADMINISTER, 200, b""),
        ("PUT", "/publishers/<name>", ADMINISTER, 201, _PUBLISHER),
        ("DELETE", "/publishers/<name>", ADMINISTER, 200, b""),
        ("POST", "/exemptions", ADMINISTER, 201, _EXEMPTION),
        (
            "DELETE",
            "/exemptions/<string(length=16):id>",
            ADMINISTER,
            404,
            b"",
        ),
        ("POST", "/tokens", password, 201, b"{}"),
        ("DELETE", "/tokens/<string(length=32):id>", password, 404, b""),
    ):
        yield _access_row(method, route, asks, status, body)


_PUBLISHER = (
    b'{"issuer": "https://ci.example", "claims": {"sub": "x"}, "projects": ["other"]}'
)


_EXEMPTION = b'{"project": "x", "until": "2026-12-31T00:00:00Z", "reason": "a fix"}'


def _access_row(
    method: str,
    route: str,
    asks: Asked,
    status: int,
    body: bytes = b"",
) -> Row:
    path = route
    for part, value in {
        "<any(user, group):kind>": "user",
        "<project>": "other",
        "<name>": "thing",
        "<user>": "thing",
        "<string(length=32):id>": "0" * 32,
        "<string(length=16):id>": "0" * 16,
    }.items():
        path = path.replace(part, value)
    changes = method != "GET"
    return Row(
        method,
        ACCESS + route,
        ACCESS + path,
        asks,
        status,
        lambda _: body,
        JSON,
        changes,
    )


#: Below this are the routes of :class:`~pypicloud_tw.web.api.projects.ProjectsApi`.
API = "/api/v1"

_YANK = b'{"reason": "broken"}'


def _project_rows() -> Iterator[Row]:
    """Projects, shown and changed."""
    project, release = "/projects/{name}", "/projects/{name}/releases/1.0"
    file = "/projects/{name}/files/{file}"
    files = f"{project}/files"
    for path in ("/projects", "/search?q=one", project, release, files, file):
        yield _api_row("GET", path, READ)
    yield _api_row("GET", f"{project}/history", MANAGE)
    yield _api_row("GET", "/upstream/explain/{name}", READ)
    for path in ("totals", "top", "projects/{name}"):
        yield _api_row("GET", f"/stats/{path}", READ)
    yield _api_row("GET", "/status", ADMINISTER)
    yield Row("GET", f"{API}/openapi.json", f"{API}/openapi.json")
    for one in (release, file):
        yield _api_row("PUT", f"{one}/yanked", MANAGE, _YANK)
        yield _api_row("DELETE", f"{one}/yanked", MANAGE)
        yield _api_row("DELETE", one, DELETE)
    yield _api_row("DELETE", project, DELETE)
    yield _api_row("POST", f"{project}/restore", DELETE, b"{}")
    yield _api_row("PUT", f"{project}/status", MANAGE, b'{"status": "active"}')
    unknown = b'{"act": "0123456789abcdef"}'
    yield _api_row("POST", f"{project}/undo", MANAGE, unknown, 404)


#: Below these are the pages by which a project is managed, and the account.
MANAGING, ACCOUNT = "/project/<name>/manage", "/account"


def _acting_rows() -> Iterator[Row]:
    """Pages by which people change what is theirs."""
    here, done = "/project/{name}/manage", 303
    yield Row("GET", MANAGING, here, status=301)
    for place, path, asks in (
        ("/", "/", MANAGE),
        ("/release/<version>/", "/release/1.0/", MANAGE),
        ("/file/<filename>/", "/file/{file}/", MANAGE),
        ("/delete", "/delete", DELETE),
        ("/deleted", "/deleted", MANAGE),
        ("/history", "/history", MANAGE),
        ("/upstream/", "/upstream/", ADMINISTER),
    ):
        yield Row("GET", MANAGING + place, here + path, asks)
    for act, asks, typed, status in (
        ("/yank", MANAGE, b"version=1.0&reason=broken", done),
        ("/unyank", MANAGE, b"version=1.0", done),
        ("/status", MANAGE, b"status=active", done),
        ("/undo", MANAGE, b"act=0123456789abcdef", 404),
        ("/delete", DELETE, b"version=1.0&sure=yes", done),
        ("/restore", DELETE, b"", done),
        ("/upstream/exempt", ADMINISTER, _EXEMPTION_TYPED, done),
        ("/upstream/end", ADMINISTER, b"id=0123456789abcdef", 404),
        ("/upstream/pin", ADMINISTER, b"publisher=github:acme/tool:x.yml", done),
        ("/upstream/unpin", ADMINISTER, b"", done),
    ):
        yield _form_row(MANAGING + act, here + act, asks, typed, status)
    own: Asked = "log-in"
    password: Asked = "password"
    yield Row("GET", ACCOUNT, ACCOUNT, status=301)
    yield Row("GET", f"{ACCOUNT}/", f"{ACCOUNT}/", own)
    for place, asked, typed, status in (
        ("/tokens", password, b"actions=read&days=3", 200),
        ("/tokens/revoke", password, b"id=" + b"0" * 32, 404),
        ("/password", ADMINISTER, b"password=one&again=two", 400),
    ):
        yield _form_row(ACCOUNT + place, ACCOUNT + place, asked, typed, status)
    yield Row("GET", "/upload", "/upload", UPLOAD)
    yield Row(
        "POST", "/upload", "/upload", UPLOAD, 200, page_upload, FORM_TYPE, True, True
    )


_EXEMPTION_TYPED = b"rule=min-age&until=2026-12-31&reason=a+fix"


def _form_row(route: str, path: str, asks: Asked, typed: bytes, status: int) -> Row:
    body = b"&".join((b"token=" + TOKEN, b"state=" + STATE, typed))
    return Row("POST", route, path, asks, status, lambda _: body, FORM, True, True)


def page_upload(subject: Subject) -> bytes:
    """A file that is new, by our page."""
    module = subject.name.replace("-", "_")
    file = (f"{module}-4.0-py3-none-any.whl", wheel(module, "4.0"))
    return form_bytes([("token", TOKEN.decode()), ("content", file)])


#: Below this are the routes of :class:`~pypicloud_tw.web.api.former.FormerApi`.
FORMER = "/api"


def _former_rows() -> Iterator[Row]:
    """The API of pypicloud 1.x."""
    project, file = f"{FORMER}/package/<name>", f"{FORMER}/package/<name>/<filename>"
    one = "/api/package/{name}/{file}"
    yield Row("GET", "/api/package", "/api/package", status=301)
    yield Row("GET", "/api/package/", "/api/package/", READ)
    yield Row("GET", "/api/package/", "/api/package/?verbose=true", READ)
    yield Row("GET", project, "/api/package/{name}", status=301)
    yield Row("GET", f"{project}/", "/api/package/{name}/", READ)
    yield Row("GET", file, one, READ)
    yield Row("GET", "/api/search", "/api/search?query=one", READ)
    yield Row("GET", "/api/search/", "/api/search/?query=one", READ)
    new = "/api/package/{name}/{new}"
    yield Row("POST", file, new, UPLOAD, 200, former_upload, FORM_TYPE, True)
    yield Row("DELETE", file, one, DELETE, changes=True)


def _prune_rows() -> Iterator[Row]:
    """Prunes of one project, planned and carried out."""
    for name, body, changes in (
        ("plan", plan_question, False),
        ("apply", prune_order, True),
    ):
        path = f"{API}/prune/{name}"
        yield Row("POST", path, path, DELETE, 200, body, JSON, changes)


def _pin_rows() -> Iterator[Row]:
    """Who publishes the projects of upstreams: administrators' business."""
    path, one = f"{API}/pins/<name>", f"{API}/pins/{{name}}"
    yield Row("GET", f"{API}/pins/", f"{API}/pins/", ADMINISTER)
    yield Row("PUT", path, one, ADMINISTER, 200, new_pin, JSON, True)
    yield Row("DELETE", path, one, ADMINISTER, changes=True)


def new_pin(subject: Subject) -> bytes:
    """A publisher to be pinned."""
    return b'{"publisher": "github:acme/tool:release.yml"}'


def plan_question(subject: Subject) -> bytes:
    """What a plan of one project is asked for with."""
    question = {"patterns": [subject.name], "keep": {"releases": 1}}
    return json.dumps(question).encode()


def prune_order(subject: Subject) -> bytes:
    """A plan for one project, made of a state that it has not."""
    releases = [{"version": "0.1"}]
    project = {"project": subject.name, "state": "x", "reason": "old"}
    return json.dumps({"projects": [{**project, "releases": releases}]}).encode()


def _api_row(
    method: str, path: str, asks: Asked, body: bytes = b"", status: int = 200
) -> Row:
    route = path.partition("?")[0].replace("{name}", "<name>")
    route = route.replace("1.0", "<version>").replace("{file}", "<filename>")
    changes = method != "GET"
    return Row(
        method, API + route, API + path, asks, status, lambda _: body, JSON, changes
    )


def osv_query(subject: Subject) -> bytes:
    """What uv asks, of one package."""
    package = {"name": "evil", "ecosystem": "PyPI"}
    return json.dumps({"package": package, "version": "1.1"}).encode()


def osv_batch(subject: Subject) -> bytes:
    """The same of many."""
    return b'{"queries": [%b]}' % osv_query(subject)


def _advisory_rows() -> Iterator[Row]:
    """What was taken that advisories affect, the daily report, and OSV's own API.

    ``tests.projects.affected.test_stored`` has those who manage single projects.
    """
    path = f"{API}/advisories"
    yield Row("GET", path, path, MANAGE)
    yield Row("GET", path, f"{path}?project={{name}}", MANAGE)
    yield Row("GET", "/advisories", "/advisories", MANAGE)
    yield Row("GET", "/advisories", "/advisories?project={name}", MANAGE)
    yield Row("GET", f"{API}/report", f"{API}/report", ADMINISTER, 404)
    for name, body in (("querybatch", osv_batch), ("query", osv_query)):
        yield Row("POST", f"{OSV}/v1/{name}", f"{OSV}/v1/{name}", READ, 200, body, JSON)
    vuln = f"{OSV}/v1/vulns/<identity>"
    yield Row("GET", vuln, f"{OSV}/v1/vulns/MAL-1", READ)


#: Below this are the routes of :class:`~.admin.area.AdminArea`.
ADMIN = "/admin"


def _admin_rows() -> Iterator[Row]:
    """The administration for people.

    ``tests.web.pages.admin.test_area`` has those who administer single projects.
    """
    user, group = "/users/<user>", "/groups/<group>"
    publisher, pin = "/publishers/<publisher>", "/pins/<name>"
    token = "/tokens/<string(length=32):id>"
    exemption = "/exemptions/<string(length=16):id>"
    line = "/rights/line?project=other&kind=user&name=thing"
    own: Asked = "log-in"
    for path, asks, status in (
        ("/", MANAGE, 200),
        ("/users/", ADMINISTER, 200),
        (user, ADMINISTER, 404),
        ("/groups/", ADMINISTER, 200),
        (group, ADMINISTER, 404),
        ("/rights/", ADMINISTER, 200),
        (line, ADMINISTER, 404),
        ("/explain", own, 200),
        ("/explain?project=other", own, 200),
        ("/publishers/", ADMINISTER, 200),
        (publisher, ADMINISTER, 404),
        ("/tokens/", ADMINISTER, 200),
        ("/tokens/?owner=bob", ADMINISTER, 200),
        (token, ADMINISTER, 404),
        ("/exemptions/", ADMINISTER, 200),
        (exemption, ADMINISTER, 404),
        ("/pins/", ADMINISTER, 200),
        (pin, ADMINISTER, 404),
        ("/audit", MANAGE, 200),
        ("/audit?project={name}", MANAGE, 200),
        ("/audit.jsonl", ADMINISTER, 200),
        ("/audit.jsonl?project={name}", MANAGE, 200),
        ("/prune", DELETE, 200),
        ("/prune?plan=1&projects={name}&keep_releases=1", DELETE, 200),
        ("/server", ADMINISTER, 200),
    ):
        yield _admin_row("GET", path, asks, status)
    sure, six = {"sure": "yes"}, "github:acme/six:release.yml"
    for path, status, fields in (
        ("/users/", 303, {"name": "thing", "service": "yes"}),
        (user, 303, {"act": "administrator", "administrator": "yes"}),
        ("/groups/", 303, {"name": "thing"}),
        (group, 303, {"act": "join", "members": "thing"}),
        # With notices, which are told at once.
        ("/rights/", 200, {"project": "other", "kind": "user", "name": "thing"}),
        (line, 200, {"act": "remove", **sure}),
        ("/publishers/", 400, {"name": "thing"}),
        (publisher, 404, {"act": "remove", **sure}),
        (token, 404, sure),
        ("/exemptions/", 400, {"project": "other"}),
        (exemption, 404, sure),
        ("/pins/", 303, {"project": "thing", "publisher": six}),
        (pin, 303, {"act": "remove", **sure}),
    ):
        yield _admin_row("POST", path, ADMINISTER, status, fields)
    path = f"{ADMIN}/prune"
    yield Row("POST", path, path, DELETE, 200, prune_form, FORM, True, True)


def prune_form(subject: Subject) -> bytes:
    """What is ticked of a plan."""
    releases = [{"version": "0.1"}]
    project = {"project": subject.name, "state": "x", "reason": "old"}
    order = json.dumps({**project, "releases": releases})
    return typed_form({"sure": "yes", "order": order})


def typed_form(fields: Mapping[str, str]) -> bytes:
    """A form of our pages, as somebody has filled it in."""
    return urlencode({**fields, "token": TOKEN.decode()}).encode()


def _admin_row(
    method: str,
    path: str,
    asks: Asked,
    status: int,
    fields: Mapping[str, str] | None = None,
) -> Row:
    route = ADMIN + path.partition("?")[0]
    for part, value in {
        "<user>": "thing",
        "<group>": "thing",
        "<publisher>": "thing",
        "<name>": "thing",
        "<string(length=32):id>": "0" * 32,
        "<string(length=16):id>": "0" * 16,
    }.items():
        path = path.replace(part, value)
    path = ADMIN + path
    if fields is None:
        return Row(method, route, path, asks, status)
    body = typed_form(fields)
    return Row(method, route, path, asks, status, lambda _: body, FORM, True, True)


#: Below this are the routes of :class:`~pypicloud_tw.web.api.osv.OsvApi`.
OSV = "/osv"

ROWS = (
    Row("GET", "/", "/", READ),
    Row("GET", "/packages", "/packages", status=301),
    Row("GET", "/packages/", "/packages/", READ),
    Row("GET", "/simple", "/simple", status=301),
    Row("GET", "/simple/", "/simple/", READ),
    # By the name alone, and to anybody.
    Row("GET", "/simple/<name>", "/simple/{name}", status=301),
    Row("GET", "/simple/<name>/", "/simple/{name}/", READ),
    Row("GET", BY_NAME, "/packages/source/x/{name}/{file}", READ, 302),
    Row("GET", BY_NAME, "/packages/py3/x/{name}/{file}.metadata", READ, 302),
    # By the name alone, and to anybody.
    Row("GET", "/project/<name>", "/project/{name}", status=301),
    Row("GET", "/project/<name>/<version>", "/project/{name}/1.0", status=301),
    Row("GET", "/project/<name>/", "/project/{name}/", READ),
    Row("GET", "/project/<name>/<version>/", "/project/{name}/1.0/", READ),
    Row("GET", "/project/<name>/releases/", "/project/{name}/releases/", READ),
    Row("GET", "/project/<name>/compare/", "/project/{name}/compare/", READ),
    Row("GET", "/project/<name>/stats/", "/project/{name}/stats/", READ),
    Row(
        "GET",
        "/project/<name>/files/<filename>/",
        "/project/{name}/files/{file}/",
        READ,
    ),
    Row("GET", "/project/<name>/explain/", "/project/{name}/explain/", READ),
    Row("GET", "/search", "/search?q=one", READ),
    Row("GET", "/feeds/releases.atom", "/feeds/releases.atom", READ),
    Row("GET", "/feeds/project/<name>.atom", "/feeds/project/{name}.atom", READ),
    Row("GET", "/namespaces", "/namespaces", READ),
    Row("GET", "/namespace/<space>", "/namespace/other", READ, 404),
    Row("GET", FILE, "/packages/{name}/{digest}/{file}", READ),
    Row("GET", FILE, "/packages/{name}/{digest}/{file}.metadata", READ),
    # None of these files has any, which is told to readers alone.
    Row("GET", PROVENANCE, "/integrity/{name}/1.0/{file}/provenance", READ, 404),
    Row("GET", "/pypi/<name>/json", "/pypi/{name}/json", READ),
    Row("GET", "/pypi/<name>/<version>/json", "/pypi/{name}/1.0/json", READ),
    Row("GET", "/static/<filename>", f"/static/{STYLE}"),
    # Who logs in, and out, is told by what they send.
    Row("GET", "/login", "/login"),
    Row("POST", "/login", "/login", None, 403, nobodys_form, FORM),
    Row("GET", "/logout", "/logout"),
    Row("POST", "/logout", "/logout", None, 403, nobodys_form, FORM),
    # Nobody does here by a provider.
    Row("GET", "/login/oidc", "/login/oidc", status=404),
    Row("GET", "/login/oidc/callback", "/login/oidc/callback", status=404),
    Row("GET", "/health", "/health"),
    Row("GET", "/ready", "/ready"),
    # Asks for metrics.read, which the doubles let everybody have.
    Row("GET", "/metrics", "/metrics"),
    *(
        Row("POST", path, path, UPLOAD, 200, upload, FORM_TYPE, changes=True)
        for path in FORMS
    ),
    Row("POST", "/legacy/", "/legacy/", OVERWRITE, 200, overwrite, FORM_TYPE, True),
    Row("POST", "/legacy/", "/legacy/", DELETE, 200, removal, FORM_TYPE, True),
    Row("POST", "/pypi", "/pypi", READ, 200, call, XML),
    Row("POST", "/pypi", "/pypi", READ, 200, release_call, XML),
    Row("GET", AUDIT, AUDIT, ADMINISTER),
    Row("GET", AUDIT, f"{AUDIT}?project={{name}}", MANAGE),
    # Who sends these proves who it is by what it sends.
    Row("GET", "/_/oidc/audience", "/_/oidc/audience"),
    Row("GET", "/.well-known/pytp", "/.well-known/pytp?discover=%2Flegacy%2F"),
    Row("POST", "/_/oidc/mint-token", "/_/oidc/mint-token", None, 422, token, JSON),
    Row("POST", GITHUB, GITHUB, None, 422, token, JSON),
    Row("POST", "/_/oidc/burn-token", "/_/oidc/burn-token", None, 204, token, JSON),
    Row("POST", REVEALED, REVEALED, None, 200, report, JSON),
    *_access_rows(),
    *_project_rows(),
    *_former_rows(),
    *_prune_rows(),
    *_pin_rows(),
    *_advisory_rows(),
    *_acting_rows(),
    Row("GET", "/admin", "/admin", status=301),
    *_admin_rows(),
)

#: What goes on while the server is read-only: logging in, what ends a token, and what
#: only looks.
#: Where the parts of the pages for people are mounted, and their routers.
PAGES: tuple[tuple[str, Klein], ...] = (
    ("/project", ProjectPages.router),
    (MANAGING, ManagePages.router),
    (ACCOUNT, AccountPages.router),
    (ADMIN, AdminArea.router),
)

WHILE_READ_ONLY = {
    "/login",
    "/logout",
    f"{API}/prune/plan",
    f"{OSV}/v1/querybatch",
    f"{OSV}/v1/query",
    "/_/oidc/mint-token",
    GITHUB,
    "/_/oidc/burn-token",
    REVEALED,
}
