"""What a parent and its workers say to each other: a line of JSON each.

To a worker: ``start``, ``hang up``, ``hear``, ``show``; answers: ``told``, ``metrics``.
From a worker: ``started``, ``failed``, ``refused``, ``log``, ``tell``, ``post``,
``gather``, ``counts``; answers: ``heard``, ``shown``. Each has its word under ``say``.
Questions have an id, which their answer repeats.
"""

from __future__ import annotations

import json
import pickle
from base64 import b64decode, b64encode
from collections.abc import Iterator
from copyreg import dispatch_table
from io import BytesIO
from types import MappingProxyType
from typing import Any

from attrs import define, field

from pypicloud_tw.config.configuration import Config

#: One message; its values are what JSON has.
Message = dict[str, Any]

#: A worker's descriptors: what its parent says, what it says itself, and where it
#: accepts connections.
FROM_PARENT, TO_PARENT, LISTENING = 3, 4, 5

#: Seconds that a question may take: of siblings, and of one's parent, who asks them.
SIBLINGS_PATIENCE, PARENT_PATIENCE = 1.0, 2.0


def encode(message: Message) -> bytes:
    """Write a message."""
    # With escapes: half of a pair of surrogates, as a path may have, gets through.
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


@define
class Messages:
    """Puts together again what came in pieces."""

    _pieces: list[bytes] = field(factory=list, init=False)

    def feed(self, data: bytes) -> Iterator[Message]:
        """Give the messages that end in *data*."""
        *ends, rest = data.split(b"\n")
        for end in ends:
            self._pieces.append(end)
            line, self._pieces = b"".join(self._pieces), []
            message: Message = json.loads(line)
            yield message
        if rest:
            self._pieces.append(rest)


def _read_only(mapping: dict[Any, Any]) -> MappingProxyType[Any, Any]:
    return MappingProxyType(mapping)


class _Pickler(pickle.Pickler):
    #: A mapping that cannot be written to cannot be pickled by itself.
    dispatch_table = dispatch_table | {
        MappingProxyType: lambda mapping: (_read_only, (dict(mapping),))
    }


def pack(config: Config) -> str:
    """Write a configuration for a worker.

    It goes through a pipe that nobody else has: secrets are in it.
    """
    file = BytesIO()
    _Pickler(file, protocol=pickle.HIGHEST_PROTOCOL).dump(config)
    return b64encode(file.getvalue()).decode()


def unpack(text: str) -> Config:
    """Read what :func:`pack` wrote."""
    config: Config = pickle.loads(b64decode(text))  # noqa: S301  from our own parent
    return config
