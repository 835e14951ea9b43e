"""What rights cost: reading and compiling many, and a look-up.

python -m benchmarks.rights [GROUPS [LINES]]
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TypeVar

from pypicloud_tw.access.policy import Policy
from pypicloud_tw.access.principal import ANONYMOUS, Principal
from pypicloud_tw.access.settings import AccessSettings
from pypicloud_tw.config.load import load
from pypicloud_tw.config.rights import Action
from pypicloud_tw.index.names import NormalizedName

T = TypeVar("T")

_TIMES = 100_000


def main(groups: int = 1000, lines: int = 10_000) -> None:
    """Print how long each step takes."""
    with TemporaryDirectory() as folder:
        ini = Path(folder) / "rights.ini"
        ini.write_text(_text(groups, lines))
        config = _timed("read the ini", lambda: load(ini, {}))
    policy = _timed("compile", lambda: Policy(AccessSettings.of(config)))
    ann = Principal("ann7")
    for what, name in (
        ("by its name", "project-10"),
        ("by a pattern", "team-12-tool"),
        ("by no line", "requests"),
    ):
        read = partial(policy.may, action=Action.READ, project=NormalizedName(name))
        _each(f"anonymous reads {what}", partial(read, ANONYMOUS))
        _each(f"a user reads {what}", partial(read, ann))
    _each("the set of what may be read", partial(policy.readable, ann))
    _timed("the first look-up of 100,000 names", partial(_first, policy))


def _text(groups: int, lines: int) -> str:
    text = ["[pypicloud]", "pypi.default_read = everyone", "auth.admins = boss"]
    text += [f"group.g{n} = ann{n % 50} ann{n % 60} bob{n}" for n in range(groups)]
    for n in range(lines // 2):
        text.append(f"package.project-{n}.group.g{n % groups} = rw")
        text.append(f"package.team-{n}-*.user.ann{n % 60} = r")
    return "\n".join(text)


def _first(policy: Policy) -> None:
    readable = policy.readable(Principal("ann7"))
    for n in range(100_000):
        readable.allows(f"team-{n % 9000}-tool-{n}")


def _timed(what: str, do: Callable[[], T]) -> T:
    began = perf_counter()
    result = do()
    print(f"{what}: {(perf_counter() - began) * 1e3:.0f} ms")
    return result


def _each(what: str, do: Callable[[], object]) -> None:
    began = perf_counter()
    for _ in range(_TIMES):
        do()
    print(f"{what}: {(perf_counter() - began) / _TIMES * 1e6:.2f} us")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
