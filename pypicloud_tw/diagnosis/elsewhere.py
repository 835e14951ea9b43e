"""What the server asks of others: names, upstreams, a directory, issuers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.web.client import HTTPConnectionPool

from pypicloud_tw.access.oidc.issuers import Fetcher, Issuers
from pypicloud_tw.access.oidc.refusals import IssuerUnavailable
from pypicloud_tw.assembly.access import issuers_of, make_fetchers
from pypicloud_tw.assembly.fallback import make_client
from pypicloud_tw.concurrency.side_by_side import all_at_once
from pypicloud_tw.config.configuration import Config
from pypicloud_tw.diagnosis.machine import Machine
from pypicloud_tw.diagnosis.values import Finding, fault, ok, unseen, warning
from pypicloud_tw.errors import NotFound, PypicloudError
from pypicloud_tw.index.names import project_name
from pypicloud_tw.outbound.origins import shown, without_userinfo
from pypicloud_tw.outbound.proxies import Proxy, ProxySettings
from pypicloud_tw.outbound.trust import trust_of_system
from pypicloud_tw.process import Process
from pypicloud_tw.upstream.client import Client, NotModified
from pypicloud_tw.upstream.connection import too_slow
from pypicloud_tw.upstream.source import UpstreamIndex

#: What an upstream is asked for: a small page, that the public index has. It is
#: nobody's own.
ASKED = project_name("sampleproject")

_ACCEPT = (
    "application/vnd.pypi.simple.v1+json, "
    "application/vnd.pypi.simple.v1+html;q=0.5, text/html;q=0.1"
)

_FORMS = ("application/vnd.pypi.simple.v1+json", "html")

#: Seconds for that page: less than the check has, so that each upstream is told of.
_PATIENCE = 60.0

_PORTS = {"http": 80, "https": 443, "ldap": 389, "ldaps": 636}


@frozen
class Host:
    """A host that the settings name, and what names it."""

    key: str
    name: str
    port: int
    scheme: str


def hosts_of(config: Config) -> Iterator[Host]:
    """Name the hosts that the server connects to."""
    urls: list[tuple[str, str]] = []
    if config.aws.bucket is not None and config.aws.endpoint_url is not None:
        urls.append(("aws.endpoint_url", config.aws.endpoint_url))
    if config.pypi.use_fallback:
        urls += [("pypi.fallback_url", url) for url in config.pypi.fallback_url]
    if isinstance(config.advisories.source, str):
        urls.append(("advisories.source", config.advisories.source))
    urls += [("auth.ldap.url", url) for url in config.ldap.url]
    urls += [("an issuer", url) for url in dict.fromkeys(issuers_of(config))]
    for key, url in urls:
        parts = urlsplit(url)
        if parts.hostname:
            port = parts.port or _PORTS.get(parts.scheme, 0)
            yield Host(key, parts.hostname, port, parts.scheme)


def resolved(host: Host, proxies: ProxySettings, machine: Machine) -> Iterator[Finding]:
    """Look up a host that is not reached through a proxy; for a thread."""
    subject = f"{host.key}: {host.name}"
    proxy = proxies.find(host.scheme, host.name, host.port)
    if proxy is not None:
        yield ok(f"It is reached through {_where(proxy)}, which looks it up.", subject)
        return
    try:
        addresses = machine.resolve(host.name)
    except OSError:
        yield fault(
            "The name has no address here.",
            "Look at /etc/resolv.conf, and at how the name is spelled.",
            subject,
        )
    else:
        yield ok(f"It is {', '.join(addresses[:3])}.", subject)


def _where(proxy: Proxy) -> str:
    return f"the proxy at {proxy.host}:{proxy.port}"


class Directory(Protocol):
    """Asks the servers of a directory."""

    async def try_each(self) -> Sequence[tuple[str, str | None]]:
        """Connect to each server: its address, and why that failed."""

    async def log_in(self) -> str | None:
        """Log in as our own entry; return why that failed."""


@frozen
class Elsewhere:
    """Asks others, as the server does.

    :ivar client: asks upstreams, and the source of advisories.
    :ivar fetcher: makes what asks issuers.
    :ivar directory: None: none is set, or what it needs is not installed.
    """

    config: Config
    proxies: ProxySettings
    machine: Machine
    client: Client
    fetcher: Callable[[str], Fetcher]
    directory: Directory | None
    clock: IReactorTime

    # -- upstreams --------------------------------------------------------------------

    async def upstreams(self) -> list[Finding]:
        """Ask each upstream for a page."""
        pypi = self.config.pypi
        if not pypi.use_fallback:
            return [ok("No other index is asked.")]
        sources = [UpstreamIndex.parse(url) for url in pypi.fallback_url]
        if pypi.fallback == "redirect":
            names = ", ".join(shown(source.base) for source in sources)
            return [ok(f"Clients are sent to {names}; the server asks nobody.")]
        return await all_at_once(map(self._upstream, sources))

    async def _upstream(self, source: UpstreamIndex) -> Finding:
        subject = shown(source.base)
        scheme, host, port = source.origin
        proxy = self.proxies.find(scheme, host, port)
        way = "" if proxy is None else f", through {_where(proxy)}"
        url = source.project_url(ASKED)
        asking = Deferred.fromCoroutine(self.client.page(source, url, _ACCEPT))
        asking.addTimeout(_PATIENCE, self.clock, too_slow(host))
        try:
            page = await asking
        except NotFound:
            return ok(f"It answers{way}; it has no project {ASKED}.", subject)
        except PypicloudError as e:
            advice = (
                "Ask it from the server's machine with curl; behind a firewall set "
                "https_proxy, and no_proxy for what is inside."
            )
            if proxy is not None:
                advice = f"See whether {_where(proxy)} lets it through; {advice}"
            return fault(e.message, advice, subject)
        assert not isinstance(page, NotModified), "an unconditional question"
        kind = page.content_type or ""
        if not any(form in kind for form in _FORMS):
            return fault(
                f"It answers with {kind[:60] or 'an untold form'}, which is no page "
                "of a simple index.",
                "pypi.fallback_url is the address that pip has: it ends in /simple/.",
                subject,
            )
        return ok(f"It answers with a page{way}.", subject)

    # -- a source of advisories -------------------------------------------------------

    async def advisory_source(self) -> list[Finding]:
        """Look whether there is something to read."""
        source = self.config.advisories.source
        if source is None:
            return [ok("No source of advisories is set.")]
        if isinstance(source, Path):
            return [self._local(source)]
        try:
            response = await self.client.open(
                UpstreamIndex.parse(source),
                without_userinfo(source),
                {"Range": "bytes=0-0"},
            )
        except PypicloudError as e:
            advice = "Correct advisories.source, or take a mirror that can be reached."
            return [fault(e.message, advice, shown(source))]
        response.body.abort()
        return [ok("It answers.", shown(source))]

    def _local(self, source: Path) -> Finding:
        subject = f"advisories.source = {source}"
        try:
            self.machine.state(source)
        except OSError as e:
            said = f"It cannot be read: {e.strerror or type(e).__name__}."
            advice = "Put OSV records there, or correct advisories.source."
            return fault(said, advice, subject)
        return ok("It is there.", subject)

    # -- users elsewhere --------------------------------------------------------------

    async def ldap(self) -> list[Finding]:
        """Connect to each server of the directory, and log in as our own entry."""
        if not self.config.ldap.url:
            return [ok("No directory is set.")]
        if self.directory is None:
            return [unseen("What it needs is not installed.", "See extras.")]
        tried = await self.directory.try_each()
        findings = [self._of_server(*one, len(tried)) for one in tried]
        if all(why is not None for _, why in tried):
            return findings
        trouble = await self.directory.log_in()
        if trouble is not None:
            advice = "Correct them; some directories lock an entry after a few tries."
            findings.append(fault(trouble, advice, "auth.ldap.service_dn"))
        return findings

    def _of_server(self, server: str, why: str | None, count: int) -> Finding:
        if why is None:
            return ok("It answers, and its certificate is trusted.", server)
        advice = (
            "See whether it runs, whether a firewall is between, and whether "
            "auth.ldap.ca_file has its authority."
        )
        kind = fault if count == 1 else warning
        return kind(f"{why[:1].upper()}{why[1:]}", advice, server)

    async def issuers(self) -> list[Finding]:
        """Fetch the keys of each issuer that the settings name."""
        named = list(dict.fromkeys(issuers_of(self.config)))
        if not named:
            return [ok("No issuer is set.")]
        return await all_at_once(map(self._issuer, named))

    async def _issuer(self, issuer: str) -> Finding:
        try:
            await Issuers(self.fetcher, self.clock.seconds).keys(issuer, None)
        except IssuerUnavailable as e:
            advice = (
                "See whether this machine reaches it: a proxy (https_proxy), "
                "oidc.ca_file, oidc.private_hosts."
            )
            return fault(e.message.removesuffix(" Try again."), advice, issuer)
        return ok("Its keys can be had.", issuer)


def elsewhere(
    config: Config, process: Process, environ: Mapping[str, str], machine: Machine
) -> Elsewhere:
    """Make what asks others.

    :param environ: of the process: it may name proxies.
    :raises ConfigError: a proxy, or a file of authorities, is not usable.
    """
    urls = list(config.pypi.fallback_url) if config.pypi.use_fallback else []
    if isinstance(config.advisories.source, str):
        urls.append(config.advisories.source)
    pool = HTTPConnectionPool(process.reactor, persistent=False)
    client = make_client(
        config,
        tuple(UpstreamIndex.parse(url) for url in urls),
        pool,
        process.reactor,
        environ,
        trust_of_system(),
        tells=False,
    )
    return Elsewhere(
        config,
        ProxySettings.of(environ, "http", "https"),
        machine,
        client,
        make_fetchers(process, environ, config),
        _directory(config, process, machine),
        process.reactor,
    )


def _directory(config: Config, process: Process, machine: Machine) -> Directory | None:
    if not config.ldap.url or not machine.is_there("ldaptor"):
        return None
    # Nobody else needs ldaptor.
    from pypicloud_tw.access.directories.ldap_client import endpoints_of
    from pypicloud_tw.access.directories.ldap_tried import TriedDirectory

    reactor = process.reactor
    return TriedDirectory.make(config.ldap, reactor, endpoints_of(reactor))
