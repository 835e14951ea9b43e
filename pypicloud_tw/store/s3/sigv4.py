"""AWS Signature Version 4 as pure functions: no clock, no network, no state.

The rule is "Authenticating Requests (AWS Signature Version 4)" in the Amazon S3 API
reference. Paths and queries are signed exactly as they are sent: S3, unlike other
services, neither normalises nor encodes a path a second time.

An instant is given in seconds since the epoch.
"""

from __future__ import annotations

import hmac
import re
import time
from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from attrs import Factory, define, field, frozen

ALGORITHM = "AWS4-HMAC-SHA256"

#: What is signed in place of the body's digest where TLS vouches for the bytes.
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"

EMPTY_SHA256 = sha256(b"").hexdigest()

#: The longest life that S3 grants a presigned URL, in seconds.
MAX_EXPIRES = 7 * 86400


@frozen
class AWSCredentials:
    """Who signs.

    :ivar session_token: sent along with temporary credentials.
    :ivar expires: the instant after which they are refused, or None.
    :ivar origin: where they came from, in words.
    """

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    expires: float | None = None
    origin: str = field(default="", eq=False)


#: RFC 3986, section 2.3, and the slash.
_plain = re.compile(r"[A-Za-z0-9_.~/-]*").fullmatch


def quote_path(key: str) -> str:
    """Encode an object's key for a path: all but unreserved characters and ``/``."""
    # Nearly every key is plain already, and to see that costs a fifth of quoting it.
    return key if _plain(key) else quote(key, safe="/~")


def quote_value(text: str) -> str:
    """Encode a name or a value of a query: all but unreserved characters."""
    return quote(text, safe="~")


def canonical_query(pairs: Iterable[tuple[str, str]]) -> str:
    """Encode and order a query as it is signed, and as we send it."""
    encoded = sorted((quote_value(name), quote_value(value)) for name, value in pairs)
    return "&".join(f"{name}={value}" for name, value in encoded)


def amz_date(instant: float) -> str:
    """Write *instant* the way signatures do, to the second: ``20130524T000000Z``."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(instant))


def string_to_sign(stamp: str, scope: str, canonical_request: str) -> bytes:
    """Put together what the signing key is applied to."""
    digest = sha256(canonical_request.encode()).hexdigest()
    return f"{ALGORITHM}\n{stamp}\n{scope}\n{digest}".encode()


def derive_key(secret_key: str, day: str, region: str, service: str) -> bytes:
    """Derive the key that signs for one day (``YYYYMMDD``), region and service."""
    key = f"AWS4{secret_key}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


@define
class SigningKeys:
    """Remembers derived keys: one a day for each set of credentials and region.

    :ivar limit: as many are kept; two days and two sets of credentials overlap.
    """

    limit: int = 16
    _keys: dict[tuple[str, str, str, str], bytes] = field(
        default=Factory(dict), repr=False
    )

    def get(self, secret_key: str, day: str, region: str, service: str) -> bytes:
        """Derive the key, or find it."""
        name = (day, region, service, secret_key)
        key = self._keys.get(name)
        if key is None:
            if len(self._keys) >= self.limit:
                del self._keys[next(iter(self._keys))]
            key = self._keys[name] = derive_key(secret_key, day, region, service)
        return key


@frozen
class Identity:
    """Whose signature, and where it counts: all that does not change per request."""

    credentials: AWSCredentials
    region: str
    keys: SigningKeys = field(factory=SigningKeys, eq=False, repr=False)
    service: str = "s3"

    def scope(self, day: str) -> str:
        """Return what a signature made on *day* is good for."""
        return f"{day}/{self.region}/{self.service}/aws4_request"

    def signature(self, stamp: str, canonical_request: str) -> bytes:
        """Sign a canonical request at *stamp* (see :func:`amz_date`)."""
        text = string_to_sign(stamp, self.scope(stamp[:8]), canonical_request)
        return hmac.digest(self.key(stamp[:8]), text, "sha256")

    def key(self, day: str) -> bytes:
        """Derive the key of *day*, or find it."""
        return self.keys.get(
            self.credentials.secret_key, day, self.region, self.service
        )


def sign_headers(
    identity: Identity,
    instant: float,
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    payload: str,
) -> dict[str, str]:
    """Sign a request by header; return *headers* and what the signature adds.

    :param path: encoded, as by :func:`quote_path`.
    :param query: encoded and ordered, as by :func:`canonical_query`.
    :param headers: all that shall be signed, by lower-case name; ``host`` is needed.
    :param payload: the body's SHA-256 in hex, or :data:`UNSIGNED_PAYLOAD`.
    """
    stamp = amz_date(instant)
    signed = {**headers, "x-amz-content-sha256": payload, "x-amz-date": stamp}
    if identity.credentials.session_token:
        signed["x-amz-security-token"] = identity.credentials.session_token
    names = sorted(signed)
    lines = "".join(f"{name}:{' '.join(signed[name].split())}\n" for name in names)
    joined = ";".join(names)
    request = f"{method}\n{path}\n{query}\n{lines}\n{joined}\n{payload}"
    signature = identity.signature(stamp, request).hex()
    scope = identity.scope(stamp[:8])
    signed["authorization"] = (
        f"{ALGORITHM} Credential={identity.credentials.access_key}/{scope}, "
        f"SignedHeaders={joined}, Signature={signature}"
    )
    return signed


#: How a time of day is written, by minute and by second: looked up, not formatted.
_MINUTES = tuple(f"T{minute // 60:02}{minute % 60:02}" for minute in range(1440))
_SECONDS = tuple(f"{second:02}Z" for second in range(60))


@define
class _Mac:
    """HMAC-SHA256 (RFC 2104) keyed once, for many messages.

    :mod:`hmac` would key it anew, or copy an object of Python's: twice the time.
    """

    _inner: Any = field(repr=False)
    _outer: Any = field(repr=False)

    @classmethod
    def keyed(cls, key: bytes) -> _Mac:
        """Key it; *key* has 32 bytes."""
        block = key.ljust(64, b"\0")
        return cls(
            sha256(bytes(byte ^ 0x36 for byte in block)),
            sha256(bytes(byte ^ 0x5C for byte in block)),
        )

    def digest(self, message: bytes) -> bytes:
        """Authenticate a message."""
        inner = self._inner.copy()
        inner.update(message)
        outer = self._outer.copy()
        outer.update(inner.digest())
        digest: bytes = outer.digest()
        return digest


@define
class _Day:
    """What all signatures of one day have in common."""

    text: str
    begin: int
    credential: str
    scope: str
    mac: _Mac

    def stamp(self, instant: int) -> str:
        """Write an instant of this day as :func:`amz_date` does."""
        minute, second = divmod(instant - self.begin, 60)
        return self.text + _MINUTES[minute] + _SECONDS[second]


@define
class Presigner:
    """Signs GETs by query for one host, with all that is constant worked out before.

    What :meth:`sign` returns is only the signature: :meth:`url` makes the address of
    it again, so a cache need not hold the text. Instants are whole seconds.

    :ivar origin: scheme and authority, ``https://bucket.s3.amazonaws.com``.
    """

    identity: Identity
    origin: str
    _token: str = field(init=False, repr=False)
    _tail: str = field(init=False, repr=False)
    _days: dict[int, _Day] = field(init=False, factory=dict, repr=False)

    def __attrs_post_init__(self) -> None:
        host = self.origin.partition("://")[2]
        token = self.identity.credentials.session_token
        self._token = f"&X-Amz-Security-Token={quote_value(token)}" if token else ""
        self._tail = f"\nhost:{host}\n\nhost\n{UNSIGNED_PAYLOAD}"

    def sign(self, path: str, instant: int, expires: int, extra: str = "") -> bytes:
        """Sign a GET of *path* that holds from *instant* for *expires* seconds.

        :param path: encoded, as by :func:`quote_path`.
        :param extra: more of the query, encoded and ordered; its names must be above
            ``X-Amz`` in order, as ``response-*`` are.
        """
        day = self._days.get(instant // 86400) or self._begin(instant // 86400)
        stamp = day.stamp(instant)
        request = (
            f"GET\n{path}\nX-Amz-Algorithm={ALGORITHM}"
            f"&X-Amz-Credential={day.credential}&X-Amz-Date={stamp}"
            f"&X-Amz-Expires={expires}{self._token}&X-Amz-SignedHeaders=host"
            f"{'&' if extra else ''}{extra}{self._tail}"
        )
        return day.mac.digest(string_to_sign(stamp, day.scope, request))

    def url(
        self, path: str, instant: int, expires: int, signature: bytes, extra: str = ""
    ) -> str:
        """Write the address that :meth:`sign` signed with the same arguments."""
        day = self._days.get(instant // 86400) or self._begin(instant // 86400)
        return (
            f"{self.origin}{path}?{extra}{'&' if extra else ''}"
            f"X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential={day.credential}"
            f"&X-Amz-Date={day.stamp(instant)}&X-Amz-Expires={expires}"
            f"&X-Amz-SignedHeaders=host{self._token}&X-Amz-Signature={signature.hex()}"
        )

    def presign(self, path: str, instant: int, expires: int, extra: str = "") -> str:
        """Sign and write an address in one go."""
        signature = self.sign(path, instant, expires, extra)
        return self.url(path, instant, expires, signature, extra)

    def _begin(self, number: int) -> _Day:
        text = amz_date(number * 86400)[:8]
        scope = self.identity.scope(text)
        if len(self._days) >= MAX_EXPIRES // 86400 + 1:
            del self._days[min(self._days)]
        day = self._days[number] = _Day(
            text,
            number * 86400,
            quote_value(f"{self.identity.credentials.access_key}/{scope}"),
            scope,
            _Mac.keyed(self.identity.key(text)),
        )
        return day
