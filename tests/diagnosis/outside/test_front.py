"""What stands in front of a server, and what it says of itself and its clients."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime
from ipaddress import ip_network
from ssl import SSLError

from attrs import evolve
from cryptography import x509
from twisted.internet.defer import Deferred

from pypicloud_tw import __version__
from pypicloud_tw.access.basic import Login
from pypicloud_tw.client.api import Unanswered
from pypicloud_tw.diagnosis.outside.front import is_local
from pypicloud_tw.diagnosis.outside.pages import Pages
from pypicloud_tw.diagnosis.outside.uploads import Uploads
from pypicloud_tw.diagnosis.outside.visited import Visited
from pypicloud_tw.diagnosis.running import run_checks
from pypicloud_tw.web.http.proxies import Proxies
from tests.certificates import Authority
from tests.client.test_api import SilentAgent, TricklingAgent
from tests.diagnosis.doubles import levels, the
from tests.diagnosis.outside.doubles import BASE, OutsideCase
from tests.web.api.doubles import AccessWeb
from tests.web.doubles import BEGINNING, HOST_HEADER, started
from tests.web.http.doubles import PEER

ANN = Login("ann", "secret")


class AnswerTests(OutsideCase):
    def test_answers(self) -> None:
        self.assertEqual(levels(self.look(self.front().answers())), ["ok"])

    def test_nobody(self) -> None:
        self.between.away.add(BASE)
        self.machine.certificate = ConnectionRefusedError("nobody listens")
        found = the("fault", self.look(self.front().answers()))
        self.assertIn("nobody listens", found.found)

    def test_who_never_answers(self) -> None:
        """That is a fault, whoever keeps the connection, and for how long."""
        for agent in (SilentAgent(), TricklingAgent()):
            clock = self.web.domain.clock
            visitor = evolve(self.visitor(), agent=agent)
            front = evolve(self.front(), visitor=visitor)
            self.machine.certificate = SSLError(1, "wrong version number")
            uploads = Uploads(visitor.address, None, clock)
            checks = Visited(front, Pages(visitor), uploads).checks()
            looking = Deferred.fromCoroutine(run_checks(checks, clock))
            for _ in range(30):
                clock.advance(1)
                if isinstance(agent, TricklingAgent):
                    agent.trickle()
            first, *_ = self.successResultOf(looking)
            self.assertEqual((first.check, first.level), ("answers", "fault"))

    def test_addresses_that_are_none(self) -> None:
        """Whatever a server says of itself, it is told as it is."""
        self.instead("/", 200, b"<a href=http://[::1/simple/>")
        found = the("fault", self.look(self.front().addresses()))
        self.assertIn("It takes its address for", found.found)
        self.instead("/simple", 301, Location="http://[::1")
        found = the("fault", self.look(self.front().plain_http()))
        self.assertIn("redirects to http://[::1.", found.found)
        self.login = ANN
        for said in (b"[]", b'{"asked_as": "http://[", "asked_from": {"a": 1}}'):
            self.instead("/api/v1/status", 200, said)
            self.assertTrue(self.look(self.front().addresses()))

    def test_somebody_else(self) -> None:
        for status, body in ((200, b"<html>hello"), (502, b"Bad gateway")):
            self.instead("/health", status, body)
            self.machine.certificate = SSLError(1, "wrong version number")
            found = the("fault", self.look(self.front().answers()))
            self.assertIn(f"/health answers {status}", found.found)
            self.assertIn("Give the address that clients have", found.advice)

    def test_tls_is_forgotten(self) -> None:
        """Some answer who forgets it, and others hang up."""
        self.machine.certificate = b"whatever it shows"
        self.instead("/health", 400, b"sent to an HTTPS port")
        found = the("fault", self.look(self.front().answers()))
        self.assertEqual(found.advice, f"It speaks TLS: give https://{HOST_HEADER}.")
        self.between.away.add(BASE)
        found = the("fault", self.look(self.front().answers()))
        self.assertEqual(found.advice, f"It speaks TLS: give https://{HOST_HEADER}.")

    def test_a_log_in_that_is_no_text(self) -> None:
        self.login = Login("ann", "\udcff")
        self.assertEqual(levels(self.look(self.front().answers())), ["ok"])
        error = self.failureResultOf(started(self.visitor().ask("/ready"))).value
        self.assertIn("The user name or the password is not UTF-8", str(error))

    def test_ready(self) -> None:
        self.assertEqual(levels(self.look(self.front().ready())), ["ok"])
        self.instead("/ready", 200, b"ready\n1 project(s) in the store cannot be.\n")
        found = the("warning", self.look(self.front().ready()))
        self.assertEqual(found.found, "1 project(s) in the store cannot be.")
        self.instead("/ready", 503, b"The store is away.\n")
        found = the("fault", self.look(self.front().ready()))
        self.assertEqual(found.found, "The store is away.")
        self.instead("/ready", 502)
        self.assertIn("502", the("fault", self.look(self.front().ready())).found)

    def test_version(self) -> None:
        (found,) = self.look(self.front().version())
        self.assertIn(__version__, found.found)
        self.instead(
            "/api/v1/openapi.json",
            200,
            b'{"info": {"version": "0.9"}, "servers": [{"url": "/"}]}',
        )
        found = the("note", self.look(self.front().version()))
        self.assertIn("It has 0.9", found.found)
        self.instead("/api/v1/openapi.json", 403, b"no")
        self.assertEqual(levels(self.look(self.front().version())), ["unseen"])

    def test_clock(self) -> None:
        self.assertEqual(levels(self.look(self.front().clock())), ["ok"])
        for off, words in ((600, "600 s ahead of"), (-600, "599 s behind")):
            theirs = datetime.fromtimestamp(BEGINNING + off, UTC)
            self.instead("/health", 200, b"ok", date=format_datetime(theirs, True))
            found = the("warning", self.look(self.front().clock()))
            self.assertIn(words, found.found)
        self.instead("/health", 200, b"ok")
        self.assertEqual(levels(self.look(self.front().clock())), ["note"])


class PrefixTests(OutsideCase):
    base = f"{BASE}/root"

    def setUp(self) -> None:
        super().setUp()
        proxies = Proxies([ip_network("127.0.0.0/8"), ip_network("192.0.2.0/24")])
        self.web = AccessWeb(proxies=proxies)
        self.between.web = self.web

    def test_it_is_lost(self) -> None:
        """What is in front takes the prefix off, and does not say so."""
        self.instead("/api/v1/openapi.json", 200, b'{"info": {}, "servers": []}')
        found = the("fault", self.look(self.front().version()))
        self.assertIn("It takes itself to be at / and not at /root", found.found)
        self.assertIn("X-Forwarded-Prefix: /root", found.advice)


class TlsTests(OutsideCase):
    base = "https://pypi.example"

    def test_certificate(self) -> None:
        authority = Authority.make()
        now = datetime.now(UTC)
        self.web.domain.clock.advance(now.timestamp() - BEGINNING)
        for host, days, expected in (
            ("pypi.example", (-60, 60), ["ok"]),
            ("pypi.example", (-60, -1), ["fault"]),
            ("other.example", (-60, 60), ["ok", "fault"]),
        ):
            names = [x509.DNSName(host)]
            self.machine.certificate = authority.pair("x", names, days=days)
            found = self.look(self.front().tls())
            self.assertEqual(levels(found), expected, host)

    def test_not_trusted(self) -> None:
        """Why is told, unless its end or its name is what is wrong."""
        authority = Authority.make()
        now = datetime.now(UTC)
        self.web.domain.clock.advance(now.timestamp() - BEGINNING)
        names = [x509.DNSName("pypi.example")]
        self.machine.certificate = authority.pair("x", names, days=(-60, 60))
        for why, advice in (
            ("self-signed certificate", "Name the file of its authority in SSL_CERT"),
            ("unable to get local issuer certificate", "Have it show the whole chain"),
        ):
            self.machine.mistrust = why
            found = the("fault", self.look(self.front().tls()))
            self.assertEqual(found.found, f"It is not trusted here: {why}.")
            self.assertTrue(found.advice.startswith(advice), found.advice)
        self.machine.mistrust = ConnectionResetError("of a sudden")
        self.assertEqual(levels(self.look(self.front().tls())), ["ok"])
        self.machine.mistrust = "certificate has expired"
        self.machine.certificate = authority.pair("x", names, days=(-60, -1))
        self.assertEqual(levels(self.look(self.front().tls())), ["fault"])

    def test_no_tls(self) -> None:
        error = SSLError(1, "wrong version number")
        error.reason = "WRONG_VERSION_NUMBER"
        self.machine.certificate = error
        found = the("unseen", self.look(self.front().tls()))
        self.assertEqual(found.found, "No TLS came about (wrong_version_number).")
        self.assertIn("http://", found.advice)

    def test_plain_http(self) -> None:
        """Who comes by http is sent to https."""
        plain = "http://pypi.example/simple/"
        for status, location, level in (
            (301, "https://pypi.example/simple/", "ok"),
            (308, "https://pypi.example/simple/", "ok"),
            (302, "http://pypi.example/else/", "warning"),
            (200, "", "warning"),
        ):
            self.instead(plain, status, location=location)
            (first, second) = self.look(self.front().plain_http())
            self.assertEqual((first.level, second.level), ("ok", level), location)
        self.base = "https://pypi.example:443"
        self.instead("/simple", 301, location=f"{self.base}/simple/")
        self.assertIn(plain, self.look(self.front().plain_http())[1].found)
        self.between.away.add("http://")
        self.assertEqual(levels(self.look(self.front().plain_http())), ["ok", "ok"])

    def test_back_to_http(self) -> None:
        """What is in front writes Location anew, and forgets TLS."""
        self.between.away.add("http://")
        self.instead("/simple", 301, location="http://pypi.example/simple/")
        found = the("fault", self.look(self.front().plain_http()))
        self.assertIn("redirects to http://pypi.example/simple/", found.found)

    def test_another_port(self) -> None:
        """Which http has no counterpart of."""
        self.base = "https://pypi.example:8443"
        self.assertEqual(levels(self.look(self.front().plain_http())), ["ok"])


class NoTlsTests(OutsideCase):
    def test_none(self) -> None:
        self.assertEqual(levels(self.look(self.front().tls())), ["warning"])
        self.base = "http://127.0.0.1:6543"
        self.assertEqual(levels(self.look(self.front().tls())), ["ok"])

    def test_local(self) -> None:
        for host, local in (
            ("127.0.0.1", True),
            ("::1", True),
            ("localhost", True),
            ("10.0.0.1", False),
            ("pypi.example", False),
        ):
            self.assertEqual(is_local(host), local, host)


class AddressTests(OutsideCase):
    """What it takes itself, and us, for."""

    def setUp(self) -> None:
        super().setUp()
        self.login = ANN

    def test_right(self) -> None:
        found = self.look(self.front().addresses())
        self.assertEqual(levels(found), ["ok", "ok"])
        self.assertIn(f"It takes us for {PEER.host}", found[1].found)

    def test_another_host(self) -> None:
        """What is in front asks for its own name."""
        self.between.sends = {"Host": "backend:6543"}
        found = the("fault", self.look(self.front().addresses()))
        self.assertIn("It takes its address for http://backend:6543", found.found)
        self.assertIn("Host or X-Forwarded-Host", found.advice)

    def test_tls_in_front(self) -> None:
        self.base = f"https://{BASE.removeprefix('http://')}"
        found = the("fault", self.look(self.front().addresses()))
        self.assertIn("Lost on the way: X-Forwarded-Proto.", found.advice)

    def trust(self) -> None:
        """Believe whoever asks, as a proxy of ours is."""
        self.web = AccessWeb(proxies=Proxies([ip_network(f"{PEER.host}/32")]))
        self.between.web = self.web

    def test_a_proxy_that_sets_all(self) -> None:
        self.trust()
        self.between.sends = {
            "X-Forwarded-For": "198.51.100.7",
            "X-Forwarded-Host": BASE.removeprefix("http://"),
            "X-Forwarded-Prefix": "",
        }
        found = self.look(self.front().addresses())
        self.assertEqual(levels(found), ["ok", "ok"])
        self.assertIn("198.51.100.7", found[1].found)

    def test_whoever_says_so(self) -> None:
        self.trust()
        found = self.look(self.front().addresses())
        self.assertEqual(levels(found), ["ok", "ok", "warning", "warning"])
        self.assertIn("X-Forwarded-For", found[2].found)
        self.assertIn("X-Forwarded-Host", found[3].found)

    def test_its_proxy(self) -> None:
        """It takes us for one on its own machine."""
        self.trust()
        self.between.sends = {"X-Forwarded-For": "127.0.0.1"}
        found = self.look(self.front().addresses())
        self.assertIn("which is its proxy", found[1].found)

    def test_this_machine(self) -> None:
        """Who asks from there is a proxy of its own, and believed."""
        self.trust()
        self.base = "http://127.0.0.1:6543"
        self.between.sends = {"Host": "127.0.0.1:6543"}
        self.assertEqual(levels(self.look(self.front().addresses())), ["ok", "ok"])

    def test_nobody_is_logged_in(self) -> None:
        """Its first page shows people how to use it."""
        self.login = None
        self.assertEqual(levels(self.look(self.front().addresses())), ["ok"])
        self.between.sends = {"Host": "backend:6543"}
        found = the("fault", self.look(self.front().addresses()))
        self.assertIn("http://backend:6543", found.found)
        self.instead("/", 303, location="/login")
        self.assertEqual(levels(self.look(self.front().addresses())), ["note"])

    def test_no_administrator(self) -> None:
        self.instead("/api/v1/status", 403, b"{}")
        self.assertEqual(levels(self.look(self.front().addresses())), ["ok", "note"])

    def test_an_older_version(self) -> None:
        self.instead("/api/v1/status", 200, b"{}")
        self.assertEqual(levels(self.look(self.front().addresses())), ["unseen"])

    def test_who_is_told_the_password(self) -> None:
        """The server that was named, and nobody else."""
        self.look(self.front().addresses())
        asked = [fields for url, fields in self.between.asked if "status" in url]
        self.assertEqual(["Authorization" in fields for fields in asked], [True, True])
        work = self.visitor().ask("http://elsewhere.example/x")
        self.successResultOf(started(work))
        url, fields = self.between.asked[-1]
        self.assertEqual(url, "http://elsewhere.example/x")
        self.assertNotIn("Authorization", fields)

    def test_no_signature_in_words(self) -> None:
        self.between.away.add("http://s3.example")
        work = self.visitor().ask("http://s3.example/f?X-Amz-Signature=hunter2")
        error = self.failureResultOf(started(work), Unanswered).value
        self.assertIn("http://s3.example/f could not be asked", error.message)
        self.assertNotIn("hunter2", error.message)

    def test_nobody_asks(self) -> None:
        """So it is at a Unix socket, whose proxy does not say who asks."""
        self.instead("/api/v1/status", 200, f'{{"asked_as": "{BASE}"}}'.encode())
        found = self.look(self.front().addresses())
        self.assertIn("does not say who asks", the("fault", found).found)
