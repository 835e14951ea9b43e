"""Writing an ini file that has every key, with what it is for."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from textwrap import wrap
from types import MappingProxyType

from pypicloud_tw.config.ini import parse_ini, substitute
from pypicloud_tw.config.key import Key
from pypicloud_tw.config.keys import FILE_KEYS, SECTIONS, document_keys
from pypicloud_tw.drafts import draft_in
from pypicloud_tw.errors import PypicloudError

_HEAD = """\
# The configuration of pypicloud.
#
#     pypicloud serve --config={name}
#
# runs the server with it, as does: twistd --pidfile= -n pypicloud --config={name}
#
# A key behind a '#' has the default that stands there, if its comment does not say what
# it means not to set it. Every key can come from the environment, too, which then wins:
# aws.bucket is PYPICLOUD_AWS_BUCKET.
# Durations: 300 (seconds), 5m, 1h30m, 7d. Sizes: 6GiB, 100MB, 1048576 (bytes).
# Lists have commas or blanks between their items. An indented line continues the one
# before. A percent sign may be written %%; %(here)s is this file's folder.
# A secret can be kept in a file of its own, which KEY_file names:
{secrets}

[pypicloud]
"""

_USERS = """\

## Who may log in. pypicloud-gen-password makes the hash of a password.

"""

_GRANTS = """\

## Groups, and who may do what with a project, or with those of a pattern: r, rw, or
## some of read, upload, manage and administer. A project with such lines is closed to
## whom they do not name; as soon as there is any, only those may write who may by one.

"""

_RETENTION = """\

## Retention: which releases are kept. pypicloud prune shows what would go by such a
## rule, and deletes it when it is told to; with apply = daily servers do once a day.

#retention.ci.projects = acme-*
#retention.ci.keep_releases = 10
#retention.ci.keep_younger = 90d
#retention.ci.keep_dev_younger = 14d
#retention.ci.apply = never
"""

_SERVER = """
[server:main]

"""

#: These are written as pypicloud 1.x had them.
_OF_SERVER = {"server.host": "host", "server.port": "port"}


class CannotWriteError(PypicloudError):
    """The file was not written; the message says why."""

    status = 409


def ini_text(
    settings: Mapping[str, str],
    users: Mapping[str, str],
    *,
    grants: Mapping[str, str] = MappingProxyType({}),
    name: str = "pypicloud.ini",
) -> str:
    """Write an ini file with these settings, and every other key in a comment.

    :param settings: texts by key; ``%(here)s`` in one stays what it is in an ini.
    :param users: password hashes by user name.
    :param grants: groups and rights: texts by their whole keys.
    :param name: what the file will be called; ``-`` where nobody knows.
    :raises CannotWriteError: one of them has no form in an ini.
    """
    keys = document_keys()
    secrets = _comment(", ".join(FILE_KEYS) + ".")
    told = "pypicloud.ini" if name == "-" else name
    parts = [_HEAD.format(name=told, secrets=secrets)]
    for section, made_of in SECTIONS.items():
        own = [k for k in keys if k.section == section and k.name not in _OF_SERVER]
        parts.append(f"\n## {_first_sentence(made_of)}\n\n")
        parts.extend(_setting(key, key.name, settings) for key in own)
    parts.append(_USERS)
    parts.extend(_user_lines(users))
    parts.append(_GRANTS)
    parts.extend(_grant_lines(grants))
    parts.append(_RETENTION)
    parts.append(_SERVER)
    parts.extend(
        _setting(key, _OF_SERVER[key.name], settings)
        for key in keys
        if key.name in _OF_SERVER
    )
    text = "".join(parts)
    hashes = {f"user.{user}": users[user] for user in users}
    _read_back(text, {**settings, **hashes, **grants})
    return text


def _read_back(text: str, settings: Mapping[str, str]) -> None:
    """Refuse what an ini would not give back: comments, blanks, lines in values."""
    here = Path("/")
    found: dict[str, str] = {}
    for entry in parse_ini(text).entries:
        key = f"server.{entry.key}" if entry.section == "server:main" else entry.key
        found[key], _ = substitute(entry.value, here)
    for key, value in settings.items():
        if found.get(key) != value.replace("%(here)s", str(here)):
            raise CannotWriteError(f"What {key} is to be cannot be written in an ini.")


def _first_sentence(made_of: type) -> str:
    return (made_of.__doc__ or "").partition(". ")[0].rstrip(".") + "."


def _setting(key: Key, name: str, settings: Mapping[str, str]) -> str:
    lines = [_comment(key.doc)]
    if key.name in settings:
        lines.append(f"{name} = {_escaped(settings[key.name])}")
    else:
        lines.append(f"#{name} = {_escaped(key.default or key.example or '')}".rstrip())
    return "\n".join(lines) + "\n"


def _comment(text: str) -> str:
    lines = wrap(text, 84, break_long_words=False, break_on_hyphens=False)
    return "\n".join(f"# {line}" for line in lines)


def _escaped(text: str) -> str:
    return re.sub(r"%(?!\(here\)s)", "%%", text).replace("\n", "\n    ")


def _user_lines(users: Mapping[str, str]) -> Iterator[str]:
    if not users:
        yield "#user.alice = $argon2id$...\n"
    for name, hashed in users.items():
        yield f"user.{name} = {_escaped(hashed)}\n"


def _grant_lines(grants: Mapping[str, str]) -> Iterator[str]:
    if not grants:
        yield "#group.dev = alice bob\n"
        yield "#package.acme-*.group.dev = rw\n"
    for key, text in grants.items():
        yield f"{key} = {_escaped(text)}".rstrip() + "\n"


def write_private(path: Path, text: str, *, replace: bool) -> None:
    """Write a file that only its owner may read, whole or not at all.

    :param replace: whether a file that is there already is replaced.
    :raises CannotWriteError: it is there already, or its folder does not let us.
    """
    target = Path(os.path.realpath(path))
    try:
        with draft_in(target.parent) as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
            _move(Path(file.name), target, replace)
    except FileExistsError:
        raise CannotWriteError(
            f"{path} is there already; give another name, or --force to replace it."
        ) from None
    except OSError as e:
        raise CannotWriteError(f"{path} cannot be written: {e.strerror}.") from None


def _move(source: Path, target: Path, replace: bool) -> None:
    if replace:
        source.replace(target)
        return
    try:
        # Unlike a rename, a link never takes the place of another file.
        target.hardlink_to(source)
    except FileExistsError:
        raise
    except OSError:
        # Some file systems have no links; there, look first.
        if os.path.lexists(target):
            raise FileExistsError from None
        source.replace(target)
