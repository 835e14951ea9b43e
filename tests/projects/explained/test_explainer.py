"""What is said of a name: where it is answered from, and what becomes of releases."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import field, frozen
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.administration.authority import Operator
from pypicloud_tw.advisories.values import (
    Advisory,
    ProjectAdvisories,
    Severity,
    VersionRange,
)
from pypicloud_tw.config.exemptions import Exemption, make_exemption
from pypicloud_tw.errors import BadRequest, Forbidden, Unavailable, UpstreamError
from pypicloud_tw.index.model import Selection
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.projects.explained.explainer import MOST, Explainer
from pypicloud_tw.projects.explained.stored import StoredExplanations
from pypicloud_tw.projects.explained.values import ExplainedRelease, Explanation
from pypicloud_tw.upstream.judgement.entries import RuleEntry
from pypicloud_tw.upstream.judgement.judges import FixedExemptions
from pypicloud_tw.upstream.judgement.rules import UpstreamRules
from pypicloud_tw.upstream.keeper import page_key
from tests.builders import wheel
from tests.upstream.doubles import BASE, file, page, project, ranged
from tests.web.doubles import BEGINNING
from tests.web.test_app_fallback import FRESH, Front

DAY = 86_400.0
WEEK = UpstreamRules(min_age=7 * DAY)
NOW = datetime.fromtimestamp(BEGINNING, UTC)

FLAW = Advisory(
    "GHSA-1",
    "acme",
    "Reads too much.",
    severity=Severity.HIGH,
    ranges=(VersionRange("", fixed="2.0"),),
    fixed=("2.0",),
)


def uploaded(version: str, days: float, **more: Any) -> Any:
    """A wheel that was uploaded days ago."""
    when = (NOW - timedelta(days=days)).isoformat()
    name = f"acme-{version}-py3-none-any.whl"
    return file(name, version.encode(), uploaded=when, **more)


def exempt(what: str) -> Exemption:
    until = NOW + timedelta(days=1)
    return make_exemption(what, until=until, reason="a fix", source="ann")


@frozen
class Known:
    """Advisories of acme."""

    advisories: tuple[Advisory, ...]
    edition: int = 1
    trouble: str | None = None

    def of(self, name: str) -> ProjectAdvisories:
        return ProjectAdvisories(self.advisories if name == "acme" else ())


@frozen
class Near:
    names: tuple[str, ...] = field(factory=tuple)

    async def near(self, name: NormalizedName) -> Collection[NormalizedName]:
        return [NormalizedName(one) for one in self.names]


class OnlySome(Operator):
    """May read what is named acme."""

    def check(self, action: object, project: object) -> None:
        if project != "acme":
            raise Forbidden("You may not.")

    def reads(self) -> Any:
        return lambda name: name in ("acme", "acne")


class ExplainCase(SynchronousTestCase):
    def front(self, *files: Any, mode: str = "proxy", **parts: Any) -> Front:
        front = Front(mode, **parts)
        front.upstream.on(f"{BASE}acme/", page(project("acme", *files), headers=FRESH))
        for one in files:
            front.upstream.on(one["url"], ranged(one["filename"][5:8].encode()))
        return front

    def explain(
        self,
        front: Front,
        version: str | None = None,
        near: tuple[str, ...] = (),
        name: str = "Acme",
    ) -> Explanation:
        known = front.fallback.upstreams.judges.advisories
        asked = front.fallback.asked
        explainer = Explainer(front.domain.index, asked, known, Near(near))
        doer = StoredExplanations(explainer, OnlySome())
        told: Explanation = front.web.wait(doer.explain(name, version))
        return told

    def one(self, front: Front, version: str) -> ExplainedRelease:
        (release,) = self.explain(front, version).releases
        return release


class NameTests(ExplainCase):
    def test_ours(self) -> None:
        front = self.front(uploaded("9.0", 99))
        front.web.publish("acme-1.0-py3-none-any.whl", wheel())
        told = self.explain(front)
        self.assertEqual((told.answered_from, told.shown), ("here", True))
        (release,) = told.releases
        self.assertEqual((release.version, release.source), ("1.0", "here"))
        self.assertEqual(front.asked(), [])
        none = self.explain(front, "9.0")
        self.assertFalse(none.shown)
        self.assertEqual(none.notes, ("There is no release 9.0 of acme.",))

    def test_ours_with_a_flaw(self) -> None:
        front = self.front()
        front.fallback.upstreams.judges.advisories = Known((FLAW,))
        front.web.publish("acme-1.0-py3-none-any.whl", wheel())
        (release,) = self.explain(front).releases
        self.assertEqual([one.id for one in release.advisories], ["GHSA-1"])

    def test_ours_in_quarantine(self) -> None:
        front = self.front()
        front.web.publish("acme-1.0-py3-none-any.whl", wheel())
        acts = front.domain.index.acts
        name = NormalizedName("acme")
        front.web.wait(acts.set_status(name, "quarantined", "spam"))
        told = self.explain(front)
        self.assertEqual((told.status, told.shown), ("quarantined", False))
        self.assertIn("(spam)", told.releases[0].hidden[0].reason)

    def test_both(self) -> None:
        front = self.front(
            uploaded("9.0", 99), uploaded("1.0", 99), merge=frozenset({"acme"})
        )
        front.web.publish("acme-1.0-py3-none-any.whl", wheel())
        told = self.explain(front)
        self.assertEqual(told.answered_from, "both")
        sources = [(one.version, one.source, one.files) for one in told.releases]
        self.assertEqual(
            sources,
            [("9.0", "upstream", 1), ("1.0", "here", 1)],
        )

    def test_nobody(self) -> None:
        front = Front("proxy")
        told = self.explain(front)
        self.assertEqual((told.answered_from, told.shown), ("nobody", False))
        self.assertIn("Neither this index", told.sentence)

    def test_reserved_and_denied(self) -> None:
        acme = (RuleEntry.parse("acme"),)
        for rules, rule, word in (
            (UpstreamRules(private=acme), None, "pypi.private"),
            (UpstreamRules(deny=acme), "deny", "upstream.deny"),
            (UpstreamRules(allow=(RuleEntry.parse("x"),)), "allow", "upstream.allow"),
        ):
            front = self.front(uploaded("1.0", 99), rules=rules)
            told = self.explain(front)
            self.assertEqual((told.answered_from, told.shown), ("nobody", False))
            self.assertIn(word, told.sentence)
            self.assertEqual(told.hidden and told.hidden.rule, rule)
            self.assertEqual(front.asked(), [])

    def test_redirect(self) -> None:
        front = self.front(mode="redirect")
        told = self.explain(front)
        self.assertEqual((told.answered_from, told.shown), ("redirect", True))
        self.assertIn(f"{BASE}acme/", told.sentence)
        self.assertEqual(front.asked(), [])

    def test_who_may_not_read_is_told_nothing(self) -> None:
        front = self.front()
        with self.assertRaises(Forbidden):
            self.explain(front, name="other")
        self.assertEqual((front.asked(), front.domain.store.calls), ([], []))

    def test_no_version(self) -> None:
        for version in ("", "1" * 300):
            with self.assertRaises(BadRequest):
                self.explain(self.front(), version)

    def test_near_names_that_one_may_read(self) -> None:
        front = self.front(uploaded("1.0", 99))
        (note,) = self.explain(front, near=("acne", "secret")).notes
        self.assertIn("acme is one letter away from acne", note)

    def test_it_is_not_known_here(self) -> None:
        front = self.front(uploaded("1.0", 99))

        def away(operation: str, key: str) -> None:
            raise Unavailable("The store is away.")

        front.domain.store.before = away
        with self.assertRaises(Unavailable):
            self.explain(front)
        self.assertEqual(front.asked(), [])


class ReleaseTests(ExplainCase):
    def test_hidden_for_its_age(self) -> None:
        front = self.front(uploaded("1.0", 99), uploaded("2.0", 2), rules=WEEK)
        told = self.explain(front)
        self.assertEqual((told.answered_from, told.shown), ("upstream", False))
        young, old = told.releases
        self.assertEqual((young.version, young.shown, young.files), ("2.0", False, 0))
        (hidden,) = young.hidden
        self.assertEqual((hidden.rule, hidden.files), ("min-age", 1))
        self.assertEqual(hidden.until, NOW + timedelta(days=5))
        self.assertEqual(young.uploaded, NOW - timedelta(days=2))
        self.assertIn("pypicloud exempt add acme==2.0", hidden.lifted_by)
        self.assertTrue(old.shown)
        self.assertTrue(self.explain(front, "1").shown)
        self.assertFalse(self.explain(front, "2.0").shown)

    def test_it_is_judged_as_of_now(self) -> None:
        front = self.front(uploaded("2.0", 2), rules=WEEK)
        self.assertFalse(self.explain(front).shown)
        front.asked()
        front.domain.clock.advance(300)
        self.assertFalse(self.explain(front).shown)
        self.assertEqual(front.asked(), [], "its page is fresh")
        front.domain.clock.advance(5 * DAY)
        self.assertTrue(self.explain(front).shown)

    def test_exempt(self) -> None:
        front = self.front(uploaded("1.0", 99), uploaded("2.0", 2), rules=WEEK)
        judges = front.fallback.upstreams.judges
        judges.exemptions = FixedExemptions((exempt("acme"), exempt("acme==3")))
        young, old = self.explain(front).releases
        self.assertTrue(young.shown)
        (through,) = young.exemptions
        self.assertEqual(
            (through.what, through.rule, through.reason, through.source),
            ("acme", "min-age", "a fix", "ann"),
        )
        # It would be shown without.
        self.assertEqual(old.exemptions, ())

    def test_a_fix_that_waits_for_its_age(self) -> None:
        front = self.front(uploaded("1.0", 99), uploaded("2.0", 2), rules=WEEK)
        front.fallback.upstreams.judges.advisories = Known((FLAW,))
        for version in (None, "1.0", "2.0"):
            told = self.explain(front, version)
            (note,) = told.notes
            self.assertIn("acme 2.0 repairs GHSA-1", note)
            self.assertIn("pypicloud exempt add acme==2.0 --for 7d", note)
        affected = self.one(front, "1.0")
        (advisory,) = affected.advisories
        self.assertEqual(
            (advisory.id, advisory.severity, advisory.fixed),
            ("GHSA-1", "high", ("2.0",)),
        )
        self.assertEqual(self.one(front, "2.0").advisories, ())
        front.domain.clock.advance(6 * DAY)
        self.assertEqual(self.explain(front).notes, ())

    def test_malware(self) -> None:
        front = self.front(uploaded("1.0", 99))
        bad = Advisory("MAL-1", "acme", malware=True, versions=frozenset({"1"}))
        front.fallback.upstreams.judges.advisories = Known((bad,))
        release = self.one(front, "1.0")
        self.assertEqual(release.hidden[0].rule, "malware")
        self.assertTrue(release.advisories[0].malware)

    def test_quarantined_upstream(self) -> None:
        front = Front("proxy")
        told = project(
            "acme",
            uploaded("1.0", 99),
            **{"project-status": {"status": "quarantined", "reason": "spam"}},
        )
        front.upstream.on(f"{BASE}acme/", page(told))
        found = self.explain(front)
        self.assertEqual((found.status, found.status_reason), ("quarantined", "spam"))
        self.assertEqual(found.releases[0].hidden[0].rule, "quarantined")

    def test_yanked(self) -> None:
        front = self.front(
            uploaded("1.0", 99, yanked="broken"), uploaded("2.0", 99, yanked=True)
        )
        reasons = [one.yanked for one in self.explain(front).releases]
        self.assertEqual(reasons, ["", "broken"])

    def test_a_part_of_its_files(self) -> None:
        young = uploaded("1.0", 2)
        young["filename"] = "acme-1.0.tar.gz"
        front = self.front(uploaded("1.0", 99), young, rules=WEEK)
        release = self.one(front, "1.0")
        self.assertEqual((release.shown, release.files), (False, 1))
        self.assertEqual(release.hidden[0].files, 1)

    def test_the_newest_and_how_many_more(self) -> None:
        front = self.front(*(uploaded(f"1.{n}", 99) for n in range(MOST + 3)))
        told = self.explain(front)
        versions = [one.version for one in told.releases]
        self.assertEqual((versions[0], len(versions)), (f"1.{MOST + 2}", MOST))
        self.assertEqual(told.more, 3)

    def test_kept_and_deleted(self) -> None:
        front = self.front(uploaded("1.0", 99), mode="cache", rules=WEEK)
        name = "acme-1.0-py3-none-any.whl"
        (link,) = (one["url"] for one in front.document()["files"])
        self.assertEqual(front.get(f"/{link.removeprefix('../../')}").status, 200)
        release = self.one(front, "1.0")
        self.assertEqual((release.kept, release.gone), (1, False))
        front.domain.clock.advance(8 * DAY)
        front.upstream.on(f"{BASE}acme/", page(project("acme", uploaded("2.0", 99))))
        told = self.explain(front)
        gone = told.releases[1]
        self.assertEqual((gone.version, gone.gone, gone.kept), ("1.0", True, 1))
        self.assertTrue(gone.shown, name)

    def test_a_project_that_is_gone(self) -> None:
        front = self.front(uploaded("1.0", 99), mode="cache", rules=WEEK)
        (link,) = (one["url"] for one in front.document()["files"])
        self.assertEqual(front.get(f"/{link.removeprefix('../../')}").status, 200)
        front.domain.clock.advance(DAY)
        front.upstream.on(f"{BASE}acme/", page(b"", status=404))
        told = self.explain(front)
        self.assertEqual((told.answered_from, told.shown), ("nobody", False))
        self.assertIn("as lock files have it", told.sentence)
        (gone,) = told.releases
        # Old enough: what its upload was is kept with it.
        self.assertEqual((gone.version, gone.gone, gone.shown), ("1.0", True, True))

    def test_as_it_was_while_the_other_index_is_away(self) -> None:
        front = self.front(uploaded("1.0", 99))
        self.explain(front)
        front.domain.clock.advance(3600)
        front.upstream.refuses.add("up.example")
        (note,) = self.explain(front).notes
        self.assertIn("60 minutes ago", note)
        front = self.front(uploaded("1.0", 99))
        front.upstream.refuses.add("up.example")
        with self.assertRaises(UpstreamError):
            self.explain(front)

    def test_by_the_page_that_is_kept_and_keeping_none(self) -> None:
        front = self.front(uploaded("1.0", 99), mode="cache", keeps_pages=True)
        self.explain(front)
        key = page_key("acme")
        self.assertNotIn(key, front.domain.store.objects)
        front.document()
        self.assertIn(key, front.domain.store.objects)
        other = Front("cache", keeps_pages=True, domain=front.domain.beside())
        other.upstream.refuses.add("up.example")
        told = self.explain(other)
        self.assertEqual([one.version for one in told.releases], ["1.0"])

    def test_deleted_here_is_not_asked_for(self) -> None:
        front = self.front(uploaded("9.0", 99))
        front.web.publish("acme-1.0-py3-none-any.whl", wheel())
        acts = front.domain.index.acts
        front.web.wait(acts.delete(NormalizedName("acme"), Selection()))
        told = self.explain(front)
        self.assertEqual((told.answered_from, told.shown), ("here", False))
        self.assertEqual(front.asked(), [])
