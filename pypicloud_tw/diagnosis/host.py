"""The machine: disks, limits, and files that others may read."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from attrs import frozen

from pypicloud_tw.config.configuration import Config
from pypicloud_tw.config.keys import FILE_KEYS
from pypicloud_tw.config.sources import Source, from_environment, from_ini
from pypicloud_tw.diagnosis.machine import Disk, Machine
from pypicloud_tw.diagnosis.values import Finding, fault, note, ok, unseen, warning
from pypicloud_tw.web.http.tls import options_of

#: Parts of a disk: with less it is nearly full, and with less still it is.
LITTLE, NOTHING = 0.10, 0.02

#: Bytes that are enough, whatever part of the disk they are.
ENOUGH = 20 * 2**30

#: File systems that are gone when the machine starts again.
_IN_MEMORY = frozenset({"tmpfs", "ramfs"})

#: Those that a container loses when it is replaced.
_OF_CONTAINER = frozenset({"overlay", "aufs"})

#: Open files of a server: connections of clients, of the store and of upstreams, and
#: its own. An installer holds about ten.
FEW_FILES = 1024
TOO_FEW_FILES = 256

#: The keys whose values are secrets.
_SECRETS = frozenset(key.name for key in FILE_KEYS.values())


@frozen
class PrivateFile:
    """A file that has secrets, and what names it."""

    key: str
    path: Path


@frozen
class Place:
    """A folder that is written to.

    :ivar key: what names it.
    :ivar lasting: what is in it must outlive the machine's next start.
    :ivar once: bytes that may come at once; 0: not many.
    """

    key: str
    path: Path
    lasting: bool = True
    once: int = 0


def places_of(config: Config, temp_dir: str) -> Iterator[Place]:
    """Name the folders that a server writes to.

    :param temp_dir: the system's.
    """
    if config.aws.bucket is None:
        yield Place("storage.dir", config.storage.dir, once=config.pypi.max_upload)
    if config.storage.temp_dir is not None:
        temp, key = config.storage.temp_dir, "storage.temp_dir"
    else:
        temp, key = Path(temp_dir), "TMPDIR"
    yield Place(key, temp, lasting=False, once=config.pypi.max_upload)
    for key, log in (
        ("audit.log", config.audit.log),
        ("downloads.log", config.downloads.log),
    ):
        if isinstance(log, Path):
            yield Place(key, log.parent)


def disks(places: Iterable[Place], machine: Machine) -> Iterator[Finding]:
    """Look at the disks of folders; for a thread."""
    for place in places:
        subject = f"{place.key} = {place.path}"
        try:
            disk = machine.disk(place.path)
        except OSError as e:
            yield fault(
                f"It cannot be looked at: {e.strerror or type(e).__name__}.",
                "See whether its disk is mounted, or make it.",
                subject,
            )
            continue
        problems = list(_of_disk(place, disk, subject))
        if not machine.may_write(place.path):
            problems.append(
                fault(
                    "This user may not write there.",
                    "Run this as the server's user; if it still says so, give that "
                    "user the right to it.",
                    subject,
                )
            )
        yield from problems
        if all(one.level == "note" for one in problems):
            yield ok(f"{_gib(disk.free)} of {_gib(disk.size)} are free.", subject)


def _of_disk(place: Place, disk: Disk, subject: str) -> Iterator[Finding]:
    if disk.read_only:
        yield fault(
            "Its file system is mounted read-only.",
            "Mount it for writing; look in the kernel's log for an error of the disk.",
            subject,
        )
    if place.lasting and disk.kind in _IN_MEMORY:
        yield fault(
            f"It is in memory ({disk.kind}), and lost when the machine starts again.",
            f"Set {place.key} to a folder on a disk.",
            subject,
        )
    elif place.lasting and disk.kind in _OF_CONTAINER:
        yield warning(
            f"It is inside of the container ({disk.kind}), and lost with it.",
            f"Mount a volume, and set {place.key} to a folder on it.",
            subject,
        )
    elif disk.kind in _IN_MEMORY:
        yield note(
            f"It is in memory ({disk.kind}): uploads on their way take as much of it.",
            "Set storage.temp_dir, or TMPDIR, to a folder on a disk.",
            subject,
        )
    yield from _of_room(place, disk, subject)


def _of_room(place: Place, disk: Disk, subject: str) -> Iterator[Finding]:
    part = disk.free / disk.size if disk.size else 1.0
    said = f"Only {_gib(disk.free)} of {_gib(disk.size)} are free."
    advice = (
        "Make room: pypicloud sweep removes what nothing names, pypicloud prune old "
        "releases."
        if place.key == "storage.dir"
        else "Make room there."
    )
    if part < NOTHING and disk.free < ENOUGH:
        yield fault(said, advice, subject)
    elif part < LITTLE and disk.free < ENOUGH:
        yield warning(said, advice, subject)
    elif disk.free < place.once:
        yield note(
            f"{said} An upload may have {_gib(place.once)} (pypi.max_upload).",
            "One that does not fit is refused (507) before it is taken.",
            subject,
        )
    if disk.inodes and disk.inodes_free / disk.inodes < LITTLE:
        full = disk.inodes_free / disk.inodes < NOTHING
        yield (fault if full else warning)(
            f"Only {disk.inodes_free} of {disk.inodes} inodes are free.",
            "Remove small files there; a file system made with more inodes helps.",
            subject,
        )


def _gib(count: int) -> str:
    return f"{count / 2**30:.1f} GiB"


def limits(machine: Machine) -> Iterator[Finding]:
    """Look at the limit of open files."""
    soft, _ = machine.open_files()
    said = f"A process here may open {soft} files."
    advice = (
        "Each connection takes one: set LimitNOFILE=65536 in the unit (as pypicloud "
        "contrib pypicloud.service shows), or ulimit -n, where the server is started."
    )
    if soft < 0:
        yield ok("There is no limit of open files.")
    elif soft < TOO_FEW_FILES:
        yield fault(said, advice)
    elif soft <= FEW_FILES:
        yield note(f"{said} That is enough for some hundred clients.", advice)
    else:
        yield ok(said)


def private_files(config: Config, environ: Mapping[str, str]) -> Iterator[PrivateFile]:
    """Name the files that have secrets; for a thread.

    :param environ: of the process: it may name such files, too.
    """
    given = from_environment(environ)
    yield from _named(given, Path.cwd())
    if config.ini is not None:
        written = from_ini(config.ini)
        if written.users or not _SECRETS.isdisjoint(written.settings):
            yield PrivateFile("the ini", config.ini)
        yield from _named(written, config.ini.absolute().parent)
    if config.logins.htpasswd is not None:
        yield PrivateFile("auth.htpasswd", config.logins.htpasswd)
    if config.server.listen.startswith("ssl:"):
        key = options_of(config.server.listen)["privateKey"]
        yield PrivateFile("the key of server.listen", Path(key))


def _named(source: Source, base: Path) -> Iterator[PrivateFile]:
    for name, given in source.settings.items():
        if name in FILE_KEYS:
            yield PrivateFile(name, base / given.text)


def readable_secrets(
    files: Iterable[PrivateFile], machine: Machine
) -> Iterator[Finding]:
    """Look who may read files that have secrets; for a thread."""
    looked = False
    for file in files:
        looked, path = True, file.path
        subject = f"{file.key}: {path}"
        try:
            mode = stat.S_IMODE(machine.state(path).st_mode)
        except OSError as e:
            said = f"It cannot be looked at: {e.strerror or type(e).__name__}."
            yield unseen(said, "Run this as the server's user.", subject)
            continue
        if mode & stat.S_IROTH:
            yield fault(
                f"Everybody on this machine may read it (mode {mode:o}).",
                f"chmod o-rwx {path}",
                subject,
            )
        elif mode & stat.S_IWGRP or mode & stat.S_IWOTH:
            yield warning(
                f"Others than its owner may write it (mode {mode:o}).",
                f"chmod g-w,o-w {path}",
                subject,
            )
        else:
            yield ok(f"Its mode is {mode:o}.", subject)
    if not looked:
        yield ok("No file has a secret.")
