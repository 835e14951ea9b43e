"""``pypicloud-make-config``: a commented ini file out of answers and options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from pypicloud_tw.cli.base import Command, finish, hash_of, surroundings
from pypicloud_tw.cli.paths import NamedPath
from pypicloud_tw.config.example import ini_text, write_private
from pypicloud_tw.config.hashes import HOW_TO_HASH, identify
from pypicloud_tw.config.keys import KEYS
from pypicloud_tw.config.sections.upstream import COOLDOWN, OSV_OF_PYPI
from pypicloud_tw.config.sources import user_name_problem
from pypicloud_tw.config.values import BadValueError

#: The keys that have an option of their own.
_OPTIONS = {
    "dir": "storage.dir",
    "bucket": "aws.bucket",
    "prefix": "aws.prefix",
    "region": "aws.region",
    "endpoint_url": "aws.endpoint_url",
    "host": "server.host",
    "port": "server.port",
    "default_read": "pypi.default_read",
}


def _checked(key: str) -> Callable[[str], str]:
    """Make the check of an answer by the key that it is for."""

    def check(text: str) -> str:
        try:
            KEYS[key].parse(text)
        except BadValueError as e:
            raise click.BadParameter(f"{KEYS[key].show(text)} {e}") from None
        return text

    return check


def _with_options(command: Command) -> Command:
    for name, key in reversed(_OPTIONS.items()):
        command = click.option(
            f"--{name.replace('_', '-')}",
            name,
            metavar="VALUE",
            help=f"{key}: {KEYS[key].doc}",
            callback=_callback(_checked(key)),
        )(command)
    return command


def _callback(check: Callable[[str], str]) -> Callable[..., str | None]:
    def callback(_: click.Context, __: click.Parameter, text: str | None) -> str | None:
        return None if text is None else check(text)

    return callback


def _user_name(text: str) -> str:
    problem = user_name_problem(text) if text else None
    if problem is not None:
        raise click.BadParameter(problem)
    return text


def _hash(text: str) -> str:
    if identify(text) is None:
        raise click.BadParameter(
            f"This is not a hash of a password that works here. {HOW_TO_HASH}"
        )
    return text


@click.command("make-config")
@click.argument("path", type=NamedPath(), default=Path("pypicloud.ini"))
@_with_options
@click.option("--user", callback=_callback(_user_name), help="A user, who may upload.")
@click.option(
    "--password-hash",
    callback=_callback(_hash),
    help="The hash of the user's password, of pypicloud-gen-password.",
)
@click.option("--force", is_flag=True, help="Replace a file that is there already.")
def make_config(
    path: Path,
    user: str | None,
    password_hash: str | None,
    force: bool,
    **options: str | None,
) -> None:
    """Write an ini file with every key.

    Writes to PATH (pypicloud.ini by default; - is stdout). At a terminal it asks for
    what matters most, as far as no option tells.
    """
    if options["dir"] is not None and options["bucket"] is not None:
        raise click.UsageError(
            "Packages are kept in a folder or in a bucket: give one."
        )
    if password_hash is not None and not user:
        raise click.UsageError("--password-hash belongs to a --user.")
    asks = surroundings().is_terminal()
    if asks and options["dir"] is None and options["bucket"] is None:
        options |= _ask_for_place()
    if asks and user is None:
        user = _ask(
            "A user who may upload (empty: none)",
            _user_name,
            default="",
            show_default=False,
        )
    users = _users(user, password_hash, asks)
    settings = {
        "upstream.min_age": COOLDOWN,
        "advisories.source": OSV_OF_PYPI,
        **{_OPTIONS[name]: text for name, text in options.items() if text is not None},
    }
    finish(lambda: _write(path, settings, users, force))


def _ask(text: str, check: Callable[[str], str], **options: Any) -> str:
    answer: str = click.prompt(text, value_proc=check, err=True, **options)
    return answer


def _ask_for_place() -> dict[str, str | None]:
    place = click.prompt(
        "Where are the packages kept",
        type=click.Choice(["folder", "bucket"]),
        default="folder",
        err=True,
    )
    if place == "folder":
        return {"dir": _ask("Folder", _checked("storage.dir"), default="packages")}
    return {
        "bucket": _ask("Bucket", _checked("aws.bucket")),
        "region": _ask(
            "Region (empty: ask S3)",
            lambda text: text and _checked("aws.region")(text),
            default="",
            show_default=False,
        )
        or None,
    }


def _users(
    name: str | None, password_hash: str | None, asks: bool
) -> Mapping[str, str]:
    if not name:
        return {}
    if password_hash is None and not asks:
        raise click.UsageError(
            "--user needs --password-hash where there is no terminal to ask at; "
            "pypicloud-gen-password makes one."
        )
    if password_hash is None:
        password = click.prompt(
            f"Password of {name}", hide_input=True, confirmation_prompt=True, err=True
        )
        password_hash = hash_of(password)
    return {name: password_hash}


def _write(
    path: Path, settings: Mapping[str, str], users: Mapping[str, str], force: bool
) -> int:
    text = ini_text(settings, users, name=path.name)
    if str(path) == "-":
        click.echo(text, nl=False)
        return 0
    write_private(path, text, replace=force)
    click.echo(f"{path} is written. Run it: pypicloud serve --config={path}")
    click.echo(f"After a change, see whether it is right: pypicloud check {path}")
    if not users:
        click.echo(
            "It names no user. Unless the store has one, this makes the first "
            f"administrator: pypicloud user add NAME --admin --config={path}"
        )
    return 0
