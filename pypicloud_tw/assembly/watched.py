"""Has shown what operators watch of a server, and no part of it counts by itself."""

from __future__ import annotations

import tempfile
from pathlib import Path

from pypicloud_tw.access.access import Access
from pypicloud_tw.config.configuration import Config
from pypicloud_tw.errors import Unavailable
from pypicloud_tw.index.index import Index
from pypicloud_tw.process import Process
from pypicloud_tw.store.disk_space import DiskSpace
from pypicloud_tw.web.http.tls import certificate_end
from pypicloud_tw.web.readiness import not_served


def register_standing(
    config: Config, process: Process, index: Index, access: Access
) -> None:
    """Have it shown how the server stands."""
    process.metrics.tell_process()
    read = process.metrics.read
    read(
        "pypicloud_ready",
        "Whether the store was reached, and the server does not stop",
        lambda: _is_ready(index),
        together="min",
    )
    read(
        "pypicloud_read_only",
        "Whether nothing may be changed now",
        lambda: int(access.read_only is not None),
        together="max",
    )
    read(
        "pypicloud_unserved_projects",
        "Projects in the store that cannot be served",
        lambda: len(not_served(index) or {}),
        together="max",
    )
    for room in _rooms(config, process):
        room.register(process.metrics)
    end = certificate_end(config.server.listen)
    if end is not None:
        read(
            "pypicloud_tls_end_timestamp_seconds",
            "When the server's certificate ends",
            lambda: end,
            together="min",
        )


def _is_ready(index: Index) -> int:
    try:
        index.standing.check_ready()
    except Unavailable:
        return 0
    return 1


def _rooms(config: Config, process: Process) -> list[DiskSpace]:
    temp = config.storage.temp_dir
    folders = {"temp": temp or tempfile.gettempdir()}
    if config.aws.bucket is None:
        folders["storage"] = config.storage.dir
    return [
        DiskSpace(name, Path(folder), process.offload)
        for name, folder in folders.items()
    ]
