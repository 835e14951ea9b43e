"""S3's refusals as errors of the store, in words that help whoever runs it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pypicloud_tw.errors import StoreError
from pypicloud_tw.store.s3.endpoint import Endpoint
from pypicloud_tw.store.s3.faults import S3Error, S3Fault
from pypicloud_tw.store.s3.objects import ACL, KMS_KEY

#: The permission that each operation of the client needs ("Actions, resources, and
#: condition keys for Amazon S3", Service Authorization Reference).
PERMISSIONS = {
    "head_bucket": "s3:ListBucket",
    "get_bucket": "s3:ListBucket",
    "create_bucket": "s3:CreateBucket",
    # Without leave to list, what is absent is answered 403, too.
    "get_object": "s3:GetObject and s3:ListBucket",
    "head_object": "s3:GetObject and s3:ListBucket",
    "put_object": "s3:PutObject",
    "copy_object": "s3:GetObject and s3:PutObject",
    "delete_object": "s3:DeleteObject",
    "init_multipart_upload": "s3:PutObject",
    "upload_part": "s3:PutObject",
    "upload_part_copy": "s3:GetObject and s3:PutObject",
    "complete_multipart_upload": "s3:PutObject",
    "abort_multipart_upload": "s3:AbortMultipartUpload",
    "list_multipart_uploads": "s3:ListBucketMultipartUploads",
    # For pypicloud doctor alone.
    "get_lifecycle": "s3:GetLifecycleConfiguration",
    "get_versioning": "s3:GetBucketVersioning",
}

_WRONG_KEY = frozenset({"InvalidAccessKeyId", "SignatureDoesNotMatch"})
_EXPIRED = frozenset({"ExpiredToken", "TokenRefreshRequired", "InvalidToken"})

#: S3's word for an object in GLACIER or DEEP_ARCHIVE.
ARCHIVED = "InvalidObjectState"

#: What S3 itself names as missing, which may be another service's.
_needed = re.compile(r"not authorized to perform: ([a-z0-9-]+:[A-Za-z]+)").search


def iam_policy(
    endpoint: Endpoint,
    prefix: str,
    headers: Mapping[str, str] | None = None,
    *,
    create_bucket: bool = False,
) -> str:
    """Write the least that the server must be allowed, as an IAM policy.

    :param headers: what every object is written with; some need a permission.
    """
    headers = headers or {}
    statements = _statements(endpoint, prefix, headers, create_bucket)
    return json.dumps({"Version": "2012-10-17", "Statement": statements}, indent=2)


def policy_line(
    action: str, endpoint: Endpoint, prefix: str, headers: Mapping[str, str]
) -> str:
    """Name what of :func:`iam_policy` allows an action: ``ACTION on RESOURCE``.

    Of an action that is not in there, on the bucket.
    """
    for statement in _statements(endpoint, prefix, headers, create_bucket=True):
        if action in statement["Action"]:
            return f"{action} on {statement['Resource']}"
    return f"{action} on {_bucket_arn(endpoint)}"


def _bucket_arn(endpoint: Endpoint) -> str:
    return f"{_partition(endpoint)}:s3:::{endpoint.bucket}"


def _partition(endpoint: Endpoint) -> str:
    partitions = {"cn-": "aws-cn", "us-gov-": "aws-us-gov"}
    names = (n for start, n in partitions.items() if endpoint.region.startswith(start))
    return f"arn:{next(names, 'aws')}"


def _statements(
    endpoint: Endpoint, prefix: str, headers: Mapping[str, str], create_bucket: bool
) -> list[dict[str, Any]]:
    arn, bucket = _partition(endpoint), _bucket_arn(endpoint)
    statements: list[dict[str, Any]] = [
        {
            "Effect": "Allow",
            "Action": [
                "s3:ListBucket",
                "s3:ListBucketMultipartUploads",
                *(["s3:CreateBucket"] if create_bucket else []),
            ],
            "Resource": bucket,
        },
        {
            "Effect": "Allow",
            "Action": [
                "s3:GetObject",
                "s3:PutObject",
                "s3:DeleteObject",
                "s3:AbortMultipartUpload",
                *(["s3:PutObjectAcl"] if ACL in headers else []),
            ],
            "Resource": f"{bucket}/{prefix}*",
        },
    ]
    if KMS_KEY in headers:
        statements.append(
            {
                "Effect": "Allow",
                # Decrypt also for putting parts together.
                "Action": ["kms:GenerateDataKey", "kms:Decrypt"],
                "Resource": _key_arn(f"{arn}:kms:{endpoint.region}", headers[KMS_KEY]),
            }
        )
    return statements


def _key_arn(service: str, key: str) -> str:
    """Name a KMS key, which may be told as an ARN, an id or an alias."""
    if key.startswith("arn:") and ":key/" in key:
        return key
    # A policy cannot name a key by its alias.
    return f"{service}:*:key/{'*' if 'alias/' in key else key}"


@contextmanager
def explained(endpoint: Endpoint) -> Iterator[None]:
    """Turn the faults of the client into errors of the store."""
    try:
        yield
    except S3Fault as fault:
        raise explain(fault, endpoint) from fault


def named_permission(error: S3Error) -> str | None:
    """Return the permission that S3 itself names as missing; None: it names none."""
    found = _needed(error.message)
    return None if found is None else found[1]


def explain(fault: S3Fault, endpoint: Endpoint) -> StoreError:
    """Say what a fault means and what to do about it."""
    if not isinstance(fault, S3Error):
        return StoreError(str(fault))
    bucket = endpoint.bucket
    if fault.code == "NoSuchBucket":
        text = (
            f"There is no bucket {bucket} there: create it, or set "
            "aws.create_bucket = true, or correct aws.bucket."
        )
    elif fault.code in _WRONG_KEY:
        text = (
            f"S3 does not accept the credentials ({fault.code}): check aws.access_key "
            "and aws.secret_key, or where else they come from."
        )
        if endpoint.server is None:
            text += " Those of China or GovCloud need aws.region."
    elif fault.code in _EXPIRED:
        text = f"The AWS credentials have expired ({fault.code})."
    elif fault.status in (301, 307) and endpoint.server is not None:
        text = (
            f"Bucket {bucket} is in region {fault.region or 'unknown'}, which "
            "aws.endpoint_url does not serve: leave that out, or correct it."
        )
    elif fault.code == ARCHIVED:
        text = (
            f"S3 keeps this object of bucket {bucket} in an archive, where nobody can "
            "read it: restore it, and copy it to another storage class."
        )
    elif fault.status == 403:
        named = named_permission(fault)
        needed = named or PERMISSIONS.get(fault.operation, "more")
        text = (
            f"S3 refuses access to bucket {bucket} ({fault.code or 403}): the "
            f"credentials need the permission {needed}."
        )
    else:
        text = f"S3 failed: {str(fault).removesuffix('.')}."
    return StoreError(text)
