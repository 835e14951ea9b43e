"""All that is administered through a server.

Each part is loaded when it is asked for: no command needs them all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from pypicloud_tw.client.api import ApiClient

if TYPE_CHECKING:
    from pypicloud_tw.client.access import RemoteAdministration
    from pypicloud_tw.client.advisories import RemoteAdvisories
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
        from pypicloud_tw.client.access import RemoteAdministration

        return RemoteAdministration(self.client)

    @property
    def projects(self) -> RemoteProjects:
        """The projects."""
        from pypicloud_tw.client.projects import RemoteProjects

        return RemoteProjects(self.client)

    @property
    def pruning(self) -> RemotePruning:
        """Prunes of the projects."""
        from pypicloud_tw.client.pruning import RemotePruning

        return RemotePruning(self.client)

    @property
    def advisories(self) -> RemoteAdvisories:
        """What advisories affect, and the daily report."""
        from pypicloud_tw.client.advisories import RemoteAdvisories

        return RemoteAdvisories(self.client)

    @property
    def pins(self) -> RemotePins:
        """Who publishes the projects of upstreams."""
        from pypicloud_tw.client.pinning import RemotePins

        return RemotePins(self.client)

    @property
    def explanations(self) -> RemoteExplanations:
        """What a client sees, and why."""
        from pypicloud_tw.client.explanations import RemoteExplanations

        return RemoteExplanations(self.client)

    @property
    def statistics(self) -> RemoteStatistics:
        """How often projects are fetched."""
        from pypicloud_tw.client.statistics import RemoteStatistics

        return RemoteStatistics(self.client)

    @property
    def records(self) -> RemoteRecords:
        """Who did what."""
        from pypicloud_tw.client.records import RemoteRecords

        return RemoteRecords(self.client)
