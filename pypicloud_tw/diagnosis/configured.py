"""What is looked at of an ini, or of the environment alone."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial
from itertools import chain
from typing import Any, ParamSpec

from attrs import field, frozen

from pypicloud_tw.concurrency.side_by_side import all_at_once
from pypicloud_tw.config.configuration import Config
from pypicloud_tw.diagnosis import certificates, host, installed, store
from pypicloud_tw.diagnosis.bucket import BucketChecks
from pypicloud_tw.diagnosis.bucket_rules import BucketRules
from pypicloud_tw.diagnosis.contents import Contents
from pypicloud_tw.diagnosis.elsewhere import Elsewhere, elsewhere, hosts_of, resolved
from pypicloud_tw.diagnosis.machine import Machine
from pypicloud_tw.diagnosis.permissions import permissions
from pypicloud_tw.diagnosis.values import Check, Finding, Look, fault, note, ok, warning
from pypicloud_tw.index.index import Index
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.process import Process
from pypicloud_tw.store.s3.store import S3Store

P = ParamSpec("P")

#: Seconds for what another server may take a while for.
_SLOW = 90.0

#: Seconds for all manifests, and what they name: 100,000 files take some minutes.
_DEEP = 24 * 3600.0

#: What listens where only this machine, or a proxy, reaches it.
_LOCAL = ("127.", "localhost", "[::1]", "::1")


def settings(config: Config) -> list[Finding]:
    """Tell what is good to know of the settings, which have no mistake."""
    place = (
        f"the bucket {config.aws.bucket}"
        if config.aws.bucket is not None
        else f"the folder {config.storage.dir}"
    )
    return [
        ok(f"It has no mistake: packages are in {place}."),
        *(note(sentence) for sentence in config.notices),
    ]


def front(config: Config) -> list[Finding]:
    """Look whether what stands in front is believed."""
    listen, pypi = config.server.listen, config.pypi
    if listen.startswith("unix:"):
        return [ok("It listens at a Unix socket, whose proxy is believed.")]
    if listen.startswith("ssl:"):
        return [ok("It speaks TLS itself.")]
    if pypi.trusted_proxies:
        networks = ", ".join(map(str, pypi.trusted_proxies))
        return [ok(f"The proxies of {networks} are believed.")]
    if pypi.public_url is not None and pypi.public_url.startswith("https:"):
        return [
            warning(
                "Clients come by https (pypi.public_url), so a proxy is in front, and "
                "pypi.trusted_proxies names none: all clients count as one.",
                "Set pypi.trusted_proxies to the proxy's address; see "
                "docs/guide/proxy.rst.",
            )
        ]
    if any(f"interface={here}" in listen for here in _LOCAL):
        return [ok("It listens for this machine alone.")]
    return [
        note(
            "It listens without TLS, and no proxy is believed: passwords travel as "
            "they are.",
            "Put a proxy in front (docs/guide/proxy.rst), or listen at ssl:.",
        )
    ]


@frozen
class Examined:
    """What a diagnosis of settings is made of; everything has been made already.

    :ivar bucket: None: the store is a folder.
    """

    config: Config
    index: Index
    offload: IOffload
    machine: Machine
    elsewhere: Elsewhere
    environ: Mapping[str, str] = field(repr=False)
    bucket: BucketChecks | None = None
    deep: bool = False

    def checks(self) -> list[Check]:
        """List what is looked at, in order."""
        return [
            Check("ini", self._now(settings)),
            Check("front", self._now(front)),
            *self._of_machine(),
            *self._of_store(),
            *self._of_others(),
        ]

    def _of_machine(self) -> Iterator[Check]:
        config, machine, today = self.config, self.machine, self._today
        yield Check("libraries", self._apart(installed.libraries, machine))
        yield Check(
            "python", self._apart(lambda: installed.python(machine, today().date()))
        )
        yield Check("extras", self._apart(installed.extras, config, machine))
        places = list(host.places_of(config, machine.temp_dir()))
        yield Check("disk", self._apart(host.disks, places, machine))
        yield Check("open-files", self._apart(host.limits, machine))
        yield Check("secrets", self._apart(self._secrets))
        yield Check(
            "certificates", self._apart(lambda: certificates.own_files(config, today()))
        )

    def _of_store(self) -> Iterator[Check]:
        index, bucket = self.index, self.bucket
        place = "the folder" if bucket is None else "the bucket"
        yield Check("store", partial(self._reach, place))
        if bucket is None:
            yield Check("store-write", partial(store.write, index), "store")
            conditions = partial(store.conditions, index.store)
            yield Check("conditions", conditions, "store")
        else:
            yield Check("credentials", bucket.credentials)
            allowed = partial(permissions, bucket.store)
            yield Check("permissions", allowed, "store", _SLOW)
            yield Check("store-write", partial(store.write, index), "store")
            yield Check("conditions", bucket.conditions, "store", _SLOW)
            yield Check("clock", bucket.clock, "store")
            yield Check("region", bucket.region, "store")
            rules = BucketRules(bucket.store)
            yield Check("lifecycle", rules.lifecycle, "store")
            yield Check("versioning", rules.versioning, "store")
            yield Check("public", bucket.public, "store")
        contents = Contents(index, self.offload, self.config, self.deep)
        patience = _DEEP if self.deep else _SLOW
        yield Check("manifests", contents.manifests, "store", patience)
        yield Check("unserved", contents.unserved, "store")
        yield Check("access", contents.access, "store", _SLOW)
        yield Check("servers", contents.servers, "store")
        yield Check("advisories", contents.advisories, "store")

    def _of_others(self) -> Iterator[Check]:
        others = self.elsewhere
        yield Check("names", self._names)
        yield Check("upstreams", others.upstreams, None, _SLOW)
        yield Check("advisory-source", others.advisory_source, None, _SLOW)
        yield Check("ldap", others.ldap, None, _SLOW)
        yield Check("issuers", others.issuers, None, _SLOW)
        yield Check("tls", self._remote_ends, None, _SLOW)

    async def _reach(self, place: str) -> list[Finding]:
        problem = await self.offload.in_thread(store.missing_folder, self.config)
        if problem is not None:
            return [fault(problem, "Nothing works before this does.")]
        backend = self.index.backend
        if isinstance(backend, S3Store):
            # Not all that a server does: nothing is created.
            backend.client.requester.credentials.start()
        else:
            await self.index.store.prepare()
        return await store.reach(self.index, place)

    def _secrets(self) -> Iterator[Finding]:
        files = host.private_files(self.config, self.environ)
        return host.readable_secrets(files, self.machine)

    async def _names(self) -> list[Finding]:
        proxies = self.elsewhere.proxies
        found = await all_at_once(
            self._apart(resolved, host, proxies, self.machine)()
            for host in hosts_of(self.config)
        )
        return [*chain(*found)] or [ok("The settings name no host.")]

    async def _remote_ends(self) -> list[Finding]:
        proxies = self.elsewhere.proxies
        remotes = list(certificates.remotes_of(self.config))
        found = await all_at_once(
            self._apart(certificates.ends_at, remote, self.machine, self._today())()
            for remote in remotes
            if proxies.find("https", remote.host, remote.port) is None
        )
        if not remotes:
            return [ok("The settings name no server of TLS.")]
        return [*chain(*found)]

    def _today(self) -> datetime:
        return certificates.utc(self.index.clock.seconds())

    def _now(self, look: Callable[[Config], list[Finding]]) -> Look:
        async def looked() -> list[Finding]:
            return look(self.config)

        return looked

    def _apart(
        self, look: Callable[P, Iterable[Finding]], *args: P.args, **kwargs: P.kwargs
    ) -> Callable[[], Coroutine[Any, Any, list[Finding]]]:
        """Look in a thread."""

        async def looked() -> list[Finding]:
            return await self.offload.in_thread(lambda: list(look(*args, **kwargs)))

        return looked


def examined(
    config: Config,
    process: Process,
    index: Index,
    environ: Mapping[str, str],
    *,
    deep: bool,
    machine: Machine | None = None,
) -> Examined:
    """Make what a diagnosis of settings is made of.

    :param index: nothing of it has started.
    :raises ConfigError: a proxy, or a file of authorities, is not usable.
    """
    machine = machine or Machine()
    bucket = None
    if isinstance(index.backend, S3Store):
        region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION")
        configured = config.aws.region or region or None
        bucket = BucketChecks(index.backend, config, configured)
    return Examined(
        config,
        index,
        process.offload,
        machine,
        elsewhere(config, process, environ, machine),
        environ,
        bucket,
        deep,
    )
