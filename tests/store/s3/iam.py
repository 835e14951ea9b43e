"""An S3 in memory that lets nobody do more than an IAM policy says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from attrs import define, field, frozen

from tests.store.s3.doubles import FakeS3, Problem, Request

#: What each operation needs of the bucket, or of the object, and of the one that is
#: copied ("Required permissions for Amazon S3 API operations", Amazon S3 User Guide).
OF_BUCKET = {
    "HeadBucket": "s3:ListBucket",
    "ListObjects": "s3:ListBucket",
    "CreateBucket": "s3:CreateBucket",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    # Those that nothing but pypicloud doctor asks for.
    "GetBucketLifecycle": "s3:GetLifecycleConfiguration",
    "GetBucketVersioning": "s3:GetBucketVersioning",
}
OF_OBJECT = {
    "GetObject": "s3:GetObject",
    "HeadObject": "s3:GetObject",
    "PutObject": "s3:PutObject",
    "CopyObject": "s3:PutObject",
    "DeleteObject": "s3:DeleteObject",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "UploadPartCopy": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "AbortMultipartUpload": "s3:AbortMultipartUpload",
}
OF_SOURCE = "s3:GetObject"

#: Fields that need more, of whichever operation writes. Who may not read what is there
#: may not ask for it to be the same ("Enforce conditional writes").
OF_FIELDS = {
    "x-amz-acl": "s3:PutObjectAcl",
    "x-amz-tagging": "s3:PutObjectTagging",
    "if-match": "s3:GetObject",
}

#: What operations need of the key that encrypts the bucket ("Multipart upload API and
#: permissions": S3 decrypts the parts to put them together).
OF_KEY = {
    "GetObject": {"kms:Decrypt"},
    "PutObject": {"kms:GenerateDataKey"},
    "CopyObject": {"kms:GenerateDataKey", "kms:Decrypt"},
    "CreateMultipartUpload": {"kms:GenerateDataKey"},
    "UploadPart": {"kms:GenerateDataKey", "kms:Decrypt"},
    "UploadPartCopy": {"kms:GenerateDataKey", "kms:Decrypt"},
    "CompleteMultipartUpload": {"kms:Decrypt"},
}


@frozen
class Need:
    """One permission that a request needs."""

    action: str
    resource: str


def needs(
    bucket: str, operation: str, key: str, headers: Mapping[str, str]
) -> Iterator[Need]:
    """Say what a request needs."""
    arn = f"arn:aws:s3:::{bucket}"
    if operation in OF_BUCKET:
        yield Need(OF_BUCKET[operation], arn)
        return
    yield Need(OF_OBJECT[operation], f"{arn}/{key}")
    yield from (
        Need(more, f"{arn}/{key}")
        for name, more in OF_FIELDS.items()
        if name in headers
    )
    if "x-amz-copy-source" in headers:
        yield Need(
            OF_SOURCE, f"arn:aws:s3:::{unquote(headers['x-amz-copy-source'])[1:]}"
        )


def many(value: str | Sequence[str]) -> list[str]:
    """Give a list, where a policy may have one thing or several."""
    return [value] if isinstance(value, str) else list(value)


def allows(policy: Mapping[str, Any], need: Need) -> bool:
    """Whether a policy of plain Allow statements has a permission."""
    for statement in policy["Statement"]:
        assert set(statement) == {"Effect", "Action", "Resource"}
        assert statement["Effect"] == "Allow"
        resources = many(statement["Resource"])
        if need.action in many(statement["Action"]) and any(
            # Of fnmatch's marks a policy does not know brackets.
            fnmatchcase(need.resource, text.replace("[", "[[]"))
            for text in resources
        ):
            return True
    return False


@define(eq=False)
class PolicedS3(FakeS3):
    """A bucket whose owner has given us a policy.

    :ivar policy: the policy; None: everything is allowed.
    :ivar kms_key: the ARN of the key that encrypts whatever is written.
    :ivar used: the permissions that were needed and there.
    :ivar denied: those that were needed and not there.
    """

    policy: Mapping[str, Any] | None = None
    kms_key: str | None = None
    used: set[Need] = field(factory=set)
    denied: list[Need] = field(factory=list)

    def answer(self, request: Request) -> tuple[int, dict[str, str], bytes]:
        query = parse_qsl(urlsplit(request.uri.decode()).query, keep_blank_values=True)
        operation, key = self.operation(request, dict(query))
        headers = {
            name.decode().lower(): values[0].decode()
            for name, values in request.requestHeaders.getAllRawHeaders()
        }
        for need in needs(self.bucket or "bucket", operation, key, headers):
            self.demand(need)
        if self.kms_key is not None:
            for action in sorted(OF_KEY.get(operation, ())):
                self.demand(Need(action, self.kms_key))
        return super().answer(request)

    def demand(self, need: Need) -> None:
        if self.policy is not None and not allows(self.policy, need):
            self.denied.append(need)
            raise Problem(403, "AccessDenied")
        self.used.add(need)

    def find(self, key: str) -> Any:
        """Who may not list is not told that something is absent ("GetObject")."""
        if key not in self.objects:
            self.demand(Need("s3:ListBucket", f"arn:aws:s3:::{self.bucket}"))
        return super().find(key)
