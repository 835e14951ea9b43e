"""The API described in OpenAPI 3.1, out of what its routes are declared with."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from hashlib import sha256
from http import HTTPStatus
from typing import Any

from attrs import define, field, frozen

from pypicloud_tw import __version__
from pypicloud_tw.concurrency.cache import Cache
from pypicloud_tw.config.rights import Action
from pypicloud_tw.web.answers import measured
from pypicloud_tw.web.api.declared import Answer, Form, Listed, Operation, Parameter
from pypicloud_tw.web.api.schemas import Schemas, plain
from pypicloud_tw.web.http.conditions import is_known
from pypicloud_tw.web.http.site import Request

#: What describes itself.
DOCUMENT = Form("OpenApi", {"type": "object", "required": ["openapi", "paths"]})

#: Prefixes that documents are kept for; a proxy tells under which it is.
_PREFIXES = 8

_PROBLEM = {
    "type": "object",
    "description": "What went wrong (RFC 9457).",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "A sentence for people."},
        "code": {"type": "string", "description": "A stable word for programs."},
    },
    "required": ["type", "title", "status", "detail", "code"],
    "additionalProperties": False,
}

_SECURITY = {
    "basic": {
        "type": "http",
        "scheme": "basic",
        "description": "A user's name and password; or __token__ and a token.",
    },
    "bearer": {"type": "http", "scheme": "bearer", "description": "A token."},
}

_LOG_IN: list[dict[str, list[str]]] = [{"basic": []}, {"bearer": []}]

#: Errors that any route may answer, and those of a body and of a change.
_ERRORS = (400, 429, 503)
_RIGHTS = (401, 403, 404)
_BODY = (408, 413, 415)
_CHANGE = (409, 507)

_IF_MATCH = {
    "name": "If-Match",
    "in": "header",
    "description": "ETags of what it must be, or *, before anything is done.",
    "schema": {"type": "string"},
}

_ETAG = {
    "ETag": {
        "description": "What it is now; If-Match of a change takes it.",
        "schema": {"type": "string"},
    }
}

#: A part of a rule: its converter, that one's arguments, and its name.
_SEGMENT = re.compile(r"<(?:(\w+)\(([^)]*)\):)?(\w+)>")


@frozen
class _Document:
    data: bytes
    etag: bytes


@define(eq=False)
class Described:
    """The document, as it is sent; made once for each address of the server.

    :ivar operations: of all routes.
    """

    operations: tuple[Operation, ...]
    _made: Cache[str, _Document] = field(factory=lambda: Cache(_PREFIXES), init=False)

    def send(self, request: Request) -> bytes:
        """Answer a GET."""
        prefix = request.origin.prefix
        document = self._made.get_or_put(prefix, lambda: self._make(prefix))
        request.setHeader(b"ETag", document.etag)
        request.setHeader(b"Content-Type", b"application/json")
        request.setHeader(b"Cache-Control", b"no-cache")
        if is_known(request, document.etag, None):
            request.setResponseCode(304)
            return b""
        return measured(request, document.data)

    def _make(self, prefix: str) -> _Document:
        data = json.dumps(document(self.operations, prefix), indent=1).encode()
        return _Document(data, f'"{sha256(data).hexdigest()[:16]}"'.encode())


def document(operations: Iterable[Operation], prefix: str = "") -> dict[str, Any]:
    """Describe operations.

    :param prefix: the path under which the server is mounted.
    """
    schemas = Schemas()
    schemas.named("Problem", _PROBLEM)
    paths: dict[str, dict[str, Any]] = {}
    for operation in sorted(operations, key=lambda one: one.path):
        methods = paths.setdefault(_path(operation.path), {})
        methods[operation.method.lower()] = _operation(operation, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "pypicloud",
            "version": __version__,
            "description": "A private Python package index: its projects, what is "
            "done with them, and who may do what.",
        },
        "servers": [{"url": prefix or "/"}],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.made.items())),
            "securitySchemes": _SECURITY,
        },
    }


def _path(rule: str) -> str:
    """Write a router's rule as OpenAPI does."""
    return _SEGMENT.sub(r"{\3}", rule)


def _operation(operation: Operation, schemas: Schemas) -> dict[str, Any]:
    summary, _, more = operation.what.partition("\n\n")
    described = {
        "operationId": operation.name,
        "summary": plain(summary).rstrip("."),
        "description": " ".join(filter(None, (plain(more), _asks(operation)))),
        "tags": [_tag(operation.path)],
        "parameters": _parameters(operation),
        "responses": _responses(operation, schemas),
        "security": _security(operation),
    }
    if operation.body is not None:
        content = {"application/json": {"schema": _body(operation.body, schemas)}}
        described["requestBody"] = {"required": True, "content": content}
    return described


def _asks(operation: Operation) -> str:
    match operation.asks:
        case Action() as action:
            return f"Takes the right to {action.value}."
        case "log-in":
            return "Takes a log-in."
        case "password":
            return "Takes a log-in that is no token."
        case _:
            return ""


def _tag(path: str) -> str:
    """Name the part of the API: the segment behind ``/api/v1/``."""
    return path.split("/")[3].partition(".")[0]


def _security(operation: Operation) -> list[dict[str, list[str]]]:
    if operation.asks is None:
        return [{}]
    # What everybody may read takes no log-in.
    return [{}, *_LOG_IN] if operation.asks is Action.READ else _LOG_IN


def _parameters(operation: Operation) -> list[Mapping[str, Any]]:
    path = [
        {"name": name, "in": "path", "required": True, "schema": _segment(kind, of)}
        for kind, of, name in _SEGMENT.findall(operation.path)
    ]
    query = [_query(one) for one in operation.query]
    return [*path, *query, *([_IF_MATCH] if operation.conditional else [])]


def _segment(converter: str, arguments: str) -> Mapping[str, Any]:
    match converter:
        case "any":
            choices = [one.strip() for one in arguments.split(",")]
            return {"type": "string", "enum": choices}
        case "string":
            length = int(arguments.removeprefix("length="))
            return {"type": "string", "minLength": length, "maxLength": length}
        case _:
            return {"type": "string", "minLength": 1}


def _query(one: Parameter) -> Mapping[str, Any]:
    return {
        "name": one.name,
        "in": "query",
        "required": one.required,
        "description": one.what,
        "schema": one.schema,
    }


def _body(body: type[Any] | Form, schemas: Schemas) -> Mapping[str, Any]:
    if isinstance(body, Form):
        return schemas.named(body.name, body.schema)
    return schemas.request(body)


def _responses(operation: Operation, schemas: Schemas) -> dict[str, Any]:
    schema = _answer(operation.answer, schemas)
    found: dict[int, Any] = {
        status: _done(operation, status, schema) for status in operation.statuses
    }
    problem = schemas.named("Problem", _PROBLEM)
    for status in _errors(operation):
        found[status] = _response(status, "application/problem+json", problem)
    # Refused before it is known what it is, and so in no form of the API's.
    found[431] = _response(431, "text/plain", {"type": "string"})
    if operation.method == "GET":
        found[304] = {"description": HTTPStatus(304).phrase}
    return {str(status): found[status] for status in sorted(found)}


def _done(operation: Operation, status: int, schema: Any) -> dict[str, Any]:
    """Describe the answer where all is well."""
    answer = _response(status, "application/json", schema)
    return {**answer, "headers": _ETAG} if operation.conditional else answer


def _errors(operation: Operation) -> Iterable[int]:
    yield from _ERRORS
    if operation.asks is not None:
        yield from _RIGHTS
    if operation.conditional:
        yield 412
    if operation.body is not None:
        yield from _BODY
    if operation.method != "GET":
        yield from _CHANGE


def _response(status: int, media_type: str, schema: Any) -> dict[str, Any]:
    described = HTTPStatus(status).phrase
    return {"description": described, "content": {media_type: {"schema": schema}}}


def _answer(answer: Answer, schemas: Schemas) -> Mapping[str, Any]:
    if isinstance(answer, Form):
        return schemas.named(answer.name, answer.schema)
    if isinstance(answer, Listed):
        items = {"type": "array", "items": schemas.answer(answer.kind)}
        return {
            "type": "object",
            "properties": {"items": items},
            "required": ["items"],
            "additionalProperties": False,
        }
    return schemas.answer(answer)
