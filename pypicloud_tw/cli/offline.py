"""The index that commands work on in its store.

They work beside live servers: whatever they change goes through the same swaps. Where
the store does not honour conditional writes, they refuse to change anything while
another process writes to it.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from pypicloud_tw.assembly.audit import make_trail
from pypicloud_tw.assembly.index import make_index, make_process
from pypicloud_tw.config.configuration import Config
from pypicloud_tw.diagnosis.store import missing_folder
from pypicloud_tw.errors import ConfigError, Conflict
from pypicloud_tw.index.audit import Actor, Audit, Proof
from pypicloud_tw.index.audit_log import log_act
from pypicloud_tw.index.index import Index
from pypicloud_tw.process import Process

T = TypeVar("T")

_ONE_WRITER = (
    "Another process, probably the server, writes to this bucket, whose S3 server does "
    "not honour conditional writes, so that only one process may. Stop the server, run "
    "this again, then start the server."
)


def check_only_writer(index: Index) -> None:
    """Return if no other process alone may write to the store.

    :raises Conflict: one may; the message says what to do.
    """
    if index.standing.has_rival:
        raise Conflict(_ONE_WRITER)


def check_folder(config: Config) -> None:
    """Return if the folder is there, where the store is one.

    :raises ConfigError: it is not; it may be misspelt, or its disk not mounted.
    """
    problem = missing_folder(config)
    if problem is not None:
        raise ConfigError([problem])


def command_actor() -> Actor:
    """Name the command's user in records of what it changes."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = f"uid {os.geteuid()}"  # a container's, which has no name
    return Actor(f"{user} (command)", Proof("command"))


async def with_index(
    config: Config,
    reactor: Any,
    work: Callable[[Process, Index], Awaitable[T]],
    tell: Audit = log_act,
) -> T:
    """Do some work on an index, which is closed whatever comes of it.

    :param tell: says what was changed to whoever looks on.
    """
    process = make_process(reactor)
    trail = make_trail(config, process, tell=tell)
    index = make_index(config, process, os.environ, audit=trail)
    process.start()
    try:
        await index.store.prepare()
        await index.secure()
        trail.start(index.store)
        return await work(process, index)
    finally:
        await trail.close()
        await index.close()
        await process.stop()
