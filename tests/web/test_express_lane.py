"""The express lane answers as the ordinary way does, byte for byte."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from itertools import pairwise
from random import Random
from typing import Any

from attrs import evolve
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.interfaces import IAddress
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.policy import Policy
from pypicloud_tw.access.settings import AccessSettings
from pypicloud_tw.config.addresses import network
from pypicloud_tw.config.rights import Action, RightLine
from pypicloud_tw.errors import StoreError
from pypicloud_tw.store.interfaces import SignedUrl
from pypicloud_tw.store.memory import MemoryStore
from pypicloud_tw.web.cors import ANY, Cors
from pypicloud_tw.web.express_lane import ExpressLane
from pypicloud_tw.web.http.access_log import AccessLog
from pypicloud_tw.web.http.proxies import IdentityFields, Proxies
from pypicloud_tw.web.request_heads import REMEMBERED, RequestHeads
from tests.builders import wheel
from tests.doubles import InlineOffload, quick_hash
from tests.web.doubles import (
    BEGINNING,
    Connection,
    Domain,
    Headers,
    Response,
    Web,
    basic,
    new_clock,
    request_bytes,
    stored_project,
)
from tests.web.http.doubles import PEER

PROXY = IPv4Address("TCP", "10.0.0.1", 1)
SOCKET = UNIXAddress("/run/pypicloud.sock")
PROXIES = Proxies((network("10.0.0.0/8"),), identity=IdentityFields.of("X-User", None))
PAGE, INNER = "/simple/acme/", "/simple/inner/"

#: As pip, uv and a browser send them.
PIP = {"User-Agent": 'pip/24.2 {"ci":null}', "Accept-Encoding": "gzip, deflate"}
UV = {
    "accept": "application/vnd.pypi.simple.v1+json, text/html;q=0.01",
    "user-agent": "uv/0.9",
    "accept-encoding": "zstd, br",
}
BROWSER = {"Accept": "text/html", "Referer": "http://x/?a=secret", "Cookie": "a=b"}
HEADS = (PIP, UV, BROWSER)

#: Only members of a group read one of the projects.
POLICY = Policy(
    AccessSettings(
        groups={"insiders": frozenset({"ann"})},
        rights=(
            RightLine("inner", "group", "insiders", frozenset({Action.READ}), "a test"),
        ),
        has_users=True,
    )
)


class SigningStore(MemoryStore):
    """Gives addresses that it serves itself, as a bucket does."""

    def url(self, key: str, *, filename: str) -> Any:
        """Sign nothing; end in a quarter of an hour."""
        return SignedUrl(
            f"https://s3.example/{filename}?X-Amz=1", 0, int(BEGINNING) + 900
        )


class LoggedWeb(Web):
    """A server with two projects, and the lines of its access log."""

    lines: list[bytes]

    @classmethod
    def make(cls, **more: Any) -> LoggedWeb:
        """Make it; the same arguments make the same one."""
        clock = new_clock()
        lines: list[bytes] = []
        web = cls(
            domain=Domain(clock, SigningStore(InlineOffload(), clock=clock.seconds)),
            users={name: quick_hash("secret") for name in ("ann", "bob")},
            proxies=PROXIES,
            access_log=AccessLog(lines.append, clock),
            policy=POLICY,
            logs_downloads=False,
            **more,
        )
        web.lines = lines
        for name in ("acme", "inner"):
            web.publish(f"{name}-1.0-py3-none-any.whl", wheel(name))
        return web

    @property
    def clock(self) -> Clock:
        """The server's clock."""
        return self.domain.clock

    @property
    def log(self) -> bytes:
        """The access log so far."""
        assert self.access_log is not None
        self.access_log.flush()
        return b"".join(self.lines)

    def numbers(self) -> str:
        """What the metrics show, but for what the lane itself counts."""
        shown = self.metrics.render().decode().splitlines()
        return "\n".join(line for line in shown if "_created" not in line)

    def file(self, name: str = "acme") -> str:
        """The address of a project's file."""
        file = stored_project(self.store, name).files[0]
        return f"/packages/{name}/{file.sha256[:16]}/{file.filename}"


def lane_of(web: Web) -> Any:
    """The lane that a server has."""
    return getattr(web.site.express, "__self__")  # noqa: B009  it is a bound method


class LaneCase(SynchronousTestCase):
    """A server, and a client that has asked often enough to be known."""

    proxied = False

    def setUp(self) -> None:
        self.web = LoggedWeb.make()
        self.connection = self.connect()

    def connect(self) -> Connection:
        return Connection(self.web.site, PROXY if self.proxied else PEER)

    def ask(
        self,
        path: str = PAGE,
        headers: Headers = PIP,
        method: str = "GET",
        connection: Connection | None = None,
    ) -> Response:
        connection = connection or self.connection
        connection.send(request_bytes(method, path, headers))
        for _ in range(100):
            response = connection.response(method)
            if response is not None:
                return response
            self.web.clock.advance(0.01)
        raise AssertionError("no answer")

    def counted(self, act: Callable[[], object]) -> dict[str, int]:
        """Return what the lane answers meanwhile."""
        answered = lane_of(self.web).answered
        before = answered.copy()
        act()
        return dict(answered - before)

    def known(self, path: str = PAGE, headers: Headers = PIP) -> None:
        """Ask until the lane knows the page and the head."""
        for _ in range(3):
            self.ask(path, headers)


class AnswerTests(LaneCase):
    """What the lane answers, which its counter tells."""

    def test_from_the_third_time_on(self) -> None:
        told = [self.counted(self.ask) for _ in range(4)]
        self.assertEqual(told, [{}, {}, {"page": 1}, {"page": 1}])

    def test_every_client_of_the_benchmarks(self) -> None:
        for headers in HEADS:
            self.known(headers=headers)
            for method in ("GET", "HEAD"):
                told = self.counted(lambda: self.ask(PAGE, headers, method))  # noqa: B023  called at once
                self.assertEqual(told, {"page": 1}, (headers, method))

    def test_a_tag_differs_from_request_to_request(self) -> None:
        self.known()
        tag = self.ask()["etag"]
        for value, status in ((tag, 304), ('"other"', 200), (f"W/{tag}, *", 304)):
            told = self.counted(lambda: self.assertEqual(self.tagged(value), status))  # noqa: B023  called at once
            self.assertEqual(told, {"page": 1})

    def tagged(self, value: str | None) -> int:
        return self.ask(headers={**PIP, "If-None-Match": value or ""}).status

    def test_what_not_everyone_may_read(self) -> None:
        """The counter tells of it apart: it once missed the lane in silence."""
        self.known(INNER, PIP | basic())
        told = self.counted(lambda: self.ask(INNER, PIP | basic()))
        self.assertEqual(told, {"restricted page": 1})
        answer = self.ask(INNER, PIP | basic())
        self.assertEqual(answer["cache-control"], "no-cache, private")

    def test_a_redirect_to_a_bucket(self) -> None:
        for name, headers, kind in (
            ("acme", PIP, "file"),
            ("inner", PIP | basic(), "restricted file"),
        ):
            self.known(f"/simple/{name}/", headers)
            self.ask(self.web.file(name), headers)
            before = self.web.counted.counted
            told = self.counted(
                lambda: self.ask(self.web.file(name), headers)  # noqa: B023  called at once
            )
            self.assertEqual(told, {kind: 1})
            self.assertEqual(self.web.counted.counted, before + 1)

    def test_a_password_that_was_changed(self) -> None:
        """The next request is judged anew."""
        self.known(INNER, PIP | basic())
        self.web.application.access.policy = POLICY.with_settings(
            AccessSettings(default_read=("authenticated",), has_users=True)
        )
        self.assertEqual(self.ask(INNER, PIP | basic("bob")).status, 200)
        self.web.application.access.policy = POLICY
        self.assertEqual(self.ask(INNER, PIP | basic("bob")).status, 404)
        self.assertEqual(self.ask(INNER).status, 401)

    def test_after_freshness_has_lapsed(self) -> None:
        """One request goes the ordinary way and asks the marker; the next does not."""
        self.known()
        self.web.clock.advance(1.5)
        told = [self.counted(self.ask) for _ in range(3)]
        self.assertEqual(told, [{}, {"page": 1}, {"page": 1}])

    def test_a_new_file(self) -> None:
        self.known()
        before = self.ask().body
        self.web.publish("acme-2.0-py3-none-any.whl", wheel("acme", "2.0"))
        self.assertNotEqual(self.ask().body, before)

    def test_the_store_is_away(self) -> None:
        """What is not known to be fresh is not the lane's."""
        self.known()
        self.web.clock.advance(1.5)
        self.web.domain.store.fail_next("get", StoreError("away"))
        self.assertEqual(self.counted(self.ask), {})

    def test_a_server_that_stops(self) -> None:
        self.known()
        self.web.site.drain(10)
        self.assertIsNone(self.web.site.express)

    def test_other_sites_scripts(self) -> None:
        """Their answers differ by who asks."""
        web = LoggedWeb.make(cors=Cors(frozenset({ANY})))
        self.assertIsNone(web.site.express)

    def test_an_attacker_cannot_spoil_a_head(self) -> None:
        """What is remembered of a head is of that head alone."""
        rest = request_bytes("GET", PAGE, PIP).partition(b"\r\n")[2]
        for line in (b"GET /simple/\0/ HTTP/1.1", b"GET /simple/a b/ HTTP/1.1"):
            for more in (b"", b"Authorization: \0\r\n", b"X-Forwarded-For: a\nb\r\n"):
                for _ in range(3):
                    self.connect().send(line + b"\r\n" + more + rest)
        self.known()
        self.assertEqual(self.counted(self.ask), {"page": 1})


class ProxiedTests(LaneCase):
    """Behind a proxy of ours."""

    proxied = True

    def test_clients(self) -> None:
        """Their addresses differ, and are logged."""
        headers = {**PIP, "X-Forwarded-Proto": "https"}
        self.known(headers={**headers, "X-Forwarded-For": "192.0.2.1"})
        told = self.counted(
            lambda: self.ask(headers={**headers, "X-Forwarded-For": "192.0.2.99"})
        )
        self.assertEqual(told, {"page": 1})
        self.assertIn(b"192.0.2.99 - - [", self.web.log)

    def test_users_of_one_connection(self) -> None:
        """Each is who shows the password, from where it was right."""
        for user, client in (("ann", "192.0.2.1"), ("bob", "192.0.2.2")) * 3:
            headers = {**PIP, "X-Forwarded-For": client, **basic(user)}
            status = 200 if user == "ann" else 404
            self.assertEqual(self.ask(INNER, headers).status, status)
        headers = {**PIP, "X-Forwarded-For": "192.0.2.1", **basic()}
        told = self.counted(lambda: self.ask(INNER, headers))
        self.assertEqual(told, {"restricted page": 1})

    def test_who_is_signed_in_by_the_proxy(self) -> None:
        """That is for the ordinary way."""
        headers = {**PIP, "X-Forwarded-For": "192.0.2.1", "X-User": "ann"}
        self.known(headers=headers)
        self.assertEqual(self.counted(lambda: self.ask(headers=headers)), {})


class BoundTests(SynchronousTestCase):
    """However many heads come, so many are remembered."""

    def test_heads(self) -> None:
        heads = RequestHeads()
        for number in range(3 * REMEMBERED):
            rest = f"\r\nHost: x\r\nX-Request-Id: {number}\r\n\r\n".encode()
            for _ in range(3):
                heads.find(rest)
            self.assertIsNotNone(heads.find(rest))
        self.assertLessEqual(heads.remembered, 2 * REMEMBERED)


# --- the two ways against each other

_VALUES = (
    '"x"',
    "*",
    "W/*",
    "{tag}",
    "W/{tag}",
    '"a", {tag}',
    "{tag}\x00",
    "{tag}\n",
    " {tag}\t",
    "",
)
_FIELDS = (
    *(f"{name}: {v}" for name in ("If-None-Match", "if-none-match") for v in _VALUES),
    *(f"Authorization: {basic(u, p)['Authorization']}" for u in "ab" for p in "cd"),
    f"Authorization: {basic()['Authorization']}",
    f"authorization: {basic()['Authorization']} ",
    f"AUTHORIZATION: {basic()['Authorization']}",
    f"Authorization: {basic('bob')['Authorization']}",
    f"Authorization: {basic(password='wrong')['Authorization']}",
    "Authorization: Bearer pypitw-nonsense",
    "Authorization:Basic",
    "X-Forwarded-For: 192.0.2.44",
    "x-forwarded-for: 192.0.2.44, 10.0.0.9",
    "X-Forwarded-For: nonsense",
    "X-Forwarded-For: 192.0.2.44\r",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Host: pypi.example",
    "X-User: ann",
    "Connection: close",
    "Connection: keep-alive",
    "Content-Length: 0",
    "Content-Length: 3",
    "Transfer-Encoding: chunked",
    "Expect: 100-continue",
    "If-Match: *",
    'If-Match: "x"',
    "If-Modified-Since: Sat, 01 Jan 2050 00:00:00 GMT",
    "If-Unmodified-Since: Sat, 01 Jan 2000 00:00:00 GMT",
    "Range: bytes=0-3",
    "Accept: image/png",
    "Accept-Encoding: identity;q=0",
    "Cookie: a=b",
    "Origin: https://evil.example",
    "Host: other.example",
    " folded",
    "no colon",
    "Bad Name: x",
    "User-Agent: a\x00b",
    'User-Agent: "quoted"',
    "",
)
_LINES = (
    "GET /simple/acme/ HTTP/1.1",
    "HEAD /simple/acme/ HTTP/1.1",
    "GET /simple/inner/ HTTP/1.1",
    "GET {file} HTTP/1.1",
    "HEAD {file} HTTP/1.1",
    "GET {inner} HTTP/1.1",
    "GET {file}.metadata HTTP/1.1",
    "GET /packages/acme/0000/nothing.whl HTTP/1.1",
    "GET /simple/none/ HTTP/1.1",
    "GET /simple/Acme/ HTTP/1.1",
    "GET /simple/acme HTTP/1.1",
    "GET /simple/acme/?format=application/vnd.pypi.simple.v1%2Bjson HTTP/1.1",
    "GET /simple/%61cme/ HTTP/1.1",
    "GET /simple//acme/ HTTP/1.1",
    "GET /simple/../simple/acme/ HTTP/1.1",
    "GET  /simple/acme/ HTTP/1.1",
    "get /simple/acme/ HTTP/1.1",
    "POST /simple/acme/ HTTP/1.1",
    "GET /simple/acme/ HTTP/1.0",
    "GET /simple/acme/ HTTP/2.0",
    "GET http://pypi.example/simple/acme/ HTTP/1.1",
    "\r\nGET /simple/acme/ HTTP/1.1",
    "GET /simple/acme/ HTTP/1.1\r",
)

_fields = st.lists(st.sampled_from(_FIELDS), max_size=3)


@st.composite
def _requests(draw: st.DrawFn) -> str:
    """One request, mostly an ordinary one."""
    line = draw(st.sampled_from(_LINES[:4]) | st.sampled_from(_LINES))
    head = draw(st.sampled_from(HEADS))
    fields = [f"{name}: {value}" for name, value in head.items()]
    for more in draw(st.just([]) | _fields):
        fields.insert(draw(st.integers(0, len(fields))), more)
    if draw(st.integers(0, 19)):
        fields.insert(draw(st.integers(0, len(fields))), "Host: pypi.example")
    end = draw(st.sampled_from(["\r\n\r\n"] * 9 + ["\n\n", "\r\n", "\r\n\r\n\r\n"]))
    return "\r\n".join((line, *fields)) + end


#: What is sent at once: requests behind each other, cut anywhere; and what happens.
_steps = st.lists(
    st.tuples(
        st.lists(_requests(), min_size=1, max_size=3),
        st.lists(st.integers(0, 400), max_size=2),
        st.sampled_from((0.0, 0.0, 0.0, 0.4, 1.1, 70.0)),
        st.sampled_from(("", "", "", "", "publish", "away", "rights")),
    ),
    min_size=1,
    max_size=4,
)


class DifferenceTests(SynchronousTestCase):
    """Bytes, log, numbers and limits are the same with the lane and without."""

    @settings(
        max_examples=100,
        deadline=None,
        suppress_health_check=(HealthCheck.too_slow,),
    )
    @given(_steps, st.sampled_from((PEER, PROXY, SOCKET)))
    def test_no_difference(self, steps: Any, peer: IAddress) -> None:
        self.compare(steps, peer)

    def test_it_can_fail(self) -> None:
        """A lane that forgets whom it asks for is found out."""
        steps: Any = [([f"{_LINES[2]}\r\nHost: x\r\n\r\n"], [], 0.0, "")] * 3
        self.compare(steps, PEER)
        with self.assertRaises(self.failureException):
            self.compare(steps, PEER, _let_all_read)

    def compare(
        self,
        steps: Any,
        peer: IAddress,
        spoil: Callable[[ExpressLane], None] = lambda lane: None,
    ) -> None:
        with_lane, without = LoggedWeb.make(), LoggedWeb.make(express=False)
        spoil(lane_of(with_lane))
        seen = [_play(web, steps, peer) for web in (with_lane, without)]
        for one, other in zip(*seen, strict=True):
            self.assertEqual(one, other)
        self.assertEqual(with_lane.log, without.log)
        self.assertEqual(with_lane.numbers(), without.numbers())
        self.assertEqual(with_lane.counted.counted, without.counted.counted)


def _let_all_read(lane: ExpressLane) -> None:
    lane.access = evolve(lane.access, policy=Policy(AccessSettings()))


def _play(web: LoggedWeb, steps: Any, peer: IAddress) -> list[object]:
    """Send all on one connection, or on the next one where that has ended."""
    _warm(web)
    tag = web.get(PAGE, PIP)["etag"] or ""
    connection, seen = Connection(web.site, peer), list[object]()
    random = Random(0)
    for requests, cuts, pause, event in steps:
        if connection.wire.disconnecting or connection.wire.half_closed:
            connection = Connection(web.site, peer)
        data = "".join(requests).replace("{tag}", tag)
        data = data.replace("{file}", web.file()).replace("{inner}", web.file("inner"))
        for part in _pieces(data.encode("latin-1"), cuts):
            connection.send(part)
        _happen(web, event, random)
        web.clock.advance(pause)
        web.clock.pump([0.01] * 20)
        seen.append(connection.unread)
        connection.wire.clear()
        seen.append((connection.wire.disconnecting, connection.wire.half_closed))
        connection._received = b""
    web.clock.pump([10.0] * 8)  # the limits
    seen.append((connection.wire.disconnecting, connection.wire.aborted))
    return seen


def _warm(web: LoggedWeb) -> None:
    for headers in HEADS:
        for path in (PAGE, INNER, web.file(), web.file("inner")):
            for _ in range(3):
                web.get(path, headers | basic())


def _pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = (data[a:b] for a, b in pairwise(places))
    return [piece for piece in pieces if piece]


def _happen(web: LoggedWeb, event: str, random: Random) -> None:
    match event:
        case "publish":
            version = f"2.{random.randrange(10**6)}"
            with contextlib.suppress(StoreError):  # it may be away
                web.publish(f"acme-{version}-py3-none-any.whl", wheel("acme", version))
        case "away":
            web.domain.store.fail_next("get", StoreError("away"))
        case "rights":
            web.application.access.policy = Policy(
                AccessSettings(default_read=("authenticated",), has_users=True)
            )
