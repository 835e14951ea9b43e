"""Pages of the simple API on their way out, in the format that the client wants."""

from __future__ import annotations

from attrs import define, field

from pypicloud_tw.errors import PypicloudError
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.web.http.conditions import check_required, is_known
from pypicloud_tw.web.http.fields import joined
from pypicloud_tw.web.http.site import Request
from pypicloud_tw.web.negotiation import Choice, Negotiator
from pypicloud_tw.web.representation import Page, Representation


@define(eq=False)
class PageSender:
    """Sends pages."""

    _offload: IOffload
    _negotiator: Negotiator = field(factory=Negotiator, init=False)

    def send_made(
        self, request: Request, page: Page, *, private: bool, warning: str | None = None
    ) -> bool:
        """Send a page if it was made in the client's format already.

        :param private: not everyone may read it.
        :param warning: the value of a Warning header field.
        :returns: whether it was sent.
        """
        if page.relative:
            page = page.at(request.origin.base_url)
        try:
            variant = page.variant(self.choose(request))
        except PypicloudError:
            return False
        made = page.find(variant)
        if made is None:
            return False
        _write(request, made, private, warning)
        return True

    async def send(
        self, request: Request, page: Page, *, private: bool, warning: str | None = None
    ) -> None:
        """Send a page; parameters as of :meth:`send_made`.

        :raises NotAcceptable: the client accepts no format that there is.
        :raises ConditionFailed: it requires another page.
        """
        if page.relative:
            page = page.at(request.origin.base_url)
        variant = page.variant(self.choose(request))
        made = page.find(variant)
        if made is None:
            if page.quick(variant):
                made = page.make(variant)
            else:
                made = await self._offload.in_thread(page.make, variant)
        send_representation(request, made, private=private, warning=warning)

    def choose(self, request: Request) -> Choice:
        """Choose what the client gets.

        :raises NotAcceptable: it accepts no format that there is.
        """
        formats = request.args.get(b"format") if request.args else None
        return self._negotiator.choose(
            joined(request, b"Accept"),
            joined(request, b"Accept-Encoding"),
            formats[0] if formats else None,
        )


def send_representation(
    request: Request,
    made: Representation,
    *,
    private: bool,
    warning: str | None = None,
) -> None:
    """Send what was made; parameters as of :meth:`PageSender.send_made`.

    :raises ConditionFailed: the client requires another page.
    """
    check_required(request, made.etag, made.modified)
    _write(request, made, private, warning)


def _write(
    request: Request, made: Representation, private: bool, warning: str | None
) -> None:
    more = b"" if warning is None else f"Warning: {warning}\r\n".encode()
    known = is_known(request, made.etag, made.modified)
    status, block, body = made.answer(private, known=known)
    request.send_whole(status, block + more, body)
