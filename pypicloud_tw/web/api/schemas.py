"""JSON Schema (2020-12) of attrs classes, as :mod:`pypicloud_tw.json_values` has them.

An answer has every field of its class; in a request those may be left out that have a
default, and nothing else may be in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import attrs
from attrs import define, field, frozen

from pypicloud_tw.json_values import ONE_LINE, Declared, Texts, declared

_PLAIN = {bool: "boolean", int: "integer", float: "number"}

_IVAR = re.compile(r":ivar (\w+): (.*?)(?=\n\s*:ivar |\n\s*\n|\Z)", re.DOTALL)
_ROLE = re.compile(r":\w+(?::\w+)*:`~?\.*([^`]*)`")


@define(eq=False)
class Schemas:
    """Schemas by name, and references to them.

    :ivar made: what the document has under ``components``, by name.
    """

    made: dict[str, Mapping[str, Any]] = field(factory=dict, init=False)
    _classes: dict[str, type[Any]] = field(factory=dict, init=False)

    def answer(self, kind: type[Any]) -> Mapping[str, Any]:
        """Refer to what a class is as an answer."""
        return _Writer(self, request=False).reference(kind)

    def request(self, kind: type[Any]) -> Mapping[str, Any]:
        """Refer to what a class is as a request."""
        return _Writer(self, request=True).reference(kind)

    def named(self, name: str, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """Have a schema under a name, and refer to it."""
        self.made[name] = schema
        return {"$ref": f"#/components/schemas/{name}"}

    def is_made(self, name: str, kind: type[Any]) -> bool:
        """Return whether a class has its schema; two may not share a name."""
        known = self._classes.setdefault(name, kind)
        if known is not kind:
            raise ValueError(f"{kind} and {known} are both called {name}.")
        return name in self.made


@frozen
class _Writer:
    schemas: Schemas
    request: bool

    def reference(self, kind: type[Any]) -> Mapping[str, Any]:
        name = f"{kind.__name__}Request" if self.request else kind.__name__
        if not self.schemas.is_made(name, kind):
            self.schemas.named(name, {})  # it may refer to itself
            self.schemas.named(name, self._members(kind))
        return {"$ref": f"#/components/schemas/{name}"}

    def _members(self, kind: type[Any]) -> Mapping[str, Any]:
        fields, said = declared(kind), described(kind)  # type: ignore[arg-type]  # classes are hashable
        return {
            "type": "object",
            "description": said[""],
            "properties": {
                name: self._member(one, said.get(name)) for name, one in fields.items()
            },
            "required": [
                name for name, one in fields.items() if one.needed or not self.request
            ],
            "additionalProperties": False,
        }

    def _member(self, one: Declared, said: str | None) -> Mapping[str, Any]:
        schema = self.value(one.kind, one.texts)
        if said is not None:
            schema = {**schema, "description": said}
        if self.request and isinstance(one.default, str | bool | int | NoneType):
            schema = {**schema, "default": one.default}
        return schema

    def value(self, kind: Any, texts: Texts) -> Mapping[str, Any]:
        if kind is str:
            return self._text(texts)
        origin, arguments = get_origin(kind), get_args(kind)
        if origin in (Union, UnionType):
            kinds = [one for one in arguments if one is not NoneType]
            return _optional(self.value(kinds[0], texts))
        if origin is Literal:
            return {"type": "string", "enum": list(arguments)}
        if origin in (tuple, frozenset):
            return {"type": "array", "items": self.value(arguments[0], texts)}
        if origin is not None and issubclass(origin, Mapping):
            values = self._text(texts)
            return {"type": "object", "additionalProperties": values}
        if issubclass(kind, Enum):
            return {"type": "string", "enum": [one.value for one in kind]}
        if attrs.has(kind):
            return self.reference(kind)
        if kind is datetime:
            return {"type": "string", "format": "date-time"}
        return {"type": _PLAIN[kind]}

    def _text(self, texts: Texts) -> Mapping[str, Any]:
        if not self.request:
            return {"type": "string"}
        pattern = {"pattern": ONE_LINE} if texts.one_line else {}
        return {"type": "string", "maxLength": texts.longest, **pattern}


def described(kind: object) -> dict[str, str]:
    """Take a docstring apart: what it says of the class (""), and of each field."""
    text = kind.__doc__ or ""
    fields = {name: plain(said) for name, said in _IVAR.findall(text)}
    return {"": plain(text.partition(":ivar")[0]), **fields}


def plain(text: str) -> str:
    """Return what a docstring says, without its markup."""
    return " ".join(_ROLE.sub(r"\1", text).replace("``", "").split())


def _optional(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}
