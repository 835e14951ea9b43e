"""Signatures against AWS's published examples, and byte for byte against botocore."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from urllib.parse import quote

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.store.s3.sigv4 import (
    EMPTY_SHA256,
    UNSIGNED_PAYLOAD,
    AWSCredentials,
    Identity,
    Presigner,
    SigningKeys,
    amz_date,
    canonical_query,
    derive_key,
    quote_path,
    sign_headers,
)

#: From "Signature Calculations for the Authorization Header", Amazon S3 API reference.
EXAMPLE = AWSCredentials(
    "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
)
EXAMPLE_INSTANT = int(datetime(2013, 5, 24, tzinfo=UTC).timestamp())
EXAMPLE_HOST = "examplebucket.s3.amazonaws.com"


def example_signature(
    method: str,
    path: str,
    *,
    query: str = "",
    headers: dict[str, str] | None = None,
    payload: str = EMPTY_SHA256,
) -> str:
    """Sign as the published examples do."""
    signed = sign_headers(
        Identity(EXAMPLE, "us-east-1"),
        EXAMPLE_INSTANT,
        method,
        path,
        query,
        {"host": EXAMPLE_HOST, **(headers or {})},
        payload,
    )
    return signed["authorization"].rpartition("Signature=")[2]


class PublishedExamplesTests(SynchronousTestCase):
    """The examples that the Amazon S3 API reference works out."""

    def test_get_object(self) -> None:
        self.assertEqual(
            example_signature("GET", "/test.txt", headers={"range": "bytes=0-9"}),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
        )

    def test_put_object(self) -> None:
        self.assertEqual(
            example_signature(
                "PUT",
                quote_path("/test$file.text"),
                headers={
                    "date": "Fri, 24 May 2013 00:00:00 GMT",
                    "x-amz-storage-class": "REDUCED_REDUNDANCY",
                },
                payload=sha256(b"Welcome to Amazon S3.").hexdigest(),
            ),
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd",
        )

    def test_get_bucket_lifecycle(self) -> None:
        self.assertEqual(
            example_signature("GET", "/", query=canonical_query([("lifecycle", "")])),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        )

    def test_list_objects(self) -> None:
        query = canonical_query([("prefix", "J"), ("max-keys", "2")])
        self.assertEqual(
            example_signature("GET", "/", query=query),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        )

    def test_presigned(self) -> None:
        presigner = Presigner(Identity(EXAMPLE, "us-east-1"), f"https://{EXAMPLE_HOST}")
        url = presigner.presign("/test.txt", EXAMPLE_INSTANT, 86400)
        self.assertEqual(
            url,
            "https://examplebucket.s3.amazonaws.com/test.txt"
            "?X-Amz-Algorithm=AWS4-HMAC-SHA256"
            "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3"
            "%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400"
            "&X-Amz-SignedHeaders=host&X-Amz-Signature="
            "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404",
        )


@contextmanager
def botocore_time(instant: int) -> Iterator[None]:
    """Let botocore sign at *instant*; it has no argument for it."""
    original = botocore.auth.get_current_datetime
    botocore.auth.get_current_datetime = lambda *_: datetime.fromtimestamp(instant, UTC)
    try:
        yield
    finally:
        botocore.auth.get_current_datetime = original


def oracle_headers(
    credentials: AWSCredentials,
    instant: int,
    request: AWSRequest,
) -> dict[str, str]:
    """Sign by header with botocore."""
    auth = botocore.auth.S3SigV4Auth(as_botocore(credentials), "s3", "eu-west-1")
    with botocore_time(instant):
        auth.add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()}


def as_botocore(credentials: AWSCredentials) -> Credentials:
    """The same credentials in botocore's class."""
    return Credentials(
        credentials.access_key, credentials.secret_key, credentials.session_token
    )


KEYS = st.one_of(
    st.text(
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
        min_size=1,
        max_size=40,
    ),
    st.text(" +%~/.#?&=;:@!$'()*,é漢", min_size=1, max_size=40),
)
INSTANTS = st.integers(0, 4_000_000_000)
TOKENS = st.one_of(st.none(), st.text("abc/+= ", min_size=1, max_size=60))
SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1)
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)
CREDENTIALS = st.builds(AWSCredentials, st.just("AKID"), SECRETS, TOKENS)


class OracleTests(SynchronousTestCase):
    """Whatever the key, the credentials and the instant, we and botocore agree."""

    @settings(max_examples=150, deadline=None)
    @given(KEYS, INSTANTS, CREDENTIALS, st.lists(st.tuples(VALUES, VALUES), max_size=4))
    def test_headers(
        self,
        key: str,
        instant: int,
        credentials: AWSCredentials,
        pairs: list[tuple[str, str]],
    ) -> None:
        path = "/bucket/" + quote_path(key)
        query = canonical_query(pairs)
        headers = {"host": "s3.example:9000", "x-amz-meta-a": " b  c "}
        # Over plain HTTP botocore signs the real digest of the body, as we do.
        request = AWSRequest(
            "PUT",
            f"http://s3.example:9000{path}{'?' if query else ''}{query}",
            headers=dict(headers),
            data=b"bytes",
        )
        theirs = oracle_headers(credentials, instant, request)
        ours = sign_headers(
            Identity(credentials, "eu-west-1"),
            instant,
            "PUT",
            path,
            query,
            headers,
            sha256(b"bytes").hexdigest(),
        )
        self.assertEqual(ours, theirs)

    @settings(max_examples=150, deadline=None)
    @given(
        KEYS,
        INSTANTS,
        CREDENTIALS,
        st.integers(1, 604800),
        st.one_of(st.just(""), st.text(st.characters(exclude_categories=["Cs"]))),
    )
    def test_presigned(
        self,
        key: str,
        instant: int,
        credentials: AWSCredentials,
        expires: int,
        disposition: str,
    ) -> None:
        path = "/" + quote_path(key)
        extra = f"response-content-disposition={quote(disposition, safe='~')}"
        presigner = Presigner(Identity(credentials, "eu-west-1"), "https://b.example")
        request = AWSRequest("GET", f"https://b.example{path}?{extra}")
        auth = botocore.auth.S3SigV4QueryAuth(
            as_botocore(credentials), "s3", "eu-west-1", expires=expires
        )
        with botocore_time(instant):
            auth.add_auth(request)
        self.assertEqual(presigner.presign(path, instant, expires, extra), request.url)

    def test_unsigned_payload(self) -> None:
        """Over TLS the digest's place is taken by the constant, as botocore does."""
        request = AWSRequest("PUT", "https://b.example/k", data=b"bytes")
        request.context["payload_signing_enabled"] = False
        request.context["has_streaming_input"] = True
        request.headers["Content-MD5"] = "x"
        theirs = oracle_headers(EXAMPLE, 0, request)
        ours = sign_headers(
            Identity(EXAMPLE, "eu-west-1"),
            0,
            "PUT",
            "/k",
            "",
            {"host": "b.example", "content-md5": "x"},
            UNSIGNED_PAYLOAD,
        )
        self.assertEqual(theirs["x-amz-content-sha256"], UNSIGNED_PAYLOAD)
        self.assertEqual(ours["authorization"], theirs["authorization"])


class SigningKeysTests(SynchronousTestCase):
    """Derived keys are kept, and not for ever."""

    def test_remembers(self) -> None:
        keys = SigningKeys()
        first = keys.get("secret", "20130524", "eu", "s3")
        self.assertIs(keys.get("secret", "20130524", "eu", "s3"), first)
        self.assertEqual(first, derive_key("secret", "20130524", "eu", "s3"))

    def test_bounded(self) -> None:
        keys = SigningKeys(limit=3)
        for day in range(10):
            keys.get("secret", str(day), "eu", "s3")
        self.assertEqual(len(keys._keys), 3)

    def test_other_secret_other_key(self) -> None:
        keys = SigningKeys()
        self.assertNotEqual(
            keys.get("a", "20130524", "eu", "s3"), keys.get("b", "20130524", "eu", "s3")
        )


class SecrecyTests(SynchronousTestCase):
    """Nothing that is printed shows a secret."""

    def test_repr(self) -> None:
        credentials = AWSCredentials("AKID", "s3cr3t", "t0ken")
        identity = Identity(credentials, "eu")
        presigner = Presigner(identity, "https://b")
        presigner.presign("/k", 0, 60)
        for thing in (credentials, identity, presigner, identity.keys):
            self.assertNotIn("s3cr3t", repr(thing))
            self.assertNotIn("t0ken", repr(thing))


class AmzDateTests(SynchronousTestCase):
    """The form of an instant."""

    def test_form(self) -> None:
        self.assertEqual(amz_date(1369353600.9), "20130524T000000Z")
