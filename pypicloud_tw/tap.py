"""``twistd pypicloud``: its options, and the service that it runs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from attrs import evolve
from twisted.application.service import IService
from twisted.internet.protocol import Factory
from twisted.python.usage import Options as UsageOptions
from twisted.python.usage import UsageError

from pypicloud_tw.config.addresses import endpoint
from pypicloud_tw.config.configuration import Config
from pypicloud_tw.config.keys import KEYS
from pypicloud_tw.config.load import load
from pypicloud_tw.config.sources import named_ini
from pypicloud_tw.config.values import BadValueError
from pypicloud_tw.errors import ConfigError
from pypicloud_tw.garbage import ShortCollections
from pypicloud_tw.workers.parent import make_supervisor


class Options(UsageOptions):
    """What ``twistd pypicloud`` takes.

    :ivar environ: of the process; tests give their own.
    :ivar workers: how many were asked for; None: as many as the ini says.
    """

    optParameters = [  # noqa: RUF012  # Twisted's way to declare options
        ["config", "c", None, "The ini file; without it everything has its default."],
        ["listen", "l", None, "A Twisted endpoint to listen at, instead of the ini's."],
        ["workers", "w", None, "How many processes serve, instead of the ini's."],
    ]

    #: Set by :meth:`postOptions`.
    settings: Config

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's
        self.environ = os.environ if environ is None else environ
        self.workers: int | None = None

    def read(self) -> Config:
        """Read the configuration as it is now.

        :raises ConfigError: with every mistake in it.
        """
        config = load(Path(self["config"]) if self["config"] else None, self.environ)
        server = config.server
        if self["listen"]:
            server = evolve(server, listen=self["listen"])
        if self.workers is not None:
            server = evolve(server, workers=self.workers)
        return evolve(config, server=server)

    def postOptions(self) -> None:
        """Read the configuration; every mistake becomes one usage error."""
        if not self["config"]:
            self["config"] = named_ini(self.environ)
        if self["config"]:
            # twistd may go to another folder before a reload reads it again.
            self["config"] = os.path.abspath(self["config"])
        problems = []
        try:
            if self["listen"]:
                endpoint(self["listen"])
        except BadValueError as e:
            problems.append(f"--listen {self['listen']!r} {e}")
        try:
            if self["workers"]:
                self.workers = _workers(self["workers"])
        except BadValueError as e:
            problems.append(f"--workers {self['workers']!r} {e}")
        try:
            self.settings = self.read()
        except ConfigError as e:
            problems += e.problems
        if problems:
            raise UsageError("\n".join(problems))


def _workers(text: str) -> int:
    """Read a number of workers, by the rule of the ini's.

    :raises BadValueError: it is none.
    """
    workers = KEYS["server.workers"].parse(text)
    assert isinstance(workers, int), "that is what the key's kind makes"
    return workers


def makeService(options: Options) -> IService:
    """Assemble a server on the reactor that twistd has chosen, or a parent of several.

    :raises SystemExit: it cannot be, as it is configured; the message says why.
    """
    # Importing it installs it: only here.
    from twisted.internet import reactor

    # A line for each connection to S3 or an upstream tells nobody anything.
    Factory.noisy = False
    if options.settings.server.workers > 1:
        return make_supervisor(options.settings, options.read, reactor, options.environ)
    # Only here: a parent of workers has no need of it, and 20 MB less without.
    from pypicloud_tw.assembly.server import assemble

    try:
        server = assemble(options.settings, reactor, options.environ, read=options.read)
    except ConfigError as e:
        # What only shows when it is used: a file of certificates, a missing module.
        raise SystemExit(f"pypicloud: {e}") from None
    # What is here now stays, modules above all: it would be looked at each time.
    ShortCollections().start()
    return server
