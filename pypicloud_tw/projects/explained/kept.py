"""Files of the other index that the cache has, for who explains."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import frozen

from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.store.interfaces import IObjectStore
from pypicloud_tw.upstream.judgement.judge import ProjectJudge
from pypicloud_tw.upstream.judgement.values import Candidate
from pypicloud_tw.upstream.keeper import CACHE
from pypicloud_tw.upstream.links import METADATA

#: Files of a project that are looked at; boto3 has 4,000.
MOST = 20_000


@frozen
class KeptFiles:
    """What the cache has of a project.

    :ivar since: by filename and digest, when it was put there.
    """

    since: Mapping[tuple[str, str], float]

    @classmethod
    async def of(cls, store: IObjectStore, name: NormalizedName) -> KeptFiles:
        """List them, :data:`MOST` at the most.

        :raises StoreError: the store is away.
        """
        place = f"{CACHE}{name}/"
        since: dict[tuple[str, str], float] = {}
        async for info in store.list(place):
            digest, _, filename = info.key.removeprefix(place).partition("/")
            # What was said of a file lies beside its folder.
            if filename and not filename.endswith(METADATA):
                since[filename, digest] = info.modified.timestamp()
            if len(since) >= MOST:
                break
        return cls(since)

    @property
    def filenames(self) -> tuple[str, ...]:
        """What they are called."""
        return tuple({filename for filename, _ in self.since})

    def count(self, files: Iterable[Candidate]) -> int:
        """Return how many of these it has."""
        return sum((file.filename, file.sha256 or "") in self.since for file in files)

    def gone(
        self, judge: ProjectJudge, filenames: Iterable[str]
    ) -> dict[str | None, list[Candidate]]:
        """Return files by version, as they are judged.

        Whenever one was uploaded, that was before it was kept.
        """
        wanted, found = frozenset(filenames), dict[str | None, list[Candidate]]()
        for (filename, digest), since in self.since.items():
            if filename in wanted:
                file = judge.candidate(filename, digest, since, provenance=True)
                found.setdefault(file.version, []).append(file)
        return found
