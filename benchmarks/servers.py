"""The servers that are measured, started on loopback and stopped by their own ids."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import venv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

#: As long as what follows the question mark of a signed address.
_SIGNATURE = "X-Amz-Signature=".ljust(400, "0")

USER, PASSWORD = "reader", "correct horse"


def authorization() -> str:
    """Give the value of the header field that logs the benchmark in."""
    token = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    return f"Basic {token}"


def write_passwords(file: Path) -> None:
    """Write a file as htpasswd does, for servers that check it as cheaply as can be."""
    sha = base64.b64encode(hashlib.sha1(PASSWORD.encode()).digest()).decode()
    file.write_text(f"{USER}:{{SHA}}{sha}\n")


def free_port() -> int:
    """Find a port that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(
    command: Sequence[str],
    port: int,
    path: str | None,
    log: Path,
    environment: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends; begin when it answers *path*; None: at once.

    :param environment: more variables than this process has.
    """
    variables = {**os.environ, **(environment or {})}
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, env=variables)
    try:
        if path is not None:
            _wait(process, f"http://127.0.0.1:{port}{path}", log)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=60):
                return
        except urllib.error.HTTPError as e:
            if e.code != 503:
                return  # it answers, if only to ask for a password
        except OSError:
            pass
        time.sleep(0.02)
    raise RuntimeError(f"No answer from {url}:\n{log.read_text()[-2000:]}")


@contextmanager
def ours(
    folder: Path,
    settings: Mapping[str, str],
    port: int,
    ready: str | None = "/ready",
    programs: Path | None = None,
    environment: Mapping[str, str] | None = None,
    options: Sequence[str] = (),
    twistd: Sequence[str] = (),
) -> Iterator[subprocess.Popen[bytes]]:
    """Run this program; *settings* are lines of its ini, *options* of the command.

    :param programs: the folder that twistd is in; another version's, perhaps;
        None: this one's.
    :param environment: see :func:`running`.
    :param twistd: what is run instead of it.
    """
    ini = folder / f"ours-{port}.ini"
    lines = [f"{key} = {value}" for key, value in settings.items()]
    ini.write_text("\n".join(["[app:main]", *lines, ""]))
    found = str((programs or Path(sys.executable).parent) / "twistd")
    command = [
        *(twistd or [found]),
        "-n",
        "--pidfile=",
        "pypicloud",
        f"--config={ini}",
        f"--listen=tcp:{port}:interface=127.0.0.1",
        *options,
    ]
    log = folder / f"ours-{port}.log"
    with running(command, port, ready, log, environment) as process:
        yield process


def worker_user() -> str:
    """Write the line by which nginx's worker may enter a folder that is only ours."""
    return "user root;" if os.geteuid() == 0 else ""


@contextmanager
def nginx(
    folder: Path, root: Path, port: int, *, log_in: bool
) -> Iterator[subprocess.Popen[bytes]]:
    """Run nginx over files of the same bytes, under the fixed conditions.

    It chooses between HTML and JSON, plain and compressed, as cheaply as it can.
    """
    binary = shutil.which("nginx") or "/usr/sbin/nginx"
    passwords = folder / "nginx-passwords"
    write_passwords(passwords)
    guard = f"auth_basic 'x'; auth_basic_user_file {passwords};" if log_in else ""
    user = worker_user()
    config = folder / f"nginx-{port}.conf"
    config.write_text(
        f"""
daemon off;
worker_processes 1;
{user}
pid {folder}/nginx-{port}.pid;
error_log {folder}/nginx-{port}.err;
events {{ worker_connections 512; }}
http {{
    access_log off;
    sendfile on;
    tcp_nopush on;
    open_file_cache max=20000 inactive=600s;
    open_file_cache_valid 600s;
    keepalive_requests 1000000;
    types {{ text/html html; application/vnd.pypi.simple.v1+json json; }}
    gzip_static on;
    map $http_accept $kind {{
        default html;
        "~application/vnd\\.pypi\\.simple\\.v1\\+json" json;
    }}
    server {{
        listen 127.0.0.1:{port};
        root {root};
        index index.$kind;
        {guard}
        location /packages/ {{
            return 302 "https://bucket.s3.example$uri?{_SIGNATURE}";
        }}
    }}
}}
"""
    )
    command = [binary, "-c", str(config), "-p", str(folder)]
    with running(command, port, "/simple/", folder / f"nginx-{port}.log") as process:
        yield process


def install(folder: Path, *packages: str) -> Path:
    """Install packages into a virtual environment of their own; give its ``bin``."""
    venv.create(folder, with_pip=True)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *packages]
    subprocess.run(pip, check=True, stdin=subprocess.DEVNULL)
    return folder / "bin"


def load_average() -> str:
    """Tell how busy the machine is with other things."""
    return " ".join(f"{n:.2f}" for n in os.getloadavg())
