"""An S3 in memory that fails on demand, and a client that speaks to it.

A plain leaf resource rather than a Klein app: Werkzeug's routing would merge the
slashes of keys like ``a//b``, and S3 does not. Signatures are verified with botocore's
own canonicalisation of the request as it arrived.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from email.utils import format_datetime
from hashlib import md5, sha256
from typing import Any, TypeVar
from urllib.parse import parse_qsl, quote, unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape
from zlib import crc32

from attrs import define, field, frozen
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.test import iosim
from twisted.web.client import Agent
from twisted.web.iweb import IAgent, IAgentEndpointFactory
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site
from zope.interface import implementer

from pypicloud_tw.store.s3.client import S3Client
from pypicloud_tw.store.s3.credentials import FixedCredentials
from pypicloud_tw.store.s3.endpoint import Endpoint
from pypicloud_tw.store.s3.request import S3Requester
from pypicloud_tw.store.s3.sender import S3Sender
from pypicloud_tw.store.s3.sigv4 import AWSCredentials
from pypicloud_tw.store.s3.timeouts import Timeouts

T = TypeVar("T")

#: twisted.web.http.Request, most of whose methods have no types.
Request = Any

CREDENTIALS = AWSCredentials("AKIDEXAMPLE", "s3cr3t/key+", None)

#: What S3 can compare bytes with, by the names of ``x-amz-checksum-algorithm``.
CHECKSUMS: dict[str, Callable[[bytes], bytes]] = {
    "SHA256": lambda data: sha256(data).digest(),
    "CRC32": lambda data: crc32(data).to_bytes(4, "big"),
}
EPOCH = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()


@frozen
class Refuse:
    """Answer with an error and do nothing."""

    status: int
    code: str = ""
    headers: dict[str, str] = field(factory=dict)
    body: bytes | None = None


@frozen
class Drop:
    """Close the connection instead of answering; *done*: after doing what was asked."""

    done: bool = False


@frozen
class Truncate:
    """Do it, and close the connection after half of the answer's body."""


@frozen
class Stall:
    """Never answer."""


Fault = Refuse | Drop | Truncate | Stall


@frozen
class Stored:
    """An object."""

    data: bytes
    etag: str
    headers: dict[str, str]
    modified: float


@define
class Upload:
    """A multipart upload."""

    key: str
    headers: dict[str, str]
    parts: dict[int, bytes] = field(factory=dict)


class Problem(Exception):  # an answer, not a fault of ours
    """What the fake answers with instead."""

    def __init__(self, status: int, code: str, **headers: str) -> None:
        super().__init__(status, code)
        self.status, self.code = status, code
        self.headers = {n.replace("_", "-"): v for n, v in headers.items()}


@define(eq=False)
class FakeS3:
    """S3's behaviour, and the switches that change it.

    :ivar faults: (what the request must match, what happens to it), used up in order;
        an operation is named as in S3's own documents: ``PutObject``.
    :ivar seen: the operations that were asked for, in order.
    :ivar conditions: ``quoted`` and ``unquoted`` want the ETag so; ``ignored``,
        ``refused`` (501) and ``racy`` (simultaneous writers all win) are broken.
        ``ceph`` is ``unquoted``, and tells those who lost a race for If-Match only
        that something went wrong, as RGW 16 does; whoever reads ends the race.
    :ivar checksums: know of checksums as Amazon's S3 does; False ignores their header
        fields and refuses a completion that has any, as Swift does.
    :ivar ordered: list by bytes; False puts ``a/b`` before ``a-``, as SeaweedFS does.
    :ivar forbidden: operations that end in 403.
    :ivar lifecycle: the rules of the bucket, as XML; None: it has none.
    :ivar public: operations that anybody may do, without a signature.
    """

    now: Callable[[], float]
    bucket: str | None = "bucket"
    region: str = "us-east-1"
    credentials: AWSCredentials = CREDENTIALS
    objects: dict[str, Stored] = field(factory=dict)
    before: dict[str, tuple[float, Stored | None]] = field(factory=dict)
    replaced: tuple[float, set[tuple[str, str]]] = field(factory=lambda: (-1.0, set()))
    uploads: dict[str, Upload] = field(factory=dict)
    faults: list[tuple[str, Fault]] = field(factory=list)
    seen: list[str] = field(factory=list)
    paths: list[str] = field(factory=list)
    sent: list[dict[str, str]] = field(factory=list)
    conditions: str = "quoted"
    checksums: bool = True
    ordered: bool = True
    forbidden: set[str] = field(factory=set)
    lifecycle: str | None = None
    versioning: str = ""
    public: set[str] = field(factory=set)
    page: int = 1000
    empty_errors: bool = False
    keep_alive: bytes = b""
    empty_etag: bool = False
    clock_offset: float = 0.0
    stalled: list[Request] = field(factory=list)

    # -- faults --

    def fail(self, operation: str, *faults: Fault) -> None:
        """Let the next requests for *operation* (``*``: any) end so."""
        self.faults += [(operation, fault) for fault in faults]

    def fault_for(self, operation: str) -> Fault | None:
        """Use up the first fault, if it is meant for *operation*."""
        for index, (wanted, fault) in enumerate(self.faults):
            if wanted in ("*", operation):
                del self.faults[index]
                return fault
        return None

    # -- what S3 does --

    def answer(self, request: Request) -> tuple[int, dict[str, str], bytes]:
        """Carry out a request that may be carried out."""
        query = dict(
            parse_qsl(urlsplit(request.uri.decode()).query, keep_blank_values=True)
        )
        operation, key = self.operation(request, query)
        if operation in self.forbidden:
            raise Problem(403, "AccessDenied")
        headers = {
            name.decode().lower(): values[0].decode()
            for name, values in request.requestHeaders.getAllRawHeaders()
        }
        self.sent.append(headers)
        if self.bucket is None and operation != "CreateBucket":
            raise Problem(404, "NoSuchBucket")
        body: bytes = request.content.read()
        self.check_digests(headers, body)
        handler: Any = getattr(self, operation)
        result: tuple[int, dict[str, str], bytes] = handler(key, query, headers, body)
        return result

    def operation(self, request: Request, query: dict[str, str]) -> tuple[str, str]:
        """Name what is asked for, and the key."""
        path = unquote(request.uri.decode().partition("?")[0])
        _, _, rest = path.partition("/")
        bucket, slash, key = rest.partition("/")
        method = request.method.decode()
        if self.bucket is not None and bucket != self.bucket:
            raise Problem(404, "NoSuchBucket")
        if not key and not slash:
            if "uploads" in query:
                return "ListMultipartUploads", ""
            for setting in ("lifecycle", "versioning"):
                if setting in query:
                    return f"GetBucket{setting.title()}", ""
            names = {"HEAD": "HeadBucket", "PUT": "CreateBucket", "GET": "ListObjects"}
            return names[method], ""
        if "uploads" in query:
            return "CreateMultipartUpload", key
        copied = request.requestHeaders.hasHeader("x-amz-copy-source")
        if "partNumber" in query:
            return "UploadPartCopy" if copied else "UploadPart", key
        if "uploadId" in query:
            names = {"POST": "CompleteMultipartUpload"}
            return names.get(method, "AbortMultipartUpload"), key
        if copied:
            return "CopyObject", key
        return {
            "GET": "GetObject",
            "HEAD": "HeadObject",
            "PUT": "PutObject",
            "DELETE": "DeleteObject",
        }[method], key

    def check_digests(self, headers: dict[str, str], body: bytes) -> None:
        payload = headers.get("x-amz-content-sha256", "UNSIGNED-PAYLOAD")
        if payload not in ("UNSIGNED-PAYLOAD", sha256(body).hexdigest()):
            raise Problem(400, "XAmzContentSHA256Mismatch")
        for algorithm, checksum in CHECKSUMS.items():
            told = headers.get(f"x-amz-checksum-{algorithm.lower()}")
            if told and b64decode(told) != checksum(body):
                raise Problem(400, "BadDigest")

    def GetBucketLifecycle(self, *_: object) -> tuple[int, dict[str, str], bytes]:
        if self.lifecycle is None:
            raise Problem(404, "NoSuchLifecycleConfiguration")
        return self.document("LifecycleConfiguration", self.lifecycle)

    def GetBucketVersioning(self, *_: object) -> tuple[int, dict[str, str], bytes]:
        status = f"<Status>{self.versioning}</Status>" if self.versioning else ""
        return self.document("VersioningConfiguration", status)

    def HeadBucket(self, *_: object) -> tuple[int, dict[str, str], bytes]:
        return 200, {}, b""

    def CreateBucket(self, *_: object) -> tuple[int, dict[str, str], bytes]:
        if self.bucket is not None:
            raise Problem(409, "BucketAlreadyOwnedByYou")
        self.bucket = "bucket"
        return 200, {}, b""

    def ListObjects(
        self, key: str, query: dict[str, str], *_: object
    ) -> tuple[int, dict[str, str], bytes]:
        if "ListObjects" not in self.public:
            assert query["list-type"] == "2" and query["encoding-type"] == "url"
        prefix, after = query.get("prefix", ""), query.get("start-after", "")
        after = unquote(query.get("continuation-token", after))
        order = self.order
        keys = [key for key in self.objects if key.startswith(prefix)]
        keys = sorted((k for k in keys if order(k) > order(after)), key=order)
        size = min(int(query.get("max-keys", "1000")), self.page)
        lines = "".join(self.line(key) for key in keys[:size])
        more = len(keys) > size
        token = (
            f"<NextContinuationToken>{quote(keys[size - 1])}</NextContinuationToken>"
            if more
            else ""
        )
        return self.document(
            "ListBucketResult",
            f"<IsTruncated>{str(more).lower()}</IsTruncated>"
            f"<EncodingType>url</EncodingType>{token}{lines}",
        )

    def order(self, key: str) -> Any:
        return key.encode() if self.ordered else key.split("/")

    def line(self, key: str) -> str:
        found = self.objects[key]
        modified = datetime.fromtimestamp(found.modified, UTC)
        return (
            f"<Contents><Key>{quote(key)}</Key><Size>{len(found.data)}</Size>"
            f"<ETag>&quot;{found.etag}&quot;</ETag>"
            f"<LastModified>{modified:%Y-%m-%dT%H:%M:%S.000Z}</LastModified></Contents>"
        )

    def document(self, tag: str, body: str) -> tuple[int, dict[str, str], bytes]:
        xmlns = "http://s3.amazonaws.com/doc/2006-03-01/"
        text = f'<?xml version="1.0"?>\n<{tag} xmlns="{xmlns}">{body}</{tag}>'
        return 200, {"content-type": "application/xml"}, text.encode()

    def PutObject(
        self, key: str, query: dict[str, str], headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        self.check_condition(key, headers)
        return 200, {"etag": f'"{self.store(key, headers, body)}"'}, b""

    def store(
        self, key: str, headers: dict[str, str], data: bytes, etag: str = ""
    ) -> str:
        if self.before.get(key, (-1.0, None))[0] != self.now():
            self.before[key] = (self.now(), self.objects.get(key))
        self.replaced_now().add((key, self.condition_etag(self.objects.get(key))))
        kept = {
            name: value
            for name, value in headers.items()
            if name.startswith("x-amz-meta-")
            or name in ("content-type", "x-amz-storage-class")
        }
        etag = etag or md5(data).hexdigest()
        self.objects[key] = Stored(data, etag, kept, self.now())
        return etag

    def check_condition(self, key: str, headers: dict[str, str]) -> None:
        match, absent = headers.get("if-match"), headers.get("if-none-match")
        if self.conditions == "ignored" or not (match or absent):
            return
        if self.conditions == "refused":
            raise Problem(501, "NotImplemented")
        found = self.objects.get(key)
        if self.conditions == "racy" and self.before.get(key, (-1.0,))[0] == self.now():
            found = self.before[key][1]
        if absent and found is not None:
            raise Problem(412, "PreconditionFailed")
        if match and found is None:
            raise Problem(404, "NoSuchKey")
        if match and match != self.condition_etag(found):
            if self.conditions == "ceph" and (key, match) in self.replaced_now():
                raise Problem(500, "UnknownError")
            raise Problem(412, "PreconditionFailed")

    def replaced_now(self) -> set[tuple[str, str]]:
        """Tell what was replaced at this very instant: keys, and ETags before it."""
        if self.replaced[0] != self.now():
            self.replaced = (self.now(), set())
        return self.replaced[1]

    def condition_etag(self, found: Stored | None) -> str:
        etag = found.etag if found else ""
        return etag if self.conditions in ("unquoted", "ceph") else f'"{etag}"'

    def GetObject(
        self, key: str, query: dict[str, str], headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        found = self.find(key)
        self.replaced_now().clear()
        told = self.told(found)
        if headers.get("if-none-match") == f'"{found.etag}"':
            return 304, told, b""
        if "if-match" in headers and headers["if-match"].strip('"') != found.etag:
            raise Problem(412, "PreconditionFailed")
        for name, header in (("type", "content-type"), ("disposition",) * 2):
            header = header if name == "type" else "content-disposition"
            if value := query.get(f"response-content-{name}"):
                told[header] = value
        if "range" not in headers:
            return 200, told, found.data
        start, _, stop = headers["range"].removeprefix("bytes=").partition("-")
        if int(start) >= len(found.data):
            raise Problem(416, "InvalidRange")
        data = found.data[int(start) : int(stop) + 1]
        told["content-range"] = (
            f"bytes {start}-{int(start) + len(data) - 1}/{len(found.data)}"
        )
        return 206, told, data

    def HeadObject(self, key: str, *_: object) -> tuple[int, dict[str, str], bytes]:
        found = self.find(key)
        return 200, {**self.told(found), "content-length": str(len(found.data))}, b""

    def find(self, key: str) -> Stored:
        if key not in self.objects:
            raise Problem(404, "NoSuchKey")
        return self.objects[key]

    def told(self, found: Stored) -> dict[str, str]:
        modified = datetime.fromtimestamp(found.modified, UTC)
        return {
            **found.headers,
            "etag": f'"{found.etag}"',
            "last-modified": format_datetime(modified, usegmt=True),
        }

    def CopyObject(
        self, key: str, query: dict[str, str], headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        source = unquote(headers["x-amz-copy-source"]).split("/", 2)[2]
        found = self.find(source)
        kept = {**found.headers}
        kept.pop("x-amz-storage-class", None)
        if "x-amz-storage-class" in headers:
            kept["x-amz-storage-class"] = headers["x-amz-storage-class"]
        etag = self.store(key, kept, found.data)
        return self.document("CopyObjectResult", f"<ETag>&quot;{etag}&quot;</ETag>")

    def DeleteObject(self, key: str, *_: object) -> tuple[int, dict[str, str], bytes]:
        self.objects.pop(key, None)
        return 204, {}, b""

    def CreateMultipartUpload(
        self, key: str, query: dict[str, str], headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        upload_id = f"id+/{len(self.uploads)}"
        self.uploads[upload_id] = Upload(key, headers)
        return self.document(
            "InitiateMultipartUploadResult", f"<UploadId>{upload_id}</UploadId>"
        )

    def upload(self, query: dict[str, str]) -> Upload:
        if query["uploadId"] not in self.uploads:
            raise Problem(404, "NoSuchUpload")
        return self.uploads[query["uploadId"]]

    def UploadPart(
        self, key: str, query: dict[str, str], headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        self.upload(query).parts[int(query["partNumber"])] = body
        told = {"etag": f'"{md5(body).hexdigest()}"'}
        names = [f"x-amz-checksum-{algorithm.lower()}" for algorithm in CHECKSUMS]
        if self.checksums:
            told |= {name: headers[name] for name in names if name in headers}
        return 200, told, b""

    def UploadPartCopy(
        self, key: str, query: dict[str, str], headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        found = self.find(unquote(headers["x-amz-copy-source"]).split("/", 2)[2])
        first, _, last = headers["x-amz-copy-source-range"][6:].partition("-")
        part = found.data[int(first) : int(last) + 1]
        self.upload(query).parts[int(query["partNumber"])] = part
        etag = md5(part).hexdigest()
        return self.document("CopyPartResult", f"<ETag>&quot;{etag}&quot;</ETag>")

    def CompleteMultipartUpload(
        self, key: str, query: dict[str, str], headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        upload = self.upload(query)
        etags, checksums = {}, {}
        due = self.checksums and upload.headers.get("x-amz-checksum-algorithm")
        for part in ElementTree.fromstring(body):
            values = {found.tag.rpartition("}")[2]: found.text or "" for found in part}
            number = int(values["PartNumber"])
            etags[number] = values["ETag"].strip('"')
            for algorithm in CHECKSUMS:
                if (value := values.get(f"Checksum{algorithm}")) is not None:
                    checksums[number] = algorithm, b64decode(value)
        if checksums and not self.checksums:
            raise Problem(400, "MalformedXML")
        wanted = {n: md5(data).hexdigest() for n, data in upload.parts.items()}
        if etags != wanted:
            raise Problem(400, "InvalidPart")
        if due and checksums != {
            n: (due, CHECKSUMS[due](data)) for n, data in upload.parts.items()
        }:
            raise Problem(400, "InvalidPart")
        data = b"".join(data for _, data in sorted(upload.parts.items()))
        etag = f"{md5(data).hexdigest()}-{len(upload.parts)}"
        self.store(key, upload.headers, data, etag)
        del self.uploads[query["uploadId"]]
        status, told, text = self.document(
            "CompleteMultipartUploadResult",
            f"<ETag>{'' if self.empty_etag else f'&quot;{etag}&quot;'}</ETag>",
        )
        return status, told, self.keep_alive + text

    def AbortMultipartUpload(
        self, key: str, query: dict[str, str], *_: object
    ) -> tuple[int, dict[str, str], bytes]:
        self.upload(query)
        del self.uploads[query["uploadId"]]
        return 204, {}, b""

    def ListMultipartUploads(
        self, key: str, query: dict[str, str], *_: object
    ) -> tuple[int, dict[str, str], bytes]:
        after = (query.get("key-marker", ""), query.get("upload-id-marker", ""))
        found = sorted(
            (upload.key, upload_id)
            for upload_id, upload in self.uploads.items()
            if upload.key.startswith(query.get("prefix", ""))
            and (upload.key, upload_id) > after
        )
        lines = "".join(
            f"<Upload><Key>{quote(key)}</Key><UploadId>{upload_id}</UploadId>"
            "<Initiated>2026-01-01T00:00:00.000Z</Initiated></Upload>"
            for key, upload_id in found[: self.page]
        )
        more = len(found) > self.page
        if more:
            key, upload_id = found[self.page - 1]
            lines += (
                f"<NextKeyMarker>{quote(key)}</NextKeyMarker>"
                f"<NextUploadIdMarker>{upload_id}</NextUploadIdMarker>"
            )
        return self.document(
            "ListMultipartUploadsResult",
            f"<IsTruncated>{str(more).lower()}</IsTruncated>"
            f"<EncodingType>url</EncodingType>{lines}",
        )

    # -- signatures --

    def verify(self, request: Request) -> None:
        """Refuse what botocore would have signed otherwise."""
        query = urlsplit(request.uri.decode()).query
        authorization = request.getHeader("authorization")
        if authorization is None and "X-Amz-Signature=" not in query:
            if self.operation(request, dict(parse_qsl(query)))[0] not in self.public:
                raise Problem(403, "AccessDenied")
        elif "X-Amz-Signature=" in query:
            self.verify_query(request, dict(parse_qsl(query)))
        else:
            self.verify_header(request)

    def verify_header(self, request: Request) -> None:
        authorization = (request.getHeader("authorization") or "").partition(" ")[2]
        fields = dict(part.split("=", 1) for part in authorization.split(", "))
        stamp = request.getHeader("x-amz-date") or ""
        signed = {
            name: request.getHeader(name) or ""
            for name in fields["SignedHeaders"].split(";")
        }
        self.check_scope(fields["Credential"], stamp)
        url = f"http://{request.getHeader('host')}{request.uri.decode()}"
        oracle = AWSRequest(request.method.decode(), url, headers=signed)
        auth = S3SigV4Auth(self.boto(), "s3", self.region)
        self.compare(auth, oracle, stamp, fields["Signature"])

    def verify_query(self, request: Request, query: dict[str, str]) -> None:
        stamp = query["X-Amz-Date"]
        self.check_scope(query["X-Amz-Credential"], stamp, int(query["X-Amz-Expires"]))
        url = f"http://{request.getHeader('host')}{request.uri.decode()}"
        url = url.partition("&X-Amz-Signature=")[0]
        oracle = AWSRequest(request.method.decode(), url)
        auth = S3SigV4QueryAuth(self.boto(), "s3", self.region)
        self.compare(auth, oracle, stamp, query["X-Amz-Signature"])

    def boto(self) -> Credentials:
        credentials = self.credentials
        return Credentials(
            credentials.access_key, credentials.secret_key, credentials.session_token
        )

    def check_scope(self, credential: str, stamp: str, life: int = 0) -> None:
        access_key, _day, region, *_ = credential.split("/")
        if access_key != self.credentials.access_key:
            raise Problem(403, "InvalidAccessKeyId")
        if region != self.region:
            raise Problem(
                400, "AuthorizationHeaderMalformed", x_amz_bucket_region=self.region
            )
        signed = datetime.strptime(stamp, "%Y%m%dT%H%M%S%z").timestamp()
        age = self.server_now() - signed
        if life and not 0 <= age <= life:
            raise Problem(403, "AccessDenied")
        if not life and abs(age) > 900:
            raise Problem(403, "RequestTimeTooSkewed")

    def compare(self, auth: Any, oracle: AWSRequest, stamp: str, theirs: str) -> None:
        oracle.context["timestamp"] = stamp
        text = auth.string_to_sign(oracle, auth.canonical_request(oracle))
        if auth.signature(text, oracle) != theirs:
            raise Problem(403, "SignatureDoesNotMatch")

    def server_now(self) -> float:
        return self.now() + self.clock_offset


class FakeS3Resource(Resource):
    """The HTTP side of a :class:`FakeS3`."""

    isLeaf = True

    def __init__(self, fake: FakeS3) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # twisted.web
        self.fake = fake

    def render(self, request: Request) -> int:
        fake = self.fake
        query = dict(
            parse_qsl(urlsplit(request.uri.decode()).query, keep_blank_values=True)
        )
        fake.paths.append(request.uri.decode())
        try:
            operation, _ = fake.operation(request, query)
            fake.seen.append(operation)
            fault = fake.fault_for(operation)
            if isinstance(fault, Refuse):
                self.refuse(request, fault)
                return NOT_DONE_YET
            if isinstance(fault, Stall):
                fake.stalled.append(request)
                return NOT_DONE_YET
            if fault == Drop(done=False):
                request.loseConnection()
                return NOT_DONE_YET
            fake.verify(request)
            status, headers, body = fake.answer(request)
        except Problem as problem:
            self.refuse(request, Refuse(problem.status, problem.code, problem.headers))
            return NOT_DONE_YET
        if fault == Drop(done=True):
            request.loseConnection()
            return NOT_DONE_YET
        self.write(request, status, headers, body, isinstance(fault, Truncate))
        return NOT_DONE_YET

    def refuse(self, request: Request, refusal: Refuse) -> None:
        body = refusal.body
        if body is None:
            message = "" if self.fake.empty_errors else "It was refused."
            region = refusal.headers.get("x-amz-bucket-region")
            body = (
                f"<Error><Code>{escape(refusal.code)}</Code><Message>{message}</Message>"
                f"<RequestId>R1</RequestId>"
                f"{f'<Region>{region}</Region>' if region else ''}</Error>"
            ).encode()
        if request.method == b"HEAD":
            body = b""
        self.write(request, refusal.status, refusal.headers, body, False)

    def write(
        self,
        request: Request,
        status: int,
        headers: dict[str, str],
        body: bytes,
        truncate: bool,
    ) -> None:
        request.setResponseCode(status)
        now = datetime.fromtimestamp(int(self.fake.server_now()), UTC)
        request.setHeader("date", format_datetime(now, usegmt=True))
        request.responseHeaders.removeHeader("content-type")
        for name, value in headers.items():
            request.setHeader(name, value)
        if "content-length" not in headers and status not in (204, 304):
            request.setHeader("content-length", str(len(body)))
        if truncate:
            request.write(body[: len(body) // 2])
            request.loseConnection()
            return
        if request.method != b"HEAD":
            request.write(body)
        request.finish()


class FlowTransport(iosim.FakeTransport):
    """A transport in memory that minds ``pauseProducing``; Twisted's does not.

    :ivar peer: the other side.
    """

    peer: FlowTransport
    paused = False
    closing = False

    def getOutBuffer(self) -> bytes | None:
        data = b"".join(self.stream)
        if self.peer.paused and data:
            return None
        self.stream = [data[2**18 :]] if data[2**18 :] else []
        self.disconnecting |= self.closing and not self.stream
        return data[: 2**18] or None

    def pauseProducing(self) -> None:
        self.paused = True

    def resumeProducing(self) -> None:
        self.paused = False

    def loseConnection(self) -> None:
        self.closing = True
        self.disconnecting |= not self.stream

    def abortConnection(self) -> None:
        self.stream = []
        self.disconnecting = True


@implementer(IStreamClientEndpoint)
@define
class MemoryEndpoint:
    """Connects to a site in this process."""

    site: Site
    pumps: list[Any]

    def connect(self, factory: Any) -> Deferred[Any]:
        client = factory.buildProtocol(None)
        server = self.site.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1))
        make: Any = FlowTransport
        ours, theirs = make(client, isServer=False), make(server, isServer=True)
        ours.peer, theirs.peer = theirs, ours
        self.pumps.append(iosim.connect(server, theirs, client, ours))
        return succeed(client)


@implementer(IAgent, IAgentEndpointFactory)
@define
class MemoryAgent:
    """An Agent for a resource in this process, as treq.testing's, with back-pressure.

    :ivar away: no connection can be made.
    """

    resource: Resource
    clock: Clock
    away: bool = False
    _pumps: list[Any] = field(factory=list)
    _flushing: bool = False
    _again: bool = False
    _agent: Agent = field(init=False)
    _site: Site = field(init=False)

    def __attrs_post_init__(self) -> None:
        make_site: Any = Site
        self._site = make_site(self.resource, reactor=self.clock)
        make_agent: Any = Agent.usingEndpointFactory
        self._agent = make_agent(MemoryReactorClock(), self)

    def endpointForURI(self, uri: Any) -> MemoryEndpoint:
        return MemoryEndpoint(self._site, self._pumps)

    def request(
        self, method: bytes, uri: bytes, headers: Any = None, body: Any = None
    ) -> Deferred[Any]:
        if self.away:
            return fail(ConnectionRefusedError("away"))
        answer = self._agent.request(method, uri, headers, body)
        self.flush()
        return answer

    def flush(self) -> None:
        """Let everything flow as far as it can."""
        self._again = True
        if self._flushing:
            return
        self._flushing = True
        try:
            while self._again:
                self._again = False
                self._flush_once()
        finally:
            self._flushing = False

    def _flush_once(self) -> None:
        for pump in list(self._pumps):
            pump.flush()
            if pump.clientIO.disconnected and pump.serverIO.disconnected:
                self._pumps.remove(pump)


@define
class Harness:
    """A client, the fake it speaks to, and the clock of both."""

    clock: Clock = field(factory=Clock)
    fake: FakeS3 = field(init=False)
    agent: MemoryAgent = field(init=False)
    client: S3Client = field(init=False)
    observed: list[tuple[str, str]] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.fake = FakeS3(self.now)
        self.agent = MemoryAgent(FakeS3Resource(self.fake), self.clock)
        self.client = self.make_client()

    def now(self) -> float:
        return EPOCH + self.clock.seconds()

    def make_client(
        self, credentials: AWSCredentials = CREDENTIALS, **options: Any
    ) -> S3Client:
        endpoint = Endpoint("bucket", "us-east-1", "http://s3.example", False)
        requester = S3Requester(
            S3Sender(self.agent, self.clock, Timeouts(1, 2, 3)),
            endpoint,
            FixedCredentials(credentials),
            self.now,
            lambda: 0.5,
            lambda operation, result, _: self.observed.append((operation, result)),
        )
        return S3Client(requester, **options)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> Deferred[T]:
        """Begin it, and let the clock run while it waits; at most ten minutes."""
        deferred = Deferred.fromCoroutine(coroutine)
        self.settle(deferred)
        return deferred

    def settle(self, deferred: Deferred[T], steps: int = 6000) -> None:
        for _ in range(steps):
            if deferred.called:
                return
            self.agent.flush()
            self.clock.advance(0.1)
