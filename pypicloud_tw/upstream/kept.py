"""Remembered upstream pages, in memory and in the store."""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

from attrs import define, evolve, field, frozen

from pypicloud_tw.upstream.client import Validators
from pypicloud_tw.upstream.judgement.judge import ProjectJudge
from pypicloud_tw.upstream.judgement.values import Standing
from pypicloud_tw.upstream.prepare import PageResponse, PreparedPage

T = TypeVar("T")

#: What a remembered page weighs beside what was made of it.
_OVERHEAD = 1024


class IKeeper(Protocol):
    """Keeps answers beyond the life of this process."""

    async def save(self, name: str, kept: KeptResponse) -> None:
        """Keep an answer."""

    async def confirm(self, name: str, confirmed: float) -> None:
        """Note that the answer that is kept still holds."""

    async def load(self, name: str) -> KeptResponse | None:
        """Return an answer that was kept, or None."""

    async def drop(self, name: str) -> None:
        """Keep nothing of a project that is gone."""


@frozen
class ReadingKeeper:
    """Reads what another keeps, and keeps nothing itself."""

    keeper: IKeeper

    async def save(self, name: str, kept: KeptResponse) -> None:
        """See :class:`IKeeper`."""

    async def confirm(self, name: str, confirmed: float) -> None:
        """See :class:`IKeeper`."""

    async def load(self, name: str) -> KeptResponse | None:
        """See :class:`IKeeper`."""
        return await self.keeper.load(name)

    async def drop(self, name: str) -> None:
        """See :class:`IKeeper`."""


@frozen
class KeptResponse:
    """What is needed to prepare a page again.

    :ivar base: of the upstream that gave it.
    :ivar confirmed: when that was, in seconds since the epoch.
    """

    answer: PageResponse
    base: str
    confirmed: float


@frozen
class UpstreamPage(Generic[T]):
    """A page of an upstream.

    :ivar page: what was rendered.
    :ivar source: the place of the upstream that gave it.
    :ivar links: see :func:`~pypicloud_tw.upstream.links.table`.
    :ivar stale: the upstream fails; this is the last that is known.
    :ivar age: seconds since it was confirmed, if it is stale.
    :ivar standing: what it says of the project as a whole.
    """

    page: T
    source: int
    links: bytes = field(repr=False)
    stale: bool = False
    age: float = 0.0
    standing: Standing = field(factory=Standing)

    @property
    def warning(self) -> str | None:
        """The value of a Warning header field (RFC 7234, section 5.5), or None."""
        if not self.stale:
            return None
        return (
            '111 pypicloud "Revalidation Failed: the upstream index does not answer, '
            f'this page is {self.age:.0f} s old"'
        )


@frozen
class Judged:
    """By which judge a page is made.

    :ivar edition: of everything that judges are made of.
    """

    judge: ProjectJudge
    edition: int


@define
class RememberedPage(Generic[T]):
    """What is remembered of a page.

    :ivar shown: as it is served while it is fresh; made once, for it is often asked.
    :ivar weight: bytes of memory.
    :ivar changes_at: when time changes what the rules make of it.
    :ivar confirmed: when the upstream last said that this is how it is; like every
        moment here in seconds since the epoch.
    :ivar fresh_until: until then it is served unasked.
    :ivar saved: what the keeper knows of *confirmed*.
    :ivar judge: by which it was made.
    :ivar edition: of everything that judges are made of, when it was last compared.
    :ivar narrowed: files were taken out of it that its upstream may still have.
    :ivar warn_from: until then nothing is logged of its being stale.
    """

    shown: UpstreamPage[T]
    weight: int
    changes_at: float | None
    validators: Validators
    confirmed: float
    fresh_until: float
    saved: float
    judge: ProjectJudge
    edition: int
    narrowed: bool = False
    warn_from: float = 0.0

    @classmethod
    def of(
        cls,
        prepared: PreparedPage[T],
        source: int,
        validators: Validators,
        confirmed: float,
        fresh_until: float,
        judged: Judged,
    ) -> RememberedPage[T]:
        """Keep what was made of an answer, which the keeper has as well.

        :param source: the place of the upstream that gave it.
        """
        standing = prepared.standing
        return cls(
            UpstreamPage(prepared.page, source, prepared.links, standing=standing),
            prepared.weight + _OVERHEAD,
            prepared.changes_at,
            validators,
            confirmed,
            fresh_until,
            saved=confirmed,
            judge=judged.judge,
            edition=judged.edition,
        )

    def narrow(self, prepared: PreparedPage[T], judged: Judged) -> RememberedPage[T]:
        """Return it with what a stricter judge has left of it."""
        return evolve(
            self,
            shown=evolve(self.shown, page=prepared.page),
            changes_at=prepared.changes_at,
            # Whatever comes next, its upstream is asked for all of it.
            fresh_until=self.confirmed,
            judge=judged.judge,
            edition=judged.edition,
            narrowed=True,
        )

    def holds_for(self, judged: Judged, now: float) -> bool:
        """Return whether it is as it would be made by that judge now."""
        return self.judge == judged.judge and not self.is_due(now)

    def stale(self, now: float) -> UpstreamPage[T]:
        """Return it as the last that is known."""
        return evolve(self.shown, stale=True, age=now - self.confirmed)

    def is_fresh(self, now: float) -> bool:
        """Return whether nobody needs to be asked."""
        # A clock that was set back tells nothing.
        return self.confirmed <= now < self.fresh_until and not self.is_due(now)

    def is_due(self, now: float) -> bool:
        """Return whether time has changed what the rules make of it."""
        return self.changes_at is not None and now >= self.changes_at
