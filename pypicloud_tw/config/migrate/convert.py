"""From an ini file of the program before, of any version, to one of ours.

What has a place here is carried over. What has none is told, above all what gave
rights: nothing that was closed is opened without a word.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from attrs import field, frozen

from pypicloud_tw.config.former_keys import FORMER, RENAMED, RIGHTS, UNNEEDED
from pypicloud_tw.config.ini import Ini, IniError, parse_ini, read_text
from pypicloud_tw.config.key import show_value
from pypicloud_tw.config.keys import FILE_KEYS, KEYS
from pypicloud_tw.config.load import load_settings
from pypicloud_tw.config.migrate.access import access_of_ini
from pypicloud_tw.config.migrate.keys import HANDLERS, Translation, is_true, leave_out
from pypicloud_tw.config.migrate.rights import carry_rights, carry_user
from pypicloud_tw.errors import ConfigError

_REFERENCE = re.compile(r"%(?:(%)|\(([^)]+)\)s)")

#: References in references; more is a circle.
_DEEPEST = 10

_STORES = {
    "file": "folder",
    "pypicloud.storage.FileStorage": "folder",
    "s3": "bucket",
    "pypicloud.storage.S3Storage": "bucket",
    "cloudfront": "bucket",
    "pypicloud.storage.CloudFrontS3Storage": "bucket",
}


@frozen
class Migrated:
    """An old file, understood.

    :ivar settings: texts by our keys.
    :ivar users: hashes by name.
    :ivar grants: groups and rights: texts by their whole keys.
    :ivar changes: what could not be carried over, and what changes; a sentence each.
    :ivar lost: of permissions; a sentence each.
    :ivar incomplete: users and rights were kept where they could not be read from.
    """

    settings: Mapping[str, str] = field(repr=False)
    users: Mapping[str, str] = field(repr=False)
    grants: Mapping[str, str]
    changes: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    incomplete: bool = False

    @property
    def notes(self) -> tuple[str, ...]:
        """Everything that is to be told, permissions last."""
        return self.changes + self.lost


def migrate(path: Path, access: Path | None = None) -> Migrated:
    """Translate a file.

    :param access: a database or a document with users and rights that are not in it.
    :raises ConfigError: it cannot be read, or keeps its packages where we cannot.
    """
    try:
        ini = parse_ini(read_text(path))
    except IniError as e:
        raise ConfigError([f"{path}: {e}"]) from None
    if ini.problems:
        raise ConfigError([f"{path}, line {n}: {what}" for n, what in ini.problems])
    here = path.absolute().parent
    old = _old_settings(ini, here)
    if not old:
        raise ConfigError([f"{path}: it has no settings in a section [app:main]."])
    return _translated(Translation(old), here, access)


def _old_settings(ini: Ini, here: Path) -> dict[str, str]:
    """Collect the settings, interpolated as the old parser did."""
    sections: dict[str, dict[str, str]] = {}
    for entry in ini.entries:
        sections.setdefault(entry.section, {})[entry.key] = entry.value
    common = {"here": str(here), **sections.get("DEFAULT", {})}
    old: dict[str, str] = {}
    for section in ("app:main", "pypicloud"):
        own = sections.get(section, {})
        old |= {key: _interpolated(text, common | own) for key, text in own.items()}
    return old | _old_server(sections, common) if old else old


def _old_server(
    sections: Mapping[str, Mapping[str, str]], common: dict[str, str]
) -> dict[str, str]:
    """Return where the old server listened; waitress had defaults of its own."""
    if "http" in sections.get("uwsgi", {}):
        host, _, port = sections["uwsgi"]["http"].rpartition(":")
        return {"server.host": host or "*", "server.port": port}
    served = dict(sections.get("server:main", {}))
    if "waitress" in served.get("use", ""):
        served = {"host": "0.0.0.0", "port": "8080"} | served  # noqa: S104  as it was
    return {
        f"server.{name}": _interpolated(served[name], common | served)
        for name in ("host", "port")
        if name in served
    }


def _interpolated(text: str, names: Mapping[str, str], depth: int = 0) -> str:
    def replace(match: re.Match[str]) -> str:
        if match[1]:
            return "%"
        known = names.get(match[2])
        if known is None or depth == _DEEPEST:
            return match[0]
        return _interpolated(known, names, depth + 1)

    return _REFERENCE.sub(replace, text)


def _translated(work: Translation, base: Path, access: Path | None) -> Migrated:
    """Translate every key, then look at what they come to together."""
    keeps_bucket = _keeps_bucket(work.old)
    for key, text in work.old.items():
        _translate(work, key, text)
    _keep_place(work, keeps_bucket)
    _shorten_buffer(work)
    if access is not None or any(map(_is_later, work.old)):
        _keep_fallback(work)
        carry_rights(work, base, access)
    else:
        for name, hashed in access_of_ini(work.old).users.items():
            carry_user(work, name, hashed)
    if work.unneeded:
        work.notes.append(f"Not needed any more: {', '.join(work.unneeded)}.")
    try:
        load_settings({**work.settings, **work.grants}, work.users, base)
    except ConfigError as e:
        work.notes.extend(e.problems)
    return Migrated(
        MappingProxyType(work.settings),
        MappingProxyType(work.users),
        MappingProxyType(work.grants),
        tuple(work.notes),
        tuple(work.lost),
        work.incomplete,
    )


def _is_later(key: str) -> bool:
    """Whether only later versions had a key: those that had rights."""
    later = FORMER.fullmatch(key) or RIGHTS.fullmatch(key)
    return later is not None or key == "pypi.default_read"


def _keeps_bucket(old: Mapping[str, str]) -> bool:
    kind = old.get("pypi.storage")
    if kind is None:
        return bool({"aws.bucket", "storage.bucket"} & old.keys())
    if kind not in _STORES:
        raise ConfigError(
            [
                f"pypi.storage = {show_value(kind)} cannot be carried over: packages "
                "are kept in a folder, or in S3 or what speaks its protocol. Copy them "
                "there first."
            ]
        )
    return _STORES[kind] == "bucket"


def _translate(work: Translation, key: str, text: str) -> None:
    """Carry a key over, or tell why not."""
    if key in HANDLERS:
        HANDLERS[key](work, key, text)
    elif key.startswith("user.") or RIGHTS.fullmatch(key):
        return  # seen to together
    elif key in RENAMED:
        work.carry(key, RENAMED[key], text)
    elif key in KEYS:
        work.carry(key, key, text)
    elif key in FILE_KEYS:
        work.settings[key] = text
    elif UNNEEDED.fullmatch(key):
        work.unneeded[_family(key)] = None
    else:
        leave_out(work, key)


def _keep_place(work: Translation, keeps_bucket: bool) -> None:
    unused = "storage.dir" if keeps_bucket else "aws.bucket"
    if work.settings.pop(unused, None) is not None:
        work.notes.append(f"{unused} is left out: it was not used.")
    folder = work.settings.get("storage.dir")
    if folder is not None and not folder.startswith("/"):
        work.notes.append(
            f"storage.dir = {show_value(folder)} began at the server's working folder; "
            "now it begins at the folder of the new file."
        )


def _shorten_buffer(work: Translation) -> None:
    life, buffer = (
        KEYS[key].parse(work.settings.get(key) or KEYS[key].default or "")
        for key in ("aws.expire_after", "aws.buffer_time")
    )
    assert isinstance(life, int) and isinstance(buffer, int)
    if life <= buffer:
        work.settings["aws.buffer_time"] = str(life // 2)
        work.notes.append(
            f"aws.buffer_time is {life // 2} now: it must be less than "
            f"aws.expire_after, which is {life}."
        )


def _keep_fallback(work: Translation) -> None:
    """Write down what was the default of later versions, as ours is another."""
    if is_true(work.settings.get("pypi.use_fallback", "true")):
        work.settings.setdefault("pypi.fallback", "redirect")


def _family(key: str) -> str:
    head, dot, _ = key.partition(".")
    return (
        f"{head}.*" if dot and head not in {"pypi", "storage", "auth", "aws"} else key
    )
