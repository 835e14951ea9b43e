"""The interface of the fallback to the rest of the program."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, Generic, TypeVar

from attrs import define, field
from packaging.version import InvalidVersion
from twisted.internet.defer import DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from pypicloud_tw.concurrency.cache import Cache
from pypicloud_tw.config.exemptions import Rule
from pypicloud_tw.config.sections.upstream import UpstreamSection
from pypicloud_tw.errors import NotFound, Unavailable
from pypicloud_tw.index.model import Document
from pypicloud_tw.index.names import NormalizedName, parse_version
from pypicloud_tw.metrics import Metrics
from pypicloud_tw.offload.service import HELPERS, IOffload
from pypicloud_tw.upstream.client import Client
from pypicloud_tw.upstream.jobs import Jobs
from pypicloud_tw.upstream.judgement.judge import ProjectJudge, upload_time
from pypicloud_tw.upstream.judgement.judges import Judges
from pypicloud_tw.upstream.judgement.values import Candidate, Refusal, Standing
from pypicloud_tw.upstream.kept import IKeeper, Judged, ReadingKeeper, UpstreamPage
from pypicloud_tw.upstream.legacy import (
    LegacyPage,
    LegacyRecipe,
    addressed,
    merged,
    narrow_legacy,
    prepare_legacy,
)
from pypicloud_tw.upstream.links import METADATA, Link, find, mark_of
from pypicloud_tw.upstream.pages import INLINE, PageQuestion, UpstreamPages
from pypicloud_tw.upstream.parse import ACCEPT
from pypicloud_tw.upstream.prepare import (
    Recipe,
    Render,
    narrow_elsewhere,
    prepare_elsewhere,
    stand_by,
)
from pypicloud_tw.upstream.provenance.interface import IProvenance, NoProvenance
from pypicloud_tw.upstream.releases import (
    FoundReleases,
    WantedReleases,
    find_releases,
    keep_releases,
    prepare_releases,
)
from pypicloud_tw.upstream.source import UpstreamIndex
from pypicloud_tw.upstream.standings import GONE

T = TypeVar("T")

#: Pages that are asked for, and prepared, at once: fewer than may wait for a helper.
AT_ONCE = 48


def _nothing() -> None:
    """Find out nothing."""


@define
class Upstreams(Generic[T]):
    """The configured upstream indexes, in order, behind the operator's rules.

    Who calls this has proved that the project is not ours, and that the reader may
    read (decision D5); the rules are kept here.

    :param render: makes what is served of a document, and tells its weight; a
        module-level function, for large documents are rendered in a helper process.
    :param reread: makes the document again of what was rendered of it, likewise.
    :param own_links: files are linked to this server (``relay`` and ``cache``).
    :ivar refusals: how much was refused since the start, by the rule's name.
    :param keeper: where pages are kept beyond this process (``cache``).
    :param connect_ahead: finds out what the first connection to them needs; for a
        thread.
    :param provenance: tells who attests files, where the rules ask for that.
    """

    client: Client
    sources: tuple[UpstreamIndex, ...]
    judges: Judges
    render: Render[T]
    reread: Callable[[T], Document]
    offload: IOffload
    clock: IReactorTime
    settings: UpstreamSection
    own_links: bool = False
    keeper: IKeeper | None = None
    provenance: IProvenance = field(factory=NoProvenance)
    connect_ahead: Callable[[], None] = _nothing
    refusals: Counter[str] = field(factory=Counter, init=False)
    pages: UpstreamPages[T] = field(init=False)
    legacy: UpstreamPages[LegacyPage] = field(init=False)
    _releases: UpstreamPages[bytes] = field(init=False)
    _log = Logger()
    _turns: DeferredSemaphore = field(
        factory=lambda: DeferredSemaphore(AT_ONCE), init=False
    )
    _jobs: Jobs = field(factory=lambda: Jobs(HELPERS), init=False)

    def __attrs_post_init__(self) -> None:
        # One bound for both: they are one budget of the ini.
        memory: Cache[str, Any] = Cache(
            self.settings.cache_memory, weigh=lambda kept: kept.weight
        )
        keeper = self.keeper
        self.pages = self._pages("simple", ACCEPT, memory, keeper)
        self.legacy = self._pages("legacy", "application/json", memory)
        # The page itself is kept by whoever is given it.
        reading = None if keeper is None else ReadingKeeper(keeper)
        self._releases = self._pages("releases", ACCEPT, memory, reading)

    def register(self, metrics: Metrics) -> None:
        """Have its counters shown."""
        for name, description, counter in (
            ("hits", "Upstream pages known", "hits"),
            ("misses", "Upstream pages asked for", "misses"),
            ("failures", "Questions that upstreams failed", "failures"),
            ("stale", "Pages as last known, answered", "served_stale"),
        ):
            metrics.read(
                f"pypicloud_upstream_{name}",
                description,
                partial(self._total, counter),
                counts=True,
            )

        metrics.read(
            "pypicloud_upstream_paused",
            "Other indexes, and where their files are, that are not asked now",
            self._paused,
            together="max",
        )
        metrics.read_by(
            "pypicloud_upstream_refused",
            "What was asked of upstreams and refused, by the rule",
            "rule",
            lambda: self.refusals,
        )

    def _paused(self) -> int:
        standings = self.client.breakers.standings(self.clock.seconds())
        return sum(one.why is not None for one in standings)

    def _total(self, counter: str) -> float:
        kinds = self.pages, self.legacy
        return sum(float(getattr(pages, counter)) for pages in kinds)

    async def warm_up(self) -> None:
        """Have at hand what the first pages need, that they need not wait for it.

        These are all the helpers: who resolves asks for many pages at once.
        """
        begun = [self.offload.in_process(stand_by, self.render) for _ in range(HELPERS)]
        begun.append(self.offload.in_thread(self.connect_ahead))
        for work in begun:
            try:
                await work
            except Unavailable as e:
                self._log.warn(
                    "No helper process is ready yet: {error}", error=e.message
                )

    def fresh(self, name: NormalizedName) -> UpstreamPage[T] | None:
        """Look a project's page up without asking anybody; None means: ask."""
        return self.pages.fresh(name)

    def knows(self, name: NormalizedName) -> bool:
        """Return whether a project's page is given without asking anybody."""
        return self.pages.knows(name)

    async def page(self, name: NormalizedName) -> UpstreamPage[T]:
        """Return a project's page, rendered.

        :raises NotFound: its name is reserved, or no upstream has it.
        :raises Forbidden: it is denied.
        :raises UpstreamError: an upstream fails, and nothing is known.
        """
        judged = self._judge(name)
        recipe = Recipe(
            name,
            self.render,
            self.reread,
            judged.judge,
            self.client.limits.page,
            self.own_links,
        )
        addresses = tuple(source.project_url(name) for source in self.sources)
        page = await self.pages.get(
            PageQuestion(
                name, addresses, prepare_elsewhere, narrow_elsewhere, recipe, judged
            )
        )
        if not page.stale:
            self._saw(name, judged, page.standing)
        return page

    async def _learn_standing(self, name: NormalizedName) -> None:
        """Have at hand what a project's page says of it: the older API does not tell.

        :raises PypicloudError: as :meth:`page` does.
        """
        try:
            page = self.fresh(name) or await self.page(name)
        except NotFound:
            return  # Nobody says anything of it.
        if page.standing.status == "quarantined":
            self.judges.standings.saw(name, page.standing)

    def _saw(self, name: NormalizedName, judged: Judged, standing: Standing) -> None:
        standings = self.judges.standings
        # What was found while the page was on its way is younger than the page.
        if standing.status == "quarantined" or (
            standings.of(name) == judged.judge.standing
        ):
            standings.saw(name, standing)

    def address(self, name: NormalizedName) -> str:
        """Return the address that the mode ``redirect`` sends clients to.

        :raises NotFound: the name is reserved.
        :raises Forbidden: it is denied.
        """
        self._judge(name)
        return self.sources[0].project_url(name)

    async def legacy_json(
        self, name: NormalizedName, version: str | None, base_url: str
    ) -> tuple[bytes, str | None]:
        """Return the older API's JSON of a project, or of one of its releases.

        :param base_url: of this server, for links to files that lead here.
        :return: and the value of a Warning header field, if it needs one.
        :raises PypicloudError: as :meth:`page` does.
        """
        judged = self._judge(name)
        if version is not None:
            self._judge_release(judged.judge, version)
        await self._learn_standing(name)
        known = await self._legacy(name, version)
        page = known.page
        self._check(name, page.hidden)
        if page.instead is None:
            return addressed(page.body, base_url), known.warning
        other = await self._legacy(name, page.instead)
        release, warning = other.page, known.warning or other.warning
        self._check(name, release.hidden)
        if len(page.body) <= INLINE:
            document = merged(page, release)
        else:
            document = await self.offload.in_process(merged, page, release)
        return addressed(document, base_url), warning

    async def link(
        self, name: NormalizedName, segment: str, filename: str
    ) -> tuple[Link, UpstreamIndex]:
        """Find a file that the rules let be seen, by its address here.

        :param segment: see :func:`~pypicloud_tw.upstream.links.segment`.
        :return: where it is, and the upstream that says so.
        :raises NotFound: there is none.
        :raises RefusedByRule: it may not be had now.
        :raises PypicloudError: as :meth:`page` does.
        """
        page = self.fresh(name) or await self.page(name)
        if len(page.links) > INLINE:
            found = await self.offload.in_thread(
                find, page.links, name, segment, filename
            )
        else:
            found = find(page.links, name, segment, filename)
        if found is None:
            raise NotFound(
                f"There is no file {segment}/{filename} of {name} here; it may have "
                "been removed."
                if filename.isprintable()
                else "There is no such file here."
            )
        judge = self.judges.of(name).with_standing(page.standing)
        candidate, source = candidate_of(judge, found), self.sources[page.source]
        self._check(name, judge.refusal_of(candidate, self.clock.seconds()), filename)
        if self._needs_proof(judge, candidate):
            refusal = await self.provenance.check(candidate, found, source)
            self._check(name, refusal, filename)
        return found, source

    def mark(self, name: NormalizedName, segment: str, filename: str) -> str | None:
        """Return what an upstream has done with a file, as far as that is at hand.

        :return: ``deleted``, or ``yanked`` with the reason behind it; None: nothing is
            known of either.
        """
        standings, beside = self.judges.standings, filename.removesuffix(METADATA)
        if standings.of(name).status == GONE:
            return "deleted"
        page = self.pages.remembered(name)
        if page is None or not page.links or len(page.links) > INLINE:
            return standings.mark(name, segment, beside)
        return mark_of(find(page.links, name, segment, beside))

    async def releases(
        self, name: NormalizedName, wanted: WantedReleases
    ) -> tuple[FoundReleases, UpstreamPage[bytes]]:
        """Return what the upstream has, whether or not it may be seen.

        To explain what is made of it; nothing of that is given out.

        :return: and its page, which tells the project's standing, and its age.
        :raises PypicloudError: as :meth:`page` does.
        """
        judged = self._judge(name)
        limit = self.client.limits.page
        recipe = Recipe(name, self.render, self.reread, judged.judge, limit)
        addresses = tuple(source.project_url(name) for source in self.sources)
        page = await self._releases.get(
            PageQuestion(
                name, addresses, prepare_releases, keep_releases, recipe, judged
            )
        )
        if len(page.page) > INLINE:
            found = await self.offload.in_thread(find_releases, page.page, wanted)
        else:
            found = find_releases(page.page, wanted)
        return found, page

    def check_release_of(self, name: NormalizedName, filename: str) -> None:
        """Return if a file may be had, as far as that can be told without its page.

        :raises NotFound: the project's name is reserved.
        :raises RefusedByRule: it may not.
        """
        judge, now = self.judges.of(name), self.clock.seconds()
        version = judge.candidate(filename).version
        self._check(name, judge.refusal_of_release(version, now), filename)

    async def check_kept(
        self, name: NormalizedName, filename: str, sha256: str | None, uploaded: float
    ) -> None:
        """Return if a file that is kept here may be had now.

        :raises NotFound: the project's name is reserved.
        :raises RefusedByRule: it may not.
        :raises StoreError: who publishes it must be asked, and the store is away.
        """
        judge, now = self.judges.of(name), self.clock.seconds()
        candidate = judge.candidate(filename, sha256, uploaded, provenance=True)
        self._check(name, judge.refusal_of(candidate, now), filename)
        if self._needs_proof(judge, candidate):
            refusal = await self.provenance.check_kept(name, candidate)
            self._check(name, refusal, filename)

    async def recall_proof(
        self, name: NormalizedName, filename: str, sha256: str
    ) -> None:
        """Have at hand who attests a file that is kept here, if that is needed.

        :raises StoreError: the store is away.
        """
        judge = self.judges.of(name)
        candidate = judge.candidate(filename, sha256)
        if self._needs_proof(judge, candidate):
            await self.provenance.recall(name, candidate)

    def lacks_proof(self, name: NormalizedName, filename: str, sha256: str) -> bool:
        """Return whether only the upstream can tell who attests a kept file."""
        judge = self.judges.of(name)
        candidate = judge.candidate(filename, sha256)
        needed = self._needs_proof(judge, candidate)
        return needed and not self.provenance.knows(name, candidate)

    def _needs_proof(self, judge: ProjectJudge, candidate: Candidate) -> bool:
        return judge.needs_proof(candidate, self.clock.seconds())

    def hides_by_time(
        self,
        name: NormalizedName,
        filename: str,
        sha256: str,
        uploaded: float,
        now: float,
    ) -> bool:
        """Return whether a file would not be seen for its age, uploaded then."""
        judge = self.judges.of(name)
        candidate = judge.candidate(filename, sha256, uploaded, provenance=True)
        refusal = judge.refusal_of(candidate, now)
        return refusal is not None and refusal.rule in (Rule.MIN_AGE, Rule.NOT_AFTER)

    async def _legacy(
        self, name: NormalizedName, version: str | None
    ) -> UpstreamPage[LegacyPage]:
        judged = self._judge(name)
        limit = self.client.limits.page
        recipe = LegacyRecipe(name, version, judged.judge, limit, self.own_links)
        teller = await self._teller(name)
        addresses = tuple(
            source.legacy_url(name, version) if source in teller else None
            for source in self.sources
        )
        key = name if version is None else f"{name}/{version}"
        return await self.legacy.get(
            PageQuestion(key, addresses, prepare_legacy, narrow_legacy, recipe, judged)
        )

    async def _teller(self, name: NormalizedName) -> tuple[UpstreamIndex, ...]:
        """Return the upstream whose project it is: a later one's may be another."""
        if len(self.sources) < 2:
            return self.sources
        return (self.sources[(await self.page(name)).source],)

    def _pages(
        self,
        kind: str,
        accept: str,
        memory: Cache[str, Any],
        keeper: IKeeper | None = None,
    ) -> UpstreamPages[Any]:
        return UpstreamPages(
            kind,
            self.client,
            self.sources,
            accept,
            self.offload,
            self.clock,
            memory,
            self.settings,
            self.judges,
            self._turns,
            self._jobs,
            keeper,
        )

    def _judge(self, name: NormalizedName) -> Judged:
        """Return the judge of a project that may be asked for."""
        # The edition first: what moves meanwhile is looked at once more.
        edition = self.judges.edition
        judge = self.judges.of(name)
        self._check(name, judge.refusal)
        return Judged(judge, edition)

    def _judge_release(self, judge: ProjectJudge, version: str) -> None:
        if not _is_version(version):
            raise NotFound(f"There is no such release of {judge.name}.")
        now = self.clock.seconds()
        self._check(judge.name, judge.refusal_of_release(version, now))

    def _check(
        self, name: str, refusal: Refusal | None, file: str | None = None
    ) -> None:
        """Return if nothing refuses what is asked for; else count it and say so."""
        if refusal is not None:
            self.refusals[refusal.rule.value] += 1
            raise refusal.error(self.clock.seconds(), name, file)


def candidate_of(judge: ProjectJudge, link: Link) -> Candidate:
    """Describe a file of a page as it is judged."""
    return judge.candidate(
        link.filename,
        link.sha256,
        upload_time(link.uploaded),
        provenance=bool(link.provenance),
    )


def _is_version(text: str) -> bool:
    try:
        parse_version(text)
    except InvalidVersion:
        return False
    # Four times the longest real one; it goes into an address.
    return len(text) < 256
