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
    """

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    expires: float | None = None


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
        """Tell what a signature made on *day* is good for."""
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


@frozen
class _Day:
    """What all signatures of one day have in common."""

    text: str
    credential: str
    scope: str
    # Keyed once: to copy it is cheaper than to key it again.
    mac: hmac.HMAC = field(repr=False)


@define
class Presigner:
    """Signs GETs by query for one host, with all that is constant worked out before.

    What :meth:`sign` returns is only the signature: :meth:`url` makes the address of
    it again, so a cache need not hold the text. Instants are whole seconds.

    :ivar origin: scheme and authority, ``https://bucket.s3.amazonaws.com``.
    """

    identity: Identity
    origin: str
    _host: str = field(init=False)
    _token: str = field(init=False, repr=False)
    _days: dict[int, _Day] = field(init=False, factory=dict, repr=False)

    def __attrs_post_init__(self) -> None:
        self._host = self.origin.partition("://")[2]
        token = self.identity.credentials.session_token
        self._token = f"&X-Amz-Security-Token={quote_value(token)}" if token else ""

    def sign(self, path: str, instant: int, expires: int, extra: str = "") -> bytes:
        """Sign a GET of *path* that holds from *instant* for *expires* seconds.

        :param path: encoded, as by :func:`quote_path`.
        :param extra: more of the query, encoded and ordered; its names must be above
            ``X-Amz`` in order, as ``response-*`` are.
        """
        day, stamp = self._at(instant)
        request = (
            f"GET\n{path}\nX-Amz-Algorithm={ALGORITHM}"
            f"&X-Amz-Credential={day.credential}&X-Amz-Date={stamp}"
            f"&X-Amz-Expires={expires}{self._token}"
            f"&X-Amz-SignedHeaders=host{'&' if extra else ''}{extra}"
            f"\nhost:{self._host}\n\nhost\n{UNSIGNED_PAYLOAD}"
        )
        mac = day.mac.copy()
        mac.update(string_to_sign(stamp, day.scope, request))
        return mac.digest()

    def url(
        self, path: str, instant: int, expires: int, signature: bytes, extra: str = ""
    ) -> str:
        """Write the address that :meth:`sign` signed with the same arguments."""
        day, stamp = self._at(instant)
        return (
            f"{self.origin}{path}?{extra}{'&' if extra else ''}"
            f"X-Amz-Algorithm={ALGORITHM}&X-Amz-Credential={day.credential}"
            f"&X-Amz-Date={stamp}&X-Amz-Expires={expires}"
            f"&X-Amz-SignedHeaders=host{self._token}&X-Amz-Signature={signature.hex()}"
        )

    def presign(self, path: str, instant: int, expires: int, extra: str = "") -> str:
        """Sign and write an address in one go."""
        signature = self.sign(path, instant, expires, extra)
        return self.url(path, instant, expires, signature, extra)

    def _at(self, instant: int) -> tuple[_Day, str]:
        number, second = divmod(instant, 86400)
        day = self._days.get(number) or self._begin(number)
        minute, second = divmod(second, 60)
        return day, f"{day.text}T{minute // 60:02}{minute % 60:02}{second:02}Z"

    def _begin(self, number: int) -> _Day:
        text = amz_date(number * 86400)[:8]
        scope = self.identity.scope(text)
        if len(self._days) >= MAX_EXPIRES // 86400 + 1:
            del self._days[min(self._days)]
        day = self._days[number] = _Day(
            text,
            quote_value(f"{self.identity.credentials.access_key}/{scope}"),
            scope,
            hmac.new(self.identity.key(text), digestmod="sha256"),
        )
        return day
