"""Records of changes, asked for through a server."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping

from attrs import asdict, evolve, frozen

from pypicloud_tw.access.audit.question import Question
from pypicloud_tw.client.api import ApiClient

#: Records of one answer.
_PAGE = 1000


@frozen
class RemoteRecords:
    """See :class:`~pypicloud_tw.cli.administration.Records`; a page is one request."""

    client: ApiClient

    async def read(
        self, question: Question, broken: Callable[[str], None]
    ) -> AsyncGenerator[Mapping[str, object], None]:
        """See the interface."""
        more = True
        while more:
            query = {**asdict(question), "limit": str(_PAGE)}
            answer = await self.client.ask("GET", "audit", query=query)
            page = answer.document("records", list)
            for record in page["records"]:
                if isinstance(record, dict):
                    yield record
            if skipped := page.get("skipped"):
                broken(f"{skipped} records are not understood, and left out.")
            more = page.get("more") is True and page.get("cursor") != question.cursor
            question = evolve(question, cursor=page.get("cursor"))
