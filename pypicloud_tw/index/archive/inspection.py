"""The judgement itself: what an archive says of itself, and what is wrong with it.

Pure, and slow on purpose: it runs in a helper process, is fed with bytes that nobody
has vouched for, and reads everything with a bound.
"""

from __future__ import annotations

import zlib
from lzma import LZMAError
from typing import IO

from attrs import evolve, frozen

from pypicloud_tw.errors import BadRequest
from pypicloud_tw.index.archive.egg import egg_metadata
from pypicloud_tw.index.archive.findings import Findings
from pypicloud_tw.index.archive.metadata import judge_metadata
from pypicloud_tw.index.archive.sdist import judge_sdist
from pypicloud_tw.index.archive.wheel import judge_wheel
from pypicloud_tw.index.names import FileKind, Filename
from pypicloud_tw.offload.limits import ARCHIVES, limited


@frozen
class Inspection:
    """What an archive says of itself, and what is wrong with it.

    :ivar name: the project's name as it spells it.
    :ivar metadata: its core metadata as it stands in it; None where the format may
        have none (PEP 658 serves a wheel's; a source distribution's may be dynamic).
    :ivar shortfalls: rules that it does not meet; see :class:`.findings.Findings`.
    :ivar warnings: what else its sender should know, as sentences.
    """

    name: str | None
    metadata: bytes | None
    requires_python: str | None = None
    summary: str | None = None
    shortfalls: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def strict(self) -> Inspection:
        """Refuse what falls short; what is left is to be warned of.

        :raises BadRequest: it falls short.
        """
        if self.shortfalls:
            raise BadRequest(" ".join(self.shortfalls))
        return self

    def lenient(self) -> Inspection:
        """Take what falls short for warnings, in the same words."""
        return evolve(self, shortfalls=(), warnings=self.shortfalls + self.warnings)


@limited(ARCHIVES)
def inspect(path: str, filename: Filename, size: int) -> Inspection:
    """Judge a file, and read its metadata.

    :param path: where the bytes are.
    :raises BadRequest: it is unsafe, two installers would unpack it differently, or it
        is not the archive that its name promises; the message says why.
    """
    with open(path, "rb") as file:
        return inspect_file(file, filename, size)


def inspect_file(file: IO[bytes], filename: Filename, size: int) -> Inspection:
    """Do what :func:`inspect` does with a file that is open already."""
    file.seek(0)
    findings = Findings()
    _judge_name(filename, findings)
    try:
        metadata = _metadata(file, filename, size, findings)
    except (
        zlib.error,
        LZMAError,
        EOFError,
        NotImplementedError,
        ValueError,
        OSError,  # gzip and bz2: not in that format
    ) as e:
        raise BadRequest(
            f"This file cannot be opened as the archive its name promises "
            f"({type(e).__name__}); build it again."
        ) from None
    return _conclude(metadata, filename, findings)


def _judge_name(filename: Filename, findings: Findings) -> None:
    current = filename.kind is FileKind.WHEEL or filename.text.endswith(".tar.gz")
    if current and not filename.is_normalized():
        findings.warn(
            f"The filename is not normalised: it should begin with "
            f"{filename.normalized_start()}; current build tools name it so."
        )


def _metadata(
    file: IO[bytes], filename: Filename, size: int, findings: Findings
) -> bytes | None:
    match filename.kind:
        case FileKind.WHEEL:
            return judge_wheel(file, filename, size, findings)
        case FileKind.SDIST:
            return judge_sdist(file, filename, size, findings)
        case FileKind.EGG:
            return egg_metadata(file, size)
        case _:
            return None


def _conclude(
    metadata: bytes | None, filename: Filename, findings: Findings
) -> Inspection:
    found = Inspection(None, None)
    if metadata is not None:
        fields = judge_metadata(metadata, filename, findings)
        found = Inspection(
            fields["name"],
            metadata if filename.kind is FileKind.WHEEL else None,
            fields.get("requires_python"),
            fields.get("summary"),
        )
    return evolve(
        found,
        shortfalls=tuple(findings.shortfalls),
        warnings=tuple(findings.warnings),
    )
