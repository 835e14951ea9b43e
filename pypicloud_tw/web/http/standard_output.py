"""The access log on standard output, as processes in containers write it."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger, globalLogPublisher

from pypicloud_tw.concurrency.gathered_lines import UNMIXED
from pypicloud_tw.web.http.access_log import AccessLog

_log = Logger()


def access_log_on_standard_output(
    clock: IReactorTime, *, shared: bool = False
) -> AccessLog:
    """Make a log that writes there, before what the program itself logs.

    :param shared: other processes of this server write there, too.
    """
    # By its number: twistd puts a log of its own in the place of sys.stdout.
    output = open(1, "wb", buffering=0, closefd=False)  # noqa: SIM115  # as long as we
    failed = False

    def write(lines: bytes) -> None:
        nonlocal failed
        try:
            while lines:
                lines = lines[output.write(lines) or len(lines) :]
        except OSError as e:
            # Nobody reads it any more, or the disk is full: no reason not to serve.
            if not failed:
                failed = True
                _log.error(
                    "The access log cannot be written: {error}", error=e.strerror
                )

    log = AccessLog(write, clock, UNMIXED if shared else None)
    # twistd begins to write its own log later, and often to the same place.
    log.go_before(globalLogPublisher)
    return log
