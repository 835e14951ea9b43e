"""Who is believed about where a request came from."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from pypicloud_tw.web.http.proxies import Notices, Origin, Peer, Proxies
from pypicloud_tw.web.http.request import Request
from tests.web.doubles import Connection, Web, basic, request_bytes
from tests.web.http.doubles import Client

OURS = Proxies((ip_network("10.0.0.0/8"), ip_network("fd00::/8")))
PROXY = IPv4Address("TCP", "10.0.0.1", 1)
STRANGER = IPv4Address("TCP", "203.0.113.9", 1)


def origin(
    proxies: Proxies = OURS,
    peer: IAddress = PROXY,
    secure: bool = False,
    **fields: str | list[str],
) -> Origin:
    """Ask where a request came from; *fields* are header fields."""
    headers = Headers()
    for name, values in fields.items():
        for value in [values] if isinstance(values, str) else values:
            headers.addRawHeader(name.replace("_", "-"), value)
    return proxies.origin(
        headers.getRawHeaders,
        peer=Peer.of(peer, proxies),
        secure=secure,
        fallback_host="192.0.2.1:6543",
    )


async def silent(request: Request) -> None:
    """Answer with nothing."""
    request.finish()


class Strangers(SynchronousTestCase):
    """Nobody else is believed."""

    def test_forwarded_fields_are_ignored(self) -> None:
        got = origin(
            peer=STRANGER,
            Host="index.example:8080",
            X_Forwarded_For="10.9.9.9",
            X_Forwarded_Proto="https",
            X_Forwarded_Host="evil.example",
            X_Forwarded_Prefix="/evil",
        )
        self.assertEqual(got, Origin("http", "index.example:8080", "", "203.0.113.9"))
        self.assertEqual(got.base_url, "http://index.example:8080")

    def test_nobody_is_trusted_by_default(self) -> None:
        got = origin(Proxies(), PROXY, Host="h", X_Forwarded_Host="evil")
        self.assertEqual(got, Origin("http", "h", "", "10.0.0.1"))

    def test_unix_socket(self) -> None:
        """Whoever may open it is a proxy, whether or not others are named."""
        fields: dict[str, Any] = {
            "Host": "h",
            "X_Forwarded_For": "203.0.113.5, 198.51.100.1",
            "X_Forwarded_Proto": "https",
            "X_Forwarded_Host": "index.example",
            "X_Forwarded_Prefix": "/root",
        }
        for proxies in (Proxies(), OURS):
            # The other end has a name only if it was bound to one.
            for unix in (UNIXAddress("/run/x"), UNIXAddress(None), UNIXAddress("")):
                with self.subTest(proxies=proxies, unix=unix):
                    got = origin(proxies, unix, **fields)
                    self.assertEqual(got.base_url, "https://index.example/root")
                    self.assertEqual(got.client, "198.51.100.1")

    def test_unix_socket_without_fields(self) -> None:
        got = origin(Proxies(), UNIXAddress(None), Host="h")
        self.assertEqual(got, Origin("http", "h", "", ""))

    def test_secure(self) -> None:
        self.assertEqual(origin(secure=True, Host="h").base_url, "https://h")


class Clients(SynchronousTestCase):
    """The client is the first stranger, seen from us."""

    def client(self, *hops: str) -> str:
        return origin(Host="h", X_Forwarded_For=list(hops)).client

    def test_right_most_stranger(self) -> None:
        for hops, client in (
            (("198.51.100.1",), "198.51.100.1"),
            (("6.6.6.6, 198.51.100.1",), "198.51.100.1"),
            (("6.6.6.6, 198.51.100.1, 10.0.0.2",), "198.51.100.1"),
            (("6.6.6.6", "198.51.100.1,10.0.0.2"), "198.51.100.1"),
            (("2001:db8::1, fd00::2",), "2001:db8::1"),
            (("198.51.100.1:4711",), "198.51.100.1"),
            (("[2001:db8::1]:4711",), "2001:db8::1"),
            (("[2001:db8::1]",), "2001:db8::1"),
            (("::ffff:198.51.100.1",), "198.51.100.1"),
            (("10.0.0.3, 10.0.0.2",), "10.0.0.3"),
        ):
            with self.subTest(hops=hops):
                self.assertEqual(self.client(*hops), client)

    def test_what_is_no_address(self) -> None:
        """There the trail ends, at the last proxy of ours."""
        for hops, client in (
            ("unknown", "10.0.0.1"),
            ("", "10.0.0.1"),
            ("6.6.6.6, _hidden, 10.0.0.2", "10.0.0.2"),
            ("6.6.6.6, 1.2.3.4\\x0a, 10.0.0.2", "10.0.0.2"),
            ("6.6.6.6, <script>", "10.0.0.1"),
        ):
            with self.subTest(hops=hops):
                self.assertEqual(self.client(hops), client)

    def test_none_sent(self) -> None:
        self.assertEqual(origin(Host="h").client, "10.0.0.1")

    def test_mapped_peer(self) -> None:
        """A dual-stack socket shows IPv4 proxies as IPv6."""
        peer = IPv6Address("TCP", "::ffff:10.0.0.1", 1)
        got = origin(peer=peer, Host="h", X_Forwarded_For="198.51.100.1")
        self.assertEqual(got.client, "198.51.100.1")

    def test_scoped_peer(self) -> None:
        peer = IPv6Address("TCP", "fe80::1%eth0", 1)
        self.assertEqual(origin(peer=peer, Host="h").client, "fe80::1")

    @given(st.binary(max_size=60))
    def test_any_bytes(self, value: bytes) -> None:
        """Whatever is sent, the client is an address."""
        headers = Headers()
        for name in (b"X-Forwarded-For", b"X-Forwarded-Proto", b"X-Forwarded-Host"):
            headers.addRawHeader(name, value)
        got = OURS.origin(
            headers.getRawHeaders,
            peer=Peer.of(PROXY, OURS),
            secure=False,
            fallback_host="f",
        )
        self.assertRegex(got.client, r"\A[0-9a-f.:]+\Z")
        self.assertRegex(got.base_url, r"\Ahttps?://[A-Za-z0-9._:\[\]-]+\Z")


class Addresses(SynchronousTestCase):
    """Our own address, as the client knows it."""

    def test_told_by_the_proxy(self) -> None:
        got = origin(
            Host="backend:6543",
            X_Forwarded_Proto="HTTPS",
            X_Forwarded_Host="pypi.example.com",
            X_Forwarded_Prefix="/python/index/",
        )
        self.assertEqual(got.base_url, "https://pypi.example.com/python/index")

    def test_port(self) -> None:
        for host, port, expected in (
            ("h", "8443", "h:8443"),
            ("h", "443", "h"),
            ("h:1", "8443", "h:1"),
            ("[::1]", "8443", "[::1]:8443"),
            ("h", "evil", "h"),
        ):
            with self.subTest(host=host, port=port):
                got = origin(
                    X_Forwarded_Proto="https",
                    X_Forwarded_Host=host,
                    X_Forwarded_Port=port,
                )
                self.assertEqual(got.host, expected)

    def test_script_name(self) -> None:
        self.assertEqual(origin(Host="h", X_Script_Name="/a").prefix, "/a")

    def test_list_is_read_as_far_as_our_proxies_go(self) -> None:
        """What the client itself put first in a list is not believed."""
        one: dict[str, Any] = {"X_Forwarded_For": "198.51.100.1"}
        two: dict[str, Any] = {"X_Forwarded_For": "198.51.100.1, 10.0.0.2"}
        hosts: dict[str, Any] = {"Host": "h", "X_Forwarded_Host": "evil, outer, inner"}
        self.assertEqual(origin(**one, **hosts).host, "inner")
        self.assertEqual(origin(**two, **hosts).host, "outer")
        self.assertEqual(
            origin(**two, Host="h", X_Forwarded_Proto="https").scheme, "https"
        )

    def test_invalid_is_ignored(self) -> None:
        for field, value in (
            ("X_Forwarded_Proto", "javascript"),
            ("X_Forwarded_Host", "a b"),
            ("X_Forwarded_Host", "h/../x"),
            ("X_Forwarded_Host", "u:p@h"),
            ("X_Forwarded_Host", 'h"onload='),
            ("X_Forwarded_Prefix", "//evil.example"),
            ("X_Forwarded_Prefix", "/a/../b"),
            ("X_Forwarded_Prefix", "/a/./b"),
            ("X_Forwarded_Prefix", "a"),
            ("X_Forwarded_Prefix", "/a b"),
            ("X_Forwarded_Prefix", "/<script>"),
            ("X_Forwarded_Prefix", "/"),
        ):
            with self.subTest(field=field, value=value):
                fields: dict[str, Any] = {"Host": "h", field: value}
                self.assertEqual(origin(**fields).base_url, "http://h")

    def test_invalid_host(self) -> None:
        """Our own address stands in for a name that is none."""
        for hosts in ([], ["a/b"], ["a,b"], ["a", "b"], [""], ["u@h"], ["h:"]):
            with self.subTest(hosts=hosts):
                self.assertEqual(origin(Host=hosts).host, "192.0.2.1:6543")

    def test_public_url(self) -> None:
        """It overrides what anybody says, but not who the client is."""
        ours = Proxies(OURS.trusted, "https://pypi.example.com:8443/root/")
        got = origin(ours, Host="h", X_Forwarded_For="198.51.100.1")
        self.assertEqual(got.base_url, "https://pypi.example.com:8443/root")
        self.assertEqual(got.client, "198.51.100.1")


class OnTheWire(SynchronousTestCase):
    """Requests know where they came from."""

    def test_request(self) -> None:
        async def handler(request: Request) -> None:
            request.write(
                f"{request.origin.base_url} {request.client_address}".encode()
            )
            request.finish()

        client = Client(handler, proxies=OURS, peer=PROXY)
        client.send(
            b"GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 198.51.100.1\r\n"
            b"X-Forwarded-Proto: https\r\n\r\n"
        )
        self.assertIn(b"\r\nhttps://h 198.51.100.1\r\n", client.received())
        client.clock.advance(1)
        self.assertTrue(client.log[0].startswith(b"198.51.100.1 - - ["))

    def told(self, client: Client, *fields: bytes) -> list[str]:
        """What the log says of some requests, each with one more field."""
        with capturedLogs() as logs:
            for field in fields:
                client.send(b"GET / HTTP/1.1\r\nHost: h\r\n" + field + b"\r\n")
        return [formatEvent(event) for event in logs]

    def test_unix_socket(self) -> None:
        client = Client(silent, peer=UNIXAddress(None))
        client.send(
            b"GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 198.51.100.1\r\n\r\n"
        )
        client.clock.advance(1)
        self.assertTrue(client.log[0].startswith(b"198.51.100.1 - - ["))

    def test_untrusted_proxy_is_told_once(self) -> None:
        client = Client(silent, proxies=OURS, peer=STRANGER)
        (line,) = self.told(
            client, b"", b"x-forwarded-proto: https\r\n", b"X-Forwarded-For: ::1\r\n"
        )
        self.assertIn("203.0.113.9", line)
        self.assertIn("pypi.trusted_proxies", line)

    def test_every_field_is_told(self) -> None:
        for name in (b"For", b"Proto", b"Host", b"Port", b"Prefix"):
            with self.subTest(name=name):
                field = b"X-FORWARDED-" + name + b": 1\r\n"
                self.assertEqual(len(self.told(Client(silent), field)), 1)

    def test_trusted_proxy_is_not_told(self) -> None:
        field = b"X-Forwarded-For: 198.51.100.1\r\n"
        for peer in (PROXY, UNIXAddress(None)):
            self.assertEqual(
                self.told(Client(silent, proxies=OURS, peer=peer), field), []
            )

    def test_few_peers_are_told(self) -> None:
        notices = Notices()
        with capturedLogs() as logs:
            for n in range(100):
                for _ in range(2):
                    notices.look(Peer(f"192.0.2.{n}", False), {b"X-Forwarded-For": []})
        self.assertEqual(len(logs), 10)

    def test_proxy_that_does_not_tell_the_client(self) -> None:
        """Or one client's wrong passwords would count for all."""
        client = Client(silent, peer=UNIXAddress(None))
        (line,) = self.told(client, b"", b"")
        self.assertIn("X-Forwarded-For", line)

    def test_no_host(self) -> None:
        seen: list[str] = []

        async def handler(request: Request) -> None:
            seen.append(request.origin.base_url)

        client = Client(handler)
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        self.assertEqual(seen, ["http://192.0.2.1:6543"])


class BehindASocket(SynchronousTestCase):
    """Behind a proxy at a UNIX socket, with nothing about it in the ini."""

    def status(self, web: Web, client: str, password: str) -> int:
        connection = Connection(web.site, UNIXAddress(None))
        headers = {"X-Forwarded-For": client, **basic(password=password)}
        connection.send(request_bytes("GET", "/simple/", headers))
        for _ in range(20):
            web.domain.clock.advance(0.1)
        response = connection.response()
        assert response is not None
        connection.leave()
        return response.status

    def test_wrong_passwords_of_one_client_are_its_own(self) -> None:
        web = Web(default_read="authenticated")
        for n in range(10):
            self.assertEqual(self.status(web, "198.51.100.1", f"wrong{n}"), 401)
        self.assertEqual(self.status(web, "198.51.100.1", "secret"), 429)
        self.assertEqual(self.status(web, "198.51.100.2", "secret"), 200)
