"""The distribution files that people have, made once; and judging each once."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, TypeVarTuple

from attrs import define, field, frozen
from twisted.internet.defer import Deferred, execute

from pypicloud_tw.index.archive import inspect, inspect_file
from pypicloud_tw.index.names import Filename, NormalizedName, project_name
from pypicloud_tw.index.taking import look_into
from tests.builders import wheel
from tests.doubles import InlineOffload

P = ParamSpec("P")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")


@frozen(eq=False)
class Wheel:
    """One that somebody may publish."""

    name: NormalizedName
    version: str
    filename: str
    data: bytes = field(repr=False)
    sha256: str


def _wheel(spelling: str, version: str, variant: str) -> Wheel:
    data = wheel(spelling, version, extra=[(f"{spelling}/variant", variant.encode())])
    filename = f"{spelling}-{version}-py3-none-any.whl"
    digest = sha256(data).hexdigest()
    return Wheel(project_name(spelling), version, filename, data, digest)


#: The projects: two that are published, and one that is adopted.
NAMES = tuple(project_name(name) for name in ("acme", "bolt", "dusk"))

#: Each release with two spellings of its file's name, and each file with other bytes.
WHEELS = tuple(
    _wheel(spelling, version, variant)
    for name in NAMES[:2]
    for spelling in (name, name.capitalize())
    for version in ("1.0", "2.0")
    for variant in ("a", "b")
)

#: What lies in the store by a former layout.
FORMER = tuple(_wheel(name, "0.9", "a") for name in ("acme", "dusk"))

#: Published at last, to see whether it can be: one for each server.
LAST = tuple(_wheel("last", f"{number}.0", "a") for number in range(8))


@define
class RememberingOffload(InlineOffload):
    """Runs everything at once, and looks into each file only once."""

    found: dict[tuple[bytes, str], object] = field(factory=dict, repr=False)

    def in_thread(
        self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> Deferred[T]:
        """Run *function* now, or remember what came of it."""
        called: Any = function
        if called is not inspect_file:
            return execute(function, *args, **kwargs)
        file: Any = args[0]
        return execute(self._look, called, file.getvalue(), args)

    def in_process(self, function: Callable[[*Ts], T], *args: *Ts) -> Deferred[T]:
        """Run *function* now, or remember what came of it."""
        called: Any = function
        arguments: Any = args
        if called is look_into:
            return execute(self._look, called, arguments[0], arguments)
        if called is not inspect:
            return execute(function, *args)
        data = Path(arguments[0]).read_bytes()
        return execute(self._look, called, data, arguments)

    def _look(self, function: Callable[..., Any], data: bytes, args: Any) -> Any:
        filename: Filename = args[1]
        key = data, filename.text
        if key not in self.found:
            self.found[key] = function(*args)
        return self.found[key]
