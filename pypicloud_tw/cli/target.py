"""What a command works on: the store of an ini, or the server of an index."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from attrs import evolve, frozen

from pypicloud_tw.cli.base import Surroundings, load_config, surroundings
from pypicloud_tw.cli.errors import CouldNotDo, failed, sentence_of
from pypicloud_tw.cli.paths import NamedPath
from pypicloud_tw.client.address import IndexAddress
from pypicloud_tw.client.logins import Credentials, LoginSources
from pypicloud_tw.client.pypirc import OWN_SECTION, Pypirc
from pypicloud_tw.config.public_address import public_address
from pypicloud_tw.config.sources import (
    INDEX_VARIABLE,
    INI_VARIABLE,
    named_ini,
    names_store,
)
from pypicloud_tw.errors import PypicloudError
from pypicloud_tw.outbound.origins import is_web

if TYPE_CHECKING:
    # It brings most of the domain, which no command needs that asks a server.
    from pypicloud_tw.cli.administration import Work

T = TypeVar("T")

#: Who logs in where packages are taken from: who does where they are taken into is
#: another.
USER_VARIABLE = "PYPICLOUD_SOURCE_USERNAME"
PASSWORD_VARIABLE = "PYPICLOUD_SOURCE_PASSWORD"  # noqa: S105  the name, not the word


@frozen
class Target:
    """Where a command does its work.

    :ivar config: the ini whose store it is done on, if that is given.
    :ivar index: the address of a server, as given; None: it is found.
    :ivar offline: whether the work is done on the store itself.
    """

    config: Path | None
    index: str | None
    offline: bool = False

    @classmethod
    def choose(
        cls, config: Path | None, index: str | None, environ: Mapping[str, str]
    ) -> Target:
        """Choose by the options, and without them by the environment."""
        if config is not None or index is not None:
            return cls(config, index, config is not None)
        if environ.get(INDEX_VARIABLE):
            return cls(None, None)
        # As in a container of the server's, where nothing has to be said.
        offline = named_ini(environ) is not None or names_store(environ)
        return cls(None, None, offline)

    def do(self, work: Work[T], *, changes: bool = False) -> T:
        """Do some work and return what came of it.

        Exits with 1 where it is refused, or is about what is not there; with 2 where
        nobody could be asked. A process can do this once, for a reactor runs once.
        """
        try:
            return self._run(work, changes)
        except PypicloudError as e:
            raise failed(e) from None
        except BrokenPipeError:
            raise
        except OSError as e:
            raise CouldNotDo(sentence_of(e)) from None

    def change(self, work: Work[T]) -> T:
        """Do the same with what changes something."""
        return self.do(work, changes=True)

    def peek(self, work: Work[T], patience: float) -> T:
        """Do some work through a server without asking anybody for a log-in.

        :param patience: seconds that it has for each whole answer.
        :raises PypicloudError: it could not be done.
        """
        world = surroundings()
        address = _address(self.index, world)
        # Without the keyring, which may ask that it be unlocked.
        sources = LoginSources(world.environ, partial(_pypirc, world), _netrc(world))
        return world.runner().over_server(
            address,
            sources.credentials(address),
            world.environ,
            work,
            patience=patience,
        )

    def address(self) -> IndexAddress:
        """Return where clients find the index.

        :raises PypicloudError: nothing says so.
        """
        world = surroundings()
        if self.config is not None:
            url = public_address(load_config(None, self.config))
            return IndexAddress.parse(url, str(self.config))
        return _address(self.index, world)

    def look(self, address: IndexAddress, work: Work[T], patience: float) -> T:
        """Do some work through a server as nobody in particular; see :meth:`peek`."""
        world = surroundings()
        return world.runner().over_server(
            address, Credentials(None), world.environ, work, patience=patience
        )

    def _run(self, work: Work[T], changes: bool) -> T:
        world = surroundings()
        if self.offline:
            config = load_config(None, self.config)
            return world.runner().over_store(config, work, changes=changes)
        address, credentials = into_server(self.index)
        return world.runner().over_server(address, credentials, world.environ, work)


def into_server(index: str | None) -> tuple[IndexAddress, Credentials]:
    """Return the server that a command works through, and who logs in there.

    :param index: its address, as given; None: it is found.
    :raises ConfigError: it is none; or nobody tells a password.
    """
    world = surroundings()
    address = _address(index, world)
    return address, _sources(world).credentials(address)


def source_credentials(place: str, user: str | None) -> Credentials:
    """Return who logs in where packages are taken from.

    :param place: nobody does where this is no address.
    :param user: as given; None: it is looked for.
    :raises ConfigError: the address is none; or nobody tells a password.
    """
    if not is_web(place):
        return Credentials(None)
    world = surroundings()
    address = IndexAddress.parse(place, "SOURCE")
    if user is not None:
        address = evolve(address, user=user, password=None)
    sources = evolve(
        _sources(world),
        user_variable=USER_VARIABLE,
        password_variable=PASSWORD_VARIABLE,
    )
    return sources.credentials(address)


def takes_target(command: Callable[..., T]) -> Callable[..., T]:
    """Give a command the options that choose what it works on, as *target*."""

    @wraps(command)
    def chosen(*, config: Path | None, index: str | None, **arguments: Any) -> T:
        if config is not None and index is not None:
            raise click.UsageError(
                "Give --config or --index: the store, or its server."
            )
        target = Target.choose(config, index, surroundings().environ)
        return command(target=target, **arguments)

    config = click.option(
        "-c",
        "--config",
        type=NamedPath(),
        metavar="INI",
        help="Work on the store of this ini file itself.",
    )
    index = click.option(
        "--index",
        metavar="URL",
        help="Work through the server of this index. Without either option: "
        f"{INDEX_VARIABLE}; the store that {INI_VARIABLE} or the environment names; "
        f"the section [{OWN_SECTION}] of .pypirc.",
    )
    return config(index(chosen))


def server_of(index: str) -> tuple[IndexAddress, Credentials]:
    """Find where an index is, and who logs in there.

    :raises ConfigError: it is no address; or somebody must be asked, and nobody can.
    """
    world = surroundings()
    address = IndexAddress.parse(index, "--index")
    return address, _sources(world).credentials(address)


def _address(given: str | None, world: Surroundings) -> IndexAddress:
    if given is not None:
        return IndexAddress.parse(given, "--index")
    variable = world.environ.get(INDEX_VARIABLE)
    if variable:
        return IndexAddress.parse(variable, INDEX_VARIABLE)
    own = _pypirc(world).own
    if own is not None:
        return own.address
    raise click.UsageError(
        "Say which index is meant: --index URL for one that a server serves, --config "
        f"INI for the store itself. Or set {INDEX_VARIABLE}, or have a section "
        f"[{OWN_SECTION}] with the line 'repository = URL' in .pypirc."
    )


def _sources(world: Surroundings) -> LoginSources:
    return LoginSources(
        world.environ,
        partial(_pypirc, world),
        _netrc(world),
        world.keyring(),
        _ask if world.is_terminal() else None,
    )


def _pypirc(world: Surroundings) -> Pypirc:
    return Pypirc.read(world.home() / ".pypirc")


def _netrc(world: Surroundings) -> Path:
    path = world.environ.get("NETRC")
    return Path(path) if path else world.home() / ".netrc"


def _ask(user: str | None) -> str:
    # On stderr, so that stdout has the answer and nothing else.
    if user is None:
        return str(click.prompt("User", err=True))
    return str(click.prompt(f"Password of {user}", hide_input=True, err=True))
