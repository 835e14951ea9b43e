"""The page by which people upload files."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import frozen

from pypicloud_tw.access.principal import Principal
from pypicloud_tw.concurrency.budget import BufferBudget
from pypicloud_tw.config.rights import Action
from pypicloud_tw.errors import BadRequest, PypicloudError
from pypicloud_tw.index.admission import Screen
from pypicloud_tw.index.publish import Publisher
from pypicloud_tw.web.authorization import actor_of, form_credentials
from pypicloud_tw.web.batches import MOST_FILES, Batch, Outcome, receive_files
from pypicloud_tw.web.http.site import Request
from pypicloud_tw.web.pages.door import PageDoor
from pypicloud_tw.web.pages.forms import TOKEN, FormDoor, check_form, form_token
from pypicloud_tw.web.publishing import Sender


@frozen(eq=False)
class UploadPage:
    """Shows the form, and takes what is sent by it.

    :ivar screen: raises the error for a file that nobody may upload.
    :ivar forms: the memory for the fields of all forms.
    :ivar refused: makes a record of what is refused.
    """

    door: PageDoor
    publisher: Publisher
    max_upload: int
    screen: Screen
    forms: BufferBudget
    refused: Callable[[Request, PypicloudError], None]

    async def show(self, request: Request) -> bytes:
        """Answer a GET.

        :raises PypicloudError: whoever asks may upload nothing.
        """
        visitor = await self.door.admit_by(request, self._judge)
        return self._page(request, visitor.principal)

    async def take(self, request: Request) -> bytes:
        """Take files, and tell what came of each.

        :raises PypicloudError: whoever sends it may upload nothing, or it was not made
            for them; or it cannot be read.
        """
        principal = await FormDoor(self.door.access).admit(request)
        self._judge(principal)
        self.door.access.refuse_while_read_only()
        batch = self._batch(request, principal)
        problem = None
        try:
            await receive_files(request, batch, self.forms, frozenset({TOKEN}))
        except PypicloudError as e:
            if not batch.outcomes and not isinstance(e, BadRequest):
                raise
            self._set_status(request, e)
            problem = e.message
        return self._tell(request, principal, batch, problem)

    def _judge(self, principal: Principal) -> None:
        self.door.access.check(principal, Action.UPLOAD, None)

    def _batch(self, request: Request, principal: Principal) -> Batch:
        access = self.door.access

        def check(fields: Mapping[str, tuple[str, ...]]) -> None:
            token = next(iter(fields.get(TOKEN, ())), "")
            check_form(request, principal, token)

        return Batch(
            self.publisher,
            actor_of(request, principal),
            Sender(principal, access, form_credentials(request), self.screen),
            check,
            self.max_upload,
        )

    def _tell(
        self, request: Request, principal: Principal, batch: Batch, problem: str | None
    ) -> bytes:
        refusals = [one.error for one in batch.outcomes if one.error is not None]
        for error in refusals:
            self.refused(request, error)
        if refusals and len(refusals) == len(batch.outcomes) and problem is None:
            self._set_status(request, refusals[0])
        return self._page(request, principal, batch.outcomes, batch.left_out, problem)

    def _set_status(self, request: Request, error: PypicloudError) -> None:
        request.set_status(error.status, error.message)

    def _page(
        self,
        request: Request,
        principal: Principal,
        outcomes: list[Outcome] | None = None,
        left_out: int = 0,
        problem: str | None = None,
    ) -> bytes:
        return self.door.send_once(
            request,
            "upload",
            self.door.visitor(request, principal),
            token=form_token(request, principal),
            outcomes=outcomes or (),
            left_out=left_out,
            problem=problem,
            largest=self.max_upload,
            most=MOST_FILES,
            legacy=self.publisher.rules.legacy_formats,
        )
