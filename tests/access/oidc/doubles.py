"""An issuer of identity tokens, in memory, that can be away, slow or wrong."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import jwt
from attrs import define, field
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from twisted.internet.defer import Deferred

from pypicloud_tw.access.oidc.documents import FetchError
from pypicloud_tw.config.publishers import make_publisher
from pypicloud_tw.config.rights import TrustedPublisher

GITHUB = "https://token.actions.githubusercontent.com"
GITLAB = "https://gitlab.example"

#: What a job of GitHub Actions says of itself, in part.
JOB = {
    "sub": "repo:acme/tool:ref:refs/tags/v1.0",
    "repository": "acme/tool",
    "repository_id": "1001",
    "repository_owner": "acme",
    "repository_owner_id": "42",
    "repository_visibility": "private",
    "workflow_ref": "acme/tool/.github/workflows/release.yml@refs/tags/v1.0",
    "job_workflow_ref": "acme/tool/.github/workflows/release.yml@refs/tags/v1.0",
    "ref": "refs/tags/v1.0",
    "ref_protected": "true",
    "sha": "8c5a" * 10,
    "run_id": "77",
    "run_attempt": "2",
    "environment": "pypi",
}


@cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    """Make a key; 50 ms."""
    return rsa.generate_private_key(65537, bits)


@cache
def ec_key(name: str = "first") -> ec.EllipticCurvePrivateKey:
    """Make a key of P-256."""
    return ec.generate_private_key(ec.SECP256R1())


@cache
def ed_key() -> ed25519.Ed25519PrivateKey:
    """Make a key of Ed25519."""
    return ed25519.Ed25519PrivateKey.generate()


def public(key: Any, kid: str | None, **more: object) -> dict[str, Any]:
    """Write the public half of a key as a JSON Web Key."""
    if isinstance(key, rsa.RSAPrivateKey):
        kind: Any = jwt.algorithms.RSAAlgorithm
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        kind = jwt.algorithms.ECAlgorithm
    else:
        kind = jwt.algorithms.OKPAlgorithm
    made: dict[str, Any] = kind.to_jwk(key.public_key(), as_dict=True)
    made.pop("key_ops", None)
    return made | ({} if kid is None else {"kid": kid}) | more


def encoded(data: bytes) -> str:
    """Write base64url without padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(
    header: bytes, payload: bytes, key: Any = None, algorithm: str = "ES256"
) -> str:
    """Sign any header and payload, sense in them or not."""
    made = jwt.algorithms.get_default_algorithms()[algorithm]
    text = f"{encoded(header)}.{encoded(payload)}"
    return f"{text}.{encoded(made.sign(text.encode(), key or ec_key()))}"


def publisher(name: str = "tool", **settings: str) -> TrustedPublisher:
    """Make a publisher of ``acme/tool``'s jobs."""
    given = {
        "issuer": GITHUB,
        "claims": "repository:acme/tool, ref:refs/tags/*",
        "projects": "acme-tool",
        **settings,
    }
    return make_publisher(name, given, "test")


@define(eq=False)
class Issuer:
    """An issuer, and what its documents are fetched by.

    :ivar keys: by id.
    :ivar fetched: the addresses that were asked for, in order.
    :ivar wrong: why nothing can be had; None: it can.
    :ivar waiting: asked for, where answers are to wait.
    """

    seconds: Callable[[], float]
    url: str = GITHUB
    keys: dict[str | None, Any] = field(factory=lambda: {"k1": ec_key()})
    documents: dict[str, Any] = field(factory=dict)
    fetched: list[str] = field(factory=list)
    wrong: str | None = None
    waiting: Deferred[None] | None = None
    _jti: int = 0

    async def post(
        self, url: str, form: Mapping[str, str], authorization: str | None, limit: int
    ) -> tuple[int, bytes]:
        """Answer a form: this one takes none."""
        raise FetchError(f"405 for {url}")

    async def fetch(self, url: str, limit: int) -> bytes:
        """Return a document."""
        self.fetched.append(url)
        if self.waiting is not None:
            await self.waiting
        if self.wrong is not None:
            raise FetchError(self.wrong)
        document = {**self.own, **self.documents}.get(url)
        if document is None:
            raise FetchError(f"404 for {url}")
        is_raw = isinstance(document, bytes)
        data: bytes = document if is_raw else json.dumps(document).encode()
        assert len(data) <= limit, "the real one would refuse it"
        return data

    @property
    def own(self) -> dict[str, Any]:
        """What it publishes, by address."""
        keys = [public(key, kid) for kid, key in self.keys.items()]
        return {
            self.discovery: {"issuer": self.url, "jwks_uri": f"{self.url}/jwks"},
            f"{self.url}/jwks": {"keys": keys},
        }

    @property
    def discovery(self) -> str:
        """Where its first document is."""
        return f"{self.url}/.well-known/openid-configuration"

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Make the claims of a job's token; what is changed to None is left out."""
        self._jti += 1
        now = int(self.seconds())
        claims = {
            "iss": self.url,
            "aud": "pypicloud",
            "jti": f"jti-{self._jti}",
            "iat": now,
            "nbf": now - 5,
            "exp": now + 300,
            **JOB,
            **changes,
        }
        return {name: value for name, value in claims.items() if value is not None}

    def token(
        self,
        key: Any = None,
        algorithm: str = "ES256",
        headers: dict[str, Any] | None = None,
        **changes: Any,
    ) -> str:
        """Issue a token."""
        return jwt.encode(
            self.claims(**changes),
            key or ec_key(),
            algorithm=algorithm,
            headers={"kid": "k1"} if headers is None else headers,
        )
