"""Terraform's files as far as they are plain: blocks, and values without conditions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import hcl2
from attrs import frozen
from hcl2 import SerializationOptions

_PLAIN = SerializationOptions(
    strip_string_quotes=True, explicit_blocks=False, with_comments=False
)

#: What refers to something else: ${var.prefix}.
_reference = re.compile(r"\$\{([a-z0-9_.]+)\}")


@frozen
class Blocks:
    """The blocks of a folder of files.

    :ivar values: what references stand for: ``var.prefix``.
    """

    blocks: Mapping[str, list[dict[str, Any]]]
    values: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path, values: Mapping[str, Any]) -> Blocks:
        """Parse every file of a folder."""
        blocks: dict[str, list[dict[str, Any]]] = {}
        for path in sorted(folder.glob("*.tf")):
            with path.open(encoding="utf-8") as file:
                told = hcl2.load(file, serialization_options=_PLAIN)
            for kind, found in told.items():
                blocks.setdefault(kind, []).extend(found)
        return cls(blocks, values)

    def named(self, kind: str) -> dict[str, Any]:
        """Give blocks of one label by it: variables, outputs."""
        found = self.blocks.get(kind, [])
        return {name: body for block in found for name, body in block.items()}

    def labelled(self, kind: str) -> Iterator[tuple[str, str, Any]]:
        """Give blocks of two labels: resources, data."""
        for block in self.blocks.get(kind, []):
            for label, named in block.items():
                for name, body in named.items():
                    yield label, name, body

    def one(self, kind: str, label: str, name: str) -> Any:
        """Give one block, with what its references stand for."""
        [body] = [
            body for *found, body in self.labelled(kind) if found == [label, name]
        ]
        return self.resolved(body)

    def resolved(self, value: Any) -> Any:
        """Put values in the place of references; what is not known stays as it is."""
        if isinstance(value, Mapping):
            return {name: self.resolved(one) for name, one in value.items()}
        if isinstance(value, list):
            return [self.resolved(one) for one in value]
        if not isinstance(value, str):
            return value
        whole = _reference.fullmatch(value)
        if whole and whole[1] in self.values:
            return self.values[whole[1]]
        return _reference.sub(
            lambda found: str(self.values.get(found[1], found[0])), value
        )


def references(value: Any) -> Iterator[str]:
    """Name all that is referred to, within expressions, too."""
    if isinstance(value, Mapping):
        for one in value.values():
            yield from references(one)
    elif isinstance(value, list):
        for one in value:
            yield from references(one)
    elif isinstance(value, str):
        for expression in re.findall(r"\$\{(.*?)\}", value):
            names = r"(?<![\w.\"/:-])(?:var|data|aws_\w+)(?:\.\w+)+"
            yield from re.findall(names, expression)
