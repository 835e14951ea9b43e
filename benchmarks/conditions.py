"""What is in force while ours is measured: rights, a password and a token."""

from __future__ import annotations

import base64
import time
from pathlib import Path

from benchmarks import servers
from benchmarks.clients import Headers
from pypicloud_tw.access.hashes import hash_password
from pypicloud_tw.access.tokens.records import (
    OwnerTokens,
    TokenRecord,
    document_key,
    encode,
)
from pypicloud_tw.access.tokens.text import UserToken, owner_key, seal_secret
from pypicloud_tw.access.tokens.tokens import checked_scope
from pypicloud_tw.config.rights import Action

LOGGED_IN: Headers = (("Authorization", servers.authorization()),)


def many_rights() -> dict[str, str]:
    """Give 1,000 groups and 10,000 lines of other projects."""
    groups = {f"group.team{n}": f"member{n} member{n + 1}" for n in range(1000)}
    exact = {f"package.of-team-{n}.group.team{n % 1000}": "rw" for n in range(5000)}
    patterns = {f"package.team{n}-*.group.team{n % 1000}": "rw" for n in range(5000)}
    return groups | exact | patterns


def keys_of(store: Path) -> dict[str, str]:
    """Give the ini's keys for a folder, with metrics on and a user who may log in."""
    return {"storage.dir": str(store), **common_keys()}


def common_keys() -> dict[str, str]:
    """Give the ini's keys for any store."""
    return {
        "pypi.fallback": "none",
        "metrics.read": "everyone",
        f"user.{servers.USER}": hash_password(servers.PASSWORD),
    }


def make_token(store: Path) -> Headers:
    """Put a token of the benchmark's user into a store; give the header that has it."""
    token, now = UserToken.draw(servers.USER), int(time.time())
    record = TokenRecord(
        token.id,
        seal_secret(token.secret),
        "a benchmark",
        checked_scope([Action.READ], ["project-*"]),
        now,
        now + 86400,
        servers.USER,
    )
    document = OwnerTokens(servers.USER, {token.id: record})
    place = store / document_key(owner_key(servers.USER))
    place.parent.mkdir(parents=True)
    place.write_bytes(encode(document))
    shown = base64.b64encode(f"__token__:{token.text}".encode()).decode()
    return (("Authorization", f"Basic {shown}"),)
