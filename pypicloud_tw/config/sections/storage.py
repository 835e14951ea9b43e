"""What is set of the folder or the bucket."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from pypicloud_tw.config import addresses, values
from pypicloud_tw.config.key import DAY, key, show_url

#: What SigV4 allows (AWS, "Authenticating requests: using query parameters"); seconds.
LONGEST_SIGNATURE = 7 * DAY


@frozen
class StorageSection:
    """The folder that keeps the packages when no bucket does."""

    dir: Path = key(  # noqa: RUF009  a field, and a Path is immutable
        values.path,
        "packages",
        "The folder that keeps the packages, if aws.bucket is not set. A path that is "
        "not absolute begins at this file's folder, or at the working folder where "
        "there is no file.",
    )
    temp_dir: Path | None = key(  # noqa: RUF009  a field, and a Path is immutable
        values.path,
        None,
        "The folder for uploads on their way, for source archives that are looked "
        "into, and for counts of downloads that a bucket does not have yet; the "
        "system's by default.",
    )


@frozen
class AwsSection:
    """The bucket. Times are in seconds, sizes in bytes."""

    # What is ours in one bucket is nobody's in another: upstream is asked for it.
    bucket: str | None = key(
        values.bucket,
        None,
        "The S3 bucket that keeps the packages.",
        empty_is_laxer=True,
    )
    prefix: str = key(
        values.key_prefix,
        "",
        "What every key in the bucket begins with; end it with a slash.",
        empty_is_laxer=True,
    )
    region: str | None = key(
        values.token,
        None,
        "The bucket's region; asked of the bucket if not given, which works outside "
        "China, GovCloud and the other partitions of their own.",
    )
    endpoint_url: str | None = key(
        addresses.service_url,
        None,
        "Where S3 is, if it is not Amazon's: https://host:port",
        show=show_url,
        empty_is_laxer=True,
    )
    # Without them the machine's own role is used, which may be allowed more.
    access_key: str | None = key(
        values.token,
        None,
        "The access key id. Without it, credentials come from the AWS_* variables, "
        "profiles, or the role of the machine or container.",
        secret=True,
        empty_is_laxer=True,
    )
    secret_key: str | None = key(
        values.token, None, "The secret access key.", secret=True, empty_is_laxer=True
    )
    session_token: str | None = key(
        values.token, None, "The session token of temporary credentials.", secret=True
    )
    addressing: str = key(
        values.one_of("auto", "path", "virtual"),
        "auto",
        "Whether the bucket's name goes into the path or the host; auto: path for "
        "endpoints given by address and for names with dots.",
    )
    create_bucket: bool = key(
        values.flag, "false", "Create the bucket at start if there is none."
    )
    link: str = key(
        values.one_of("redirect", "signed", "stream"),
        "redirect",
        "How a file is handed out. redirect: by this server's own lasting address, "
        "which answers with a signed URL; signed: the signed URL stands in the page; "
        "stream: the bytes go through this server.",
    )
    expire_after: int = key(
        values.whole_seconds(1, LONGEST_SIGNATURE),
        "1d",
        "How long a signed URL is valid; at most 7d, which is what S3 allows.",
    )
    buffer_time: int = key(
        values.whole_seconds(0, LONGEST_SIGNATURE),
        "5m",
        "How long before its end a signed URL is no longer handed out.",
    )
    buffer_memory: int = key(
        values.size(5 * 2**20),
        "64MiB",
        "The memory for all parts of uploads on their way to S3.",
    )
    ca_file: Path | None = key(  # noqa: RUF009  a field, and a Path is immutable
        values.path,
        None,
        "A file of certificate authorities to trust for the endpoint.",
        empty_is_laxer=True,
    )
    server_side_encryption: str | None = key(
        values.one_of("AES256", "aws:kms", "aws:kms:dsse"),
        None,
        "How S3 encrypts what is stored.",
        empty_is_laxer=True,
    )
    sse_kms_key_id: str | None = key(
        values.token,
        None,
        "The KMS key for aws:kms; the account's own if not given.",
        empty_is_laxer=True,
    )
    storage_class: str | None = key(
        values.token, None, "The storage class of files, such as STANDARD_IA."
    )
    object_acl: str | None = key(
        values.token,
        None,
        "The canned ACL of files, such as bucket-owner-full-control.",
    )
    checksums: bool = key(
        values.flag,
        "true",
        "Send checksums with what is stored, SHA-256 or, of parts over TLS, CRC-32; "
        "off for servers that refuse them.",
    )
    write_metadata: bool = key(
        values.flag,
        "true",
        "Write name, version and hashes into the files' user metadata, so that "
        "pypicloud 1.x can read the bucket again.",
    )
    connect_timeout: float = key(
        values.seconds(0.1), "10s", "How long a connection to S3 may take."
    )
    first_byte_timeout: float = key(
        values.seconds(0.1), "30s", "How long S3 may take to begin its answer."
    )
    silence_timeout: float = key(
        values.seconds(0.1), "30s", "How long S3 may be silent in the middle of one."
    )
