"""Commands that are loaded one by one: all of them take a second of a processor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module

import click
from attrs import define, field


@define
class LoadedWhenNamed(MutableMapping[str, click.Command]):
    """The commands of a group by their names, each loaded when it is asked for.

    :ivar places: the module of each, and its name there, as ``package.module:name``.
    """

    places: Mapping[str, str]
    _loaded: dict[str, click.Command] = field(factory=dict, init=False)

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._loaded:
            module, _, attribute = self.places[name].partition(":")
            self._loaded[name] = getattr(import_module(module), attribute)
        return self._loaded[name]

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        raise TypeError("No command is taken away.")

    def __contains__(self, name: object) -> bool:
        return name in self._loaded or name in self.places

    def __iter__(self) -> Iterator[str]:
        return iter({**self.places, **self._loaded})

    def __len__(self) -> int:
        return len({**self.places, **self._loaded})
