"""Makes what is searched."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pypicloud_tw.assembly.index import make_names_elsewhere
from pypicloud_tw.config.configuration import Config
from pypicloud_tw.index.index import Index
from pypicloud_tw.process import Process
from pypicloud_tw.projects.derived.service import DerivedProjects
from pypicloud_tw.projects.elsewhere import Elsewhere
from pypicloud_tw.web.fallback import Fallback


def make_derived(index: Index, process: Process) -> DerivedProjects:
    """Make what is known of all projects at once."""
    derived = DerivedProjects(index)
    derived.register(process.metrics)
    return derived


def make_elsewhere(
    config: Config,
    index: Index,
    fallback: Fallback | None,
    private: Callable[[], Iterable[str]],
    process: Process,
) -> Elsewhere:
    """Make what knows names of other indexes, as far as they are known here."""
    if fallback is None:
        return Elsewhere()
    names = make_names_elsewhere(config, index.store, process)
    return Elsewhere(fallback.kept_names, names.to_search, private)
