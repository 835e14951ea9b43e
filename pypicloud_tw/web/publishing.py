"""The upload API: a form -> a change of the index.

The form is what distutils' ``register`` and ``upload`` began and twine and uv speak
(Warehouse, "Upload API"); ``remove_pkg`` is pypiserver's.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from attrs import evolve, field, frozen
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion

from pypicloud_tw.access.access import Access
from pypicloud_tw.access.principal import Credentials, Principal
from pypicloud_tw.concurrency.budget import BufferBudget
from pypicloud_tw.concurrency.shielded import shielded
from pypicloud_tw.config.rights import Action
from pypicloud_tw.errors import BadRequest
from pypicloud_tw.index.acts import Acts
from pypicloud_tw.index.admission import Claims, Screen, take_all
from pypicloud_tw.index.audit import Actor
from pypicloud_tw.index.imported import Imported, parse_moment
from pypicloud_tw.index.model import Selection
from pypicloud_tw.index.names import (
    Filename,
    NormalizedName,
    parse_version,
    project_name,
)
from pypicloud_tw.index.publication import Publication, too_large
from pypicloud_tw.web.answers import measured
from pypicloud_tw.web.http.site import Request
from pypicloud_tw.web.upload import (
    ATTESTATIONS_FIELD,
    IMPORTED_FIELD,
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
}

#: What a form may be longer than its file: fields, heads of parts, a signature. The
#: largest known (boto3-stubs, mujoco) are 0.3 MB longer: a factor of 100.
FORM_ALLOWANCE = 32 * 2**20

_BLAKE2B_512_DIGITS = 128


def former_metadata(
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


@frozen
class Sender:
    """Who sends a form, and what they may do by the rules now in force.

    :ivar credentials: by which that was found out.
    :ivar screen: raises the error for a file that nobody may upload.
    """

    principal: Principal
    access: Access
    credentials: Credentials = field(repr=False)
    screen: Screen = take_all

    async def again(self) -> Sender:
        """Find out anew who it is, and by the rules that are in force now.

        A form may have taken hours to come. A password that was changed, a user who was
        removed or a token that was revoked meanwhile changes nothing any more.

        :raises PypicloudError: it cannot be found out, or nothing may be changed now.
        """
        await self.access.learn(changing=True)
        principal = await self.access.authenticate(self.credentials)
        self.access.refuse_while_read_only()
        return evolve(self, principal=principal)

    def may(self, action: Action, project: NormalizedName) -> bool:
        """Return whether it is allowed."""
        return self.access.policy.may(self.principal, action, project)

    def check(self, action: Action, project: NormalizedName) -> None:
        """Return if it is allowed.

        :raises PypicloudError: it is not.
        """
        self.access.check(self.principal, action, project)


@frozen
class Addressed:
    """What an upload's address says of it, so that its form need not (pypicloud 1.x).

    :ivar filename: what the file must be called.
    """

    project: NormalizedName
    filename: str

    def complete_file(self, file: FileField) -> FileField:
        """Return the file with what the address says.

        :raises BadRequest: it is called otherwise.
        """
        if file.filename != self.filename:
            raise BadRequest("The file's name is not the one that the address ends in.")
        known = {":action": (_UPLOAD,), "name": (self.project,), **file.before}
        return evolve(file, before=known)

    def complete_form(
        self, form: UploadFields, publication: Publication
    ) -> UploadFields:
        """Return the form likewise."""
        version = str(publication.filename.version) if publication.begun else None
        return evolve(
            form,
            action=_UPLOAD,
            name=form.name or self.project,
            version=form.version or version,
        )


async def receive(
    request: Request,
    acts: Acts,
    *,
    actor: Actor,
    sender: Sender,
    max_upload: int,
    forms: BufferBudget,
    addressed: Addressed | None = None,
) -> tuple[str, ...]:
    """Take a form and do what it asks for; durable when this returns.

    :param acts: what is done with projects, by the forms too.
    :param actor: who was found to send it, and may.
    :param sender: asked as soon as the project is known, before anything is stored.
    :param forms: the memory for the fields of all forms.
    :param addressed: what the address says; None: the form says all.
    :returns: what the sender is to be warned of, in sentences.
    :raises PypicloudError: it was not done, and why.
    """
    # The framework cancels what answers a client that has gone. The body tells us so
    # itself, and what was begun must be cleared away, or be brought to its end.
    _limit(request, max_upload)
    publication = Publication(acts.publisher, actor, request.body.length, max_upload)
    return await shielded(
        _receive(request, sender, publication, acts, FormMemory(forms), addressed),
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


def _limit(request: Request, max_upload: int) -> None:
    """Refuse a form that is too long, and what of it comes beyond that."""
    body, most = request.body, max_upload + FORM_ALLOWANCE
    if body.length is not None and body.length > most:
        raise too_large(max_upload)
    body.limit = most


async def _receive(
    request: Request,
    sender: Sender,
    publication: Publication,
    acts: Acts,
    memory: FormMemory,
    addressed: Addressed | None,
) -> tuple[str, ...]:
    publisher = publication.publisher
    await publisher.manifests.standing.started(publisher.clock)
    content_type = request.getHeader(b"Content-Type") or b""
    try:
        form = await receive_form(
            request.body,
            content_type,
            on_file=partial(_begin, sender, publication, addressed),
            memory=memory,
        )
        if addressed is not None:
            form = addressed.complete_form(form, publication)
        await _act(form, sender, publication, acts)
    finally:
        memory.release()
        await publication.abort()
    return publication.warnings


async def _begin(
    sender: Sender,
    publication: Publication,
    addressed: Addressed | None,
    file: FileField,
) -> Publication | None:
    """Judge the filename and the sender, then make ready to take the bytes.

    The file of another action, as the archive of doc_upload, is dropped unread.
    """
    if addressed is not None:
        file = addressed.complete_file(file)
    if file.before.get(":action", (_UPLOAD,)) != (_UPLOAD,):
        return None
    legacy = publication.publisher.rules.legacy_formats
    name = next(iter(file.before.get("name", ())), "").strip()
    filename = Filename.parse(
        file.filename, legacy=legacy, project=canonicalize_name(name)
    )
    check_upload(sender, filename.project, name)
    imported = any(file.before.get(IMPORTED_FIELD, ()))
    if imported:
        sender.access.check(sender.principal, Action.ADMINISTER, None)
    if not imported and any(file.before.get(ATTESTATIONS_FIELD, ())):
        # Where none can be verified it is said before the file's bytes have come.
        attestations = publication.publisher.attestations
        attestations.signers(filename.project, publication.actor)
    await publication.begin(
        filename, former_metadata(filename, publication.actor.name, file)
    )
    return publication


def check_upload(sender: Sender, project: NormalizedName, name: str) -> None:
    """Return if a file may be uploaded to its project, and to what the form names.

    :param name: as the form has it; empty: it has none, or not yet.
    """
    sender.check(Action.UPLOAD, project)
    # What can be no name is refused: names that are asked for are remembered.
    if name and (said := project_name(name)) != project:
        # It will be refused. Until then it may name what the sender must not hear of.
        sender.check(Action.UPLOAD, said)


async def _act(
    form: UploadFields, sender: Sender, publication: Publication, acts: Acts
) -> None:
    match form.action:
        case action if action == _UPLOAD:
            await _publish(form, sender, publication)
        case "remove_pkg":
            await _remove(form, sender, acts, publication.actor)
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


async def _publish(
    form: UploadFields, sender: Sender, publication: Publication
) -> None:
    if not publication.begun:
        raise BadRequest("The form has no file; it belongs in the field 'content'.")
    if not form.name or not form.version:
        raise BadRequest("The form needs the fields 'name' and 'version'.")
    # Once more: its bytes may have taken hours, and a name behind them is new.
    sender = await sender.again()
    project = publication.filename.project
    check_upload(sender, project, form.name)
    imported = _imported(form)
    if imported is not None:
        sender.access.check(sender.principal, Action.ADMINISTER, None)
    await publication.finish(
        Claims(
            name=form.name,
            version=form.version,
            sha256=form.sha256_digest,
            md5=form.md5_digest,
            blake2b_256=_blake2b_256(form.blake2_256_digest),
        ),
        overwrite=sender.may(Action.OVERWRITE, project),
        attestations=form.attestations,
        screen=sender.screen,
        imported=imported,
    )


def _imported(form: UploadFields) -> Imported | None:
    """Read what another index said of the file; None: it is not from one.

    :raises BadRequest: it cannot be when it was uploaded.
    """
    if form.imported_from is None:
        return None
    uploaded = None
    if form.imported_uploaded is not None:
        uploaded = parse_moment(form.imported_uploaded)
        if uploaded is None:
            raise BadRequest(
                "The field 'imported_uploaded' is a moment, as 2024-05-31T12:00:00Z."
            )
    return Imported.of(
        form.imported_from,
        uploaded,
        form.imported_uploader,
        form.imported_yanked,
    )


def _blake2b_256(sent: str | None) -> str | None:
    """Read a digest that some send too long.

    Python's own ``setup.py upload`` (3.9 to 3.11) sends BLAKE2b's 512 bits under the
    name of the 256; MD5 and SHA-256 come beside it, and are right.
    """
    return sent if sent and len(sent) != _BLAKE2B_512_DIGITS else None


async def _remove(form: UploadFields, sender: Sender, acts: Acts, actor: Actor) -> None:
    if not form.name or not form.version:
        raise BadRequest("remove_pkg needs the fields 'name' and 'version'.")
    project = project_name(form.name)
    sender = await sender.again()
    sender.check(Action.DELETE, project)
    try:
        parse_version(form.version)
    except InvalidVersion:
        raise BadRequest("This is not a valid version.") from None
    await acts.delete(project, Selection(form.version), actor=actor)
