"""Several files by one form of our page -> as many uploads, one after the other.

Each is judged by itself, as one of the upload API is: see :mod:`.publishing`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attrs import define, field, frozen

from pypicloud_tw.concurrency.budget import BufferBudget
from pypicloud_tw.concurrency.shielded import shielded
from pypicloud_tw.config.rights import Action
from pypicloud_tw.errors import BadRequest, PypicloudError, Unauthorized
from pypicloud_tw.index.admission import Claims
from pypicloud_tw.index.audit import Actor
from pypicloud_tw.index.names import Filename
from pypicloud_tw.index.publication import Publication
from pypicloud_tw.index.publish import Publisher
from pypicloud_tw.web.http.site import Request
from pypicloud_tw.web.publishing import (
    FORM_ALLOWANCE,
    Sender,
    check_upload,
    former_metadata,
)
from pypicloud_tw.web.upload import FileField, FormMemory, receive_form

#: Files in one form: a release of numpy has some 70.
MOST_FILES = 100


@frozen
class Outcome:
    """What came of one file.

    :ivar project: its normalized name, if it could be told.
    :ivar was_there: these bytes were published before.
    :ivar warnings: what its sender should know, a sentence each.
    :ivar error: why it was refused; None: it is published.
    """

    filename: str
    project: str | None = None
    version: str | None = None
    was_there: bool = False
    warnings: tuple[str, ...] = ()
    error: PypicloudError | None = None


@define(eq=False)
class Batch:
    """The files of one form on their way into the index.

    :ivar actor: who sends them.
    :ivar sender: asked of each file, before its bytes and behind them.
    :ivar check: judges the fields before the first file; raises the error for a form
        that is not to be read on.
    :ivar max_upload: bytes of the largest file that is taken.
    :ivar outcomes: what came of each so far, in order.
    :ivar left_out: how many more there were than one form may have.
    """

    publisher: Publisher
    actor: Actor
    sender: Sender
    check: Callable[[Mapping[str, tuple[str, ...]]], None]
    max_upload: int
    outcomes: list[Outcome] = field(factory=list, init=False)
    left_out: int = field(default=0, init=False)
    _checked: bool = field(default=False, init=False)
    _publication: Publication | None = field(default=None, init=False)

    async def begin(self, file: FileField) -> Batch | None:
        """Bring the file before to its end, and make ready for the next one.

        :returns: where its bytes go; None: it is refused, and they are dropped.
        :raises PypicloudError: no file of the form may be taken.
        """
        await self.end_file()
        self.check_fields(file.before)
        if len(self.outcomes) >= MOST_FILES:
            self.left_out += 1
            return None
        try:
            await self._begin(file)
        except PypicloudError as e:
            self.outcomes.append(Outcome(file.filename, error=e))
            return None
        return self

    def check_fields(self, fields: Mapping[str, tuple[str, ...]]) -> None:
        """Judge the fields, once; errors as of :attr:`check`."""
        if not self._checked:
            self.check(fields)
            self._checked = True

    async def _begin(self, file: FileField) -> None:
        legacy = self.publisher.rules.legacy_formats
        filename = Filename.parse(file.filename, legacy=legacy)
        check_upload(self.sender, filename.project, "")
        publication = Publication(self.publisher, self.actor, limit=self.max_upload)
        await publication.begin(
            filename, former_metadata(filename, self.actor.name, file)
        )
        self._publication = publication

    async def write(self, data: bytes) -> None:
        """Take more of the file's bytes; they are dropped once it is refused."""
        publication = self._publication
        if publication is None:
            return
        try:
            await publication.write(data)
        except PypicloudError as e:
            await self.abort()
            self._note(publication, e)

    async def end_file(self) -> None:
        """Publish the file whose bytes have all come, if there is one.

        :raises Unauthorized: whoever sends the form is logged in no more.
        """
        publication = self._publication
        if publication is None:
            return
        try:
            await self._finish(publication)
        except Unauthorized:
            raise
        except PypicloudError as e:
            self._note(publication, e)
        else:
            self._note(publication)
        finally:
            await self.abort()

    async def _finish(self, publication: Publication) -> None:
        # Once more: its bytes may have taken hours.
        sender = await self.sender.again()
        filename = publication.filename
        check_upload(sender, filename.project, "")
        await publication.finish(
            Claims(filename.project, str(filename.version)),
            overwrite=sender.may(Action.OVERWRITE, filename.project),
            screen=sender.screen,
        )

    def _note(
        self, publication: Publication, error: PypicloudError | None = None
    ) -> None:
        filename = publication.filename
        self.outcomes.append(
            Outcome(
                filename.text,
                filename.project,
                str(filename.version),
                publication.was_there,
                publication.warnings,
                error,
            )
        )

    async def abort(self) -> None:
        """Forget the file that has not come to its end."""
        publication, self._publication = self._publication, None
        if publication is not None:
            await publication.abort()

    def give_up(self) -> None:
        """Look no further into it: nobody waits for it any more."""
        if self._publication is not None:
            self._publication.give_up()


async def receive_files(
    request: Request, batch: Batch, forms: BufferBudget, fields: frozenset[str]
) -> None:
    """Take a form; what came of each file stands in the batch, also where this fails.

    :param forms: the memory for the fields of all forms.
    :param fields: those that are kept, for :attr:`Batch.check`.
    :raises BadRequest: it is no form, or has no file.
    :raises PypicloudError: it cannot be read on, or may not be.
    """
    request.body.limit = MOST_FILES * batch.max_upload + FORM_ALLOWANCE
    await shielded(_receive(request, batch, FormMemory(forms, fields)), batch.give_up)


async def _receive(request: Request, batch: Batch, memory: FormMemory) -> None:
    publisher = batch.publisher
    await publisher.manifests.standing.started(publisher.clock)
    content_type = request.getHeader(b"Content-Type") or b""
    try:
        form = await receive_form(
            request.body,
            content_type,
            on_file=batch.begin,
            memory=memory,
            several=True,
        )
        await batch.end_file()
        batch.check_fields(form.fields)
    finally:
        memory.release()
        await batch.abort()
    if not batch.outcomes:
        raise BadRequest("Choose a file, or several: wheels or source distributions.")
