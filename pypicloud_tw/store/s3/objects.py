"""What header fields tell of an object, and what they are told."""

from __future__ import annotations

from collections.abc import Mapping
from email.errors import HeaderParseError
from email.header import Header, decode_header, make_header
from email.utils import parsedate_to_datetime

from attrs import field, frozen

from pypicloud_tw.config.sections.storage import AwsSection
from pypicloud_tw.errors import StoreError
from pypicloud_tw.store.interfaces import ObjectInfo
from pypicloud_tw.store.s3.xml import in_utc, unquote_etag

#: All names and values of an object's user metadata together, in bytes ("Working with
#: object metadata", Amazon S3 User Guide).
MAX_METADATA = 2048

_META = "x-amz-meta-"

ENCRYPTION = "x-amz-server-side-encryption"
KMS_KEY = "x-amz-server-side-encryption-aws-kms-key-id"
ACL = "x-amz-acl"


@frozen
class ObjectHeaders:
    """Header fields that objects get by configuration.

    :ivar files: for distribution files: manifests are small, change and must be read
        at once, which the cheaper storage classes are not for.
    :ivar write_metadata: whether user metadata is written at all.
    """

    files: Mapping[str, str] = field(factory=dict)
    write_metadata: bool = True

    @classmethod
    def of(cls, aws: AwsSection) -> ObjectHeaders:
        """Read the configuration."""
        files = {"x-amz-storage-class": aws.storage_class}
        return cls(_given(files), aws.write_metadata)

    def small(
        self, content_type: str, metadata: Mapping[str, str] | None
    ) -> dict[str, str]:
        """Return the fields of a small object."""
        told = metadata_headers(metadata or {}) if self.write_metadata else {}
        return {"content-type": content_type, **told}

    def file(
        self, filename: str, content_type: str, metadata: Mapping[str, str] | None
    ) -> dict[str, str]:
        """Return the fields of a distribution file."""
        fields = {**self.small(content_type, metadata), **self.files}
        if filename.isascii() and filename.isprintable() and '"' not in filename:
            # For what a person downloads from the bucket itself.
            fields["content-disposition"] = f'attachment; filename="{filename}"'
        return fields


def common_headers(aws: AwsSection) -> dict[str, str]:
    """Return the fields of every object: bucket policies demand them."""
    return _given(
        {
            ENCRYPTION: aws.server_side_encryption,
            KMS_KEY: aws.sse_kms_key_id,
            ACL: aws.object_acl,
        }
    )


def _given(fields: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in fields.items() if value}


def metadata_headers(metadata: Mapping[str, str]) -> dict[str, str]:
    """Write user metadata, as much as S3 takes, in the order given.

    Values that are not ASCII are encoded as RFC 2047 has it, which is how S3 gives them
    back; pypicloud 1.x wrote ASCII only, and reads it.
    """
    headers: dict[str, str] = {}
    room = MAX_METADATA
    for name, value in metadata.items():
        line = " ".join(value.split())
        text = line if line.isascii() else Header(line, "utf-8", 10**9).encode()
        room -= len(name) + len(text)
        if room >= 0 and text.isprintable():
            headers[_META + name.lower()] = text
    return headers


def kept_headers(told: Mapping[str, str]) -> dict[str, str]:
    """Choose of an object's header fields those that a copy of it is to have."""
    kept = ("content-type", "content-disposition", "x-amz-storage-class")
    return {n: v for n, v in told.items() if n in kept or n.startswith(_META)}


def object_info(key: str, headers: Mapping[str, str]) -> ObjectInfo:
    """Read the fields of an answer to GET or HEAD.

    :raises StoreError: they do not tell what S3 always tells.
    """
    try:
        modified = in_utc(parsedate_to_datetime(headers["last-modified"]))
        return ObjectInfo(
            key,
            _size(headers),
            unquote_etag(headers["etag"]),
            modified,
            {
                name.removeprefix(_META): _decode(value)
                for name, value in headers.items()
                if name.startswith(_META)
            },
        )
    except (KeyError, ValueError):
        raise StoreError("S3 told of an object without saying what it is.") from None


def _size(headers: Mapping[str, str]) -> int:
    """The length of the whole, also where only a range of it was asked for."""
    whole = headers.get("content-range", "").rpartition("/")[2]
    size = int(whole or headers["content-length"])
    if size < 0:
        raise ValueError(size)
    return size


def _decode(value: str) -> str:
    if "=?" not in value:
        return value
    try:
        return str(make_header(decode_header(value)))
    except (HeaderParseError, LookupError, UnicodeError):
        return value
