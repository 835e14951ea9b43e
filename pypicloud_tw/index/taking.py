"""All that a small file's bytes need, in one job of a helper process (decision D6)."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from io import BytesIO

from attrs import evolve, field, frozen

from pypicloud_tw.errors import PypicloudError
from pypicloud_tw.index.archive import Inspection, inspect_file
from pypicloud_tw.index.layout import METADATA_SUFFIX
from pypicloud_tw.index.model import File
from pypicloud_tw.index.names import Filename
from pypicloud_tw.offload.limits import ARCHIVES, SMALL_FILES, limited
from pypicloud_tw.store.interfaces import Notice, Placer


@frozen
class Placed:
    """What came of a file that was found fit, and is in its place with its metadata.

    :ivar inspection: without the metadata.
    :ivar metadata_sha256: None: it has none that is served.
    :ivar receipt: see :meth:`.IUpload.placed`.
    """

    inspection: Inspection
    metadata_sha256: str | None
    receipt: object = field(repr=False)

    def describe(self, file: File) -> File:
        """Say where a file's metadata is."""
        digest = self.metadata_sha256
        return file if digest is None else described(file, digest)


def described(file: File, metadata_sha256: str) -> File:
    """Give a file core metadata, which lies beside it (PEP 658)."""
    return evolve(
        file,
        metadata_key=file.key + METADATA_SUFFIX,
        metadata_sha256=metadata_sha256,
    )


def judged(inspection: Inspection, *, legacy: bool) -> Inspection:
    """Apply the rules of the index to what was found.

    :param legacy: what falls short is taken, and warned of.
    :raises BadRequest: it falls short.
    """
    return inspection.lenient() if legacy else inspection.strict()


@limited(ARCHIVES)
def look_into(data: bytes, filename: Filename) -> Inspection:
    """Judge a small file, as :func:`.inspect` does a large one; errors as there."""
    return inspect_file(BytesIO(data), filename, len(data))


@frozen
class SmallFile:
    """A small file that is to be judged and placed.

    :ivar legacy: what falls short is taken, and warned of.
    :ivar notice: see :meth:`.Placer.place`.
    """

    data: bytes = field(repr=False)
    filename: Filename
    legacy: bool
    placer: Placer
    notice: Notice | None


@limited(SMALL_FILES)
def take(file: SmallFile) -> Placed:
    """Judge a small file, and place it with its core metadata if it is fit.

    :raises BadRequest: it is not fit; nothing was placed. See :func:`.inspect`.
    :raises StoreError: it may or may not be in its place.
    """
    inspection = judged(look_into(file.data, file.filename), legacy=file.legacy)
    objects, digest = {file.filename.text: file.data}, None
    if inspection.metadata is not None:
        objects[file.filename.text + METADATA_SUFFIX] = inspection.metadata
        digest = sha256(inspection.metadata).hexdigest()
    receipt = file.placer.place(objects, file.notice)
    return Placed(evolve(inspection, metadata=None), digest, receipt)


@limited(SMALL_FILES)
def take_all(files: Sequence[SmallFile]) -> list[Placed | PypicloudError]:
    """Do so with several; each has an outcome of its own."""
    outcomes: list[Placed | PypicloudError] = []
    for file in files:
        try:
            outcomes.append(take(file))
        except PypicloudError as e:
            outcomes.append(e)
    return outcomes
