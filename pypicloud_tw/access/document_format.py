"""The access document as it lies in the store: JSON, read without trusting it.

It decides who may do what, so nothing in it is guessed: what cannot be understood makes
the whole of it unusable. Keys that this version does not know are kept: a server from
before there were exemptions exempts nothing, and loses none.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any, NoReturn, cast

from attrs import evolve, field, frozen

from pypicloud_tw.access.document import AccessDocument, StoredUser
from pypicloud_tw.concurrency.steps import Steps, at_once, batches
from pypicloud_tw.config.exemptions import Exemption, make_exemption, parse_end
from pypicloud_tw.config.names import pattern
from pypicloud_tw.config.rights import (
    GRANTABLE,
    Action,
    Kind,
    RightLine,
    TrustedPublisher,
)
from pypicloud_tw.config.sources import user_name_problem
from pypicloud_tw.config.values import BadValueError
from pypicloud_tw.errors import AccessUnusable, InsufficientStorage
from pypicloud_tw.json_documents import DAMAGED

#: Where it lies, and what tells that there is one.
KEY, BEGUN = ".access/document.json", ".access/begun"

#: What errors and sources call it.
TITLE = "the access document"

FORMAT = 1

#: Users, groups or lines that are read or written in a piece: a millisecond.
BATCH = 200

#: Bytes. 10,000 users, 1,000 groups of 20 and 10,000 lines of rights take 3 MB.
MAX_DOCUMENT = 16 * 2**20

#: Whose the unknown keys are: nobody's is the document's own.
_Path = tuple[str, ...]
_Json = Mapping[str, Any]

_GRANTABLE = {action.value: action for action in GRANTABLE}
_DOCUMENT_KEYS = frozenset(
    {"_format", "users", "groups", "rights", "publishers", "exemptions", "_changes"}
)
_USER_KEYS = frozenset({"password", "administrator", "id"})
_RIGHT_KEYS = frozenset({"project", "user", "group", "actions"})
_PUBLISHER_KEYS = frozenset({"issuer", "audience", "claims", "projects", "actions"})
_EXEMPTION_KEYS = frozenset(
    {"project", "versions", "sha256", "rule", "until", "reason", "by"}
)


@frozen
class Contents:
    """All that the object has in it.

    :ivar changes: ids of its most recent changes, newest last.
    :ivar extra: keys that this version does not know, by the path of what has them.
    """

    document: AccessDocument = field(factory=AccessDocument)
    changes: tuple[str, ...] = ()
    extra: Mapping[_Path, _Json] = field(factory=lambda: MappingProxyType({}))

    def saying(self, document: AccessDocument) -> Contents:
        """Return them with another document; what is gone takes its keys along."""
        if not self.extra:
            return evolve(self, document=document)
        there: set[_Path] = {(), *map(right_path, document.rights)}
        there.update(("users", name) for name in document.users)
        there.update(("publishers", name) for name in document.publishers)
        there.update(("exemptions", id) for id in document.exemptions)
        extra = {path: keys for path, keys in self.extra.items() if path in there}
        return evolve(self, document=document, extra=MappingProxyType(extra))


def encode(contents: Contents) -> bytes:
    """Write it; what is written can be read again.

    :raises InsufficientStorage: it would have more than :data:`MAX_DOCUMENT` bytes.
    """
    return at_once(encoding(contents))


def encoding(contents: Contents) -> Steps[bytes]:
    """Do :func:`encode` in pieces."""
    pieces = []
    for piece in _written(contents):
        pieces.append(piece)
        yield
    data = "".join(pieces).encode(errors="surrogatepass")
    if len(data) > MAX_DOCUMENT:
        raise InsufficientStorage(
            f"There is no room: {TITLE} has at most {MAX_DOCUMENT // 2**20} MiB. "
            "Remove what is not needed any more, or give rights to groups and patterns."
        )
    return data


def _written(contents: Contents) -> Iterator[str]:
    document, extra = contents.document, contents.extra
    yield _dump({**extra.get((), {}), "_format": FORMAT})[:-1]
    users = (
        (name, {**extra.get(("users", name), {}), **_encode_user(user)})
        for name, user in sorted(document.users.items())
    )
    yield from _section("users", dict, users)
    groups = (
        (name, sorted(members)) for name, members in sorted(document.groups.items())
    )
    yield from _section("groups", dict, groups)
    rights = (
        {**extra.get(right_path(line), {}), **_encode_right(line)}
        for line in sorted(document.rights, key=right_path)
    )
    yield from _section("rights", list, rights)
    publishers = (
        (name, {**extra.get(("publishers", name), {}), **_encode_publisher(one)})
        for name, one in sorted(document.publishers.items())
    )
    yield from _section("publishers", dict, publishers)
    if document.exemptions:
        exemptions = (
            (id, {**extra.get(("exemptions", id), {}), **_encode_exemption(one)})
            for id, one in sorted(document.exemptions.items())
        )
        yield from _section("exemptions", dict, exemptions)
    yield f',"_changes":{_dump(contents.changes)}}}'


def _section(
    key: str, kind: type[dict[Any, Any]] | type[list[Any]], members: Iterable[Any]
) -> Iterator[str]:
    empty = _dump(kind())
    yield f',"{key}":{empty[0]}'
    between = ""
    for batch in batches(members, BATCH):
        yield between + _dump(kind(batch))[1:-1]
        between = ","
    yield empty[1]


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def right_path(line: RightLine) -> tuple[str, str, str, str]:
    """Return what tells a line from all others."""
    return "rights", line.project, line.kind, line.name


def publisher_source(name: str) -> str:
    """Say where a publisher stands, for a person."""
    return f"{TITLE}, publisher {name}"


def _encode_user(user: StoredUser) -> _Json:
    password = {} if user.hash is None else {"password": user.hash}
    return {**password, "administrator": user.administrator, "id": user.id}


def _encode_right(line: RightLine) -> _Json:
    return {
        "project": line.project,
        line.kind: line.name,
        "actions": _encode_actions(line.actions),
    }


def _encode_publisher(publisher: TrustedPublisher) -> _Json:
    return {
        "issuer": publisher.issuer,
        "audience": publisher.audience,
        "claims": [list(pair) for pair in publisher.claims],
        "projects": list(publisher.projects),
        "actions": _encode_actions(publisher.actions),
    }


def _encode_exemption(exemption: Exemption) -> _Json:
    return {
        "project": exemption.project,
        "versions": exemption.versions,
        "sha256": exemption.sha256,
        "rule": exemption.rule.value,
        "until": exemption.until.isoformat(),
        "reason": exemption.reason,
        "by": exemption.source,
    }


def _encode_actions(actions: frozenset[Action]) -> list[str]:
    return [action.value for action in GRANTABLE if action in actions]


def decode(data: bytes) -> Contents:
    """Read it.

    :raises AccessUnusable: it is damaged, or of a newer format.
    """
    return at_once(decoding(data))


def decoding(data: bytes) -> Steps[Contents]:
    """Do :func:`decode` in pieces; the longest is the JSON as such, 7 ms a megabyte."""
    try:
        found = json.loads(data)
        number = found["_format"]
        if type(number) is not int or number < FORMAT:
            _damaged("_format is no number that there is")
        if number > FORMAT:
            raise AccessUnusable(
                f"{TITLE.capitalize()} was written by a newer server (format {number}, "
                f"here {FORMAT}): upgrade this one."
            )
        return (yield from _decoding(found))
    except DAMAGED as e:
        # Not what it is: an error's text may have a hash in it.
        why = str(e) if isinstance(e, _DamagedError) else type(e).__name__
        raise AccessUnusable(
            f"{TITLE.capitalize()} is damaged: restore {KEY} from a backup.", why
        ) from None


class _DamagedError(ValueError):
    """The text says where; nothing secret is in it."""


def _damaged(why: str) -> NoReturn:
    raise _DamagedError(why)


def _decoding(found: _Json) -> Steps[Contents]:
    extra: dict[_Path, _Json] = {(): _others(found, _DOCUMENT_KEYS)}
    users = {}
    for batch in batches(_object(found, "users").items(), BATCH):
        yield
        for name, one in batch:
            users[_user(name)] = _decode_user(name, one)
            extra["users", name] = _others(one, _USER_KEYS)
    lines: dict[_Path, RightLine] = {}
    for rights in batches(_list(found, "rights"), BATCH):
        yield
        for one in rights:
            line = _decode_right(one)
            path = right_path(line)
            if lines.setdefault(path, line) is not line:
                _damaged(f"the line {line.project} of {line.kind} {line.name} is twice")
            extra[path] = _others(one, _RIGHT_KEYS)
    publishers = {}
    for name, one in _object(found, "publishers").items():
        publishers[name] = _decode_publisher(_name(name), one)
        extra["publishers", name] = _others(one, _PUBLISHER_KEYS)
    exemptions = {}
    # Documents from before there were any have none.
    stored = _object({"exemptions": {}, **found}, "exemptions")
    for batch in batches(stored.items(), BATCH):
        yield
        for id, one in batch:
            exemptions[_name(id)] = _decode_exemption(id, one)
            extra["exemptions", id] = _others(one, _EXEMPTION_KEYS)
    groups = {}
    for batch in batches(_object(found, "groups").items(), BATCH):
        yield
        for name, members in batch:
            groups[_name(name)] = frozenset(map(_user, _texts(members)))
    yield
    document = AccessDocument(
        MappingProxyType(users),
        MappingProxyType(groups),
        tuple(lines.values()),
        MappingProxyType(publishers),
        MappingProxyType(exemptions),
    )
    kept = {path: others for path, others in extra.items() if others}
    return Contents(document, _texts(found["_changes"]), MappingProxyType(kept))


def _decode_user(name: str, one: _Json) -> StoredUser:
    hash, administrator = one.get("password"), one["administrator"]
    if not (hash is None or isinstance(hash, str)) or type(administrator) is not bool:
        _damaged(f"user {name}")
    return StoredUser(hash, administrator, _text(one.get("id", "")))


def _decode_right(one: _Json) -> RightLine:
    kinds = [kind for kind in ("user", "group") if kind in one]
    if len(kinds) != 1:
        _damaged("a line of rights is not of one user or group")
    kind = cast("Kind", kinds[0])
    project = _pattern(one["project"])
    name = _user(one[kind]) if kind == "user" else _name(one[kind])
    return RightLine(project, kind, name, _actions(one["actions"]), TITLE)


def _decode_publisher(name: str, one: _Json) -> TrustedPublisher:
    return TrustedPublisher(
        name,
        _text(one["issuer"]),
        _text(one["audience"]),
        tuple((_text(claim), _text(wanted)) for claim, wanted in one["claims"]),
        tuple(map(_pattern, _texts(one["projects"]))),
        _actions(one["actions"]),
        publisher_source(name),
    )


def _decode_exemption(id: str, one: _Json) -> Exemption:
    try:
        return make_exemption(
            _text(one["project"]) + _text(one["versions"]),
            until=parse_end(_text(one["until"])),
            reason=_text(one["reason"]),
            sha256=_text(one["sha256"]),
            rule=_text(one["rule"]),
            source=_text(one["by"]),
            id=id,
        )
    except BadValueError as e:
        _damaged(f"the exemption {id} {e}")


def _actions(found: Any) -> frozenset[Action]:
    unknown = [word for word in _texts(found) if word not in _GRANTABLE]
    if unknown:
        _damaged(f"there is no act {unknown[0]!a}")
    return _shared(frozenset(_GRANTABLE[word] for word in found))


@cache
def _shared(actions: frozenset[Action]) -> frozenset[Action]:
    """Have ten thousand lines share what can have 16 values at most."""
    return actions


def _pattern(text: Any) -> str:
    try:
        return pattern(_text(text))
    except BadValueError:
        _damaged(f"{text[:80]!a} is no project and no pattern")


def _user(name: Any) -> str:
    if user_name_problem(_text(name)) is not None:
        _damaged(f"{name[:80]!a} is no user's name")
    return cast("str", name)


def _name(name: Any) -> str:
    if not _text(name).isprintable() or name != name.strip() or not name:
        _damaged(f"{name[:80]!a} is no name")
    return cast("str", name)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        _damaged(f"a {type(value).__name__} stands where a text belongs")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        _damaged(f"a {type(value).__name__} stands where a list belongs")
    return tuple(map(_text, value))


def _list(found: _Json, key: str) -> Iterable[_Json]:
    if not isinstance(found[key], list):
        _damaged(f"{key} is no list")
    return cast("list[_Json]", found[key])


def _object(found: _Json, key: str) -> _Json:
    if not isinstance(found[key], dict):
        _damaged(f"{key} is no object")
    return cast("_Json", found[key])


def _others(found: _Json, known: frozenset[str]) -> _Json:
    return {key: value for key, value in found.items() if key not in known}
