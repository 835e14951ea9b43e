"""Explanations of what a client of this index sees, for whoever may read it."""

from __future__ import annotations

from attrs import frozen

from pypicloud_tw.access.administration.authority import Authority
from pypicloud_tw.config.rights import Action
from pypicloud_tw.errors import BadRequest
from pypicloud_tw.index.names import asked_project
from pypicloud_tw.projects.explained.explainer import Explainer
from pypicloud_tw.projects.explained.values import Explanation

#: Characters of a version: four times the longest real one.
LONGEST_VERSION = 255


@frozen
class StoredExplanations:
    """See :class:`.Explanations`.

    Whether the asker may is decided by the name alone, before anything is looked up.
    """

    explainer: Explainer
    authority: Authority

    async def explain(self, name: str, version: str | None = None) -> Explanation:
        """See :class:`.Explanations`."""
        normalized = asked_project(name)
        self.authority.check(Action.READ, normalized)
        if version is not None and not 0 < len(version) <= LONGEST_VERSION:
            raise BadRequest("This is no version; give one as 2.5.1.")
        reads = self.authority.reads()
        return await self.explainer.explain(normalized, version, reads)
