"""The table of judgements: every rule, at every address, in every mode (D10).

A route of the server that is in neither list fails: whoever adds one says whether it
shows what comes from upstream.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from attrs import define
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.advisories.values import (
    Advisory,
    NoAdvisories,
    ProjectAdvisories,
    Severity,
    VersionRange,
)
from pypicloud_tw.config.exemptions import Exemption, Rule, make_exemption
from pypicloud_tw.index.audit import Act
from pypicloud_tw.upstream.judgement.entries import RuleEntry
from pypicloud_tw.upstream.judgement.judges import FixedExemptions, Judges
from pypicloud_tw.upstream.judgement.rules import UpstreamRules
from pypicloud_tw.upstream.judgement.values import Standing
from pypicloud_tw.upstream.standings import Standings
from pypicloud_tw.web.app import Application
from tests.builders import wheel
from tests.upstream.doubles import FILES, HOST, file, page, project
from tests.web.doubles import Domain, Response
from tests.web.rights_table import PAGES
from tests.web.test_app_fallback import JSON, METADATA, NAME, OURS, Front

DAY = 86_400.0
#: When the tests of the web begin.
BEGIN = Domain().clock.seconds()
UPLOADED = datetime.fromtimestamp(BEGIN - 30 * DAY, UTC).isoformat()

TOLD = file(NAME, b"bytes", uploaded=UPLOADED) | {"core-metadata": True}

#: Routes that show what comes from upstream, judged below.
JUDGED = {
    "/simple/<name>/",
    "/packages/<name>/<digest>/<filename>",
    "/pypi/<name>/json",
    "/pypi/<name>/<version>/json",
    "/project/<name>/",
    "/project/<name>/<version>/",
    "/project/<name>/releases/",
    "/project/<name>/compare/",
    "/project/<name>/files/<filename>/",
}


@define
class Knows:
    """Advisories of acme."""

    known: ProjectAdvisories
    edition: int = 1
    trouble: str | None = None

    def of(self, name: str) -> ProjectAdvisories:
        return self.known


def by_rules(**rules: Any) -> Callable[[Judges], None]:
    def set_rules(judges: Judges) -> None:
        judges.rules = UpstreamRules(**rules)

    return set_rules


def malware(judges: Judges) -> None:
    told = Advisory("MAL-1", "acme", malware=True, versions=frozenset({"9"}))
    judges.advisories = Knows(ProjectAdvisories((told,)))


def flawed(judges: Judges) -> None:
    judges.rules = UpstreamRules(block_severity=Severity.HIGH)
    told = Advisory(
        "GHSA-1", "acme", severity=Severity.CRITICAL, ranges=(VersionRange("8"),)
    )
    judges.advisories = Knows(ProjectAdvisories((told,)))


def unknown(judges: Judges) -> None:
    judges.advisories = Knows(ProjectAdvisories(), trouble="Nothing is known.")


def quarantined(judges: Judges) -> None:
    judges.standings.saw("acme", Standing("quarantined"))


ENTRY = (RuleEntry.parse("acme"),)
#: Has a judge refuse acme 9.0, by each rule.
SETTINGS: dict[Rule, Callable[[Judges], None]] = {
    Rule.PRIVATE: by_rules(private=ENTRY),
    Rule.ALLOW: by_rules(allow=(RuleEntry.parse("acme<9"),)),
    Rule.DENY: by_rules(deny=(RuleEntry.parse("acme==9.0"),)),
    Rule.QUARANTINED: quarantined,
    Rule.MALWARE: malware,
    Rule.ADVISORIES: unknown,
    Rule.SEVERITY: flawed,
    Rule.PROVENANCE: by_rules(require_provenance=ENTRY),
    Rule.NOT_AFTER: by_rules(not_after=datetime.fromtimestamp(BEGIN - 60 * DAY, UTC)),
    Rule.MIN_AGE: by_rules(min_age=60 * DAY),
}
#: Rules that the older JSON API cannot keep: it does not tell what they judge by. The
#: files' own addresses do.
NOT_IN_LEGACY = {Rule.PROVENANCE}


class JudgementCase(SynchronousTestCase):
    def front(self, mode: str, **options: Any) -> Front:
        front = Front(mode, **options)
        front.have(TOLD)
        document = {
            "info": {"name": "acme", "version": "9.0"},
            "urls": [legacy_file()],
            "releases": {"9.0": [legacy_file()]},
        }
        for path in ("acme/json", "acme/9.0/json"):
            front.upstream.on(f"https://{HOST}/pypi/{path}", json_page(document))
        if mode == "cache":
            standings = Standings(front.domain.store, front.domain.clock)
            front.fallback.upstreams.judges.standings = standings
        return front

    def set(self, front: Front, rule: Rule) -> None:
        """Have a rule refuse it from now on."""
        judges = front.fallback.upstreams.judges
        if rule is Rule.QUARANTINED and not isinstance(judges.standings, Standings):
            judges.standings = Standings(front.domain.store, front.domain.clock)
        if rule is Rule.QUARANTINED:
            # Else the next page that is read lifts it.
            front.have(TOLD, **{"project-status": {"status": "quarantined"}})
        SETTINGS[rule](judges)
        self.move(judges)

    def move(self, judges: Judges, *exemptions: Exemption) -> None:
        edition = judges.exemptions.edition + 1
        judges.exemptions = FixedExemptions(exemptions, edition)

    def check_refused(self, answer: Response, rule: Rule, why: object) -> None:
        if rule is Rule.PRIVATE:
            self.assertEqual(answer.status, 404, why)
            return
        self.assertEqual(answer.status, 403, why)
        said = (answer["x-pypicloud-refused"] or "").partition(";")[0]
        self.assertEqual(said, rule.value, why)
        self.assertEqual("retry-after" in answer.fields, rule is Rule.MIN_AGE, why)

    def check_people(self, front: Front, rule: Rule, why: object) -> None:
        """Pages for people name the rule, and link no file."""
        for path in ("", "9.0/", "releases/"):
            answer = front.web.get(f"/project/acme/{path}")
            if rule is Rule.PRIVATE:
                self.assertEqual(answer.status, 404, why)
                continue
            self.assertEqual(answer.status, 200, (why, path))
            self.assertNotIn("/packages/acme/", answer.text, why)
            self.assertNotIn(FILES, answer.text, why)
            if path != "releases/":
                self.assertIn(f"{rule}:", answer.text.replace(f"({rule}):", f"{rule}:"))

    def check_page(self, answer: Response, rule: Rule, why: object) -> None:
        """A page that hides the file, and says so; or none at all."""
        if rule is Rule.PRIVATE:
            self.assertEqual(answer.status, 404, why)
            return
        self.assertEqual(answer.status, 200, why)
        self.assertEqual(answer.json["files"], [], why)
        self.assertEqual(answer.json["versions"], [], why)
        (told,) = answer.json["_hidden"]
        self.assertEqual((told["rule"], told["version"]), (rule.value, "9.0"), why)
        self.assertEqual("until" in told, rule is Rule.MIN_AGE, why)


def legacy_file() -> dict[str, Any]:
    told = file(NAME, b"bytes")
    return {
        "filename": NAME,
        "url": f"{FILES}/{NAME}",
        "digests": told["hashes"],
        "upload_time_iso_8601": UPLOADED,
    }


def json_page(document: dict[str, Any]) -> Any:
    return page(document, "application/json")


class TableTests(JudgementCase):
    def test_every_rule_has_its_row(self) -> None:
        self.assertEqual(set(SETTINGS), set(Rule))

    def test_every_route_is_judged_or_shows_nothing_of_upstream(self) -> None:
        asking = {
            f"{base}{rule.rule}"
            for base, router in (("", Application.router), *PAGES)
            for rule in router.url_map.iter_rules()
            if "<" in rule.rule and "GET" in (rule.methods or ())
        }
        self.assertEqual(asking - OWN, JUDGED)

    def test_pages(self) -> None:
        for mode in ("proxy", "relay", "cache"):
            for rule in Rule:
                why = mode, rule
                front = self.front(mode)
                self.set(front, rule)
                self.check_page(front.web.get("/simple/acme/", JSON), rule, why)
                markup = front.web.get("/simple/acme/")
                if rule is not Rule.PRIVATE:
                    self.assertNotIn(b"<a ", markup.body, why)
                    self.assertIn(f"1 file ({rule})".encode(), markup.body, why)
                self.check_people(front, rule, why)

    def test_pages_in_memory_are_judged_again(self) -> None:
        for mode in ("proxy", "relay", "cache"):
            for rule in Rule:
                front = self.front(mode)
                self.assertEqual(len(front.document()["files"]), 1)
                self.set(front, rule)
                answer = front.web.get("/simple/acme/", JSON)
                self.check_page(answer, rule, (mode, rule))

    def test_stale_pages_are_judged_again(self) -> None:
        for mode in ("proxy", "relay", "cache"):
            for rule in Rule:
                front = self.front(mode)
                self.assertEqual(len(front.document()["files"]), 1)
                front.upstream.refuses.add(HOST)
                self.set(front, rule)
                for _ in range(2):
                    answer = front.web.get("/simple/acme/", JSON)
                    self.check_page(answer, rule, (mode, rule))

    def test_what_was_narrowed_is_whole_again(self) -> None:
        """As soon as the upstream answers, and nothing refuses it."""
        front = self.front("relay")
        front.document()
        front.upstream.refuses.add(HOST)
        judges = front.fallback.upstreams.judges
        self.set(front, Rule.MALWARE)
        self.assertEqual(front.document()["files"], [])
        judges.advisories = NoAdvisories(2)
        self.assertEqual(front.document()["files"], [])
        front.upstream.refuses.clear()
        front.domain.clock.advance(60)
        self.assertEqual(len(front.document()["files"]), 1)

    def test_files(self) -> None:
        for mode in ("relay", "cache"):
            for rule in Rule:
                front = self.front(mode)
                link = front.link()
                self.set(front, rule)
                for path in (link, f"{link}.metadata"):
                    why = mode, rule, path
                    self.check_refused(front.get(path), rule, why)
                    part = front.web.get(path, {"Range": "bytes=0-1"})
                    self.check_refused(part, rule, why)
                    head = front.web.head(path)
                    self.check_refused(head, rule, why)

    def test_files_that_are_kept(self) -> None:
        for away in (False, True):
            for rule in Rule:
                front = self.front("cache")
                link = front.link()
                for path, body in ((link, b"bytes"), (f"{link}.metadata", METADATA)):
                    self.assertEqual(front.get(path).body, body)
                if away:
                    front.upstream.refuses.add(HOST)
                self.set(front, rule)
                for path in (link, f"{link}.metadata"):
                    why = away, rule, path
                    self.check_refused(front.get(path), rule, why)

    def test_the_older_json(self) -> None:
        for mode in ("proxy", "relay", "cache"):
            for rule in set(Rule) - NOT_IN_LEGACY:
                for path in ("/pypi/acme/json", "/pypi/acme/9.0/json"):
                    front = self.front(mode)
                    self.assertEqual(front.get(path).status, 200)
                    self.set(front, rule)
                    answer = front.get(path)
                    self.check_refused(answer, rule, (mode, rule, path))

    def test_the_older_json_while_the_upstream_is_away(self) -> None:
        for rule in set(Rule) - NOT_IN_LEGACY:
            for path in ("/pypi/acme/json", "/pypi/acme/9.0/json"):
                front = self.front("relay")
                self.assertEqual(front.get(path).status, 200)
                front.upstream.refuses.add(HOST)
                self.set(front, rule)
                for _ in range(2):
                    self.check_refused(front.get(path), rule, (rule, path))

    def test_large_pages_are_judged_apart(self) -> None:
        """In helpers, what is remembered as well; here they run at once."""
        front = self.front("relay")
        others = [file(f"acme-{n}.0.tar.gz", uploaded=UPLOADED) for n in range(10, 400)]
        document = project("acme", TOLD, *others, versions=["9.0"])
        front.upstream.on(f"https://{HOST}/simple/acme/", page(document))
        self.assertEqual(len(front.document()["files"]), 391)
        front.upstream.refuses.add(HOST)
        self.set(front, Rule.MALWARE)
        told = front.document()
        self.assertEqual(len(told["files"]), 390)
        self.assertEqual([one["rule"] for one in told["_hidden"]], ["malware"])

    def test_the_older_json_of_what_its_page_says_is_quarantined(self) -> None:
        for mode in ("proxy", "relay", "cache"):
            for path in ("/pypi/acme/json", "/pypi/acme/9.0/json"):
                front, why = self.front(mode), (mode, path)
                front.have(TOLD, **{"project-status": {"status": "quarantined"}})
                for _ in range(2):
                    self.check_refused(front.get(path), Rule.QUARANTINED, why)
                front.have(TOLD)
                for _ in range(2):
                    front.domain.clock.advance(DAY)
                    front.document()
                self.assertEqual(len(front.document()["files"]), 1, why)
                self.assertEqual(front.get(path).status, 200, why)

    def test_merged_pages(self) -> None:
        for mode in ("proxy", "relay", "cache"):
            for rule in set(Rule) - {Rule.PRIVATE}:
                front = self.front(mode, merge=frozenset({"acme"}))
                front.web.publish(OURS, wheel())
                self.set(front, rule)
                document = front.document()
                (one,) = document["files"]
                self.assertEqual(one["filename"], OURS)
                (told,) = document["_hidden"]
                self.assertEqual(told["rule"], rule.value)

    def test_what_a_client_has_from_before_is_not_confirmed(self) -> None:
        for mode in ("relay", "cache"):
            for rule in Rule:
                front = self.front(mode)
                link = front.link()
                paths = "/simple/acme/", link, f"{link}.metadata"
                known = {path: front.get(path)["etag"] or "" for path in paths}
                self.set(front, rule)
                for path, etag in known.items():
                    answer = front.web.get(path, {"If-None-Match": etag})
                    why = mode, rule, path
                    self.assertTrue(etag, why)
                    self.assertNotEqual(answer.status, 304, why)

    def test_names_where_clients_are_sent_away(self) -> None:
        for rule, rules in (
            (Rule.PRIVATE, UpstreamRules(private=ENTRY)),
            (Rule.DENY, UpstreamRules(deny=ENTRY)),
            (Rule.ALLOW, UpstreamRules(allow=(RuleEntry.parse("other"),))),
        ):
            front = Front("redirect", rules)
            self.check_refused(front.get("/simple/acme/"), rule, rule)

    def test_exempt_at_every_address(self) -> None:
        for rule in (Rule.MIN_AGE, Rule.MALWARE, Rule.SEVERITY, Rule.QUARANTINED):
            front = self.front("cache")
            link = front.link()
            self.set(front, rule)
            self.check_refused(front.get(link), rule, rule)
            until = datetime.fromtimestamp(BEGIN + DAY, UTC)
            self.move(
                front.fallback.upstreams.judges,
                make_exemption("acme==9.0", until=until, reason="x", rule=rule.value),
            )
            self.assertEqual(front.get(link).body, b"bytes", rule)
            self.assertEqual(front.get(f"{link}.metadata").body, METADATA, rule)
            self.assertEqual(front.get("/pypi/acme/json").status, 200, rule)
            if rule is not Rule.QUARANTINED:
                self.assertEqual(len(front.document()["files"]), 1, rule)
            front.domain.clock.advance(DAY)
            self.check_refused(front.get(link), rule, rule)

    def test_counted_and_recorded(self) -> None:
        front = self.front("cache")
        link = front.link()
        self.set(front, Rule.MALWARE)
        records: list[Act] = []
        front.domain.publisher.audit = records.append
        front.get(link)
        self.assertEqual(front.fallback.upstreams.refusals, {"malware": 1})
        (told,) = records
        self.assertEqual(
            (told.project, told.file, told.outcome), ("acme", NAME, "refused")
        )


#: Routes with parts that never show anything of an upstream.
OWN = {
    "/feeds/project/<name>.atom",
    "/integrity/<name>/<version>/<filename>/provenance",
    "/namespace/<space>",
    "/packages/<kind>/<first>/<name>/<filename>",
    # This leads elsewhere.
    "/simple/<name>",
    "/project/<name>",
    "/project/<name>/<version>",
    "/static/<filename>",
    # It tells of what is hidden, and gives nothing of it.
    "/project/<name>/explain/",
    # What administrators say, of access and of rules.
    "/admin/users/<user>",
    "/admin/groups/<group>",
    "/admin/publishers/<publisher>",
    "/admin/tokens/<string(length=32):id>",
    "/admin/exemptions/<string(length=16):id>",
    "/admin/pins/<name>",
    # What changes a project of ours.
    "/project/<name>/manage",
    "/project/<name>/manage/file/<filename>/",
    "/project/<name>/manage/release/<version>/",
}
