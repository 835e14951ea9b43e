"""Makes what takes the records of who did what."""

from __future__ import annotations

from pathlib import Path
from secrets import token_hex
from typing import Literal

from pypicloud_tw.access.audit.log_file import LogFile
from pypicloud_tw.access.audit.stored import StoredRecords
from pypicloud_tw.access.audit.trail import Trail
from pypicloud_tw.concurrency.gathered_lines import UNMIXED
from pypicloud_tw.config.configuration import Config
from pypicloud_tw.index.audit import Audit
from pypicloud_tw.index.audit_log import log_act
from pypicloud_tw.process import Process


def make_trail(
    config: Config,
    process: Process,
    file: LogFile | None = None,
    tell: Audit = log_act,
) -> Trail:
    """Make what takes the records of who did what.

    :param file: of ``audit.log``.
    :param tell: says what was changed to whoever looks on.
    """
    stored = None
    if config.audit.store:
        stored = StoredRecords(process.reactor, token_hex(8))
    trail = Trail(process.reactor, process.metrics, file, stored, tell)
    trail.register()
    return trail


def make_log_file(
    key: str, place: Path | Literal["-"] | None, process: Process
) -> LogFile | None:
    """Make the file of a log; None: it is kept nowhere.

    :param key: the key of the ini that says where.
    """
    if place is None:
        return None
    most = None if process.number is None else UNMIXED
    return LogFile(key, place, process.reactor, most)
