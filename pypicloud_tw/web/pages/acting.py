"""Acts by forms of our pages: judged, done, and answered by a page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from attrs import frozen

from pypicloud_tw.access.access import Access
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
from pypicloud_tw.web.pages.forms import (
    TOKEN,
    Form,
    FormDoor,
    check_form,
    form_token,
    read_form,
)
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
        await self._admit(request, judge)
        form = await read_form(request)
        who = await self._admit(request, judge)
        principal = who.authority.principal
        check_form(request, principal, form.one(TOKEN))
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
        visit.request.set_status(error.status, error.message)
        return Visit(visit.request, visit.who, visit.visitor, visit.form, error.message)

    async def _admit(self, request: Request, judge: Judge) -> Requester:
        principal = await FormDoor(self.access).admit(request)
        who = Requester.of(request, self.access, principal)
        judge(who)
        self.access.refuse_while_read_only()
        return who
