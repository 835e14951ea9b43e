"""Compiled templates, kept where Python keeps compiled modules.

All of them take a second to compile: at each start of a server and of each worker,
while the first requests wait for the processor.
"""

from __future__ import annotations

import marshal
import os
import sys
from contextlib import suppress
from hashlib import sha256
from importlib.util import MAGIC_NUMBER, cache_from_source
from pathlib import Path

import jinja2
from attrs import frozen
from jinja2.bccache import Bucket, BytecodeCache

from pypicloud_tw.drafts import draft_in


@frozen
class CompiledTemplates(BytecodeCache):
    """In ``__pycache__`` beside each template, or where ``PYTHONPYCACHEPREFIX`` says.

    Where that cannot be written to, or ``PYTHONDONTWRITEBYTECODE`` is set, templates
    are compiled each time.

    :ivar circumstances: what a compiled template depends on, beside its source. jinja2
        computes with filters what is known when it compiles, so they belong to it.
    """

    circumstances: bytes

    @classmethod
    def of(cls, module: str) -> CompiledTemplates | None:
        """Return those of an environment.

        :param module: the file that makes it, with its filters.
        :return: None: it is not known what they depend on, as in a zip file.
        """
        try:
            program = Path(module).read_bytes()
        except OSError:
            return None
        parts = (MAGIC_NUMBER, jinja2.__version__.encode(), sha256(program).digest())
        return cls(b"\0".join(parts))

    def get_cache_key(self, name: str, filename: str | None = None) -> str:
        """Return the file that a template is kept in."""
        return cache_from_source(filename or name)

    def get_source_checksum(self, source: str) -> str:
        """Return the digest of all that a template depends on."""
        return sha256(self.circumstances + b"\0" + source.encode()).hexdigest()

    def load_bytecode(self, bucket: Bucket) -> None:
        """Load a template, if it is there and was made from the same."""
        try:
            kept = Path(bucket.key).read_bytes()
        except OSError:
            return
        digest = _digest(bucket)
        if kept.startswith(digest):
            with suppress(EOFError, ValueError, TypeError):
                # As Python's own of modules: who may write there may do anything.
                bucket.code = marshal.loads(kept[len(digest) :])  # noqa: S302

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep a template, if it can be kept."""
        if sys.dont_write_bytecode:
            return
        path = Path(bucket.key)
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            with draft_in(path.parent) as file:
                file.write(_digest(bucket) + marshal.dumps(bucket.code))
                file.flush()
                # As readable as a module's; and at once: others load it meanwhile.
                os.fchmod(file.fileno(), 0o644)
                os.replace(file.name, path)


def _digest(bucket: Bucket) -> bytes:
    return bytes.fromhex(bucket.checksum)
