"""Routes that say what they take and answer: the router and the document have it alike.

What a route is declared with is all that the document of the API says of it
(:mod:`.openapi`), and what its requests are held to.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from typing import Any, Literal, Required, TypeAlias, TypedDict, TypeVar, Unpack

from attrs import define, field, frozen
from klein import Klein

from pypicloud_tw.config.rights import Action
from pypicloud_tw.errors import BadRequest
from pypicloud_tw.projects.values import MOST, USUAL
from pypicloud_tw.web.http.site import Request

#: What a route asks of whoever calls it: a right; that they have logged in, by what
#: they like or without a token; or nothing.
Asks: TypeAlias = Action | Literal["log-in", "password"] | None

#: A part of JSON Schema.
Schema: TypeAlias = Mapping[str, Any]

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


def limit_parameter(most: int = MOST, usual: int = USUAL) -> Parameter:
    """Declare how many things a page may have."""
    schema = {"type": "integer", "minimum": 1, "maximum": most, "default": usual}
    return Parameter("limit", schema, "How many there may be in the answer.")


def cursor_parameter(pattern: str) -> Parameter:
    """Declare where a page begins.

    :param pattern: what a cursor consists of; that is nobody's business but ours.
    """
    schema = {"type": "string", "pattern": pattern}
    return Parameter("cursor", schema, "The cursor of the page before.")


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
    """Return if a request has no parameters but those that are declared.

    :raises BadRequest: it has; what is misspelt would be ignored.
    """
    known = {one.name for one in operation.query}
    unknown = {name.decode("latin-1") for name in request.args} - known
    if not unknown:
        return
    those = f"{', '.join(sorted(known))} are" if known else "none is"
    if len(unknown) > 1:
        raise BadRequest(f"There are parameters that are not known here; {those}.")
    raise BadRequest(f"There is a parameter that is not known here; {those}.")
