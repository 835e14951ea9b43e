"""Runs the server in this process as ``twistd -n`` does.

The plugin is named here, where twistd looks for it: looking for plugins writes
``twisted/plugins/dropin.cache`` into the installation, and logs an error where that is
not allowed.
"""

from __future__ import annotations

from pathlib import Path

from twisted.python.usage import UsageError
from twisted.scripts.twistd import (  # type: ignore[attr-defined]  # not in its __all__
    ServerOptions,
    runApp,
)

from pypicloud_tw.errors import ConfigError
from twisted.plugins.pypicloud_plugin import pypicloud


class _Twistd(ServerOptions):
    """twistd's options, with one plugin."""

    loadedPlugins = {pypicloud.tapname: pypicloud}  # noqa: RUF012  # as Twisted has it
    subCommands = ((pypicloud.tapname, None, pypicloud.options, pypicloud.description),)


def run_server(config: Path | None, listen: str | None, workers: str | None) -> None:
    """Serve in the foreground until a signal ends it; log to standard output.

    SIGTERM and SIGINT end it in good order, and the process then dies of that signal,
    as it does with twistd. SIGHUP reads users and access settings again.

    :param config: the ini file; None: every setting has its default.
    :param listen: a Twisted endpoint in place of the ini's.
    :param workers: how many processes serve, in place of the ini's.
    :raises ConfigError: with every mistake in the configuration.
    :raises SystemExit: it cannot listen there; the reason is its argument.
    """
    arguments = ["--nodaemon", "--pidfile=", pypicloud.tapname]
    if config is not None:
        arguments.append(f"--config={config}")
    if listen is not None:
        arguments.append(f"--listen={listen}")
    if workers is not None:
        arguments.append(f"--workers={workers}")
    options = _Twistd()  # type: ignore[no-untyped-call]  # Twisted's
    try:
        options.parseOptions(arguments)  # type: ignore[no-untyped-call]  # Twisted's
    except UsageError as e:
        raise ConfigError(str(e).split("\n")) from None
    runApp(options)
