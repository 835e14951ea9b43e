"""S3's XML, both ways ("Actions", Amazon S3 API reference).

The standard library's parser is used, with document types forbidden: every known attack
on expat by entities, internal or external, begins with one, and S3 never sends any.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import NoReturn
from urllib.parse import unquote_plus
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from attrs import Factory, frozen

from pypicloud_tw.store.s3.checksums import Algorithm
from pypicloud_tw.store.s3.faults import ErrorDocument, S3Unreachable

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


@frozen
class ListedObject:
    """One line of a listing; the ETag has lost its quotes."""

    key: str
    size: int
    etag: str
    modified: datetime


@frozen
class Listing:
    """One page of a listing.

    :ivar prefixes: what ``delimiter`` folded.
    :ivar continuation: asks for the next page; None on the last.
    """

    objects: Sequence[ListedObject]
    prefixes: Sequence[str]
    continuation: str | None


@frozen
class MultipartUpload:
    """A multipart upload under way."""

    key: str
    upload_id: str
    initiated: datetime


@frozen
class UploadListing:
    """One page of the multipart uploads; the markers ask for the next page."""

    uploads: Sequence[MultipartUpload]
    key_marker: str | None
    upload_id_marker: str | None


@frozen
class Part:
    """A part that S3 has: what completing the upload must repeat.

    :ivar checksums: in base 64, by algorithm; none that the server has not told.
    """

    number: int
    etag: str
    checksums: Mapping[Algorithm, str] = Factory(dict)


@frozen
class LifecycleRule:
    """What a bucket does to objects by itself ("LifecycleRule").

    :ivar enabled: whether it does.
    :ivar prefix: of the keys that it is about.
    :ivar narrowed: it is about those with certain tags or sizes alone.
    :ivar expires: after how many days, or when, it deletes objects; empty: never.
    :ivar archived: the storage classes that it moves objects to.
    :ivar noncurrent: whether it deletes old versions.
    :ivar aborts: whether it aborts unfinished uploads.
    """

    name: str
    enabled: bool
    prefix: str
    narrowed: bool = False
    expires: str = ""
    archived: Sequence[str] = ()
    noncurrent: bool = False
    aborts: bool = False


class _Guarded(ElementTree.TreeBuilder):
    def doctype(self, name: str, pubid: str | None, system: str | None) -> NoReturn:
        raise S3Unreachable("S3 sent a document type, which it never does.")


def _parse(data: bytes) -> ElementTree.Element:
    parser = ElementTree.XMLParser(target=_Guarded())  # noqa: S314  # guarded
    try:
        parser.feed(data)
        root = parser.close()
    except ElementTree.ParseError:
        raise S3Unreachable("S3 sent something that is not XML.") from None
    for element in root.iter():
        # Ceph and others omit the namespace, or use another.
        element.tag = element.tag.rpartition("}")[2]
    return root


def _text(element: ElementTree.Element, name: str) -> str:
    return (element.findtext(name) or "").strip()


def in_utc(told: datetime) -> datetime:
    """Take what was told without a zone for UTC, so that it can be compared."""
    return told if told.tzinfo is not None else told.replace(tzinfo=UTC)


def _instant(element: ElementTree.Element, name: str) -> datetime:
    try:
        return in_utc(datetime.fromisoformat(_text(element, name)))
    except ValueError:
        raise S3Unreachable(f"S3 sent a {name} that is no date.") from None


def _size(element: ElementTree.Element) -> int:
    text = _text(element, "Size")
    if not (text.isascii() and text.isdigit()):
        raise S3Unreachable("S3 sent a Size that is no number.")
    return int(text)


def unquote_etag(text: str) -> str:
    """Take the quotes (RFC 9110, section 8.8.3) off an ETag."""
    return text.strip().removeprefix("W/").strip('"')


def parse_error(data: bytes) -> ErrorDocument:
    """Read an error's body; whatever it is, the answer is an ErrorDocument."""
    try:
        root = _parse(data)
    except S3Unreachable:
        return ErrorDocument()
    if root.tag != "Error":
        return ErrorDocument()
    return ErrorDocument(
        _text(root, "Code"),
        _text(root, "Message"),
        _text(root, "RequestId"),
        _text(root, "Region"),
    )


def parse_listing(data: bytes) -> Listing:
    """Read a ListBucketResult (ListObjectsV2).

    :raises S3Unreachable: it is not one.
    """
    root = _expect(data, "ListBucketResult")
    encoded = _text(root, "EncodingType") == "url"
    continuation = _text(root, "NextContinuationToken") or None
    if not _is_truncated(root):
        continuation = None
    elif continuation is None:
        # A server of ListObjects' first version: what is not told is not absent (D5).
        raise S3Unreachable("S3 broke a listing off without telling how to go on.")

    def key(element: ElementTree.Element, name: str) -> str:
        # Not stripped: a key may end in a space.
        text = element.findtext(name) or ""
        return unquote_plus(text) if encoded else text

    return Listing(
        [
            ListedObject(
                key(found, "Key"),
                _size(found),
                unquote_etag(_text(found, "ETag")),
                _instant(found, "LastModified"),
            )
            for found in root.iter("Contents")
        ],
        [key(found, "Prefix") for found in root.iter("CommonPrefixes")],
        continuation,
    )


def _is_truncated(listing: ElementTree.Element) -> bool:
    return _text(listing, "IsTruncated").lower() == "true"


def parse_upload_id(data: bytes) -> str:
    """Read an InitiateMultipartUploadResult.

    :raises S3Unreachable: it is not one.
    """
    upload_id = _text(_expect(data, "InitiateMultipartUploadResult"), "UploadId")
    if not upload_id:
        raise S3Unreachable("S3 began a multipart upload without an id.")
    return upload_id


def parse_completed(data: bytes) -> str | ErrorDocument:
    """Read the answer to CompleteMultipartUpload: the ETag, or the error.

    S3 begins to answer 200 before it knows ("CompleteMultipartUpload"), so an error may
    hide in the body, and white space precede it. Ceph sends an empty ETag.

    :raises S3Unreachable: it is neither.
    """
    root = _parse(data.lstrip())
    if root.tag == "Error":
        return parse_error(data.lstrip())
    if root.tag != "CompleteMultipartUploadResult":
        raise S3Unreachable(f"S3 sent {root.tag!r} for a completed upload.")
    return unquote_etag(_text(root, "ETag"))


def parse_copied(data: bytes) -> str:
    """Read a CopyObjectResult or a CopyPartResult: the copy's ETag.

    :raises S3Unreachable: it is neither.
    """
    part = b"CopyPartResult" in data
    root = _expect(data.lstrip(), "CopyPartResult" if part else "CopyObjectResult")
    return unquote_etag(_text(root, "ETag"))


def parse_uploads(data: bytes) -> UploadListing:
    """Read a ListMultipartUploadsResult.

    :raises S3Unreachable: it is not one.
    """
    root = _expect(data, "ListMultipartUploadsResult")
    encoded = _text(root, "EncodingType") == "url"

    def key(element: ElementTree.Element, name: str) -> str:
        text = element.findtext(name) or ""
        return unquote_plus(text) if encoded else text

    more = _is_truncated(root)
    return UploadListing(
        [
            MultipartUpload(
                key(found, "Key"),
                _text(found, "UploadId"),
                _instant(found, "Initiated"),
            )
            for found in root.iter("Upload")
        ],
        key(root, "NextKeyMarker") if more else None,
        _text(root, "NextUploadIdMarker") if more else None,
    )


def parse_lifecycle(data: bytes) -> list[LifecycleRule]:
    """Read the rules of a bucket (GetBucketLifecycleConfiguration)."""
    rules = _expect(data, "LifecycleConfiguration").findall("Rule")
    return [_lifecycle_rule(rule) for rule in rules]


def _lifecycle_rule(rule: ElementTree.Element) -> LifecycleRule:
    within = [rule, *rule.findall("Filter"), *rule.findall("Filter/And")]
    prefixes = [text for one in within if (text := one.findtext("Prefix"))]
    conditions = {"Tag", "ObjectSizeGreaterThan", "ObjectSizeLessThan"}
    days, date = (rule.findtext(f"Expiration/{name}") for name in ("Days", "Date"))
    return LifecycleRule(
        _text(rule, "ID"),
        _text(rule, "Status") == "Enabled",
        "".join(prefixes[:1]),
        narrowed=any(child.tag in conditions for one in within for child in one),
        expires=f"after {days} days" if days else f"on {date}" if date else "",
        archived=[_text(one, "StorageClass") for one in rule.findall("Transition")],
        noncurrent=rule.find("NoncurrentVersionExpiration") is not None,
        aborts=rule.find("AbortIncompleteMultipartUpload") is not None,
    )


def parse_versioning(data: bytes) -> str:
    """Read ``Enabled`` or ``Suspended``; empty: it never was (GetBucketVersioning)."""
    return _text(_expect(data, "VersioningConfiguration"), "Status")


def _expect(data: bytes, tag: str) -> ElementTree.Element:
    root = _parse(data)
    if root.tag != tag:
        raise S3Unreachable(f"S3 sent {root.tag!r} where {tag} was due.")
    return root


def write_completion(parts: Iterable[Part]) -> bytes:
    """Write the body of CompleteMultipartUpload."""
    return _document("CompleteMultipartUpload", _parts(parts))


def _parts(parts: Iterable[Part]) -> Iterator[str]:
    for part in parts:
        checksum = "".join(
            f"<Checksum{algorithm}>{escape(told)}</Checksum{algorithm}>"
            for algorithm, told in part.checksums.items()
        )
        etag = escape(f'"{part.etag}"')
        yield (
            f"<Part><PartNumber>{part.number}</PartNumber><ETag>{etag}</ETag>"
            f"{checksum}</Part>"
        )


def write_location(region: str) -> bytes:
    """Write the body of CreateBucket."""
    return _document(
        "CreateBucketConfiguration",
        [f"<LocationConstraint>{escape(region)}</LocationConstraint>"],
    )


def _document(tag: str, lines: Iterable[str]) -> bytes:
    return f'<{tag} xmlns="{NAMESPACE}">{"".join(lines)}</{tag}>'.encode()
