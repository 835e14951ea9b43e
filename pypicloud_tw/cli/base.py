"""What the commands share: the world they work in, and how they say what went wrong."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import click
from attrs import field, frozen

from pypicloud_tw.access.basic import Login
from pypicloud_tw.access.hashes import MAX_PASSWORD, hash_password
from pypicloud_tw.cli.errors import CouldNotDo, PlainError, failed, sentence_of
from pypicloud_tw.cli.paths import NamedPath
from pypicloud_tw.client.address import IndexAddress
from pypicloud_tw.client.keyring import SystemKeyring
from pypicloud_tw.client.logins import Credentials, Keyring
from pypicloud_tw.config.configuration import Config
from pypicloud_tw.config.load import load
from pypicloud_tw.config.sources import named_ini
from pypicloud_tw.errors import PypicloudError

if TYPE_CHECKING:
    # They bring most of the domain, which no health check needs to load.
    from pypicloud_tw.cli.administration import Work
    from pypicloud_tw.cli.moving.carrier import Carrier
    from pypicloud_tw.cli.moving.mover import Mover
    from pypicloud_tw.diagnosis.values import Diagnosis

#: No password is longer, in bytes of a line: 4 for each character, and its end.
_MAX_LINE = 4 * MAX_PASSWORD + 2

Command = TypeVar("Command", bound=Callable[..., Any])
T = TypeVar("T")


class Maintenance(Protocol):
    """What works on the store; each returns an exit code."""

    def prepare(self, config: Config) -> int:
        """Create the folder or the bucket; idempotent."""

    def run_refresh(self, config: Config, *, dry_run: bool, derived: bool) -> int:
        """Adopt the files that are in the store and that no manifest names.

        :param derived: instead make what is searched anew.
        """

    def run_verify(self, config: Config, *, deep: bool) -> int:
        """Check that every file that a manifest names is there as it says."""

    def run_sweep(self, config: Config, *, age: float | None, dry_run: bool) -> int:
        """Remove what no manifest names."""

    def run_rebuild(self, config: Config, *, project: str | None, dry_run: bool) -> int:
        """Write manifests anew that were lost."""


class Runner(Protocol):
    """Runs work on an index, in either of two ways."""

    def over_store(self, config: Config, work: Work[T], *, changes: bool) -> T:
        """Do the work on the store itself.

        :param changes: whether it changes anything.
        :raises PypicloudError: it is refused, or could not be done.
        """

    def over_server(
        self,
        address: IndexAddress,
        credentials: Credentials,
        environ: Mapping[str, str],
        work: Work[T],
        *,
        patience: float | None = None,
    ) -> T:
        """Do the work through a server.

        :param patience: seconds that it has for each whole answer; None: as usual.
        :raises PypicloudError: it is refused, or could not be done.
        """


class Examiner(Protocol):
    """Finds out what is wrong."""

    def unusable(self, of: str, problems: Sequence[str]) -> Diagnosis:
        """Tell what is wrong with settings that cannot be used.

        :param of: what they are.
        :param problems: a sentence each.
        """

    def settings(
        self, of: str, config: Config, environ: Mapping[str, str], *, deep: bool
    ) -> Diagnosis:
        """Look at settings, and at all that they name."""

    def server(
        self,
        address: IndexAddress,
        login: Login | None,
        environ: Mapping[str, str],
        *,
        deep: bool,
    ) -> Diagnosis:
        """Look at a server as its clients see it.

        :param login: None: nobody logs in.
        :raises ConfigError: a proxy of ours, or a file of authorities, is not usable.
        """


def _maintenance() -> Maintenance:
    # Only when needed: it brings the reactor and the whole server with it.
    from pypicloud_tw.cli import maintaining

    return maintaining


def _runner() -> Runner:
    # Only when needed, for the same reason.
    from pypicloud_tw.cli.run import ReactorRunner

    return ReactorRunner()


def _examiner() -> Examiner:
    # Only when needed, for the same reason.
    from pypicloud_tw.cli.examining import ReactorExaminer

    return ReactorExaminer()


def _mover() -> Mover:
    # Only when needed, for the same reason.
    from pypicloud_tw.cli.moving.run import ReactorMover

    return ReactorMover()


def _carrier() -> Carrier:
    # Only when needed, for the same reason.
    from pypicloud_tw.cli.moving.run_carrier import ReactorCarrier

    return ReactorCarrier()


def _run_server(config: Path | None, listen: str | None, workers: str | None) -> None:
    # Only when needed, and only there: it brings the reactor.
    from pypicloud_tw.cli.runner import run_server

    run_server(config, listen, workers)


def _is_terminal() -> bool:
    # There is none at all where it was closed.
    return sys.stdin is not None and sys.stdin.isatty()


def _prints_to_terminal() -> bool:
    return sys.stdout is not None and sys.stdout.isatty()


def _environ() -> Mapping[str, str]:
    return os.environ


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:
        # Nobody knows this user, as in a container; a runtime says the same (HOME=/).
        return Path("/")


@frozen
class Surroundings:
    """What the commands use of the world; tests give their own as click's ``obj``.

    :ivar is_terminal: whether somebody can be asked.
    :ivar prints_to_terminal: whether somebody reads what is printed.
    :ivar now: seconds since the epoch.
    :ivar folder: where the command was run.
    """

    environ: Mapping[str, str] = field(factory=_environ, repr=False)
    is_terminal: Callable[[], bool] = _is_terminal
    prints_to_terminal: Callable[[], bool] = _prints_to_terminal
    now: Callable[[], float] = time.time
    maintenance: Callable[[], Maintenance] = _maintenance
    runner: Callable[[], Runner] = _runner
    examiner: Callable[[], Examiner] = _examiner
    mover: Callable[[], Mover] = _mover
    carrier: Callable[[], Carrier] = _carrier
    home: Callable[[], Path] = _home
    folder: Callable[[], Path] = Path.cwd
    keyring: Callable[[], Keyring | None] = SystemKeyring.load
    run_server: Callable[[Path | None, str | None, str | None], None] = _run_server


def surroundings() -> Surroundings:
    """Find the world of the command that runs."""
    return click.get_current_context().ensure_object(Surroundings)


def takes_config(command: Command) -> Command:
    """Let a command take the ini's path, with or without ``--config``."""
    path = NamedPath()
    option = click.option(
        "-c", "--config", type=path, metavar="INI", help="The same, as an option."
    )
    return option(click.argument("ini", type=path, required=False)(command))


def one_ini(ini: Path | None, config: Path | None) -> Path | None:
    """Choose the ini file, which may be given in two ways, but once."""
    if ini is not None and config is not None:
        raise click.UsageError("Give the ini file once: by its name, or as --config.")
    return ini or config


def load_config(ini: Path | None, config: Path | None) -> Config:
    """Read the configuration for a command; every mistake ends it.

    Without an ini it is of the one that the environment names, if it names one.
    """
    environ = surroundings().environ
    path = one_ini(ini, config) or named_ini(environ)
    try:
        return load(path, environ)
    except PypicloudError as e:
        raise CouldNotDo(e.message) from None


def finish(work: Callable[[], int]) -> None:
    """Do the work and exit with its code; what goes wrong becomes a sentence."""
    try:
        with system_errors():
            code = work()
    except PypicloudError as e:
        raise failed(e) from None
    click.get_current_context().exit(code)


@contextmanager
def system_errors() -> Iterator[None]:
    """Say in a sentence what fails outside of this program, as a full disk."""
    try:
        yield
        _flush_stdout()  # now that it can be told if that fails
    except BrokenPipeError:
        raise  # whoever reads has seen enough; click ends the command quietly
    except OSError as e:
        leave_stdout()
        # Without a name it is what was printed that could not be written.
        kind = PlainError if e.filename is None else CouldNotDo
        raise kind(sentence_of(e)) from None


def leave_stdout() -> None:
    """Print what can be printed, and nothing any more where that fails."""
    try:
        _flush_stdout()
    except OSError:
        # Python would try again at its end, and tell of it with a traceback.
        sys.stdout = None


def _flush_stdout() -> None:
    if sys.stdout is not None:  # it was closed
        sys.stdout.flush()


class Commands(click.Group):
    """A group of commands none of which fails with a traceback for want of a disk."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was given."""
        with system_errors():
            return super().invoke(ctx)


def hash_of(password: str) -> str:
    """Hash a password that was asked for."""
    if not password:
        raise PlainError("There is no password; an empty one is not taken.")
    try:
        return hash_password(password)
    except ValueError as e:
        raise PlainError(str(e)) from None


def read_password() -> str:
    """Read a password from a line of stdin."""
    line = b"" if sys.stdin is None else sys.stdin.buffer.readline(_MAX_LINE)
    try:
        return line.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise PlainError("The password on stdin is not UTF-8 text.") from None
