"""Makes what knows of malware and vulnerabilities."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from twisted.web.client import HTTPConnectionPool

from pypicloud_tw.advisories.screen import MalwareScreen
from pypicloud_tw.advisories.service import (
    Advisories,
    AdvisorySettings,
    ISource,
    LocalSource,
)
from pypicloud_tw.advisories.values import IAdvisories
from pypicloud_tw.assembly.fallback import make_client
from pypicloud_tw.config.configuration import Config
from pypicloud_tw.index.admission import Screen
from pypicloud_tw.outbound.origins import shown, without_userinfo
from pypicloud_tw.outbound.trust import trust_of_system
from pypicloud_tw.process import Process
from pypicloud_tw.store.interfaces import IObjectStore
from pypicloud_tw.upstream.advisory_source import FetchedSource
from pypicloud_tw.upstream.judgement.judges import IExemptions
from pypicloud_tw.upstream.judgement.rules import UpstreamRules
from pypicloud_tw.upstream.source import UpstreamIndex


def make_advisories(
    config: Config, store: IObjectStore, process: Process, environ: Mapping[str, str]
) -> Advisories | None:
    """Make what knows of malware and vulnerabilities; None if no source is set.

    :param environ: of the process: it may name proxies.
    :raises ConfigError: a proxy cannot be used.
    """
    section = config.advisories
    if section.source is None:
        return None
    name, source = _make_source(config, section.source, process, environ)
    advisories = Advisories(
        name,
        source,
        store,
        process.offload,
        process.reactor,
        AdvisorySettings(
            section.every,
            section.max_age,
            "closed" if section.when_away == "closed" else "open",
        ),
    )
    advisories.register(process.metrics)
    return advisories


def make_screen(
    config: Config,
    advisories: IAdvisories,
    exemptions: IExemptions,
    process: Process,
) -> Screen:
    """Make what keeps known malware from being uploaded."""
    rules = UpstreamRules.from_config(config.pypi, config.upstream)
    return MalwareScreen(
        advisories, rules.is_private, exemptions.of, process.reactor.seconds
    )


def _make_source(
    config: Config, source: str | Path, process: Process, environ: Mapping[str, str]
) -> tuple[str, ISource]:
    """Make the source, and what it is called in logs and in the store."""
    if isinstance(source, Path):
        return str(source), LocalSource(str(source), process.offload)
    index = UpstreamIndex.parse(source)
    pool = HTTPConnectionPool(process.reactor, persistent=False)
    tls = trust_of_system()
    client = make_client(
        config, (index,), pool, process.reactor, environ, tls, tells=False
    )
    fetched = FetchedSource(
        client,
        index,
        without_userinfo(source),
        process.offload,
        config.storage.temp_dir,
    )
    return shown(source), fetched
