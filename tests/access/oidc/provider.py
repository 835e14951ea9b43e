"""A provider of log-ins, in memory: an issuer with people, who get codes."""

from __future__ import annotations

import json
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Mapping
from hashlib import sha256
from itertools import count
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlsplit

from attrs import define, field

from pypicloud_tw.access.oidc.documents import FetchError
from pypicloud_tw.config.sections.access import OidcLoginSection
from tests.access.oidc.doubles import Issuer

STAFF = "https://login.corp.example/staff"
CLIENT_ID, SECRET = "py index", "s3cret/+"

SETTINGS = OidcLoginSection(issuer=STAFF, client_id=CLIENT_ID, client_secret=SECRET)


@define(eq=False)
class Provider(Issuer):
    """A provider.

    :ivar methods: by which clients prove who they are.
    :ivar names_itself: its answers have ``iss`` in them.
    :ivar changes: of the claims of its tokens.
    :ivar posted: the forms that it was sent, and how whoever did proved who it is.
    :ivar answers: instead of its own: status and body.
    """

    url: str = STAFF
    methods: tuple[str, ...] | None = None
    names_itself: bool = False
    changes: dict[str, Any] = field(factory=dict)
    signing: dict[str, Any] = field(factory=dict)
    posted: list[tuple[Mapping[str, str], str | None]] = field(factory=list)
    answers: tuple[int, bytes] | None = None
    _codes: dict[str, Mapping[str, str]] = field(factory=dict)
    _numbers: Any = field(factory=count)

    @property
    def own(self) -> dict[str, Any]:
        """What it publishes, by address."""
        documents = super().own
        documents[self.discovery] |= {
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "authorization_response_iss_parameter_supported": self.names_itself,
        }
        if self.methods is not None:
            ways = {"token_endpoint_auth_methods_supported": list(self.methods)}
            documents[self.discovery] |= ways
        return documents

    def log_in(self, address: str) -> dict[str, str]:
        """Log in whoever was sent to an address; return the answer's parameters."""
        parts = urlsplit(address)
        assert address.startswith(f"{self.url}/authorize?"), address
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        assert asked["response_type"] == "code", asked
        assert asked["code_challenge_method"] == "S256", asked
        assert asked["client_id"] == CLIENT_ID, asked
        assert "openid" in asked["scope"].split(), asked
        code = f"code-{next(self._numbers)}"
        self._codes[code] = asked
        answer = {"code": code, "state": asked["state"]}
        return answer | ({"iss": self.url} if self.names_itself else {})

    async def post(
        self, url: str, form: Mapping[str, str], authorization: str | None, limit: int
    ) -> tuple[int, bytes]:
        """Exchange a code, once."""
        if self.wrong is not None:
            raise FetchError(self.wrong)
        assert url == f"{self.url}/token", url
        self.posted.append((dict(form), authorization))
        if self.answers is not None:
            return self.answers
        asked = self._codes.pop(form["code"], None)
        if asked is None:
            return 400, b'{"error": "invalid_grant"}'
        if not self._is_client(form, authorization):
            return 401, b'{"error": "invalid_client"}'
        digest = sha256(form["code_verifier"].encode()).digest()
        challenge = urlsafe_b64encode(digest).rstrip(b"=").decode()
        if challenge != asked["code_challenge"]:
            return 400, b'{"error": "invalid_grant"}'
        if form["redirect_uri"] != asked["redirect_uri"]:
            return 400, b'{"error": "invalid_grant"}'
        return 200, self._answer(asked["nonce"])

    def _is_client(self, form: Mapping[str, str], authorization: str | None) -> bool:
        if authorization is None:
            return (form["client_id"], form["client_secret"]) == (CLIENT_ID, SECRET)
        login = b64decode(authorization.removeprefix("Basic ")).decode()
        client, _, secret = login.partition(":")
        return (unquote_plus(client), unquote_plus(secret)) == (CLIENT_ID, SECRET)

    def _answer(self, nonce: str) -> bytes:
        claims = {
            "aud": CLIENT_ID,
            "sub": "0815",
            "nonce": nonce,
            "preferred_username": "dan",
            "email": "dan@corp.example",
            "groups": ["dev", "admin"],
            **self.changes,
        }
        text = self.token(**self.signing, **claims)
        answer = {"access_token": "x", "token_type": "Bearer", "id_token": text}
        return json.dumps(answer).encode()
