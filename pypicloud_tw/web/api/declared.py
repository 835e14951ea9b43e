"""Routes that say what they take and answer: the router and the document have it alike.

What a route is declared with is all that the document of the API says of it
(:mod:`.openapi`), and what its requests are held to.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import wraps
from typing import Any, Literal, Required, TypeAlias, TypedDict, TypeVar, Unpack

from attrs import define, field, frozen
from klein import Klein

from pypicloud_tw.config.rights import Action
from pypicloud_tw.errors import BadRequest
from pypicloud_tw.json_values import LONGEST
from pypicloud_tw.projects.values import MOST, USUAL
from pypicloud_tw.web.http.site import Request

#: What a route asks of whoever calls it: a right; that they have logged in, by what
#: they like or without a token; or nothing.
Asks: TypeAlias = Action | Literal["log-in", "password"] | None

#: A part of JSON Schema.
Schema: TypeAlias = Mapping[str, Any]

_NUMBER = re.compile(r"[0-9]{1,9}")

Route = TypeVar("Route", bound=Callable[..., Awaitable[Any]])


@frozen
class Parameter:
    """A parameter of a query.

    :ivar schema: of its value.
    :ivar what: a sentence.
    """

    name: str
    schema: Schema
    what: str
    required: bool = False

    def check(self, values: Sequence[bytes]) -> None:
        """Return if a query has it as it is declared.

        :param values: all that it has under this name.
        :raises BadRequest: it has not; the message says what it may be.
        """
        if len(values) > 1:
            raise BadRequest(f"Give {self.name} once.")
        if not values:
            if self.required:
                raise BadRequest(f"The parameter {self.name} is missing.")
            return
        try:
            text = values[0].decode()
        except UnicodeDecodeError:
            raise BadRequest(f"The parameter {self.name} is not UTF-8 text.") from None
        if not self._fits(text):
            raise BadRequest(f"The parameter {self.name} cannot be that: {self._form}.")

    def _fits(self, text: str) -> bool:
        schema = self.schema
        if schema["type"] == "integer":
            # Longer ones are too large, and int() takes other digits as well.
            number = int(text) if _NUMBER.fullmatch(text) else 0
            return bool(schema["minimum"] <= number <= schema["maximum"])
        fits = schema.get("minLength", 0) <= len(text) <= schema["maxLength"]
        pattern = schema.get("pattern", "")
        return (
            fits
            and re.search(_whole(pattern), text) is not None
            and (text in schema.get("enum", (text,)))
        )

    @property
    def _form(self) -> str:
        schema = self.schema
        if schema["type"] == "integer":
            return f"it is a number from {schema['minimum']} to {schema['maximum']}"
        if "enum" in schema:
            return f"it is one of {', '.join(schema['enum'])}"
        return f"it has at most {schema['maxLength']} characters; {self.what}"


@frozen
class Listed:
    """A list of values, as an answer."""

    kind: type[Any]


@frozen
class Form:
    """An answer that no class declares.

    :ivar name: of its schema.
    """

    name: str
    schema: Schema


#: What a route answers: an object of a class, a list of such, or something else.
Answer: TypeAlias = type[Any] | Listed | Form


@frozen
class Operation:
    """What one method does at one address.

    :ivar path: the router's rule, whole.
    :ivar name: unique among all.
    :ivar what: its function's docstring.
    :ivar body: the class of the request's JSON object; None: it takes none.
    :ivar statuses: of what is done.
    :ivar conditional: it heeds If-Match.
    """

    method: str
    path: str
    name: str
    what: str
    asks: Asks
    answer: Answer
    body: type[Any] | Form | None = None
    query: tuple[Parameter, ...] = ()
    statuses: tuple[int, ...] = (200,)
    conditional: bool = True


def text_parameter(
    name: str, what: str, *, longest: int = LONGEST, **more: Any
) -> Parameter:
    """Declare a text; *more* is of its schema, and ``required``."""
    required = more.pop("required", False)
    schema = {"type": "string", "maxLength": longest, **more}
    return Parameter(name, schema, what, required)


def limit_parameter(most: int = MOST, usual: int = USUAL) -> Parameter:
    """Declare how many things a page may have."""
    schema = {"type": "integer", "minimum": 1, "maximum": most, "default": usual}
    return Parameter("limit", schema, "How many there may be in the answer.")


def cursor_parameter(pattern: str) -> Parameter:
    """Declare where a page begins.

    :param pattern: what a cursor consists of; that is nobody's business but ours.
    """
    return text_parameter("cursor", "The cursor of the page before.", pattern=pattern)


def _whole(pattern: str) -> str:
    """Have a pattern's ``$`` be the end, and not before a last line's end."""
    return re.sub(r"\$\Z", r"\\Z", pattern)


class _Declared(TypedDict, total=False):
    """What of an :class:`Operation` a route says."""

    asks: Required[Asks]
    body: type[Any] | Form | None
    query: tuple[Parameter, ...]
    statuses: tuple[int, ...]
    conditional: bool


@define(eq=False)
class Routes:
    """The declared routes of one router.

    :ivar base: the path that the router is mounted at.
    """

    base: str
    router: Klein
    operations: list[Operation] = field(factory=list, init=False)

    def get(
        self, rule: str, answer: Answer, **more: Unpack[_Declared]
    ) -> Callable[[Route], Route]:
        """Declare what is shown, for HEAD as well; *more* is of :class:`Operation`."""
        return self._route("GET", rule, answer, ["GET", "HEAD"], **more)

    def put(
        self, rule: str, answer: Answer, **more: Unpack[_Declared]
    ) -> Callable[[Route], Route]:
        """Declare what is set; *more* as of :meth:`get`."""
        return self._route("PUT", rule, answer, ["PUT"], **more)

    def patch(
        self, rule: str, answer: Answer, **more: Unpack[_Declared]
    ) -> Callable[[Route], Route]:
        """Declare what is changed in part; *more* as of :meth:`get`."""
        return self._route("PATCH", rule, answer, ["PATCH"], **more)

    def post(
        self, rule: str, answer: Answer, **more: Unpack[_Declared]
    ) -> Callable[[Route], Route]:
        """Declare what is done; *more* as of :meth:`get`."""
        return self._route("POST", rule, answer, ["POST"], **more)

    def delete(
        self, rule: str, answer: Answer, **more: Unpack[_Declared]
    ) -> Callable[[Route], Route]:
        """Declare what is removed; *more* as of :meth:`get`."""
        return self._route("DELETE", rule, answer, ["DELETE"], **more)

    def _route(
        self,
        method: str,
        rule: str,
        answer: Answer,
        methods: list[str],
        **more: Unpack[_Declared],
    ) -> Callable[[Route], Route]:
        def declare(route: Route) -> Route:
            operation = Operation(
                method,
                self.base + rule,
                route.__name__,
                route.__doc__ or "",
                answer=answer,
                **more,
            )
            self.operations.append(operation)
            return self.router.route(rule, methods=methods)(_held(route, operation))

        return declare


def _held(route: Route, operation: Operation) -> Route:
    """Make a route refuse parameters that it is not declared with."""

    @wraps(route)
    async def held(api: object, request: Request, **path: str) -> Any:
        check_parameters(request, operation)
        return await route(api, request, **path)

    return held  # type: ignore[return-value]  # the same but for that


def check_parameters(request: Request, operation: Operation) -> None:
    """Return if a request has the parameters that are declared, and no others.

    :raises BadRequest: it has not; what is misspelt would be ignored.
    """
    known = {one.name for one in operation.query}
    unknown = {name.decode("latin-1") for name in request.args} - known
    if not unknown:
        for one in operation.query:
            one.check(request.args.get(one.name.encode(), ()))
        return
    those = f"{', '.join(sorted(known))} are" if known else "none is"
    if len(unknown) > 1:
        raise BadRequest(f"There are parameters that are not known here; {those}.")
    raise BadRequest(f"There is a parameter that is not known here; {those}.")
