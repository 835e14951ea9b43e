"""Visits of the administration: how its pages are asked for, shown, and sent back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import TypeVar
from urllib.parse import quote

from attrs import field, frozen

from pypicloud_tw.access.access import Access
from pypicloud_tw.access.administration.administered import Administered
from pypicloud_tw.access.administration.slices import Slice, Window
from pypicloud_tw.access.administration.stored import StoredAdministration
from pypicloud_tw.access.principal import Principal
from pypicloud_tw.concurrency.steps import at_once
from pypicloud_tw.config.rights import GRANTABLE, Action
from pypicloud_tw.errors import BadRequest, PypicloudError, Unavailable
from pypicloud_tw.web.api.json_api import parameter
from pypicloud_tw.web.http.site import Request
from pypicloud_tw.web.pages.acting import Visit
from pypicloud_tw.web.pages.admin.tabs import tabs_of
from pypicloud_tw.web.pages.door import PageDoor
from pypicloud_tw.web.pages.forms import Form, FormDoor, form_token
from pypicloud_tw.web.pages.login import see_other
from pypicloud_tw.web.pages.paging import ROWS, Listing, page_asked
from pypicloud_tw.web.requester import Requester

T = TypeVar("T")

#: Of errors that no other form would change.
_NOT_ALLOWED = (401, 403)


@frozen
class FormResult:
    """What came of a form.

    :ivar place: the page that shows it, below ``/admin/``; a path that is quoted.
    :ivar word: says what was done; templates have the sentences.
    :ivar notices: what whoever did it should know.
    """

    place: str
    word: str
    notices: tuple[str, ...] = ()


@frozen
class AdminVisit(Visit):
    """One request of the administration."""

    door: PageDoor = field(kw_only=True)

    @property
    def access(self) -> Access:
        """The rules in force."""
        return self.door.access

    def asked(self, name: str) -> str:
        """Return a parameter of the address; empty if it is not there.

        :raises BadRequest: it is there twice.
        """
        return (parameter(self.request, name) or "").strip()

    def actions(self) -> frozenset[Action]:
        """Return the actions that were ticked.

        :raises BadRequest: one is none that can be given.
        """
        ticked = self.ticked()
        if ticked is None:
            known = (action.value for action in GRANTABLE)
            raise BadRequest(f"The actions are some of {', '.join(known)}.")
        return ticked

    def window(self) -> Window:
        """Return which part of a list the address asks for."""
        return Window(self.asked("q"), (page_asked(self) - 1) * ROWS, ROWS)

    def listing(self, found: Slice[T], **query: str) -> Listing[T]:
        """Return a part of a list as it is shown."""
        window = found.window
        query = {"q": window.containing, **query}
        return Listing(found.items, found.total, window.begin // ROWS + 1, query)

    def cut(self, everything: Iterable[T], **query: str) -> Listing[T]:
        """Return the part of a short list that the address asks for."""
        steps = self.window().cut(everything, lambda one: True, lambda one: one)
        return self.listing(at_once(steps), **query)

    def administration(self, administered: Administered) -> StoredAdministration:
        """Return what shows and changes access; see :class:`.Requester`."""
        return self.who.administration(administered, changes=self.sent)

    def send(self, name: str, **values: object) -> bytes:
        """Answer with a page of the administration.

        :param name: of its template.
        """
        return self.door.send_once(
            self.request,
            f"admin/{name}",
            self.visitor,
            token=form_token(self.request, self.who.authority.principal),
            tabs=tabs_of(self.who.authority),
            problem=self.problem,
            form=self.form,
            done=self.done,
            **values,
        )


Show = Callable[[AdminVisit], Awaitable[bytes]]


@frozen(eq=False)
class AdminDoor:
    """The way in to the administration, and the way out.

    :ivar forms: the way in for what is to be changed.
    :ivar refused: makes a record of what is refused.
    """

    door: PageDoor
    forms: FormDoor
    refused: Callable[[Request, PypicloudError], None]

    async def enter(self, request: Request) -> AdminVisit:
        """Let somebody in who asks for a page; what they may see is judged later.

        :raises PypicloudError: as of :func:`.authenticate`.
        """
        with suppress(Unavailable):  # what must know the rules learns them again
            await self.door.access.learn()
        return self._visit(request, await self.door.find(request))

    async def change(
        self,
        request: Request,
        act: Callable[[AdminVisit], Awaitable[FormResult]],
        show: Show,
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

    async def open(self, request: Request) -> AdminVisit:
        """Read a form; errors as of :meth:`.FormDoor.open`."""
        principal, form = await self.forms.open(request)
        return self._visit(request, principal, form)

    def refuse(self, visit: AdminVisit, error: PypicloudError) -> AdminVisit:
        """Set up the answer to a form that was refused."""
        self.refused(visit.request, error)
        return visit.refused(error)

    def _visit(
        self, request: Request, principal: Principal, form: Form | None = None
    ) -> AdminVisit:
        visitor = self.door.visitor(request, principal)
        who = Requester.of(request, self.door.access, principal)
        return AdminVisit(request, who, visitor, form or Form({}), door=self.door)


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
