"""How a server, or a store that a command works on, stands."""

from __future__ import annotations

import platform

import twisted
from pypicloud_tw import __version__
from pypicloud_tw.errors import PypicloudError, StoreError
from pypicloud_tw.index.index import Index
from pypicloud_tw.index.standing import Standing
from pypicloud_tw.projects.administered import AdministeredProjects
from pypicloud_tw.projects.values import ServerStatus


async def server_status(administered: AdministeredProjects) -> ServerStatus:
    """Look at what there is to know; that the store is away is no error here."""
    index, started = administered.index, administered.started
    not_ready = await _why_not_ready(index)
    unchangeable = _why_unchangeable(index.standing)
    advisories, derived = administered.advisories(), administered.derived
    return ServerStatus(
        version=__version__,
        python=platform.python_version(),
        twisted=twisted.__version__,
        store=index.kind,
        conditional=index.conditional,
        ready=not_ready is None,
        changeable=unchangeable is None,
        sentence=not_ready or unchangeable,
        read_only=administered.read_only(),
        projects=await _count(index),
        lost=len(index.catalog.lost),
        fresh_for=index.watch.fresh_for,
        marker_age=_rounded(index.watch.age),
        uptime=_rounded(None if started is None else index.clock.seconds() - started),
        advisories=None if advisories is None else advisories.records,
        advisories_age=None if advisories is None else advisories.age,
        advisories_trouble=None if advisories is None else advisories.trouble,
        described=len(derived.table) if derived.loaded else None,
    )


async def _why_not_ready(index: Index) -> str | None:
    try:
        await index.ready()
    except PypicloudError as e:
        return e.message
    return None


def _why_unchangeable(standing: Standing) -> str | None:
    try:
        standing.check()
    except PypicloudError as e:
        return e.message
    return None


async def _count(index: Index) -> int | None:
    try:
        return len(await index.catalog.names())
    except StoreError:
        return None


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
