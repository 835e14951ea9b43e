"""Users and rights that pypicloud 1.x kept outside of its ini.

Read are a SQLite database, the JSON document that lay in AWS Secrets Manager, and what
``ppc-export`` of pypicloud 1.x writes of any of its databases. Nothing is changed.
"""

from __future__ import annotations

import gzip
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pypicloud_tw.config.migrate.access import FormerAccess, FormerRight
from pypicloud_tw.errors import ConfigError

_SQLITE = b"SQLite format 3\0"
_GZIP = b"\x1f\x8b"

#: No document is longer; bytes. That of 10,000 users and as many rights has 3 MB.
_MAX_DOCUMENT = 64 * 2**20


def read_access(path: Path) -> FormerAccess:
    """Read a database or a document.

    :raises ConfigError: it cannot be read, or is neither.
    """
    try:
        with path.open("rb") as file:
            begin = file.read(len(_SQLITE))
    except OSError as e:
        raise ConfigError([f"{path}: it cannot be read ({e.strerror})."]) from None
    return _of_database(path) if begin == _SQLITE else _of_document(path)


def _of_database(path: Path) -> FormerAccess:
    url = f"file:{quote(str(path.absolute()))}?mode=ro"
    try:
        with closing(sqlite3.connect(url, uri=True)) as database:
            return _of_tables(database)
    except sqlite3.Error as e:
        raise ConfigError(
            [f"{path}: it is not a database of pypicloud 1.x's users ({e})."]
        ) from None


def _of_tables(database: sqlite3.Connection) -> FormerAccess:
    users: list[tuple[str, str, int, int]] = database.execute(
        "SELECT username, password, admin, pending FROM pypicloud_users"
    ).fetchall()
    groups: dict[str, list[str]] = {
        name: [] for (name,) in database.execute("SELECT name FROM pypicloud_groups")
    }
    for user, group in database.execute(
        'SELECT username, "group" FROM pypicloud_user_groups'
    ):
        groups.setdefault(group, []).append(user)
    return FormerAccess(
        users={name: hash for name, hash, _, pending in users if not pending},
        admins=tuple(
            name for name, _, admin, pending in users if admin and not pending
        ),
        groups={name: tuple(members) for name, members in groups.items()},
        rights=tuple(_of_rows(database)),
        pending=sum(bool(pending) for *_, pending in users),
    )


def _of_rows(database: sqlite3.Connection) -> Iterator[FormerRight]:
    for kind, query in (
        (
            "user",
            'SELECT package, username, "read", "write" FROM pypicloud_user_permissions',
        ),
        (
            "group",
            'SELECT package, groupname, "read", "write" '
            "FROM pypicloud_group_permissions",
        ),
    ):
        for package, name, reads, writes in database.execute(query):
            yield FormerRight(package, kind, name, bool(reads), bool(writes))


def _of_document(path: Path) -> FormerAccess:
    try:
        document = json.loads(_text(path))
        # ppc-export lists users; in Secrets Manager their hashes are by name.
        exported = isinstance(document["users"], list)
        return _of_export(document) if exported else _of_secret(document)
    except (ValueError, KeyError, TypeError, AttributeError, EOFError, OSError) as e:
        raise ConfigError(
            [
                f"{path}: it is neither a SQLite database nor a JSON document of "
                f"pypicloud 1.x's users ({type(e).__name__})."
            ]
        ) from None


def _text(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(_MAX_DOCUMENT + 1)
    if data.startswith(_GZIP):
        data = gzip.GzipFile(fileobj=BytesIO(data)).read(_MAX_DOCUMENT + 1)
    if len(data) > _MAX_DOCUMENT:
        raise ValueError("it is too long")
    return data


def _of_secret(document: Mapping[str, Any]) -> FormerAccess:
    packages = document.get("packages", {})
    return FormerAccess(
        users=_strings(document["users"]),
        admins=tuple(map(_string, document.get("admins", []))),
        groups=_members(document.get("groups", {})),
        rights=tuple(
            FormerRight.of_words(_string(package), kind, _string(name), words)
            for package, given in packages.items()
            for kind in ("user", "group")
            for name, words in _permissions(given.get(f"{kind}s", {}))
        ),
        pending=len(document.get("pending_users", {})),
    )


def _of_export(document: Mapping[str, Any]) -> FormerAccess:
    users = document["users"]
    packages = document.get("packages", {})
    return FormerAccess(
        users=_strings({user["username"]: user["password"] for user in users}),
        admins=tuple(_string(user["username"]) for user in users if user["admin"]),
        groups=_members(document.get("groups", {})),
        rights=tuple(
            FormerRight.of_words(_string(package), kind, _string(name), words)
            for kind in ("user", "group")
            for package, given in packages.get(f"{kind}s", {}).items()
            for name, words in _permissions(given)
        ),
        pending=len(document.get("pending_users", [])),
    )


def _permissions(given: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    for name, words in given.items():
        yield name, [_string(word) for word in words]


def _members(groups: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    return {
        _string(name): tuple(map(_string, members)) for name, members in groups.items()
    }


def _strings(texts: Mapping[str, str]) -> dict[str, str]:
    return {_string(name): _string(text) for name, text in texts.items()}


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("it should be text")
    return value
