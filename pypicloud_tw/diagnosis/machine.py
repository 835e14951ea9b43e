"""What is asked of the machine that a diagnosis runs on."""

from __future__ import annotations

import os
import platform
import re
import resource
import socket
import ssl
import tempfile
from collections.abc import Callable, Sequence
from datetime import date
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path

from attrs import frozen
from OpenSSL import SSL

#: Seconds for another server's certificate.
_CONNECT = 10.0

_MOUNTS = Path("/proc/self/mounts")


@frozen
class Disk:
    """A file system, as far as this process may use it.

    :ivar free: bytes, of *size*.
    :ivar inodes_free: of *inodes*; a file system without a number of them has 0.
    :ivar kind: its type; empty: not known.
    """

    free: int
    size: int
    inodes_free: int
    inodes: int
    read_only: bool
    kind: str = ""


def look_at_disk(path: Path) -> Disk:
    """Look at the file system that a path is on.

    :raises OSError: there is no such path.
    """
    told = os.statvfs(path)
    return Disk(
        told.f_bavail * told.f_frsize,
        told.f_blocks * told.f_frsize,
        told.f_favail,
        told.f_files,
        bool(told.f_flag & os.ST_RDONLY),
        _kind(path),
    )


def _kind(path: Path) -> str:
    """Find the type of a path's file system: the last that is mounted above it."""
    try:
        mounts = _MOUNTS.read_text("utf-8", "replace").splitlines()
    except OSError:
        return ""
    place = Path(os.path.realpath(path))
    best, kind = -1, ""
    for line in mounts:
        _, where, type_of, *_ = line.split(" ")
        above = Path(re.sub(r"\\([0-7]{3})", _unescaped, where))
        if place.is_relative_to(above) and len(above.parts) >= best:
            best, kind = len(above.parts), type_of
    return kind


def _unescaped(found: re.Match[str]) -> str:
    return chr(int(found[1], 8))


def open_files() -> tuple[int, int]:
    """Return the limits of open files, the soft and the hard one; -1: there is none."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)


def resolve(host: str) -> Sequence[str]:
    """Look up the addresses of a host.

    :raises OSError: it has none.
    """
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return sorted({str(address[0]) for *_, address in found})


def certificate_at(host: str, port: int) -> bytes:
    """Fetch the certificate that a server shows, whoever has signed it, as PEM.

    :raises OSError: it cannot be had.
    """
    return ssl.get_server_certificate((host, port), timeout=_CONNECT).encode()


def mistrust(host: str, port: int, ca_file: Path | None) -> str | None:
    """Tell why a server's certificate is not trusted, in OpenSSL's words; None: it is.

    Whose name it has is not asked.

    :param ca_file: the only authorities that are trusted; None: the system's are.
    :raises OSError: the server cannot be reached, or the file cannot be read.
    """
    context = ssl.create_default_context(cafile=ca_file)
    context.check_hostname = False
    try:
        with (
            socket.create_connection((host, port), _CONNECT) as plain,
            context.wrap_socket(plain, server_hostname=host),
        ):
            return None
    except ssl.SSLCertVerificationError as e:
        return e.verify_message


def installed(name: str) -> str | None:
    """Return the version of a distribution; None: it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def required(name: str) -> Sequence[str] | None:
    """Return what a distribution needs; None: it is not installed."""
    try:
        return requires(name) or ()
    except PackageNotFoundError:
        return None


def is_there(module: str) -> bool:
    """Return whether a module can be imported; it is not."""
    return find_spec(module) is not None


def openssl() -> str:
    """Return the version of the OpenSSL that TLS is spoken with here."""
    return SSL.SSLeay_version(SSL.SSLEAY_VERSION).decode("ascii", "replace")


@frozen
class Machine:
    """The machine; tests give their own. What takes long is for a thread."""

    disk: Callable[[Path], Disk] = look_at_disk
    state: Callable[[Path], os.stat_result] = os.stat
    may_write: Callable[[Path], bool] = lambda path: os.access(path, os.W_OK | os.X_OK)
    open_files: Callable[[], tuple[int, int]] = open_files
    resolve: Callable[[str], Sequence[str]] = resolve
    certificate_at: Callable[[str, int], bytes] = certificate_at
    mistrust: Callable[[str, int, Path | None], str | None] = mistrust
    installed: Callable[[str], str | None] = installed
    required: Callable[[str], Sequence[str] | None] = required
    is_there: Callable[[str], bool] = is_there
    python: Callable[[], str] = platform.python_version
    openssl: Callable[[], str] = openssl
    temp_dir: Callable[[], str] = tempfile.gettempdir


#: When a minor version of Python gets no fixes any more (devguide, "Status of Python
#: versions"): at the end of that month.
PYTHON_ENDS = {
    (3, 11): date(2027, 10, 31),
    (3, 12): date(2028, 10, 31),
    (3, 13): date(2029, 10, 31),
    (3, 14): date(2030, 10, 31),
}
