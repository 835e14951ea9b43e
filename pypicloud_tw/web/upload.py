"""A form as twine, uv and distutils send it -> a value; its file streams elsewhere.

The form is multipart/form-data (RFC 7578), parsed as it arrives: what is in memory is
its fields, as far as they are wanted and within bounds, and never its file. Fields come
in any order; those after the file matter too (a digest may follow what it is of).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol
from urllib.parse import parse_qsl, unquote_to_bytes

from attrs import Factory, define, field, frozen
from multipart import (
    MultipartError,
    MultipartSegment,
    ParserLimitReached,
    PushMultipartParser,
)

from pypicloud_tw.concurrency.budget import BufferBudget
from pypicloud_tw.errors import BadRequest, PayloadTooLarge, Unavailable
from pypicloud_tw.index.attestations.question import MAX_ATTESTATIONS

#: The one field whose file is kept; a ``gpg_signature``'s is read and forgotten.
FILE_FIELD = "content"

#: The one field that may be long and is kept (PEP 740).
ATTESTATIONS_FIELD = "attestations"

#: Fields in a form. The largest known, boto3-stubs, has 1,363: a factor of 9.
MAX_FIELDS = 12_000

#: Bytes of all fields together, names and values. They are the core metadata, of which
#: the largest known has 232,823 (mujoco): a factor of 45.
MAX_FIELD_BYTES = 10 * 2**20

#: Bytes of a form that is not multipart, as old clients send it without a file, and of
#: the fields that are kept of any. They are short: 1 kB is much, a factor of 128.
MAX_URLENCODED = MAX_KEPT = 128 * 1024

#: Bytes that the kept fields of all forms may have together; one form's are about 1 kB,
#: with attestations 20.
FORM_MEMORY = 64 * 2**20

#: What a value takes of memory beside its bytes: thousands may be empty.
_VALUE = 128

#: Of every file system (NAME_MAX).
_MAX_FILENAME = 255

_BOUNDARY = re.compile(r';\s*boundary\s*=\s*(?:"([^"]+)"|([^;]+))', re.IGNORECASE)
_EXTENDED_FILENAME = re.compile(
    r";\s*filename\*\s*=\s*(utf-8|iso-8859-1)'[^']*'([^;\s]+)", re.IGNORECASE
)
_NO_FILENAME = re.compile(r"[\x00-\x1f\x7f/\\]")

#: Says from which index a file is imported; only then the others count that begin so.
IMPORTED_FIELD = "imported_from"

#: The fields of :class:`UploadFields`.
KNOWN_FIELDS = frozenset(
    {
        ":action",
        "name",
        "version",
        "filetype",
        "pyversion",
        "metadata_version",
        "md5_digest",
        "sha256_digest",
        "blake2_256_digest",
        "requires_python",
        "summary",
        "attestations",
        IMPORTED_FIELD,
        "imported_uploaded",
        "imported_uploader",
        "imported_yanked",
    }
)

#: What distutils sends for what it does not know.
_UNKNOWN = "UNKNOWN"


class FormBody(Protocol):
    """Where the form comes from: a request's body."""

    async def read(self) -> bytes:
        """Wait for more bytes; none at the end."""


class FileSink(Protocol):
    """Where the form's file goes."""

    async def write(self, data: bytes) -> None:
        """Take more bytes; returns when the sender may go on."""


@frozen
class FileField:
    """The file of a form, before its bytes.

    :ivar filename: as the sender names it: one name, not a path; else unchecked.
    :ivar before: the fields that came before it.
    """

    filename: str
    before: Mapping[str, tuple[str, ...]] = Factory(dict)


#: Asked for a place for the file's bytes; None drops them.
OnFile = Callable[[FileField], Awaitable[FileSink | None]]


@frozen
class UploadFields:
    """What an upload form says beside its file. What it leaves empty is None.

    Names are those of the form (Warehouse, "Upload API").

    :ivar action: the field ``:action``.
    :ivar sha256_digest: lower-case hexadecimal, as are the other digests.
    :ivar attestations: what is attested of the file: JSON (PEP 740).
    :ivar imported_from: the index that it is imported from; what follows is said there.
    :ivar imported_yanked: may be empty.
    :ivar fields: every field that was kept, with all its values in order.
    """

    action: str | None = None
    name: str | None = None
    version: str | None = None
    filetype: str | None = None
    pyversion: str | None = None
    metadata_version: str | None = None
    md5_digest: str | None = None
    sha256_digest: str | None = None
    blake2_256_digest: str | None = None
    requires_python: str | None = None
    summary: str | None = None
    attestations: str | None = None
    imported_from: str | None = None
    imported_uploaded: str | None = None
    imported_uploader: str | None = None
    imported_yanked: str | None = None
    fields: Mapping[str, tuple[str, ...]] = Factory(dict)

    @classmethod
    def of(cls, fields: Mapping[str, tuple[str, ...]]) -> UploadFields:
        """Find the known fields among all.

        :raises BadRequest: a field that has one value was given several.
        """
        return cls(
            action=_one(fields, ":action"),
            name=_one(fields, "name"),
            version=_one(fields, "version"),
            filetype=_one(fields, "filetype"),
            pyversion=_one(fields, "pyversion"),
            metadata_version=_one(fields, "metadata_version"),
            md5_digest=_lower(_one(fields, "md5_digest")),
            sha256_digest=_lower(_one(fields, "sha256_digest")),
            blake2_256_digest=_lower(_one(fields, "blake2_256_digest")),
            requires_python=_known(_one(fields, "requires_python")),
            summary=_known(_one(fields, "summary")),
            attestations=_one(fields, ATTESTATIONS_FIELD),
            imported_from=_one(fields, IMPORTED_FIELD),
            imported_uploaded=_one(fields, "imported_uploaded"),
            imported_uploader=_one(fields, "imported_uploader"),
            imported_yanked=next(iter(fields.get("imported_yanked", ())), None),
            fields=fields,
        )


@define(eq=False)
class FormMemory:
    """What one form takes of the memory that all have together.

    :ivar names: of the fields that are kept; others are dropped as they come.
    """

    _budget: BufferBudget
    names: frozenset[str] = KNOWN_FIELDS
    _taken: int = field(default=0, init=False)
    _attested: int = field(default=0, init=False)

    def take(self, size: int, name: str = "") -> None:
        """Keep so many bytes more.

        :param name: of the field that they are of, where it is one.
        :raises PayloadTooLarge: that is too much for one form.
        :raises Unavailable: other forms have all of it now.
        """
        attested = name == ATTESTATIONS_FIELD
        if attested and self._attested + size > MAX_ATTESTATIONS:
            raise PayloadTooLarge(
                f"The attestations are longer than {MAX_ATTESTATIONS} bytes together."
            )
        if not attested and self._taken + size > MAX_KEPT:
            raise PayloadTooLarge(
                f"The form's fields of one value, as name, version and summary, are "
                f"longer than {MAX_KEPT} bytes together."
            )
        if not self._budget.take(size):
            raise Unavailable("Too many uploads at this moment; try again.")
        if attested:
            self._attested += size
        else:
            self._taken += size

    def release(self) -> None:
        """Return all of it to the budget; harmless when repeated."""
        taken = self._taken + self._attested
        self._taken = self._attested = 0
        self._budget.release(taken)


async def receive_form(
    body: FormBody,
    content_type: bytes,
    *,
    on_file: OnFile,
    memory: FormMemory | None = None,
    several: bool = False,
) -> UploadFields:
    """Read a form to its end.

    :param content_type: of the request; it names the boundary.
    :param on_file: called when the file begins, at most once unless there may be
        several. What it raises ends the reading, as does what its sink raises.
    :param memory: chooses and counts what is kept of the fields; to be released by the
        caller. None keeps every field.
    :param several: there may be several files, one after the other; where a browser
        has none, it sends one without a name, which is ignored.
    :raises BadRequest: it is not a form, or not a well-formed one; or its file has no
        usable name.
    :raises PayloadTooLarge: its fields are too long or too many.
    :raises Unavailable: there is no memory for more forms now.
    """
    text = content_type.decode("latin-1")
    kind = text.partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded":
        fields = _urlencoded(await _bounded(body, memory))
        return UploadFields.of(_chosen(fields, memory))
    boundary = _BOUNDARY.search(text)
    if kind != "multipart/form-data" or boundary is None:
        raise BadRequest(
            "An upload is a form: the Content-Type is multipart/form-data with a "
            "boundary."
        )
    try:
        form = _MultipartForm(
            (boundary[1] or boundary[2].strip()), on_file, memory, several
        )
        while data := await body.read():
            await form.take(data)
        form.parser.close()
    except ParserLimitReached as e:
        raise PayloadTooLarge(
            f"The form has more than {MAX_FIELDS} fields, or one with a long head."
        ) from e
    except MultipartError as e:
        raise BadRequest(
            "The form is not well-formed multipart/form-data, or it is not whole."
        ) from e
    return UploadFields.of(form.result())


@define(eq=False)
class _MultipartForm:
    """A multipart form on its way in."""

    boundary: str
    on_file: OnFile
    memory: FormMemory | None
    several: bool = False
    parser: PushMultipartParser = field(init=False)
    _fields: dict[str, list[str]] = field(factory=dict, init=False)
    _size: int = field(default=0, init=False)
    _has_file: bool = field(default=False, init=False)
    _name: str = field(default="", init=False)
    _is_text: bool = field(default=False, init=False)
    _value: bytearray | None = field(default=None, init=False)
    _sink: FileSink | None = field(default=None, init=False)

    @parser.default
    def _make_parser(self) -> PushMultipartParser:
        # strict would refuse distutils' form, which begins with an empty line.
        return PushMultipartParser(
            self.boundary.encode("latin-1"),
            max_segment_count=MAX_FIELDS,
            strict=False,
        )

    async def take(self, data: bytes) -> None:
        """Parse more bytes, and pass on those of the file."""
        for event in self.parser.parse(data):
            if event is None:
                self._end_part()
            elif isinstance(event, MultipartSegment):
                await self._begin_part(event)
            elif self._sink is not None:
                await self._sink.write(event)
            elif self._is_text:
                self._count(len(event))
                if self._value is not None:
                    self._reserve(len(event))
                    self._value += event

    def result(self) -> dict[str, tuple[str, ...]]:
        """Return the fields so far."""
        return {name: tuple(values) for name, values in self._fields.items()}

    async def _begin_part(self, part: MultipartSegment) -> None:
        self._name = part.name
        self._count(len(part.name))
        filename = _filename(part)
        if part.name == FILE_FIELD and self.several and filename == "":
            return
        if part.name == FILE_FIELD:
            if self._has_file and not self.several:
                raise BadRequest("The form has two files in the field 'content'.")
            self._has_file = True
            checked = _check_filename(filename)
            self._sink = await self.on_file(FileField(checked, self.result()))
        elif filename is None:
            self._is_text = True
            if self._is_kept():
                self._reserve(_VALUE)
                self._value = bytearray()

    def _is_kept(self) -> bool:
        return self.memory is None or self._name in self.memory.names

    def _reserve(self, size: int) -> None:
        if self.memory is not None:
            self.memory.take(size, self._name)

    def _end_part(self) -> None:
        value, self._value, self._sink = self._value, None, None
        self._is_text = False
        if value is not None:
            self._fields.setdefault(self._name, []).append(_text(value))

    def _count(self, size: int) -> None:
        self._size += size
        if self._size > MAX_FIELD_BYTES:
            raise PayloadTooLarge(
                f"The form's fields are longer than {MAX_FIELD_BYTES} bytes together."
            )


def _filename(part: MultipartSegment) -> str | None:
    """Find the filename, also in the form for other alphabets (RFC 5987)."""
    for name, value in part.headerlist:
        if name == "Content-Disposition":
            extended = _EXTENDED_FILENAME.search(value)
            if extended is not None:
                return unquote_to_bytes(extended[2]).decode(extended[1], "replace")
    filename: str | None = part.filename
    return filename


def _check_filename(filename: str | None) -> str:
    if filename is None:
        raise BadRequest("The form's field 'content' is not a file.")
    if not filename or len(filename) > _MAX_FILENAME or _NO_FILENAME.search(filename):
        raise BadRequest(
            "The file's name is not one name: it is empty, too long or a path."
        )
    return filename


def _chosen(
    fields: dict[str, tuple[str, ...]], memory: FormMemory | None
) -> dict[str, tuple[str, ...]]:
    if memory is None:
        return fields
    return {name: fields[name] for name in fields.keys() & memory.names}


async def _bounded(body: FormBody, memory: FormMemory | None) -> bytes:
    """Read a short form whole."""
    pieces = bytearray()
    while data := await body.read():
        if memory is not None:
            memory.take(len(data))
        pieces += data
        if len(pieces) > MAX_URLENCODED:
            raise PayloadTooLarge(
                "A form of this length is sent as multipart/form-data."
            )
    return bytes(pieces)


def _text(value: bytes | bytearray) -> str:
    """Read a field's value; a README in Latin-1, say, is no reason to refuse a file.

    What is used of a form is compared with what its file says.
    """
    return value.decode(errors="replace")


def _urlencoded(data: bytes) -> dict[str, tuple[str, ...]]:
    try:
        pairs = parse_qsl(
            _text(data), keep_blank_values=True, max_num_fields=MAX_FIELDS
        )
    except ValueError:
        raise PayloadTooLarge(f"The form has more than {MAX_FIELDS} fields.") from None
    fields: dict[str, list[str]] = {}
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return {name: tuple(values) for name, values in fields.items()}


def _one(fields: Mapping[str, tuple[str, ...]], name: str) -> str | None:
    """Take the only value of a field; the same value repeated is one."""
    values = {value.strip() for value in fields.get(name, ())}
    if len(values) > 1:
        raise BadRequest(f"The form's field '{name}' has two different values.")
    return next(iter(values), None) or None


def _known(value: str | None) -> str | None:
    return None if value == _UNKNOWN else value


def _lower(value: str | None) -> str | None:
    return None if value is None else value.lower()
