"""Why files of a project may be had or not: the judgement, and what it was made of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from attrs import evolve, frozen

from pypicloud_tw.advisories.values import Advisory
from pypicloud_tw.config.exemptions import Exemption, Rule
from pypicloud_tw.upstream.judgement.judge import Judging, ProjectJudge
from pypicloud_tw.upstream.judgement.values import Candidate, Refusal


@frozen
class ExplainedFiles:
    """What becomes of some files of one release.

    :ivar shown: how many may be had.
    :ivar refusals: of the others, each kind of refusal once, with how many files it
        refuses: the first of its rule that time lifts.
    :ivar exemptions: without which less might be had.
    :ivar advisories: that speak of the release.
    :ivar repairs: those of a flaw that it is the first to be free of.
    """

    shown: int
    refusals: tuple[tuple[Refusal, int], ...]
    exemptions: tuple[Exemption, ...]
    advisories: tuple[Advisory, ...]
    repairs: tuple[Advisory, ...] = ()

    @property
    def too_young(self) -> Refusal | None:
        """The refusal for its age, if there is one."""
        young = (one for one, _ in self.refusals if one.rule is Rule.MIN_AGE)
        return next(young, None)


@frozen
class Explaining:
    """Explains files of one project at one moment."""

    judge: ProjectJudge
    now: float

    def release(
        self, version: str | None, files: Iterable[Candidate]
    ) -> ExplainedFiles:
        """Explain the files of a release."""
        files = tuple(files)
        judging = Judging(self.judge, self.now)
        refused = [judging.refusal_of(file) for file in files]
        known = self.judge.advisories
        return ExplainedFiles(
            sum(refusal is None for refusal in refused),
            tuple(_counted(filter(None, refused))),
            tuple(self._exempting(files)),
            tuple(one for one in known.advisories if one.affects(version)),
            known.repaired_by(version),
        )

    def _exempting(self, files: tuple[Candidate, ...]) -> Iterator[Exemption]:
        """Find the exemptions without which one of the files would be refused."""
        for one in self.judge.exemptions:
            held = [f for f in files if one.holds(f.version, f.sha256, self.now)]
            if not held:
                continue
            others = tuple(e for e in self.judge.exemptions if e is not one)
            without = Judging(evolve(self.judge, exemptions=others), self.now)
            refusals = map(without.refusal_of, held)
            if any(r is not None and r.rule is one.rule for r in refusals):
                yield one


def _counted(refusals: Iterable[Refusal]) -> Iterator[tuple[Refusal, int]]:
    """Take together what is refused by the same rule."""
    by_rule: dict[Rule, list[Refusal]] = {}
    for refusal in refusals:
        by_rule.setdefault(refusal.rule, []).append(refusal)
    for same in by_rule.values():
        yield min(same, key=_end), len(same)


def _end(refusal: Refusal) -> float:
    return float("inf") if refusal.until is None else refusal.until
