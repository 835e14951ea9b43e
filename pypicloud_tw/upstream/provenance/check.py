"""Whether a file of an upstream is attested by who publishes its project (PEP 740)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from attrs import define, field

from pypicloud_tw.concurrency.coalesced import Coalesced
from pypicloud_tw.config.exemptions import Rule
from pypicloud_tw.config.signers import Signer
from pypicloud_tw.errors import NotFound, PypicloudError, UpstreamError
from pypicloud_tw.index.attestations.provenance import Proved, ProvenanceQuestion
from pypicloud_tw.index.attestations.question import MAX_PROVENANCE
from pypicloud_tw.index.audit import SERVER, Act, Audit
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.metrics import Metrics
from pypicloud_tw.upstream.client import Client
from pypicloud_tw.upstream.judgement.refusals import exempt_command
from pypicloud_tw.upstream.judgement.values import Candidate, Refusal
from pypicloud_tw.upstream.links import Link
from pypicloud_tw.upstream.provenance.pins import Pins
from pypicloud_tw.upstream.provenance.proofs import Proofs, ProvedFile
from pypicloud_tw.upstream.source import UpstreamIndex

#: Verifies in another process; see :func:`.verification.verify_provenance`.
VerifyProvenance = Callable[[ProvenanceQuestion], Awaitable[Proved]]


@define(eq=False)
class Provenance:
    """See :class:`.IProvenance`.

    :ivar trust_root: see :class:`.ProvenanceQuestion`.
    :ivar refused: how often another publisher than the pinned one was refused.
    """

    client: Client
    pins: Pins
    proofs: Proofs
    verify: VerifyProvenance
    audit: Audit
    trust_root: str | None = None
    refused: int = field(default=0, init=False)
    _asking: Coalesced[tuple[Signer, ...]] = field(factory=Coalesced, init=False)

    def register(self, metrics: Metrics) -> None:
        """Have its counter shown."""
        metrics.read(
            "pypicloud_upstream_publishers_refused",
            "Files refused as another publisher attests them than the pinned one",
            lambda: self.refused,
            counts=True,
        )

    def knows(self, name: NormalizedName, candidate: Candidate) -> bool:
        """See :class:`.IProvenance`."""
        file = _file(name, candidate)
        return file is not None and self.proofs.known(file) is not None

    async def recall(self, name: NormalizedName, candidate: Candidate) -> None:
        """See :class:`.IProvenance`."""
        file = _file(name, candidate)
        if file is not None:
            await self.proofs.recall(file)

    async def check(
        self, candidate: Candidate, link: Link, source: UpstreamIndex
    ) -> Refusal | None:
        """See :class:`.IProvenance`."""
        name = NormalizedName(link.project)
        file = _file(name, candidate)
        if file is None:
            return _unproved(
                name, candidate, "the upstream index does not tell its sha256."
            )
        signers = await self.proofs.recall(file)
        if signers is None:
            why = self.proofs.why_unproved(file)
            if why is not None:
                return _unproved(name, candidate, why)
            signers = await self._asking.ask(
                file, lambda: self._prove(file, link, source)
            )
        return await self._compare(name, candidate, signers)

    async def check_kept(
        self, name: NormalizedName, candidate: Candidate
    ) -> Refusal | None:
        """See :class:`.IProvenance`."""
        file = _file(name, candidate)
        signers = None if file is None else self.proofs.known(file)
        return await self._compare(name, candidate, signers or ())

    async def _prove(
        self, file: ProvedFile, link: Link, source: UpstreamIndex
    ) -> tuple[Signer, ...]:
        data = await self._fetch(link, source)
        question = ProvenanceQuestion(data, file.filename, file.sha256, self.trust_root)
        proved = await self.verify(question)
        if not proved.signers:
            self.proofs.put_unproved(file, proved.why_not)
            return ()
        await self.proofs.put(file, proved.signers)
        return proved.signers

    async def _fetch(self, link: Link, source: UpstreamIndex) -> bytes:
        try:
            response = await self.client.open(source, link.provenance)
            return await self.client.whole(response, MAX_PROVENANCE)
        except NotFound:
            raise UpstreamError(
                f"The upstream index has no provenance of {link.filename} where its "
                "page says."
            ) from None

    async def _compare(
        self, name: NormalizedName, candidate: Candidate, signers: tuple[Signer, ...]
    ) -> Refusal | None:
        """Compare who signed with who is pinned; pin the first."""
        if not signers:
            file = _file(name, candidate)
            why = None if file is None else self.proofs.why_unproved(file)
            return _unproved(name, candidate, why or "nothing attests it.")
        pinned = await self.pins.publisher(name)
        if pinned is None:
            pinned = await self._pin(name, candidate, signers[0])
        if not _is_among(pinned, signers):
            # An administrator may have accepted them a moment ago.
            pinned = await self.pins.publisher(name, anew=True) or pinned
        if _is_among(pinned, signers):
            return None
        self.refused += 1
        await self._tell(name, candidate, pinned, signers[0])
        return _changed(name, candidate, pinned, signers[0])

    async def _pin(
        self, name: NormalizedName, candidate: Candidate, signer: Signer
    ) -> Signer:
        pinned, first = await self.pins.pin_first(
            name, signer, candidate.filename, candidate.sha256 or ""
        )
        if first:
            self.audit(_act("pinned", name, candidate, f"the publisher {signer.line}"))
        return pinned

    async def _tell(
        self, name: NormalizedName, candidate: Candidate, pinned: Signer, new: Signer
    ) -> None:
        """Tell of a change of publisher, once for each new one."""
        try:
            is_news = await self.pins.note_refused(name, new, candidate.filename)
        except PypicloudError:
            return  # that it cannot be noted now does not change the answer
        if is_news:
            reason = f"the publisher {new.line}, where {pinned.line} is pinned"
            act = _act("publisher-changed", name, candidate, reason)
            self.audit(act)


def _file(name: NormalizedName, candidate: Candidate) -> ProvedFile | None:
    if candidate.sha256 is None:
        return None
    return ProvedFile(name, candidate.sha256, candidate.filename)


def _is_among(pinned: Signer, signers: tuple[Signer, ...]) -> bool:
    return any(pinned.includes(signer) for signer in signers)


def _act(act: str, name: NormalizedName, candidate: Candidate, reason: str) -> Act:
    return Act(
        SERVER,
        act,
        name,
        candidate.version,
        candidate.filename,
        candidate.sha256,
        reason,
    )


def _unproved(name: NormalizedName, candidate: Candidate, why: str) -> Refusal:
    return Refusal(
        Rule.PROVENANCE,
        f"The provenance of {candidate.filename} proves nothing: {why} {name} is let "
        "through only with it (upstream.require_provenance).",
        f"An administrator exempts it: {_exempt(name, candidate)}",
    )


def _changed(
    name: NormalizedName, candidate: Candidate, pinned: Signer, new: Signer
) -> Refusal:
    return Refusal(
        Rule.PROVENANCE,
        f"{candidate.filename} is attested by {new.line}, and the publisher of {name} "
        f"is {pinned.line} (upstream.require_provenance).",
        f"If that change is right, an administrator accepts it: pypicloud pin set "
        f"{name} {new.line}, or upstream.publisher.{name} in the ini; or exempts the "
        f"file: {_exempt(name, candidate)}",
    )


def _exempt(name: NormalizedName, candidate: Candidate) -> str:
    what = f"{name} {candidate.version}" if candidate.version else name
    return exempt_command(what, Rule.PROVENANCE)
