"""Rights over HTTP: everybody, every address, every kind of project, both sources.

Who may not read a project learns nothing of it: of a project that is there and one that
is not the answers are equal, and neither store nor upstream hears of the question.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping

from attrs import evolve, frozen
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.document import AccessDocument, StoredUser
from pypicloud_tw.access.policy import Policy
from pypicloud_tw.access.principal import Principal, Scope
from pypicloud_tw.access.sessions.form_tokens import make_form_token
from pypicloud_tw.access.tokens.tokens import NewToken
from pypicloud_tw.config.rights import Action, RightLine
from pypicloud_tw.index.acts import state_of
from pypicloud_tw.index.audit import Actor
from pypicloud_tw.projects.addresses import DIGEST_DIGITS
from pypicloud_tw.web.api.access import AccessApi
from pypicloud_tw.web.api.former import FormerApi
from pypicloud_tw.web.api.osv import OsvApi
from pypicloud_tw.web.api.pinning import PinsApi
from pypicloud_tw.web.api.projects import ProjectsApi
from pypicloud_tw.web.api.pruning import PruningApi
from pypicloud_tw.web.api.statistics import StatisticsApi
from pypicloud_tw.web.api.upstream import UpstreamApi
from pypicloud_tw.web.app import Application
from pypicloud_tw.web.cookies import FORM as FORM_COOKIE
from tests.access.doubles import policy_of
from tests.access.oidc.doubles import publisher
from tests.builders import wheel
from tests.projects.affected.doubles import Known, malware
from tests.web.doubles import HASH, Response, Web, basic, started, stored_project
from tests.web.rights_table import (
    ACCESS,
    ADMINISTRATORS,
    API,
    DEFAULTS,
    EXPECTED,
    FORMER,
    GROUPS,
    KINDS,
    OSV,
    PAGES,
    PUBLISHER,
    RIGHTS,
    ROWS,
    STATE,
    TOKEN,
    TOKENS,
    WHILE_READ_ONLY,
    Row,
    Subject,
)
from tests.web.test_app_fallback import Front

#: Everybody who is known to the tests.
USERS = dict.fromkeys(("bob", "dev1", "boss"), HASH)
JSON = {"Accept": "application/vnd.pypi.simple.v1+json"}


@frozen
class Source:
    """Where rights stand: in the ini, or beside it in the access document.

    :ivar users: whom the ini has, with their hashes.
    """

    policy: Policy
    users: Mapping[str, str]
    document: AccessDocument | None = None


def from_ini() -> Source:
    """The rights, all in the ini."""
    lines = [f"group.{name} = {' '.join(who)}" for name, who in GROUPS.items()]
    lines += [f"package.{p}.{kind}.{who} = {what}" for p, kind, who, what in RIGHTS]
    lines.append(f"auth.admins = {' '.join(ADMINISTRATORS)}")
    return Source(policy_of("\n".join([DEFAULTS, *lines])), USERS)


def from_document() -> Source:
    """The same, as administrators made them at run time."""
    named = policy_of("\n".join(f"package.{p}.user.x = {w}" for p, _, _, w in RIGHTS))
    actions = {line.project: line.actions for line in named.settings.rights}
    document = AccessDocument(
        users={name: StoredUser(HASH, administrator=True) for name in ADMINISTRATORS},
        groups={name: frozenset(who) for name, who in GROUPS.items()},
        rights=tuple(
            RightLine(p, kind, who, actions[p], "document")
            for p, kind, who, _ in RIGHTS
        ),
    )
    others = {name: HASH for name in USERS if name not in ADMINISTRATORS}
    settings = evolve(policy_of(DEFAULTS).settings, users=frozenset(others))
    return Source(Policy(settings), others, document)


#: What the browser of whoever sends a form has for it.
SECRET = b"s" * 43

#: What each page draws anew.
DRAWN = re.compile(rb'name="token" value="[^"]*"')

#: How browsers say that another site's page asks.
CROSS_SITE = (
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
)

SOURCES = {"ini": from_ini, "document": from_document}


@frozen
class Server:
    """A server in front of an upstream, with a project of each kind."""

    front: Front
    subjects: tuple[Subject, ...]
    tokens: Mapping[str, str]

    @classmethod
    def of(cls, source: Source, mode: str = "cache") -> Server:
        front = Front(mode)
        known = Known(records={"MAL-1": b'{"id": "MAL-1"}'})
        known.add(malware("evil"))
        front.web = web = Web(
            front.domain,
            users=source.users,
            policy=source.policy,
            publishers={"job": publisher("job", **PUBLISHER)},
            known=known,
        )
        web.application.projects.fallback = front.fallback
        if (document := source.document) is not None:
            work = started(web.documents.change(lambda _: document))
            web.domain.settle(work)
        subjects = []
        for kind in KINDS:
            subject = Subject.present(kind, "")
            module = subject.name.replace("-", "_")
            front.web.publish(subject.filename, wheel(module))
            (file,) = stored_project(front.web.store, subject.name).files
            subjects.append(Subject.present(kind, file.sha256[:DIGEST_DIGITS]))
        web.get("/")  # the rules are known from now on
        tokens = {label: make_token(web, *given) for label, given in TOKENS.items()}
        tokens["a job"] = mint(web)
        server = cls(front, tuple(subjects), tokens)
        for label in tokens:
            web.get("/", server.login(label))  # and the tokens
        return server

    @property
    def web(self) -> Web:
        return self.front.web

    def login(self, user: str | None) -> dict[str, str]:
        if user is None:
            return {}
        token = self.tokens.get(user)
        return basic(user) if token is None else basic("__token__", token)

    def ask(
        self, row: Row, user: str | None, subject: Subject, method: str | None = None
    ) -> Response:
        fields = {**row.headers, **self.login(user)}
        path, body = subject.fill(row.path), row.body(subject)
        if row.form:
            fields["Cookie"] = f"{FORM_COOKIE}={SECRET.decode()}"
            body = body.replace(TOKEN, make_form_token(SECRET, sender(user)).encode())
            body = body.replace(STATE, self.state(subject).encode())
        return self.web.request(method or row.method, path, fields, body)

    def state(self, subject: Subject) -> str:
        """Tell the state of a project, as a page of it has it."""
        if subject not in self.subjects:
            return "none"
        return state_of(stored_project(self.web.store, subject.name))

    def heard(self) -> tuple[object, ...]:
        """Tell what store and upstream were asked, and what was counted of it."""
        pages = self.front.fallback.upstreams.pages
        catalog = self.web.domain.catalog
        return (
            len(self.web.store.calls),
            len(self.front.upstream.asked),
            pages.hits,
            pages.misses,
            catalog.hits,
            catalog.misses,
        )


def make_token(web: Web, owner: str, scope: Scope) -> str:
    """Make a user's token."""
    making = started(
        web.tokens.make(owner, Actor(owner), "CI", scope.actions, scope.projects)
    )
    web.domain.settle(making)
    made: list[NewToken] = []
    making.addCallback(made.append)
    return made[0].text


def mint(web: Web) -> str:
    """Have a job exchange its identity."""
    body = json.dumps({"token": web.issuer.token()}).encode()
    token: str = web.request("POST", "/_/oidc/mint-token", body=body).json["token"]
    return token


def sender(user: str | None) -> Principal:
    """Who sends a form, as its token knows them."""
    if user == "a job":
        return Principal(None, publishers=("job",))
    return Principal(TOKENS[user][0] if user in TOKENS else user)


def comparable(response: Response, subject: Subject) -> tuple[object, ...]:
    """Give the whole answer, with another name for the project's."""
    module = subject.name.replace("-", "_")
    fields = {
        name: value.replace(subject.name, "NAME").replace(module, "NAME")
        for name, value in response.fields.items()
        if name != "date"
    }
    body = response.body.replace(subject.name.encode(), b"NAME")
    body = DRAWN.sub(b"", body.replace(module.encode(), b"NAME"))
    return response.status, response.reason.replace(subject.name, "NAME"), fields, body


def allowed(row: Row, user: str | None, kind: str) -> bool:
    if row.asks == "log-in":
        return user is not None
    if row.asks == "password":
        return user in USERS
    return row.asks is None or row.asks in EXPECTED[user][kind]


def refusal(row: Row, user: str | None, kind: str) -> int:
    """Tell the status that refuses somebody."""
    if row.asks is Action.OVERWRITE and Action.UPLOAD in EXPECTED[user][kind]:
        return 409  # a file that is there stays as it is, for them
    if user is None:
        return 303 if row.for_people else 401
    if row.asks is Action.READ and kind != "secret":
        return 404
    return 403


class TableCase(SynchronousTestCase):
    def each(self, *, about_projects: bool) -> Iterator[tuple[Server, str, Row]]:
        for source, make in SOURCES.items():
            server = Server.of(make())
            for row in ROWS:
                if row.about_a_project is about_projects:
                    yield server, source, row


class TableTests(TableCase):
    def test_every_route_has_a_row(self) -> None:
        routes = {
            (method, base + rule.rule)
            for base, router in (
                ("", Application.router),
                (ACCESS, AccessApi.router),
                (API, ProjectsApi.router),
                (FORMER, FormerApi.router),
                (f"{API}/prune", PruningApi.router),
                (f"{API}/pins", PinsApi.router),
                (OSV, OsvApi.router),
                (f"{API}/upstream", UpstreamApi.router),
                *PAGES,
                (f"{API}/stats", StatisticsApi.router),
            )
            for rule in router.url_map.iter_rules()
            for method in set(rule.methods or ()) - {"HEAD", "OPTIONS"}
        }
        self.assertEqual(routes, {(row.method, row.route) for row in ROWS})

    def test_both_sources_say_what_is_expected(self) -> None:
        for source, make in SOURCES.items():
            server = Server.of(make())
            for user, kinds in EXPECTED.items():
                readable = {k for k in KINDS if Action.READ in kinds[k]}
                fields = server.login(user)
                listed = server.web.get("/simple/", {**JSON, **fields}).json
                self.assertEqual(
                    [project["name"] for project in listed["projects"]],
                    sorted(f"{kind}-one" for kind in readable),
                    (source, user),
                )
                page = server.web.get("/packages/", fields).text
                for kind in KINDS:
                    shown = f"{kind}_one-1.0" in page
                    self.assertEqual(shown, kind in readable, (source, user, kind))

    def test_whoever_may_not_learns_nothing(self) -> None:
        for server, source, row in self.each(about_projects=True):
            for subject in server.subjects:
                server.ask(row, "boss", subject, "GET")  # known by now
                for user in EXPECTED:
                    if not allowed(row, user, subject.kind):
                        self.refused(server, source, row, user, subject)

    def refused(
        self, server: Server, source: str, row: Row, user: str | None, subject: Subject
    ) -> None:
        where = f"{source}: {row} of {subject.kind} by {user}"
        wanted = refusal(row, user, subject.kind)
        if wanted == 409:
            self.assertEqual(server.ask(row, user, subject).status, 409, where)
            return
        before = server.heard()
        there = server.ask(row, user, subject)
        absent = subject.absent()
        other = server.ask(row, user, absent)
        self.assertEqual(there.status, wanted, where)
        self.assertEqual(comparable(there, subject), comparable(other, absent), where)
        if row.method == "GET":
            heads = [server.ask(row, user, one, "HEAD") for one in (subject, absent)]
            self.assertEqual([head.status for head in heads], [wanted] * 2, where)
        self.assertEqual(server.heard(), before, where)

    def test_nor_what_another_index_would_be_asked(self) -> None:
        """However what is not here is served."""
        for mode in ("proxy", "relay", "redirect"):
            server = Server.of(from_ini(), mode)
            rows = (row for row in ROWS if row.asks is Action.READ)
            for row in (row for row in rows if row.about_a_project):
                for subject in server.subjects:
                    for user in (None, "dev1"):
                        if not allowed(row, user, subject.kind):
                            self.refused(server, mode, row, user, subject)

    def test_whoever_may_is_served(self) -> None:
        for server, source, row in self.each(about_projects=True):
            for subject in server.subjects:
                for user in EXPECTED:
                    if not allowed(row, user, subject.kind):
                        continue
                    if row.asks is Action.DELETE:  # else the same is done once more
                        server = Server.of(SOURCES[source]())
                    answer = server.ask(row, user, subject)
                    where = f"{source}: {row} of {subject.kind} by {user}"
                    self.assertEqual(answer.status, row.status, where)

    def test_what_is_about_no_project(self) -> None:
        for server, source, row in self.each(about_projects=False):
            subject = server.subjects[0]
            for user in EXPECTED:
                may = allowed(row, user, "open")
                if row.asks is Action.UPLOAD:  # to whatever there is
                    may = any(allowed(row, user, kind) for kind in KINDS)
                if row.asks is Action.ADMINISTER:
                    may = user in ADMINISTRATORS
                wanted = row.status if may else refusal(row, user, "secret")
                answer = server.ask(row, user, subject)
                self.assertEqual(answer.status, wanted, f"{source}: {row} by {user}")

    def test_nothing_changes_while_read_only(self) -> None:
        for source, make in SOURCES.items():
            given = make()
            settings = evolve(given.policy.settings, read_only="We move until noon.")
            policy = given.policy.with_settings(settings)
            server = Server.of(evolve(given, policy=policy))
            objects = dict(server.web.store.objects)
            for row in (row for row in ROWS if row.changes):
                answer = server.ask(row, "boss", server.subjects[0])
                self.assertEqual(answer.status, 403, f"{source}: {row}")
                self.assertIn("We move until noon.", answer.text)
            self.assertEqual(server.web.store.objects, objects)

    def test_no_other_site_changes_anything(self) -> None:
        """Whatever asks for more than reading, by what a browser sends by itself."""
        server = Server.of(from_ini())
        objects = dict(server.web.store.objects)
        for row in ROWS:
            # Those that go on prove who asks by the body alone.
            if row.method == "GET" or row.asks is None or row.route in WHILE_READ_ONLY:
                continue
            for fields in CROSS_SITE:
                foreign = evolve(row, headers={**row.headers, **fields})
                answer = server.ask(foreign, "boss", server.subjects[0])
                self.assertEqual(answer.status, 403, f"{row} {fields}")
                self.assertIn("another site", answer.text)
        self.assertEqual(server.web.store.objects, objects)

    def test_what_changes_says_so(self) -> None:
        changing = {row.route for row in ROWS if row.changes}
        others = {row.route for row in ROWS if row.method != "GET"}
        self.assertEqual(others - changing, WHILE_READ_ONLY)
