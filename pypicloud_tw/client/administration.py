"""All that is administered through a server."""

from __future__ import annotations

from attrs import frozen

from pypicloud_tw.client.access import RemoteAdministration
from pypicloud_tw.client.advisories import RemoteAdvisories
from pypicloud_tw.client.api import ApiClient
from pypicloud_tw.client.explanations import RemoteExplanations
from pypicloud_tw.client.pinning import RemotePins
from pypicloud_tw.client.projects import RemoteProjects
from pypicloud_tw.client.pruning import RemotePruning
from pypicloud_tw.client.records import RemoteRecords
from pypicloud_tw.client.statistics import RemoteStatistics


@frozen
class RemoteIndex:
    """The index of a server; each of its parts asks for what it is asked."""

    client: ApiClient

    @property
    def access(self) -> RemoteAdministration:
        """Who may do what."""
        return RemoteAdministration(self.client)

    @property
    def projects(self) -> RemoteProjects:
        """The projects."""
        return RemoteProjects(self.client)

    @property
    def pruning(self) -> RemotePruning:
        """Prunes of the projects."""
        return RemotePruning(self.client)

    @property
    def advisories(self) -> RemoteAdvisories:
        """What advisories affect, and the daily report."""
        return RemoteAdvisories(self.client)

    @property
    def pins(self) -> RemotePins:
        """Who publishes the projects of upstreams."""
        return RemotePins(self.client)

    @property
    def explanations(self) -> RemoteExplanations:
        """What a client sees, and why."""
        return RemoteExplanations(self.client)

    @property
    def statistics(self) -> RemoteStatistics:
        """How often projects are fetched."""
        return RemoteStatistics(self.client)

    @property
    def records(self) -> RemoteRecords:
        """Who did what."""
        return RemoteRecords(self.client)
