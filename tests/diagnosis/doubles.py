"""A machine that is as a test wants it, and what findings are compared by."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from attrs import define, field

from pypicloud_tw.diagnosis.machine import Disk, Machine
from pypicloud_tw.diagnosis.values import Finding, Level

T = TypeVar("T")

GIB = 2**30

#: A disk that nobody need look after.
ROOMY = Disk(50 * GIB, 100 * GIB, 900, 1000, read_only=False, kind="ext4")


@define
class FakeMachine:
    """What a machine tells; an entry that is an error is raised."""

    disk: Disk | OSError = ROOMY
    mode: int = 0o100600
    writable: bool = True
    files: tuple[int, int] = (65536, 65536)
    hosts: Mapping[str, Sequence[str]] = field(factory=dict)
    certificate: bytes | OSError = b""
    mistrust: str | OSError | None = None
    installed: Mapping[str, str] = field(factory=dict)
    required: Sequence[str] | None = ()
    modules: frozenset[str] = frozenset()
    python: str = "3.11.7"
    openssl: str = "OpenSSL 3.5.0 8 Apr 2025"
    resolved: list[str] = field(factory=list)

    @property
    def machine(self) -> Machine:
        """What checks are given."""
        return Machine(
            disk=lambda path: _told(self.disk),
            state=self._state,
            may_write=lambda path: self.writable,
            open_files=lambda: self.files,
            resolve=self._resolve,
            certificate_at=lambda host, port: _told(self.certificate),
            mistrust=lambda host, port, ca_file: _told(self.mistrust),
            installed=self.installed.get,
            required=lambda name: self.required,
            is_there=self.modules.__contains__,
            python=lambda: self.python,
            openssl=lambda: self.openssl,
            temp_dir=lambda: "/tmp",
        )

    def _state(self, path: Path) -> os.stat_result:
        if not path.name:
            raise FileNotFoundError(2, "No such file or directory")
        return os.stat_result((self.mode, *[0] * 9))

    def _resolve(self, host: str) -> Sequence[str]:
        self.resolved.append(host)
        if host not in self.hosts:
            raise OSError("no address")
        return self.hosts[host]


def _told(value: T | OSError) -> T:
    if isinstance(value, OSError):
        raise value
    return value


def levels(findings: Iterable[Finding]) -> list[Level]:
    """Give the levels alone."""
    return [one.level for one in findings]


def the(level: Level, findings: Iterable[Finding]) -> Finding:
    """Give the one finding of a level."""
    (found,) = [one for one in findings if one.level == level]
    return found
