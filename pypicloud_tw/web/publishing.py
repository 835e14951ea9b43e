"""The upload API: a form -> a change of the index.

The form is what distutils' ``register`` and ``upload`` began and twine and uv speak
(Warehouse, "Upload API"); ``remove_pkg`` is pypiserver's.
"""

from __future__ import annotations

from collections.abc import Iterable

from attrs import define, field
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion

from pypicloud_tw.concurrency.budget import BufferBudget
from pypicloud_tw.concurrency.shielded import shielded
from pypicloud_tw.errors import BadRequest, PayloadTooLarge
from pypicloud_tw.index.admission import Claims
from pypicloud_tw.index.names import Filename, parse_version, project_name
from pypicloud_tw.index.publication import Publication
from pypicloud_tw.index.publish import Publisher
from pypicloud_tw.web.answers import measured
from pypicloud_tw.web.http.site import Request
from pypicloud_tw.web.upload import (
    FileField,
    FormMemory,
    UploadFields,
    receive_form,
)

_UPLOAD = "file_upload"

#: distutils asks these before or instead of an upload; nothing is to be done for them.
_IDLE = frozenset({"verify", "submit", "doc_upload"})

#: Fields of the form by what the first pypicloud called them beside an object.
_FORMER = {
    "summary": "summary",
    "requires_python": "requires-python",
    "sha256_digest": "hash-sha256",
    "md5_digest": "hash-md5",
}

#: What a form may be longer than its file: fields, heads of parts, a signature. The
#: largest known (boto3-stubs, mujoco) are 0.3 MB longer: a factor of 100.
_FORM_ALLOWANCE = 32 * 2**20

_BLAKE2B_512_DIGITS = 128


@define
class _Reception:
    """The file of one form on its way in."""

    publisher: Publisher
    uploader: str
    size_hint: int | None
    max_upload: int
    publication: Publication | None = field(default=None, init=False)
    _given_up: bool = field(default=False, init=False)
    _received: int = field(default=0, init=False)

    async def begin(self, file: FileField) -> _Reception | None:
        """Judge the filename, then make ready to take the bytes.

        The file of another action, as the archive of doc_upload, is dropped unread.
        """
        if file.before.get(":action", (_UPLOAD,)) != (_UPLOAD,):
            return None
        legacy = self.publisher.rules.legacy_formats
        name = next(iter(file.before.get("name", ())), None)
        filename = Filename.parse(
            file.filename, legacy=legacy, project=name and canonicalize_name(name)
        )
        self.publication = await Publication.begin(
            self.publisher,
            filename,
            uploader=self.uploader,
            size_hint=self.size_hint,
            metadata=_former_metadata(filename, self.uploader, file),
        )
        if self._given_up:
            self.publication.give_up()
        return self

    def give_up(self) -> None:
        """Learn that the sender has gone."""
        self._given_up = True
        if self.publication is not None:
            self.publication.give_up()

    async def write(self, data: bytes) -> None:
        """Take more of the file's bytes."""
        assert self.publication is not None, "begin comes first"
        self._received += len(data)
        if self._received > self.max_upload:
            raise too_large(self.max_upload)
        await self.publication.write(data)

    async def abort(self) -> None:
        """Forget what was not published."""
        if self.publication is not None:
            await self.publication.abort()


def _former_metadata(
    filename: Filename, uploader: str, file: FileField
) -> dict[str, str]:
    """Tell what the first pypicloud wrote beside an object, so that it can read it.

    Claims that turn out to be wrong are never stored: the upload is refused.
    """
    # First what is needed should the manifest be lost: there may be no room for all.
    metadata = {
        "name": filename.project,
        "version": str(filename.version),
        "uploader": uploader,
    }
    for field_name, name in _FORMER.items():
        values = file.before.get(field_name, ())
        if len(values) == 1 and values[0]:
            metadata[name] = values[0]
    return metadata


async def receive(
    request: Request,
    publisher: Publisher,
    *,
    uploader: str,
    max_upload: int,
    forms: BufferBudget,
) -> tuple[str, ...]:
    """Take a form and do what it asks for; durable when this returns.

    :param uploader: who was found to send it, and may.
    :param forms: the memory for the fields of all forms.
    :returns: what the sender is to be warned of, in sentences.
    :raises PypicloudError: it was not done, and why.
    """
    # The framework cancels what answers a client that has gone. The body tells us so
    # itself, and what was begun must be cleared away, or be brought to its end.
    reception = _Reception(publisher, uploader, request.body.length, max_upload)
    return await shielded(
        _receive(request, reception, FormMemory(forms)), reception.give_up
    )


def taken(request: Request, warnings: Iterable[str]) -> bytes:
    """Answer an upload that was taken: with what its sender is to be warned of.

    Each warning is a field ``X-Pypicloud-Warning`` and a line of the text. (The field
    ``Warning`` is obsolete: RFC 9111, section 5.5.)
    """
    lines = [
        " ".join(warning.split()).encode("ascii", "backslashreplace")
        for warning in warnings
    ]
    if lines:
        request.setHeader(b"Content-Type", b"text/plain; charset=utf-8")
        request.responseHeaders.setRawHeaders(b"X-Pypicloud-Warning", lines)
    return measured(request, b"".join(b"Warning: %b\n" % line for line in lines))


async def _receive(
    request: Request, reception: _Reception, memory: FormMemory
) -> tuple[str, ...]:
    body, most = request.body, reception.max_upload + _FORM_ALLOWANCE
    if body.length is not None and body.length > most:
        raise too_large(reception.max_upload)
    body.limit = most
    publisher = reception.publisher
    await publisher.manifests.standing.started(publisher.clock)
    content_type = request.getHeader(b"Content-Type") or b""
    try:
        form = await receive_form(
            body, content_type, on_file=reception.begin, memory=memory
        )
        await _act(form, reception)
    finally:
        memory.release()
        await reception.abort()
    publication = reception.publication
    return () if publication is None else publication.warnings


async def _act(form: UploadFields, reception: _Reception) -> None:
    match form.action:
        case action if action == _UPLOAD:
            await _publish(form, reception.publication)
        case "remove_pkg":
            await _remove(form, reception)
        case None:
            raise BadRequest(
                "The form has no ':action'; an upload says ':action' is 'file_upload'."
            )
        case action if action in _IDLE:
            return
        case _:
            raise BadRequest(
                "This ':action' is not known here; 'file_upload' and 'remove_pkg' are."
            )


async def _publish(form: UploadFields, publication: Publication | None) -> None:
    if publication is None:
        raise BadRequest("The form has no file; it belongs in the field 'content'.")
    if not form.name or not form.version:
        raise BadRequest("The form needs the fields 'name' and 'version'.")
    await publication.finish(
        Claims(
            name=form.name,
            version=form.version,
            sha256=form.sha256_digest,
            md5=form.md5_digest,
            blake2b_256=_blake2b_256(form.blake2_256_digest),
        )
    )


def _blake2b_256(sent: str | None) -> str | None:
    """Read a digest that some send too long.

    Python's own ``setup.py upload`` (3.9 to 3.11) sends BLAKE2b's 512 bits under the
    name of the 256; MD5 and SHA-256 come beside it, and are right.
    """
    return sent if sent and len(sent) != _BLAKE2B_512_DIGITS else None


async def _remove(form: UploadFields, reception: _Reception) -> None:
    if not form.name or not form.version:
        raise BadRequest("remove_pkg needs the fields 'name' and 'version'.")
    try:
        parse_version(form.version)
    except InvalidVersion:
        raise BadRequest("This is not a valid version.") from None
    await reception.publisher.remove(
        project_name(form.name), form.version, who=reception.uploader
    )


def too_large(max_upload: int) -> PayloadTooLarge:
    """Say how much is too much."""
    return PayloadTooLarge(
        f"Files of more than {max_upload} bytes are not taken here "
        "(pypi.max_upload in the ini)."
    )
