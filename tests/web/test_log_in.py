"""Who asks, by what a proxy in front says or a certificate: through the whole edge."""

from __future__ import annotations

from typing import Any

from cryptography.hazmat.primitives import serialization
from OpenSSL.crypto import X509
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.interfaces import IAddress, ISSLTransport
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import classImplements

from pypicloud_tw.access.certificate_login import CertificateLogin
from pypicloud_tw.access.metrics_readers import metrics_reader
from pypicloud_tw.access.principal import ANONYMOUS, Principal, Scope
from pypicloud_tw.access.proxy_login import ProxyLogin
from pypicloud_tw.config.addresses import network
from pypicloud_tw.config.certificate_patterns import certificate_pattern
from pypicloud_tw.config.rights import Action
from pypicloud_tw.errors import Unauthorized
from pypicloud_tw.index.audit import Act
from pypicloud_tw.web.http.proxies import IdentityFields, Proxies
from tests.builders import wheel
from tests.certificates import Authority
from tests.web.doubles import (
    FORM_TYPE,
    Connection,
    Headers,
    Response,
    Web,
    basic,
    request_bytes,
    upload_form,
)
from tests.web.http.doubles import Wire

PROXY = IPv4Address("TCP", "10.0.0.1", 1)
STRANGER = IPv4Address("TCP", "203.0.113.9", 1)
WHEEL = "acme-1.0-py3-none-any.whl"
FIELDS = IdentityFields.of("x-remote-user", "X-Remote-GROUPS")


class SecureWire(Wire):
    """A connection by TLS whose other end has shown a certificate."""

    def __init__(self, peer: IAddress, certificate: X509) -> None:
        super().__init__(peer)
        self.certificate = certificate

    def getPeerCertificate(self) -> X509:
        return self.certificate


classImplements(SecureWire, ISSLTransport)  # type: ignore[misc]  # but all of TCP


class LogInCase(SynchronousTestCase):
    def setUp(self) -> None:
        proxies = Proxies((network("10.0.0.0/8"),), identity=FIELDS)
        self.web = Web(proxies=proxies, default_read="authenticated")
        access = self.web.application.access
        patterns = (certificate_pattern("cn:{user}"),)
        seconds = self.web.domain.clock.seconds
        certificates = CertificateLogin(patterns, seconds)
        others = (ProxyLogin(), certificates)
        access.authenticators = (*access.authenticators, *others)

    def ask(
        self,
        headers: Headers,
        *,
        peer: IAddress = PROXY,
        method: str = "GET",
        body: bytes = b"",
        certificate: X509 | None = None,
    ) -> Response:
        wire = None if certificate is None else SecureWire(peer, certificate)
        connection = Connection(self.web.site, peer, wire)
        path = "/" if method == "POST" else "/simple/"
        connection.send(request_bytes(method, path, headers, body))
        for _ in range(200):
            response = connection.response(method)
            if response is not None:
                return response
            self.web.domain.clock.advance(0.5)
        raise AssertionError(connection.unread)

    def upload(self, headers: Headers, **more: Any) -> Response:
        form = upload_form(WHEEL, wheel())
        return self.ask({**FORM_TYPE, **headers}, method="POST", body=form, **more)


class ProxyTests(LogInCase):
    def test_believed_of_ours(self) -> None:
        for peer in (PROXY, UNIXAddress(None)):
            self.assertEqual(self.ask({"X-Remote-User": "bob"}, peer=peer).status, 200)
        self.assertEqual(self.ask({}).status, 401)
        self.assertEqual(self.ask({"X-Remote-User": ""}).status, 401)
        self.assertEqual(self.ask({"X-Remote-User": "everyone"}).status, 401)

    def test_ignored_of_strangers_and_told_once(self) -> None:
        with capturedLogs() as logs:
            for _ in range(3):
                response = self.ask({"X-Remote-User": "bob"}, peer=STRANGER)
                self.assertEqual(response.status, 401)
        told = [formatEvent(event) or "" for event in logs]
        told = [line for line in told if "X-Remote-User" in line]
        self.assertEqual(len(told), 1)
        self.assertIn("203.0.113.9 is ignored", told[0])

    def test_groups_alone_are_nobody(self) -> None:
        self.assertEqual(self.ask({"X-Remote-Groups": "dev"}).status, 401)

    def test_two_names_are_nobody(self) -> None:
        """The proxy has passed on what its client sent, beside its own."""
        request = request_bytes("GET", "/simple/", {"X-Remote-User": "admin"})
        request = request.replace(b"admin", b"admin\r\nx-remote-user: bob")
        connection = Connection(self.web.site, PROXY)
        with capturedLogs() as logs:
            connection.send(request)
        response = connection.response()
        assert response is not None
        self.assertEqual(response.status, 401)
        self.assertIn("twice", formatEvent(logs[0]) or "")

    def test_two_lists_of_groups_are_nobody(self) -> None:
        request = request_bytes(
            "GET", "/simple/", {"X-Remote-User": "bob", "X-Remote-Groups": "dev"}
        )
        request = request.replace(b"dev", b"dev\r\nx-remote-groups: boss")
        connection = Connection(self.web.site, PROXY)
        with capturedLogs() as logs:
            connection.send(request)
        response = connection.response()
        assert response is not None
        self.assertEqual(response.status, 401)
        self.assertIn("X-Remote-Groups twice", formatEvent(logs[0]) or "")

    def test_other_spellings_are_other_fields(self) -> None:
        """Some servers take them for one (CGI), and proxies do not remove them."""
        for name in (
            "X_Remote_User",
            "X-Remote_User",
            "X-Remote-User-",
            "X.Remote.User",
        ):
            self.assertEqual(self.ask({name: "bob"}).status, 401, name)

    def test_trailer_names_nobody(self) -> None:
        request = request_bytes(
            "GET",
            "/simple/",
            {"Transfer-Encoding": "chunked", "Trailer": "X-Remote-User"},
        )
        connection = Connection(self.web.site, PROXY)
        connection.send(request + b"0\r\nX-Remote-User: bob\r\n\r\n")
        response = connection.response()
        assert response is not None
        self.assertEqual(response.status, 401)

    def test_every_request_of_a_connection_is_judged_anew(self) -> None:
        signed_in = request_bytes("GET", "/simple/", {"X-Remote-User": "bob"})
        nobody = request_bytes("GET", "/simple/")
        connection = Connection(self.web.site, PROXY)
        connection.send(signed_in + nobody + signed_in)
        found = [connection.response(), connection.response(), connection.response()]
        self.assertEqual([one and one.status for one in found], [200, 401, 200])

    def test_forwarded_for_makes_nobody_a_proxy(self) -> None:
        for field in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"):
            headers = {"X-Remote-User": "bob", field: "10.0.0.1"}
            self.assertEqual(self.ask(headers, peer=STRANGER).status, 401, field)

    def test_what_the_client_itself_shows_goes_first(self) -> None:
        named = {"X-Remote-User": "bob"}
        self.assertEqual(self.ask({**named, **basic()}).status, 200)
        wrong = self.ask({**named, **basic(password="wrong")})
        self.assertEqual(wrong.status, 401)

    def test_authorization_of_the_proxy_s_own_where_there_are_no_users(self) -> None:
        access = self.web.application.access
        passwords: Any = access.authenticators[2]
        passwords.users.reload({})
        response = self.ask({"X-Remote-User": "bob", **basic()})
        self.assertEqual(response.status, 200)

    def test_authorization_of_another_scheme_is_the_proxy_s(self) -> None:
        """As a browser sends it that logs in by Kerberos."""
        negotiated = {"Authorization": "Negotiate YII="}
        self.assertEqual(self.ask({"X-Remote-User": "bob", **negotiated}).status, 200)
        self.assertEqual(self.ask(negotiated).status, 401)

    def test_bearer_of_the_provider_s_is_the_proxy_s(self) -> None:
        """Some proxies pass their provider's token on beside the user."""
        theirs = {"Authorization": "Bearer eyJhbGciOiJSUzI1NiJ9.e30.c2ln"}
        self.assertEqual(self.ask({"X-Remote-User": "bob", **theirs}).status, 200)
        self.assertEqual(self.ask(theirs).status, 401)
        for shown in ("Bearer pypi-tw-x", "bearer  pypi-tw-x"):
            ours = {"X-Remote-User": "bob", "Authorization": shown}
            self.assertEqual(self.ask(ours).status, 401, shown)
        stranger = self.ask({"X-Remote-User": "bob", **theirs}, peer=STRANGER)
        self.assertEqual(stranger.status, 401)

    def test_who_uploaded(self) -> None:
        self.assertEqual(self.upload({"X-Remote-User": "bob"}).status, 200)
        project = self.web.get("/pypi/acme/json", basic()).json
        self.assertEqual(project["info"]["name"], "acme")

    def test_other_sites_cannot_use_a_browser_that_is_signed_in(self) -> None:
        named = {"X-Remote-User": "bob"}
        for field in (
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
        ):
            self.assertEqual(self.upload({**named, **field}).status, 403, field)
        self.assertEqual(self.web.store.objects, {})

    def test_no_field_is_looked_at_where_none_is_set(self) -> None:
        self.web = Web(
            proxies=Proxies((network("10.0.0.0/8"),)), default_read="authenticated"
        )
        self.assertEqual(self.ask({"X-Remote-User": "bob"}).status, 401)


class RefusalTests(LogInCase):
    """What is refused at once is written down as what takes a check."""

    def setUp(self) -> None:
        super().setUp()
        self.acts: list[Act] = []
        self.web.domain.publisher.audit = self.acts.append
        self.counted: list[tuple[str, str]] = []
        access = self.web.application.access
        access.count_login = lambda *outcome: self.counted.append(outcome)

    def refusal(self) -> Act:
        (act,) = self.acts
        self.assertEqual(act.act, "log-in")
        return act

    def test_by_a_proxy(self) -> None:
        self.assertEqual(self.ask({"X-Remote-User": "everyone"}).status, 401)
        self.assertEqual(self.refusal().actor.proof.details, {"tried": "proxy"})
        self.assertEqual(self.counted, [("proxy", "unauthorized")])

    def test_once_for_a_page(self) -> None:
        """Which is looked for among those that are known first."""
        connection = Connection(self.web.site, PROXY)
        named = {"X-Remote-User": "everyone"}
        connection.send(request_bytes("GET", "/simple/acme/", named))
        response = connection.response()
        assert response is not None
        self.assertEqual(response.status, 401)
        self.refusal()
        self.assertEqual(self.counted, [("proxy", "unauthorized")])

    def test_by_a_certificate(self) -> None:
        made = X509.from_cryptography(Authority.make().certificate("every:one"))
        response = self.ask({}, peer=STRANGER, certificate=made)
        self.assertEqual(response.status, 401)
        self.assertEqual(self.refusal().actor.proof.details, {"tried": "certificate"})
        self.assertEqual(self.counted, [("certificate", "unauthorized")])


class CertificateTests(LogInCase):
    certificate: X509

    def setUp(self) -> None:
        super().setUp()
        made = Authority.make().certificate("robot")
        self.certificate = X509.from_cryptography(made)
        self.der = made.public_bytes(serialization.Encoding.DER)

    def test_logs_in(self) -> None:
        # The clock of the tests is before the certificate's end.
        response = self.ask({}, peer=STRANGER, certificate=self.certificate)
        self.assertEqual(response.status, 200)
        self.assertEqual(self.ask({}, peer=STRANGER).status, 401)

    def test_a_password_goes_first(self) -> None:
        wrong = basic(password="wrong")
        response = self.ask(wrong, peer=STRANGER, certificate=self.certificate)
        self.assertEqual(response.status, 401)

    def test_who_is_signed_in_by_a_proxy_that_has_a_certificate(self) -> None:
        """The proxy's own certificate is not its users'."""
        robot = self.upload({"X-Remote-User": "bob"}, certificate=self.certificate)
        self.assertEqual(robot.status, 200)

    def test_certificate_of_a_proxy_is_not_its_clients(self) -> None:
        """Or whoever the proxy has not signed in would be the proxy."""
        for client in ("203.0.113.9", "10.0.0.2, 203.0.113.9", "unknown", ""):
            headers = {"X-Forwarded-For": client}
            response = self.ask(headers, certificate=self.certificate)
            self.assertEqual(response.status, 401, client)
        self.assertEqual(self.ask({}, certificate=self.certificate).status, 200)
        # Nobody who is no proxy loses a certificate by such a field.
        forwarded = {"X-Forwarded-For": "203.0.113.9"}
        response = self.ask(forwarded, peer=STRANGER, certificate=self.certificate)
        self.assertEqual(response.status, 200)

    def test_other_sites_cannot_use_it(self) -> None:
        field = {"Sec-Fetch-Site": "cross-site"}
        response = self.upload(field, peer=STRANGER, certificate=self.certificate)
        self.assertEqual(response.status, 403)


class MetricsReaderTests(SynchronousTestCase):
    def test_principals_of_every_log_in(self) -> None:
        judge = metrics_reader("authenticated")
        self.assertTrue(judge(Principal("ann"), "192.0.2.1"))
        # A publisher may do what its projects need, and this is of none of them.
        self.assertFalse(judge(Principal(None, publishers=("ci",)), "192.0.2.1"))
        with self.assertRaises(Unauthorized):
            judge(ANONYMOUS, "192.0.2.1")
        for scope, may in (
            (Scope(), True),
            (Scope(frozenset({Action.READ})), True),
            (Scope(frozenset({Action.UPLOAD})), False),
            (Scope(None, ("acme",)), False),
        ):
            self.assertIs(judge(Principal("ann", scope=scope), "192.0.2.1"), may)
        everyone = metrics_reader("everyone")
        for principal in (ANONYMOUS, Principal(None, publishers=("ci",))):
            self.assertTrue(everyone(principal, "192.0.2.1"))
