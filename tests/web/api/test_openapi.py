"""The document of the API: that it is whole, true to the routers, and as it is sent."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, Literal

from attrs import field, frozen
from klein import Klein
from twisted.trial.unittest import SynchronousTestCase

import pypicloud_tw
from pypicloud_tw.json_values import NotAsDeclared, from_bytes, longest
from pypicloud_tw.web.api.openapi import document
from pypicloud_tw.web.api.schemas import Schemas, described
from pypicloud_tw.web.api.v1 import ApiParts
from pypicloud_tw.web.app import Application
from tests.web.doubles import Web
from tests.web.rights_table import ROWS

DOCUMENT = "/api/v1/openapi.json"
PARTS = ApiParts.declared
DOCS = Path(pypicloud_tw.__file__).parent.parent / "docs"


def routed() -> Iterator[tuple[str, str]]:
    """Give the method and rule of every route of the API that a router has."""
    parts = [("", Application.router), *((one.base, one.router) for one in PARTS)]
    for base, router in parts:
        yield from _routes(base, router)


def _routes(base: str, router: Klein) -> Iterator[tuple[str, str]]:
    for rule in router.url_map.iter_rules():
        path = base + rule.rule
        for method in set(rule.methods or ()) - {"HEAD", "OPTIONS"}:
            if path.startswith("/api/v1/"):
                yield method, path


class DeclaredTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.operations = [one for part in PARTS for one in part.operations]
        self.document = document(self.operations)

    def test_every_route_is_declared_and_the_other_way_round(self) -> None:
        declared = {(one.method, one.path) for one in self.operations}
        self.assertEqual(set(routed()), declared)
        self.assertEqual(len(declared), len(self.operations))

    def test_every_part_that_is_mounted_is_described(self) -> None:
        mounted = {
            rule.rule.removesuffix("/<path:__rest__>")
            for rule in Application.router.url_map.iter_rules()
            if rule.rule.startswith("/api/v1/")
            and rule.rule.endswith("<path:__rest__>")
        }
        self.assertEqual(mounted, {part.base for part in PARTS})

    def test_the_document_has_them_all(self) -> None:
        described = [
            one["operationId"]
            for methods in self.document["paths"].values()
            for one in methods.values()
        ]
        self.assertEqual(
            sorted(described), sorted({one.name for one in self.operations})
        )

    def test_rights_are_those_that_are_asked_for(self) -> None:
        """As the table of rights has them, which the tests run."""
        asked: dict[tuple[str, str], set[object]] = {}
        for row in ROWS:
            asked.setdefault((row.method, row.route), set()).add(row.asks)
        for one in self.operations:
            self.assertIn(one.asks, asked[one.method, one.path], one)

    def test_every_reference_leads_somewhere(self) -> None:
        text = json.dumps(self.document)
        for name in re.findall(r'"#/components/schemas/(\w+)"', text):
            self.assertIn(name, self.document["components"]["schemas"])

    def test_errors_are_problems(self) -> None:
        for methods in self.document["paths"].values():
            for one in methods.values():
                for status, answer in one["responses"].items():
                    kind = "application/json" if status < "400" else _problem(status)
                    if status != "304":
                        self.assertEqual(list(answer["content"]), [kind])

    def test_the_docs_have_every_address(self) -> None:
        text = "".join(page.read_text() for page in DOCS.rglob("*.rst"))
        for one in self.operations:
            kinds = ("user", "group") if "any(" in one.path else ("",)
            for kind in kinds:
                path = re.sub(r"<any[^>]*>", kind, one.path)
                path = re.sub(
                    r"<(?:[^:>]*:)?(\w+)>", lambda name: name[1].upper(), path
                )
                self.assertIn(f"``{one.method} {path}``", text)


def _problem(status: str) -> str:
    return "text/plain" if status == "431" else "application/problem+json"


class SentTests(SynchronousTestCase):
    def test_to_anybody_and_once(self) -> None:
        web = Web(default_read="authenticated")
        answer = web.get(DOCUMENT)
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer["Content-Type"], "application/json")
        self.assertEqual(answer.json["openapi"], "3.1.0")
        again = web.get(DOCUMENT, {"If-None-Match": answer["ETag"] or ""})
        self.assertEqual((again.status, again.body), (304, b""))

    def test_its_server_is_the_one_that_was_asked(self) -> None:
        self.assertEqual(Web().get(DOCUMENT).json["servers"], [{"url": "/"}])
        prefixed = document((), "/pypi")
        self.assertEqual(prefixed["servers"], [{"url": "/pypi"}])


class _Colour(Enum):
    RED = "red"


@frozen
class _Part:
    """A part."""

    name: str = field(metadata=longest(3, one_line=True))


@frozen
class _Thing:
    """A thing, as :class:`~.other.Thing` is.

    :ivar size: bytes; ``0`` is
        none.
    """

    size: int
    part: _Part | None = None
    parts: tuple[_Part, ...] = ()
    colour: _Colour = _Colour.RED
    kind: Literal["a", "b"] = "a"
    weight: float = 1.5
    open: bool = False


class SchemaTests(SynchronousTestCase):
    def schema(self, *, request: bool) -> Any:
        schemas = Schemas()
        (schemas.request if request else schemas.answer)(_Thing)
        return schemas.made

    def test_a_request_may_leave_out_what_has_a_default(self) -> None:
        thing = self.schema(request=True)["_ThingRequest"]
        self.assertEqual(thing["required"], ["size"])
        self.assertFalse(thing["additionalProperties"])
        self.assertEqual(thing["properties"]["open"]["default"], False)

    def test_an_answer_has_everything(self) -> None:
        thing = self.schema(request=False)["_Thing"]
        self.assertEqual(thing["required"], list(thing["properties"]))

    def test_texts_are_bounded_as_they_are_read(self) -> None:
        name = self.schema(request=True)["_PartRequest"]["properties"]["name"]
        self.assertEqual(name["maxLength"], 3)
        for text in ("abc", "", "abcd", "a\nb", "a\n", "\0", "ä"):
            fits = len(text) <= 3 and re.search(name["pattern"], text) is not None
            read = json.dumps({"name": text}).encode()
            if fits and not text.endswith("\n"):  # $ is before it, to Python alone
                self.assertEqual(from_bytes(_Part, read), _Part(text))
            else:
                self.assertRaises(NotAsDeclared, from_bytes, _Part, read)

    def test_types(self) -> None:
        members = self.schema(request=False)["_Thing"]["properties"]
        part = {"$ref": "#/components/schemas/_Part"}
        self.assertEqual(members["part"], {"anyOf": [part, {"type": "null"}]})
        self.assertEqual(members["parts"], {"type": "array", "items": part})
        self.assertEqual(members["colour"], {"type": "string", "enum": ["red"]})
        self.assertEqual(members["kind"], {"type": "string", "enum": ["a", "b"]})
        self.assertEqual(members["weight"], {"type": "number"})
        self.assertEqual(members["size"]["type"], "integer")

    def test_docstrings_without_their_markup(self) -> None:
        said = described(_Thing)
        self.assertEqual(said[""], "A thing, as other.Thing is.")
        self.assertEqual(said["size"], "bytes; 0 is none.")

    def test_two_classes_of_one_name(self) -> None:
        other = frozen(type("_Thing", (), {"__annotations__": {"x": int}}))
        schemas = Schemas()
        schemas.answer(_Thing)
        error = self.assertRaises(ValueError, schemas.answer, other)
        self.assertIn("both called _Thing", str(error))
