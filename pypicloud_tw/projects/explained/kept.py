"""Files of the other index that the cache has, for who explains."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import frozen

from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.store.interfaces import IObjectStore
from pypicloud_tw.upstream.judgement.judge import ProjectJudge
from pypicloud_tw.upstream.judgement.values import Candidate
from pypicloud_tw.upstream.keeper import stored_files

#: Files of a project that are looked at; boto3 has 4,000.
MOST = 20_000


@frozen
class KeptFiles:
    """What the cache has of a project.

    :ivar uploaded: by filename and digest, when that was, as far as is known: before it
        was kept at the latest.
    """

    uploaded: Mapping[tuple[str, str], float]

    @classmethod
    async def of(cls, store: IObjectStore, name: NormalizedName) -> KeptFiles:
        """List them, :data:`MOST` at the most.

        :raises StoreError: the store is away.
        """
        found: dict[tuple[str, str], float] = {}
        async for file in stored_files(store, name):
            if not file.is_metadata:
                found[file.filename, file.of] = file.known_upload
            if len(found) >= MOST:
                break
        return cls(found)

    @property
    def filenames(self) -> tuple[str, ...]:
        """What they are called."""
        return tuple({filename for filename, _ in self.uploaded})

    def count(self, files: Iterable[Candidate]) -> int:
        """Return how many of these it has."""
        return sum(
            (file.filename, file.sha256 or "") in self.uploaded for file in files
        )

    def gone(
        self, judge: ProjectJudge, filenames: Iterable[str]
    ) -> dict[str | None, list[Candidate]]:
        """Return files by version, as they are judged."""
        wanted, found = frozenset(filenames), dict[str | None, list[Candidate]]()
        for (filename, digest), uploaded in self.uploaded.items():
            if filename in wanted:
                file = judge.candidate(filename, digest, uploaded, provenance=True)
                found.setdefault(file.version, []).append(file)
        return found
