"""Ours behind nginx as ``contrib/nginx.conf`` has it, which keeps public pages."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from attrs import field, frozen

from benchmarks import servers
from benchmarks.contestants import Ours, Place, Setup, Target
from pypicloud_tw import __version__

EXAMPLE = Path(__file__).parent.parent / "contrib" / "nginx.conf"

#: What the example leaves to the file that includes it; as for nginx by itself.
_MAIN = """\
daemon off;
worker_processes 1;
{user}
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    open_file_cache max=20000 inactive=600s;
    keepalive_requests 1000000;
    include {folder}/site.conf;
}}
"""

_PAST = "whoever logs in goes past the cache"


@frozen
class Cached:
    """Both together: what both processes do counts.

    :ivar program: nginx's path.
    """

    place: Place
    program: str
    name: str = "ours+nginx"
    version: str = __version__
    promises: str = ""
    cannot: Mapping[str, str] = field(
        factory=lambda: {
            "basic": _PAST,
            "token": _PAST,
            "302": "what is signed is private, and not kept",
            **dict.fromkeys(
                ("upload-1", "upload-8", "upload-32", "log-ins", "start"),
                "it is passed on",
            ),
        }
    )

    @contextmanager
    def running(self, setup: Setup) -> Iterator[Target]:
        """See :class:`~benchmarks.contestants.Contestant`."""
        folder, port = self.place.new_folder("cached"), servers.free_port()
        user = servers.worker_user()
        with (
            Ours(self.place, proxied=True).running(setup) as ours,
            TemporaryDirectory(dir=_memory()) as kept,
        ):
            (folder / "site.conf").write_text(site(port, ours.port, Path(kept)))
            config = folder / "nginx.conf"
            config.write_text(_MAIN.format(folder=folder, user=user))
            command = [self.program, "-c", str(config), "-p", str(folder)]
            log = folder / "log"
            with servers.running(command, port, "/simple/", log) as process:
                yield Target(port, process.pid, behind=(ours.pid,))


def site(port: int, upstream: int, kept: Path) -> str:
    """Write the example for addresses of this machine, and without TLS.

    :param kept: the folder of what it keeps.
    """
    text = EXAMPLE.read_text()
    for pattern, instead in (
        (r"listen 80;", f"listen 127.0.0.1:{servers.free_port()};"),
        (r"listen \[::\]:\d+(?: ssl)?;", ""),
        (r"listen 443 ssl;", f"listen 127.0.0.1:{port};"),
        (r"ssl_certificate\w* \S+;", ""),
        (r"server 127\.0\.0\.1:6543;", f"server 127.0.0.1:{upstream};"),
        (r"/run/pypicloud-nginx", f"{kept}/pages"),
    ):
        text = re.sub(pattern, instead, text)
    return text


def _memory() -> str | None:
    """Find a folder that is in memory, as /run is; None, if there is none."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None
