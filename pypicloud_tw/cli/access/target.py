"""What a command works on: the store of an ini, or the server of an index."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import click
from attrs import frozen

from pypicloud_tw.access.administration.interface import Work
from pypicloud_tw.cli.base import (
    Command,
    CouldNotCheck,
    PlainError,
    Surroundings,
    load_config,
    surroundings,
)
from pypicloud_tw.client.address import IndexAddress
from pypicloud_tw.client.logins import LoginSources
from pypicloud_tw.client.pypirc import OWN_SECTION, Pypirc
from pypicloud_tw.config.configuration import Config
from pypicloud_tw.config.sources import INDEX_VARIABLE
from pypicloud_tw.errors import PypicloudError

T = TypeVar("T")

#: Statuses below it are refusals; 429 asks to come again.
_SERVER_ERRORS, _TOO_MANY = 500, 429


@frozen
class Target:
    """Where a command does its work.

    :ivar config: the ini whose store it is done on; None: through a server.
    :ivar index: the address of that server, as given; None: it is found.
    """

    config: Path | None
    index: str | None

    @property
    def offline(self) -> bool:
        """Whether the work is done on the store itself."""
        return self.config is not None

    def do(self, work: Work[T], *, changes: bool = False) -> T:
        """Do some work and return what came of it.

        Exits with 1 where it is refused, or is about what is not there; with 2 where
        nobody could be asked.
        """
        try:
            return self._run(work, changes)
        except PypicloudError as e:
            refused = e.status < _SERVER_ERRORS and e.status != _TOO_MANY
            raise (PlainError if refused else CouldNotCheck)(e.message) from None

    def change(self, work: Work[T]) -> T:
        """Do the same with what changes something."""
        return self.do(work, changes=True)

    def _run(self, work: Work[T], changes: bool) -> T:
        world = surroundings()
        if self.config is not None:
            config = _load(self.config)
            return world.access_runner().over_store(config, work, changes=changes)
        pypirc = Pypirc.read(world.home() / ".pypirc")
        address = _address(self.index, world, pypirc)
        login = _sources(world, pypirc).find(address)
        return world.access_runner().over_server(address, login, world.environ, work)


def takes_target(command: Command) -> Command:
    """Give a command the options that choose what it works on."""
    config = click.option(
        "-c",
        "--config",
        type=click.Path(path_type=Path),
        metavar="INI",
        help="Work on the store of this ini file itself.",
    )
    index = click.option(
        "--index",
        metavar="URL",
        help="Work through the server of this index. Without either option: "
        f"{INDEX_VARIABLE}, or the section [{OWN_SECTION}] of .pypirc.",
    )
    return config(index(command))


def target(config: Path | None, index: str | None) -> Target:
    """Choose by the options that were given."""
    if config is not None and index is not None:
        raise click.UsageError("Give --config or --index: the store, or its server.")
    return Target(config, index)


def _load(path: Path) -> Config:
    try:
        return load_config(None, path)
    except PlainError as e:
        raise CouldNotCheck(e.message) from None


def _address(given: str | None, world: Surroundings, pypirc: Pypirc) -> IndexAddress:
    if given is not None:
        return IndexAddress.parse(given, "--index")
    variable = world.environ.get(INDEX_VARIABLE)
    if variable:
        return IndexAddress.parse(variable, INDEX_VARIABLE)
    if pypirc.own is not None:
        return pypirc.own.address
    raise click.UsageError(
        "Say which index is meant: --index URL for one that a server serves, --config "
        f"INI for the store itself. Or set {INDEX_VARIABLE}, or have a section "
        f"[{OWN_SECTION}] with the line 'repository = URL' in .pypirc."
    )


def _sources(world: Surroundings, pypirc: Pypirc) -> LoginSources:
    netrc = world.environ.get("NETRC")
    return LoginSources(
        world.environ,
        pypirc,
        Path(netrc) if netrc else world.home() / ".netrc",
        world.keyring(),
        _ask if world.is_terminal() else None,
    )


def _ask(user: str | None) -> str:
    # On stderr, so that stdout has the answer and nothing else.
    if user is None:
        return str(click.prompt("User", err=True))
    return str(click.prompt(f"Password of {user}", hide_input=True, err=True))
