"""Who fetched which file (``downloads.log``)."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from pypicloud_tw.access.audit.log_file import LogFile
from pypicloud_tw.access.audit.record import Download, encode_download


@frozen
class DownloadLog:
    """Takes what was handed out, and never fails.

    :ivar file: where to.
    :ivar seconds: tells the time.
    """

    file: LogFile
    seconds: Callable[[], float]

    def __call__(self, download: Download) -> None:
        """Bring a record on its way."""
        self.file.add(encode_download(download, self.seconds()))
