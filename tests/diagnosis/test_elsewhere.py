"""What a server asks of others: names, upstreams, a directory, issuers."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from pathlib import Path
from typing import Any

from attrs import define, evolve, field
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.directories.ldap_tried import TriedDirectory
from pypicloud_tw.config.configuration import Config
from pypicloud_tw.config.sections.ldap import LdapSection
from pypicloud_tw.diagnosis.elsewhere import (
    ASKED,
    Directory,
    Elsewhere,
    hosts_of,
    resolved,
)
from pypicloud_tw.diagnosis.running import run_checks
from pypicloud_tw.diagnosis.values import Check, Finding
from pypicloud_tw.outbound.proxies import ProxySettings
from pypicloud_tw.upstream.client import Client
from pypicloud_tw.upstream.source import ClientLimits
from tests.access.directories.doubles import (
    SERVICE,
    SERVICE_PASSWORD,
)
from tests.access.directories.doubles import Directory as FakeDirectory
from tests.access.oidc.doubles import Issuer
from tests.diagnosis.doubles import FakeMachine, levels, the
from tests.upstream.doubles import BASE, HOST, FakeUpstream, page, silent, status

PAGE = f"{BASE}{ASKED}/"
NO_PROXY = ProxySettings({})
PROXY = ProxySettings.of({"https_proxy": "http://u:hunter2@proxy.corp:3128"}, "https")


@define
class ToldDirectory:
    """A directory that is as a test wants it."""

    tried: Sequence[tuple[str, str | None]] = field(factory=list)
    refused: str | None = None

    async def try_each(self) -> Sequence[tuple[str, str | None]]:
        return self.tried

    async def log_in(self) -> str | None:
        return self.refused


class ElsewhereCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.upstream = FakeUpstream()
        self.limits = ClientLimits(retries=0)
        self.issuer = Issuer(lambda: 1_772_357_400.0)
        self.machine = FakeMachine()
        self.proxies = NO_PROXY
        self.directory: Directory | None = None
        config = Config()
        self.config = evolve(config, pypi=evolve(config.pypi, fallback_url=(BASE,)))

    def elsewhere(self) -> Elsewhere:
        client = Client(self.upstream, self.clock, self.limits, "tests", lambda: 0.5)
        return Elsewhere(
            self.config,
            self.proxies,
            self.machine.machine,
            client,
            lambda _: self.issuer,
            self.directory,
            self.clock,
        )

    def look(self, work: Coroutine[Any, Any, list[Finding]]) -> list[Finding]:
        looking = Deferred.fromCoroutine(work)
        for _ in range(5):
            self.upstream.flush()
        for _ in range(60):
            self.clock.advance(5)
        return self.successResultOf(looking)


class UpstreamTests(ElsewhereCase):
    def upstreams(self) -> list[Finding]:
        return self.look(self.elsewhere().upstreams())

    def test_a_page(self) -> None:
        self.upstream.on(PAGE, page({"name": ASKED, "files": []}))
        (found,) = self.upstreams()
        self.assertEqual((found.level, found.subject), ("ok", f"https://{HOST}"))
        self.upstream.on(PAGE, page(b"<a>x</a>", "text/html; charset=utf-8"))
        self.assertEqual(levels(self.upstreams()), ["ok"])

    def test_no_such_project(self) -> None:
        self.assertIn("has no project", the("ok", self.upstreams()).found)

    def test_no_index(self) -> None:
        self.upstream.on(PAGE, page(b"{}", "application/json"))
        found = the("fault", self.upstreams())
        self.assertIn("answers with application/json", found.found)

    def test_failures(self) -> None:
        for answer, words in (
            (status(503), "503"),
            (status(401), "401"),
            (silent, "did not answer"),
        ):
            self.upstream.on(PAGE, answer)
            found = the("fault", self.upstreams())
            self.assertIn(words, found.found)
        self.upstream.refuses.add(HOST)
        self.assertIn("cannot be reached", the("fault", self.upstreams()).found)

    def test_through_a_proxy(self) -> None:
        """Which is named, and its password is not."""
        self.proxies = PROXY
        self.upstream.refuses.add(HOST)
        found = the("fault", self.upstreams())
        self.assertIn("the proxy at proxy.corp:3128", found.advice)
        self.assertNotIn("hunter2", str(found))

    def test_several(self) -> None:
        other = "https://other.example/simple/"
        pypi = evolve(self.config.pypi, fallback_url=(BASE, other))
        self.config = evolve(self.config, pypi=pypi)
        self.upstream.refuses.add("other.example")
        self.assertEqual(levels(self.upstreams()), ["ok", "fault"])

    def test_several_that_hang(self) -> None:
        """They are asked at the same time, so that each is told of."""
        urls = tuple(f"https://{n}.example/simple/" for n in range(5))
        for url in urls:
            self.upstream.on(f"{url}{ASKED}/", silent)
        pypi = evolve(self.config.pypi, fallback_url=urls)
        self.config = evolve(self.config, pypi=pypi)
        self.limits = ClientLimits(first_byte=300, total=300)  # as one who trickles
        check = Check("upstreams", self.elsewhere().upstreams, patience=90)
        looking = Deferred.fromCoroutine(run_checks([check], self.clock))
        self.upstream.flush()
        self.clock.pump([5.0] * 12)
        found = self.successResultOf(looking)
        self.assertEqual([one.subject for one in found], [u[:-8] for u in urls])
        self.assertEqual({one.level for one in found}, {"fault"})

    def test_nobody_is_asked(self) -> None:
        for change in ({"use_fallback": False}, {"fallback": "redirect"}):
            pypi = evolve(self.config.pypi, **change)
            self.config = evolve(self.config, pypi=pypi)
            self.assertEqual(levels(self.upstreams()), ["ok"])
        self.assertEqual(self.upstream.asked, [])


class SourceTests(ElsewhereCase):
    def source(self, source: str | Path | None) -> Finding:
        advisories = evolve(self.config.advisories, source=source)
        self.config = evolve(self.config, advisories=advisories)
        (found,) = self.look(self.elsewhere().advisory_source())
        return found

    def test_source(self) -> None:
        url = f"https://{HOST}/all.zip"
        self.assertEqual(self.source(None).level, "ok")
        self.assertEqual(self.source(Path("/osv")).level, "ok")
        self.assertIn("No such file", self.source(Path("/")).found)
        self.assertEqual(self.source(url).level, "fault")
        self.upstream.on(url, page(b"PK", "application/zip"))
        self.assertEqual(self.source(url).level, "ok")
        (asked,) = self.upstream.asked[-1:]
        self.assertEqual(asked.header("range"), "bytes=0-0")


class NameTests(ElsewhereCase):
    def names(self) -> list[Finding]:
        machine = self.machine.machine
        return [
            finding
            for host in hosts_of(self.config)
            for finding in resolved(host, self.proxies, machine)
        ]

    def test_names(self) -> None:
        self.assertIn("has no address", the("fault", self.names()).found)
        self.machine.hosts = {HOST: ["192.0.2.1"]}
        self.assertIn("192.0.2.1", the("ok", self.names()).found)

    def test_a_proxy_looks_it_up(self) -> None:
        self.proxies = PROXY
        self.assertIn("proxy.corp:3128", the("ok", self.names()).found)
        self.assertEqual(self.machine.resolved, [])

    def test_which(self) -> None:
        config = self.config
        self.config = evolve(
            config,
            aws=evolve(config.aws, bucket="b", endpoint_url="http://s3.corp:9000"),
            advisories=evolve(config.advisories, source="https://osv.corp/x.zip"),
            ldap=evolve(config.ldap, url=("ldaps://d.corp:636",)),
            oidc_login=evolve(config.oidc_login, issuer="https://login.corp/r"),
        )
        self.assertEqual(
            [f"{one.name}:{one.port}" for one in hosts_of(self.config)],
            [
                "s3.corp:9000",
                f"{HOST}:443",
                "osv.corp:443",
                "d.corp:636",
                "login.corp:443",
            ],
        )
        pypi = evolve(config.pypi, use_fallback=False)
        self.config = evolve(config, pypi=pypi)
        self.assertEqual(self.names(), [])


class UserTests(ElsewhereCase):
    def ldap(self, *tried: tuple[str, str | None], refused: str | None = None) -> Any:
        ldap = evolve(self.config.ldap, url=("ldaps://d.corp:636",))
        self.config = evolve(self.config, ldap=ldap)
        self.directory = ToldDirectory(tried, refused)
        return self.look(self.elsewhere().ldap())

    def test_ldap(self) -> None:
        one, two = "ldaps://d.corp:636", "ldaps://e.corp:636"
        self.assertEqual(levels(self.look(self.elsewhere().ldap())), ["ok"])
        self.assertEqual(levels(self.ldap((one, None))), ["ok"])
        self.assertEqual(levels(self.ldap((one, "no answer."))), ["fault"])
        found = self.ldap((one, "no answer."), (two, None))
        self.assertEqual(levels(found), ["warning", "ok"])
        self.assertEqual(found[0].found, "No answer.")
        found = self.ldap((one, None), refused="auth.ldap.service_dn is wrong.")
        self.assertEqual(levels(found), ["ok", "fault"])
        # Where nobody answers, nobody is logged in.
        found = self.ldap((one, "no"), (two, "no"), refused="x")
        self.assertEqual(levels(found), ["warning", "warning"])

    def test_ldap_is_not_installed(self) -> None:
        ldap = evolve(self.config.ldap, url=("ldaps://d.corp:636",))
        self.config = evolve(self.config, ldap=ldap)
        self.assertEqual(levels(self.look(self.elsewhere().ldap())), ["unseen"])

    def test_issuers(self) -> None:
        self.assertEqual(levels(self.look(self.elsewhere().issuers())), ["ok"])
        login = evolve(self.config.oidc_login, issuer=self.issuer.url)
        self.config = evolve(self.config, oidc_login=login)
        (found,) = self.look(self.elsewhere().issuers())
        self.assertEqual((found.level, found.subject), ("ok", self.issuer.url))
        self.issuer.wrong = "login.corp cannot be reached."
        (found,) = self.look(self.elsewhere().issuers())
        self.assertEqual(found.level, "fault")
        self.assertIn("login.corp cannot be reached", found.found)


class TriedDirectoryTests(SynchronousTestCase):
    """A directory's servers, one by one."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.fake = FakeDirectory(self.clock)
        self.settings = LdapSection(
            url=("ldap://one.example:1001", "ldap://two.example:1002"),
            start_tls=False,
            service_dn=SERVICE,
            service_password=SERVICE_PASSWORD,
        )

    def do(self, name: str) -> Any:
        tried = TriedDirectory.make(self.settings, self.clock, self.fake.make_endpoint)
        doing = Deferred.fromCoroutine(getattr(tried, name)())
        for _ in range(200):
            self.clock.advance(0)
        self.clock.advance(30)
        for _ in range(60):
            self.clock.advance(0)
        return self.successResultOf(doing)

    def test_each(self) -> None:
        one, two = self.settings.url
        self.assertEqual(self.do("try_each"), [(one, None), (two, None)])
        self.fake.away.add(1001)
        (_, why), (_, none) = self.do("try_each")
        self.assertIn("cannot connect", why)
        self.assertIsNone(none)

    def test_log_in(self) -> None:
        self.assertIsNone(self.do("log_in"))
        self.settings = evolve(self.settings, service_password="wrong")
        self.assertIn("service_password is wrong", self.do("log_in"))
        self.settings = evolve(self.settings, service_dn=None)
        self.assertIsNone(self.do("log_in"))
