"""Acts by forms of our pages: judged, done, and answered by a page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Self

from attrs import evolve, frozen

from pypicloud_tw.access.access import Access
from pypicloud_tw.access.principal import Principal
from pypicloud_tw.config.rights import GRANTABLE, Action
from pypicloud_tw.errors import (
    BadRequest,
    ConditionFailed,
    Conflict,
    NotFound,
    PypicloudError,
)
from pypicloud_tw.web.api.json_api import parameter
from pypicloud_tw.web.http.site import Request
from pypicloud_tw.web.pages.door import PageDoor
from pypicloud_tw.web.pages.forms import Form, FormDoor, form_token
from pypicloud_tw.web.pages.login import see_other
from pypicloud_tw.web.pages.visitor import Visitor
from pypicloud_tw.web.requester import Requester

#: What is said of what was typed, or of what it is about: it can be put right on the
#: same page. Other errors have a page of their own.
MENDABLE = (BadRequest, NotFound, Conflict, ConditionFailed)

#: Raises the error for whoever may not do what a form is for.
Judge = Callable[[Requester], None]


@frozen
class Visit:
    """Somebody at a page that has forms.

    :ivar visitor: the same, as templates ask to know them.
    :ivar form: what was sent; nothing where the page is asked for.
    :ivar problem: why that was refused, in a sentence.
    """

    request: Request
    who: Requester
    visitor: Visitor
    form: Form
    problem: str | None = None

    @property
    def sent(self) -> bool:
        """Whether a form was sent, rather than a page asked for."""
        return self.request.method == b"POST"

    @property
    def done(self) -> str | None:
        """The word for what was done just now; templates have the sentences."""
        return None if self.sent else parameter(self.request, "done")

    def typed(self, name: str) -> str:
        """Return a field of the form, without blanks around it.

        :raises BadRequest: it came more than once.
        """
        return self.form.one(name).strip()

    def words(self, name: str) -> tuple[str, ...]:
        """Return the words of a field, apart by blanks, commas or line ends."""
        return tuple(self.form.one(name).replace(",", " ").split())

    def ticked(self) -> frozenset[Action] | None:
        """Return the actions that were ticked; None: one is none that can be given."""
        known = {action.value: action for action in GRANTABLE}
        ticked = self.form.all("actions")
        if not known.keys() >= set(ticked):
            return None
        return frozenset(known[one] for one in ticked)

    def check_sure(self) -> None:
        """Return if the form says that it is meant.

        :raises BadRequest: it does not.
        """
        if self.form.one("sure") != "yes":
            raise BadRequest("Tick the box that says that you are sure.")

    def refused(self, error: PypicloudError) -> Self:
        """Set up the answer to a form that was refused: its page with what is wrong."""
        self.request.set_status(error.status, error.message)
        for name, value in error.headers.items():
            self.request.setHeader(name.encode(), value.encode())
        return evolve(self, problem=error.message)


@frozen(eq=False)
class ActDoor:
    """Lets those in who may do something, and sends them pages that have forms.

    :ivar door: where visitors come in who only look, and pages go out.
    :ivar refused: makes a record of what is refused.
    """

    door: PageDoor
    refused: Callable[[Request, PypicloudError], None]

    @property
    def access(self) -> Access:
        """The rules in force."""
        return self.door.access

    def visit(self, request: Request, visitor: Visitor) -> Visit:
        """Describe somebody who asks for a page, and was let in."""
        who = Requester.of(request, self.access, visitor.principal)
        return Visit(request, who, visitor, Form({}))

    def send(self, visit: Visit, name: str, /, **values: object) -> bytes:
        """Answer with a page.

        :param name: of its template; *values* are what that shows.
        """
        principal = visit.who.authority.principal
        return self.door.send_once(
            visit.request,
            name,
            visit.visitor,
            token=form_token(visit.request, principal),
            problem=visit.problem,
            typed=visit.typed,
            done=visit.done,
            **values,
        )

    async def act(
        self,
        request: Request,
        judge: Judge,
        do: Callable[[Visit], Awaitable[str | bytes]],
        show: Callable[[Visit], Awaitable[bytes]],
    ) -> bytes:
        """Do what a form asks for.

        :param judge: of who sends it, before the form is read and again behind it: it
            may have taken hours to come.
        :param do: returns the address of the page that shows what came of it, below the
            server's root; or that page.
        :param show: the page of the form again, with what is wrong.
        :raises PypicloudError: as of :meth:`.FormDoor.open`; or *judge* or *do* raise
            it, and it is none of :data:`MENDABLE`.
        """

        def judge_sender(principal: Principal) -> None:
            judge(Requester.of(request, self.access, principal))
            self.access.refuse_while_read_only()

        principal, form = await FormDoor(self.access).open(request, judge_sender)
        who = Requester.of(request, self.access, principal)
        visit = Visit(request, who, self.door.visitor(request, principal), form)
        try:
            done = await do(visit)
        except MENDABLE as e:
            return await show(self.refuse(visit, e))
        if isinstance(done, bytes):
            return done
        return see_other(request, f"{visit.visitor.root}{done}")

    def refuse(self, visit: Visit, error: PypicloudError) -> Visit:
        """Set up the answer to a form that was refused."""
        self.refused(visit.request, error)
        return visit.refused(error)
