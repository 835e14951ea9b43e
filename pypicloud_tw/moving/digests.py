"""Whether the bytes that come are those that a source speaks of."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

from attrs import define, field, frozen

from pypicloud_tw.errors import BadRequest, UpstreamError

#: What makes the digest of each algorithm that is known here. Sources compare by them,
#: and defend nothing with the weak ones.
_ALGORITHMS: Mapping[str, Callable[[], Any]] = MappingProxyType(
    {
        **{
            name: partial(hashlib.new, name, usedforsecurity=False)
            for name in ("md5", "sha1", "sha224", "sha256", "sha384", "sha512")
        },
        **{
            name: partial(hashlib.new, name)
            for name in ("sha3_256", "sha3_384", "sha3_512", "blake2b", "blake2s")
        },
        "blake2b_256": partial(hashlib.blake2b, digest_size=32),
    }
)

#: What no digest has.
_NO_HEX = re.compile(r"[^0-9a-f]")

#: Bytes that no file has.
MAX_SIZE = 2**63

#: What indexes call them otherwise.
_ALSO = {"sha-1": "sha1", "sha-256": "sha256", "sha-512": "sha512"} | {
    "blake2_256": "blake2b_256",
    "blake2b-256": "blake2b_256",
}


class OtherBytes(UpstreamError):
    """What came is not what the source said of it."""

    code = "other-bytes"


@frozen
class _Digest:
    """One digest that is being worked out."""

    algorithm: str
    said: str
    state: Any


@define(eq=False)
class Check:
    """Compares bytes, as they come, with all that is said of them.

    :ivar filename: for errors.
    :ivar size: bytes that there must be; None: it is not told.
    :ivar limit: bytes that there may be.
    """

    filename: str
    said: Mapping[str, str]
    size: int | None = None
    limit: int | None = None
    received: int = field(default=0, init=False)
    _digests: tuple[_Digest, ...] = field(init=False)

    @_digests.default
    def _begin(self) -> tuple[_Digest, ...]:
        return tuple(
            _Digest(name, said, _ALGORITHMS[name]())
            for name, said in known(self.said).items()
        )

    def update(self, data: bytes) -> None:
        """Take more bytes.

        :raises OtherBytes: they are too many.
        """
        self.received += len(data)
        if self.size is not None and self.received > self.size:
            raise OtherBytes(
                f"{self.filename} is longer than the {self.size} bytes that the source "
                "says that it has."
            )
        if self.limit is not None and self.received > self.limit:
            raise OtherBytes(f"{self.filename} is longer than {self.limit} bytes.")
        for digest in self._digests:
            digest.state.update(data)

    def finish(self) -> None:
        """Return if all is as it was said.

        :raises OtherBytes: it is not.
        """
        if self.size is not None and self.received != self.size:
            raise OtherBytes(
                f"{self.filename} has {self.received} bytes, and the source says that "
                f"it has {self.size}."
            )
        for digest in self._digests:
            if digest.state.hexdigest() != digest.said:
                raise OtherBytes(
                    f"The {digest.algorithm} digest of {self.filename} is not the one "
                    "that the source says."
                )


def check_form(said: Mapping[str, str], size: int | None) -> None:
    """Return if what is told of a file can be true of one, so that it can be checked.

    :raises BadRequest: it cannot. Who damaged it may have damaged the file.
    """
    for name, digest in known(said).items():
        if len(digest) != 2 * _ALGORITHMS[name]().digest_size or _NO_HEX.search(digest):
            raise malformed(f"{name} digest")
    if size is not None and not 0 <= size < MAX_SIZE:
        raise malformed("size")


def malformed(what: str) -> BadRequest:
    """Say that what a source tells is not what it is called."""
    return BadRequest(
        f"What the source tells as its {what} is none, so that nobody can check it."
    )


def is_known(algorithm: str) -> bool:
    """Return whether digests of an algorithm are checked."""
    return bool(known({algorithm: ""}))


def known(said: Mapping[str, str]) -> dict[str, str]:
    """Return the digests of algorithms that are known here, by their usual names."""
    found = {}
    for name, digest in said.items():
        usual = _ALSO.get(name.lower(), name.lower())
        if usual in _ALGORITHMS:
            found[usual] = digest.lower()
    return found
