"""Visits of the administration: how its pages are asked for, shown, and sent back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Generic, TypeVar
from urllib.parse import quote, urlencode

from attrs import evolve, field, frozen

from pypicloud_tw.access.access import Access
from pypicloud_tw.access.administration.administered import Administered
from pypicloud_tw.access.administration.slices import Slice, Window
from pypicloud_tw.access.administration.stored import StoredAdministration
from pypicloud_tw.access.principal import Principal
from pypicloud_tw.concurrency.steps import at_once
from pypicloud_tw.config.rights import GRANTABLE, Action
from pypicloud_tw.errors import BadRequest, PypicloudError, Unavailable
from pypicloud_tw.web.api.json_api import number, parameter
from pypicloud_tw.web.http.site import Request
from pypicloud_tw.web.pages.admin.tabs import tabs_of
from pypicloud_tw.web.pages.door import PageDoor
from pypicloud_tw.web.pages.forms import Form, FormDoor, form_token
from pypicloud_tw.web.pages.login import see_other
from pypicloud_tw.web.pages.visitor import Visitor
from pypicloud_tw.web.requester import Requester

T = TypeVar("T")

#: Rows of a page: each has up to 1 kB.
ROWS = 50

#: Of the longest list that is paged; to look further on is not worth a page.
_MOST_PAGES = 1_000_000

#: Of errors that no other form would change.
_NOT_ALLOWED = (401, 403)

#: The name of the checkbox, and its value, that says that somebody is sure.
_SURE, _YES = "sure", "yes"


@frozen
class Listing(Generic[T]):
    """A part of a list as a page shows it, with the ways to the others.

    :ivar query: what else the address says.
    :ivar page: its number, from 1.
    """

    items: Sequence[T]
    total: int
    query: Mapping[str, str]
    page: int

    @property
    def pages(self) -> int:
        """How many there are."""
        return max(1, -(-self.total // ROWS))

    @property
    def previous(self) -> str | None:
        """The query of the page before."""
        return self._at(min(self.page, self.pages + 1) - 1) if self.page > 1 else None

    @property
    def following(self) -> str | None:
        """The query of the page behind."""
        return self._at(self.page + 1) if self.page < self.pages else None

    def _at(self, page: int) -> str:
        given = {name: value for name, value in self.query.items() if value}
        return f"?{urlencode({**given, 'page': str(page)})}"


@frozen
class Done:
    """What came of a form.

    :ivar place: the page that shows it, below ``/admin/``; a path that is quoted.
    :ivar word: says what was done; templates have the sentences.
    :ivar notices: what whoever did it should know.
    """

    place: str
    word: str
    notices: tuple[str, ...] = ()


@frozen
class Visit:
    """One request of the administration.

    :ivar changes: whether a form was sent, which may change something.
    :ivar form: what was sent; nothing where a page is asked for.
    :ivar problem: why what was sent was refused.
    """

    request: Request
    principal: Principal
    visitor: Visitor
    who: Requester
    door: PageDoor
    changes: bool = False
    form: Form = field(factory=lambda: Form({}))
    problem: str | None = None

    @property
    def access(self) -> Access:
        """The rules in force."""
        return self.door.access

    def asked(self, name: str) -> str:
        """Return a parameter of the address; empty if it is not there.

        :raises BadRequest: it is there twice.
        """
        return (parameter(self.request, name) or "").strip()

    def typed(self, name: str) -> str:
        """Return a field of the form, without blanks around it.

        :raises BadRequest: it is there twice.
        """
        return self.form.one(name).strip()

    def words(self, name: str) -> tuple[str, ...]:
        """Return the words of a field, apart by blanks, commas or line ends."""
        return tuple(self.form.one(name).replace(",", " ").split())

    def actions(self) -> frozenset[Action]:
        """Return the actions that were ticked.

        :raises BadRequest: one is none that can be given.
        """
        known = {action.value: action for action in GRANTABLE}
        ticked = self.form.all("actions")
        if not known.keys() >= set(ticked):
            raise BadRequest(f"The actions are some of {', '.join(known)}.")
        return frozenset(known[one] for one in ticked)

    def check_sure(self) -> None:
        """Return if the form says that it is meant.

        :raises BadRequest: it does not.
        """
        if self.form.one(_SURE) != _YES:
            raise BadRequest("Tick the box that says that you are sure.")

    def window(self) -> Window:
        """Return which part of a list the address asks for."""
        page = number(self.request, "page", 1, _MOST_PAGES) if not self.changes else 1
        return Window(self.asked("q"), (page - 1) * ROWS, ROWS)

    def listing(self, found: Slice[T], **query: str) -> Listing[T]:
        """Return a part of a list as it is shown."""
        window = found.window
        query = {"q": window.containing, **query}
        return Listing(found.items, found.total, query, window.begin // ROWS + 1)

    def cut(self, everything: Iterable[T], **query: str) -> Listing[T]:
        """Return the part of a short list that the address asks for."""
        steps = self.window().cut(everything, lambda one: True, lambda one: one)
        return self.listing(at_once(steps), **query)

    def administration(self, administered: Administered) -> StoredAdministration:
        """Return what shows and changes access; see :class:`.Requester`."""
        return self.who.administration(administered, changes=self.changes)

    def send(self, name: str, **values: object) -> bytes:
        """Answer with a page of the administration.

        :param name: of its template.
        """
        return self.door.send_once(
            self.request,
            f"admin/{name}",
            self.visitor,
            token=form_token(self.request, self.principal),
            tabs=tabs_of(self.who.authority),
            problem=self.problem,
            form=self.form,
            done=None if self.changes else parameter(self.request, "done"),
            **values,
        )


Show = Callable[[Visit], Awaitable[bytes]]


@frozen(eq=False)
class AdminDoor:
    """The way in to the administration, and the way out.

    :ivar forms: the way in for what is to be changed.
    :ivar refused: makes a record of what is refused.
    """

    door: PageDoor
    forms: FormDoor
    refused: Callable[[Request, PypicloudError], None]

    async def enter(self, request: Request) -> Visit:
        """Let somebody in who asks for a page; what they may see is judged later.

        :raises PypicloudError: as of :func:`.authenticate`.
        """
        with suppress(Unavailable):  # what must know the rules learns them again
            await self.door.access.learn()
        return self._visit(request, await self.door.find(request))

    async def change(
        self, request: Request, act: Callable[[Visit], Awaitable[Done]], show: Show
    ) -> bytes:
        """Do what a form asks for, and lead on to a page; or show the form again.

        :param show: the page of the form, with what is wrong.
        :raises PypicloudError: as of :meth:`.FormDoor.open`; Unauthorized or Forbidden
            of what was asked for, too.
        """
        visit = await self.open(request)
        try:
            done = await act(visit)
        except PypicloudError as e:
            if e.status in _NOT_ALLOWED:
                raise
            return await show(self.refuse(visit, e))
        address = f"admin/{done.place}"
        if done.notices:
            # They are told once, where a redirect would lose them.
            return visit.send("notices", notices=done.notices, address=address)
        separator = "&" if "?" in address else "?"
        return see_other(
            request, f"{visit.visitor.root}{address}{separator}done={done.word}"
        )

    async def open(self, request: Request) -> Visit:
        """Read a form; errors as of :meth:`.FormDoor.open`."""
        principal, form = await self.forms.open(request)
        return evolve(self._visit(request, principal), changes=True, form=form)

    def refuse(self, visit: Visit, error: PypicloudError) -> Visit:
        """Set up the answer to a form that was refused."""
        self.refused(visit.request, error)
        visit.request.set_status(error.status, error.message)
        for name, value in error.headers.items():
            visit.request.setHeader(name.encode(), value.encode())
        return evolve(visit, problem=error.message)

    def _visit(self, request: Request, principal: Principal) -> Visit:
        visitor = self.door.visitor(request, principal)
        who = Requester.of(request, self.door.access, principal)
        return Visit(request, principal, visitor, who, self.door)


def segment(name: str) -> str:
    """Write a name as a segment of an address.

    :raises BadRequest: none can have it (see :mod:`.http.paths`), so that there would
        be no page of what is named so.
    """
    if name in (".", "..") or "/" in name or "\\" in name:
        raise BadRequest(
            "A name that has a slash or a backslash in it, or is '.' or '..', can have "
            "no page here: choose another."
        )
    return quote(name, safe="")
