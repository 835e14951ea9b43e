"""Makes what mirrors lock files, for a command."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import attrs

from pypicloud_tw.access.exemptions import Exemptions
from pypicloud_tw.advisories.values import NO_ADVISORIES
from pypicloud_tw.assembly.access import make_administered
from pypicloud_tw.assembly.advisories import make_advisories
from pypicloud_tw.assembly.fallback import make_fallback, make_pins
from pypicloud_tw.config.configuration import Config
from pypicloud_tw.errors import Conflict
from pypicloud_tw.index.index import Index
from pypicloud_tw.moving.locks.platforms import Wanted
from pypicloud_tw.moving.mirror.cache import IntoCache
from pypicloud_tw.moving.mirror.mirror import Destination, Mirror
from pypicloud_tw.moving.mirror.wheelhouse import IntoFolder
from pypicloud_tw.moving.report import Progress
from pypicloud_tw.process import Process
from pypicloud_tw.store.folder.store import DirectoryStore
from pypicloud_tw.upstream.caching import CachingFiles
from pypicloud_tw.upstream.keeper import StoredPages
from pypicloud_tw.upstream.relay import Relay
from pypicloud_tw.web.fallback import Fallback

_NOBODY = (
    "No other index is asked here (pypi.fallback = {mode}), so that nothing can be "
    "mirrored. Where there is a way out, set pypi.fallback = cache."
)
_NOT_KEPT = (
    "Nothing is kept here with pypi.fallback = {mode}. Set pypi.fallback = cache, or "
    "have the files in a folder: --to FOLDER."
)


@asynccontextmanager
async def make_mirror(
    config: Config,
    index: Index,
    process: Process,
    environ: Mapping[str, str],
    wanted: Wanted,
    folder: Path | None,
    tell: Callable[[Progress], None],
    *,
    dry_run: bool = False,
) -> AsyncIterator[Mirror]:
    """Make a mirror of the other index, into the cache or a folder.

    The rules are in force as on a server, exemptions and advisories included.

    :param folder: None: into the cache of the store.
    :param dry_run: nothing will be fetched, so that no folder is made.
    :raises Conflict: nobody is asked here, or nothing kept.
    """
    check_mode(config, folder)
    if folder is not None:
        # Pages link files to us then, and the store is left as it is.
        relays = attrs.evolve(config.pypi, fallback="proxy", fallback_files="relay")
        config = attrs.evolve(config, pypi=relays)
    administered = make_administered(config, index, process)
    advisories = make_advisories(config, index.store, process, environ)
    fallback = make_fallback(
        config,
        index,
        process,
        environ,
        Exemptions(administered.access),
        advisories or NO_ADVISORIES,
        pins=make_pins(config, index),
    )
    assert fallback is not None, "somebody is asked"
    wheelhouse = None if folder is None else DirectoryStore(folder, process.offload)
    try:
        await administered.documents.learn()
        if advisories is not None:
            await advisories.look()
        await fallback.upstreams.judges.standings.ready()
        if wheelhouse is not None and not dry_run:
            await wheelhouse.prepare()
        to = _destination(index, process, fallback, wheelhouse)
        yield Mirror(index, fallback.upstreams, to, wanted, tell, fallback.merge)
    finally:
        await fallback.close()
        if wheelhouse is not None:
            await wheelhouse.close()


def check_mode(config: Config, folder: Path | None) -> None:
    """Return if something can be mirrored.

    :raises Conflict: nobody is asked, or nothing kept.
    """
    mode = config.pypi.fallback if config.pypi.use_fallback else "none"
    if mode in ("none", "kept"):
        raise Conflict(_NOBODY.format(mode=mode))
    if folder is None and mode != "cache":
        raise Conflict(_NOT_KEPT.format(mode=mode))


def _destination(
    index: Index,
    process: Process,
    fallback: Fallback,
    wheelhouse: DirectoryStore | None,
) -> Destination:
    files = fallback.files
    if wheelhouse is not None:
        assert isinstance(files, Relay), "as it was set"
        inspect = index.publisher.inspect
        return IntoFolder(
            wheelhouse, index.store, files.client, files, inspect, process.offload
        )
    pages = fallback.upstreams.keeper
    assert isinstance(files, CachingFiles), "likewise"
    assert isinstance(pages, StoredPages), "likewise"
    return IntoCache(files, pages)
