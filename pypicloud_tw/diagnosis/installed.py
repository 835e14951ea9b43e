"""What is installed: libraries, extras, Python, OpenSSL."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date, timedelta

from packaging.requirements import Requirement

from pypicloud_tw import __version__
from pypicloud_tw.config.configuration import Config
from pypicloud_tw.diagnosis.machine import PYTHON_ENDS, Machine
from pypicloud_tw.diagnosis.values import Finding, fault, note, ok, unseen, warning

DISTRIBUTION = "pypicloud-tw"

#: So long before its end a Python is spoken of.
_AHEAD = timedelta(days=90)

#: The first OpenSSL that gets fixes.
_OPENSSL = (3, 0)


def libraries(machine: Machine) -> Iterator[Finding]:
    """Compare what is installed with what this program says that it needs."""
    requirements = machine.required(DISTRIBUTION)
    if requirements is None:
        yield unseen(
            f"{DISTRIBUTION} is not installed here, but runs from a folder.",
            "pip install it, and what it needs is known.",
        )
        return
    wrong = list(_wrong(requirements, machine))
    yield from wrong
    if not wrong:
        yield ok(f"pypicloud-tw {__version__}, and all that it needs is as it wants.")
    told = machine.installed(DISTRIBUTION)
    if told is not None and told != __version__:
        yield note(
            f"What runs is {__version__}, and what is installed {told}.",
            "Install it again, so that what it needs is what is there.",
        )


def _wrong(requirements: Sequence[str], machine: Machine) -> Iterator[Finding]:
    for text in requirements:
        wanted = Requirement(text)
        chosen = wanted.marker is None or wanted.marker.evaluate({"extra": ""})
        there = machine.installed(wanted.name)
        if there is None and chosen:
            yield fault(
                f"It is not installed; {wanted.specifier} is needed.",
                f"pip install '{wanted.name}{wanted.specifier}'",
                wanted.name,
            )
        elif there is not None and not wanted.specifier.contains(
            there, prereleases=True
        ):
            # Of an extra that is not used it is as wrong, when it is used.
            yield (fault if chosen else note)(
                f"{there} is installed; {wanted.specifier} is needed.",
                f"pip install '{wanted.name}{wanted.specifier}'",
                wanted.name,
            )


def python(machine: Machine, today: date) -> Iterator[Finding]:
    """Look whether this Python gets fixes, and this OpenSSL."""
    version = machine.python()
    ends = PYTHON_ENDS.get(_numbers(version))
    said = f"Python {version}"
    if ends is None:
        yield ok(f"{said}.", "Python")
    elif today > ends:
        yield warning(
            f"{said} gets no fixes since {ends}.", "Run a newer one.", "Python"
        )
    elif today > ends - _AHEAD:
        yield note(
            f"{said} gets fixes until {ends}.", "Plan for a newer one.", "Python"
        )
    else:
        yield ok(f"{said} gets fixes until {ends}.", "Python")
    openssl = machine.openssl()
    if _numbers(openssl) < _OPENSSL:
        yield warning(
            f"{openssl} gets no fixes any more.",
            "pip install --upgrade cryptography pyopenssl",
            "OpenSSL",
        )
    else:
        yield ok(f"{openssl}.", "OpenSSL")


def _numbers(version: str) -> tuple[int, int]:
    found = re.search(r"(\d+)\.(\d+)", version)
    return (0, 0) if found is None else (int(found[1]), int(found[2]))


def extras(config: Config, machine: Machine) -> Iterator[Finding]:
    """Look for the extras that the settings need."""
    wanted = {
        "ldap": (("auth.ldap.url", bool(config.ldap.url)), ("ldaptor",)),
        "attestations": (
            (
                "attestation.* or upstream.require_provenance",
                bool(config.signers or config.upstream.require_provenance),
            ),
            ("pypi_attestations", "sigstore"),
        ),
    }
    needed = False
    for extra, ((key, is_used), modules) in wanted.items():
        if not is_used:
            continue
        needed = True
        missing = [name for name in modules if not machine.is_there(name)]
        if missing:
            yield fault(
                f"{key} needs {', '.join(missing)}, which is not here.",
                f"pip install 'pypicloud-tw[{extra}]'",
                extra,
            )
        else:
            yield ok(f"{key}: what it needs is here.", extra)
    if not needed:
        yield ok("The settings need none.")
