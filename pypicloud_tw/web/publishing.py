"""The upload API: a form -> a change of the index.

The form is what distutils' ``register`` and ``upload`` began and twine and uv speak
(Warehouse, "Upload API"); ``remove_pkg`` is pypiserver's.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion

from pypicloud_tw.concurrency.budget import BufferBudget
from pypicloud_tw.concurrency.shielded import shielded
from pypicloud_tw.errors import BadRequest
from pypicloud_tw.index.admission import Claims
from pypicloud_tw.index.audit import Actor
from pypicloud_tw.index.names import Filename, parse_version, project_name
from pypicloud_tw.index.publication import Publication, too_large
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

#: Fields of the form by what pypicloud 1.x called them beside an object.
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


def _former_metadata(
    filename: Filename, uploader: str | None, file: FileField
) -> dict[str, str]:
    """Return what pypicloud 1.x wrote beside an object, so that it can read it.

    Claims that turn out to be wrong are never stored: the upload is refused.
    """
    # First what is needed should the manifest be lost: there may be no room for all.
    metadata = {
        "name": filename.project,
        "version": str(filename.version),
    }
    if uploader is not None:
        metadata["uploader"] = uploader
    for field_name, name in _FORMER.items():
        values = file.before.get(field_name, ())
        if len(values) == 1 and values[0]:
            metadata[name] = values[0]
    return metadata


async def receive(
    request: Request,
    publisher: Publisher,
    *,
    actor: Actor,
    max_upload: int,
    forms: BufferBudget,
) -> tuple[str, ...]:
    """Take a form and do what it asks for; durable when this returns.

    :param actor: who was found to send it, and may.
    :param forms: the memory for the fields of all forms.
    :returns: what the sender is to be warned of, in sentences.
    :raises PypicloudError: it was not done, and why.
    """
    # The framework cancels what answers a client that has gone. The body tells us so
    # itself, and what was begun must be cleared away, or be brought to its end.
    publication = Publication(publisher, actor, request.body.length, max_upload)
    return await shielded(
        _receive(request, publication, max_upload, FormMemory(forms)),
        publication.give_up,
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
    request: Request, publication: Publication, max_upload: int, memory: FormMemory
) -> tuple[str, ...]:
    body, most = request.body, max_upload + _FORM_ALLOWANCE
    if body.length is not None and body.length > most:
        raise too_large(max_upload)
    body.limit = most
    publisher = publication.publisher
    await publisher.manifests.standing.started(publisher.clock)
    content_type = request.getHeader(b"Content-Type") or b""
    try:
        form = await receive_form(
            body, content_type, on_file=partial(_begin, publication), memory=memory
        )
        await _act(form, publication)
    finally:
        memory.release()
        await publication.abort()
    return publication.warnings


async def _begin(publication: Publication, file: FileField) -> Publication | None:
    """Judge the filename, then make ready to take the bytes.

    The file of another action, as the archive of doc_upload, is dropped unread.
    """
    if file.before.get(":action", (_UPLOAD,)) != (_UPLOAD,):
        return None
    legacy = publication.publisher.rules.legacy_formats
    name = next(iter(file.before.get("name", ())), None)
    filename = Filename.parse(
        file.filename, legacy=legacy, project=name and canonicalize_name(name)
    )
    await publication.begin(
        filename, _former_metadata(filename, publication.actor.name, file)
    )
    return publication


async def _act(form: UploadFields, publication: Publication) -> None:
    match form.action:
        case action if action == _UPLOAD:
            await _publish(form, publication)
        case "remove_pkg":
            await _remove(form, publication)
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


async def _publish(form: UploadFields, publication: Publication) -> None:
    if not publication.begun:
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


async def _remove(form: UploadFields, publication: Publication) -> None:
    if not form.name or not form.version:
        raise BadRequest("remove_pkg needs the fields 'name' and 'version'.")
    try:
        parse_version(form.version)
    except InvalidVersion:
        raise BadRequest("This is not a valid version.") from None
    await publication.publisher.remove(
        project_name(form.name), form.version, actor=publication.actor
    )
