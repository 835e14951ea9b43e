"""Records in the program's log."""

from __future__ import annotations

from attrs import asdict, fields, filters
from twisted.logger import Logger

from pypicloud_tw.index.audit import Act

_PARTS = filters.exclude(fields(Act).actor)

_log = Logger()


def log_act(act: Act) -> None:
    """Write a record into the log: a sentence, and the parts for structured logs."""
    parts = asdict(act, recurse=False, filter=_PARTS)
    _log.info("{sentence}", sentence=act.sentence, who=act.actor.name, **parts)
