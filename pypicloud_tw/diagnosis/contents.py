"""What is in the store: manifests, who may do what, other servers, advisories."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from random import Random

from attrs import define, field, frozen

from pypicloud_tw import __version__
from pypicloud_tw.advisories.service import NOT_READ, TABLE, TOO_OLD, read_stored
from pypicloud_tw.concurrency.side_by_side import side_by_side
from pypicloud_tw.config.configuration import Config
from pypicloud_tw.diagnosis.values import Finding, fault, note, ok, unseen, warning
from pypicloud_tw.errors import ObjectNotFound
from pypicloud_tw.index.index import Index
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.json_documents import DAMAGED
from pypicloud_tw.maintenance.verify import Fault, Kind, Verifier
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.projects.servers_seen import SeenServer, servers_seen, version_of
from pypicloud_tw.store.interfaces import ByteRange
from pypicloud_tw.store.small import SmallSpool
from pypicloud_tw.store.spool_consumer import copy

#: Manifests that are read without ``--deep``.
SAMPLE = 25

#: Projects that are looked at side by side.
_AT_ONCE = 16

#: Faults that are told one by one; the rest is counted.
TOLD = 20

#: Servers whose versions are asked for, the latest first.
_ASKED = 20

#: The part of an advisories' table that its first line is in, and then some.
_HEAD = 4096

_HOUR = 3600.0


@frozen
class Contents:
    """Looks at what is in a store.

    :ivar deep: look at every manifest, and whether the files that it names are there.
    """

    index: Index
    offload: IOffload
    config: Config
    deep: bool
    random: Random = field(factory=Random)

    # -- manifests --------------------------------------------------------------------

    async def manifests(self) -> list[Finding]:
        """Read manifests; with ``--deep`` all, and look for what they name."""
        names, count = await self._names()
        chosen = len(names)
        seen = _Seen(self._verifier(), names)
        await side_by_side(_AT_ONCE, seen.work, names)
        found = list(seen.findings())
        if found:
            return found
        if not count:
            return [ok("There is no project yet.")]
        if self.deep:
            return [ok(f"All {count} can be read, and what they name is there.")]
        said = f"{chosen} of {count} were read, and are whole."
        return [ok(f"{said} --deep reads all, and looks for what they name.")]

    async def _names(self) -> tuple[deque[NormalizedName], int]:
        """Choose the projects, and count all; a sample of any number takes no room."""
        chosen: list[NormalizedName] = []
        count = 0
        async for name, _ in self.index.manifests.names():
            count += 1
            if self.deep or len(chosen) < SAMPLE:
                chosen.append(name)
            elif (place := self.random.randrange(count)) < SAMPLE:
                chosen[place] = name
        return deque(chosen), count

    def _verifier(self) -> Verifier:
        return Verifier(self.index.store, self.index.manifests, self.offload)

    async def unserved(self) -> list[Finding]:
        """Tell of the projects that servers have found that they cannot serve."""
        index = self.index
        index.unserved.find({})  # what servers found out is in the store
        await index.unserved.learn()
        reasons = index.unserved.reasons() or {}
        if not reasons:
            return [ok("Servers have found no project that they cannot serve.")]
        named = [f"{name} ({why})" for name, why in sorted(reasons.items())]
        more = f", and {len(named) - TOLD} more" if len(named) > TOLD else ""
        return [
            warning(
                f"{len(reasons)} project(s) in the store cannot be served: "
                f"{'; '.join(named[:TOLD])}{more}.",
                "See pypicloud verify; pypicloud refresh adopts, pypicloud rebuild "
                "writes lost manifests anew.",
            )
        ]

    async def access(self) -> list[Finding]:
        """Read who may do what, and the documents of tokens."""
        faults = [_told(one) async for one in self._verifier().of_access()]
        return faults or [ok("Who may do what, and the tokens, can be read.")]

    # -- other servers ----------------------------------------------------------------

    async def servers(self) -> list[Finding]:
        """Tell which servers use the store, and which version each has."""
        now = self.index.clock.seconds()
        seen = await servers_seen(self.index.store, now)
        if not seen:
            return [
                note(
                    "No server has told of itself since yesterday.",
                    "Those that count downloads (statistics.downloads) do.",
                )
            ]
        versions = [await self._version(one) for one in seen[:_ASKED]]
        findings = [
            ok(
                f"{version or 'a version that does not say'}; it wrote "
                f"{_ago(now - server.written.timestamp())}.",
                server.name,
            )
            for server, version in zip(seen, versions, strict=False)
        ]
        others = sorted({version for version in versions if version} - {__version__})
        if others:
            findings.append(
                note(
                    f"This is {__version__}, and servers that are or were there today "
                    f"have {', '.join(others)}.",
                    "Two versions may share a store while you update; then update all.",
                )
            )
        return findings

    async def _version(self, server: SeenServer) -> str | None:
        return await version_of(server, self.index.store, self.offload)

    # -- advisories -------------------------------------------------------------------

    async def advisories(self) -> list[Finding]:
        """Tell how old what is known of malware and flaws is."""
        settings = self.config.advisories
        if settings.source is None:
            return [
                note(
                    "No source of advisories is set: known malware is not blocked.",
                    "Set advisories.source.",
                )
            ]
        advice = (
            "See whether advisories.source can be reached from the server, and what "
            "its log says."
        )
        try:
            checked = await self._checked()
        except ObjectNotFound:
            return [warning(NOT_READ, advice)]
        except DAMAGED:
            return [warning(f"The object {TABLE} is damaged.", advice)]
        if checked is None:
            return [note("A newer version has read them.")]
        age = self.index.clock.seconds() - checked
        if age > settings.max_age:
            lets_through = settings.when_away == "open"
            so = (
                "Known malware may pass."
                if lets_through
                else "No upstream file passes."
            )
            return [fault(f"{TOO_OLD.format(hours=age / 3600)} {so}", advice)]
        if age > max(3 * settings.every, _HOUR):
            return [warning(f"Their source was last seen {_ago(age)}.", advice)]
        return [ok(f"Their source was last seen {_ago(age)}.")]

    async def _checked(self) -> float | None:
        download = await self.index.store.open(TABLE, byte_range=ByteRange(0, _HEAD))
        head = SmallSpool.make()
        try:
            await copy(download, head)
            told, _ = read_stored(await head.read_at(0, _HEAD))
        finally:
            await head.close()
        return None if told is None else told.checked


@define
class _Seen:
    """What workers have found in manifests."""

    verifier: Verifier
    queue: deque[NormalizedName]
    faults: list[Fault] = field(factory=list)
    more: int = 0

    async def work(self) -> None:
        while self.queue:
            async for one in self.verifier.of_project(self.queue.popleft()):
                if one is None:
                    continue
                if len(self.faults) < TOLD:
                    self.faults.append(one)
                else:
                    self.more += 1

    def findings(self) -> Iterator[Finding]:
        for one in sorted(self.faults, key=str):
            yield _told(one)
        if self.more:
            yield fault(f"There are {self.more} more.", "pypicloud verify names all.")


def _told(one: Fault) -> Finding:
    subject = " ".join(filter(None, (one.project, one.filename)))
    if one.kind is Kind.UNSEEN:
        return unseen(one.problem, "Try again.", subject)
    advice = "See pypicloud verify; pypicloud rebuild writes lost manifests anew."
    problem = one.problem.rstrip(".")
    return fault(f"{problem[:1].upper()}{problem[1:]}.", advice, subject)


def _ago(seconds: float) -> str:
    """Say how long ago it was; the store's clock may be ahead of ours."""
    if seconds < 90:
        return "just now"
    if seconds < 2 * _HOUR:
        return f"{seconds / 60:.0f} minutes ago"
    if seconds < 48 * _HOUR:
        return f"{seconds / _HOUR:.0f} hours ago"
    return f"{seconds / _HOUR / 24:.0f} days ago"
