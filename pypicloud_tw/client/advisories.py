"""What advisories affect, and the daily reports, asked for through a server."""

from __future__ import annotations

from attrs import frozen

from pypicloud_tw.client.api import ApiClient
from pypicloud_tw.maintenance.reports.values import DailyReport
from pypicloud_tw.projects.affected.values import AffectedPage, AffectedQuestion


@frozen
class RemoteAdvisories:
    """See :class:`~.projects.affected.interface.AdvisoryAdministration`."""

    client: ApiClient

    async def affected(self, question: AffectedQuestion) -> AffectedPage:
        """See the interface."""
        query = {
            "severity": question.severity,
            "project": question.project,
            "malware": "true" if question.malware else None,
            "cursor": question.cursor,
            "limit": str(question.limit),
        }
        answer = await self.client.ask("GET", "advisories", query=query)
        return answer.read(AffectedPage)

    async def report(self, date: str | None = None) -> DailyReport:
        """See the interface."""
        answer = await self.client.ask("GET", "report", query={"date": date})
        return answer.read(DailyReport)
