"""Retention in the ini: what is read, and every mistake in a sentence."""

from __future__ import annotations

from pypicloud_tw.config.retention import (
    Keeping,
    RetentionRule,
    check_keeping,
    parse_keeping,
)
from pypicloud_tw.config.values import BadValueError
from tests.config.test_load import ConfigTestCase

DAY = 86400


def ini(*lines: str) -> str:
    return "\n".join(("[pypicloud]", *lines)) + "\n"


class RetentionTests(ConfigTestCase):
    def test_read(self) -> None:
        config = self.load(
            ini(
                "retention.old.stuff.projects = Acme_Tool, acme-*",
                "retention.old.stuff.keep_releases = 10",
                "retention.old.stuff.keep_younger = 30d",
                "retention.old.stuff.keep_dev = 0",
                "retention.old.stuff.keep_dev_younger = 12h",
                "retention.old.stuff.keep_fetched = 90d",
                "retention.old.stuff.apply = daily",
            )
        )
        keep = Keeping(10, 30 * DAY, None, None, 0, DAY // 2, 90 * DAY)
        rule = RetentionRule("old.stuff", ("acme-tool", "acme-*"), keep, "daily")
        self.assertEqual(config.retention, (rule,))
        self.assertEqual(config.notices, ())
        self.assertEqual(
            keep.text,
            "keep_releases = 10, keep_younger = 30d, keep_dev = 0, "
            "keep_dev_younger = 12h, keep_fetched = 90d",
        )

    def test_a_rule_that_lets_nothing_go_is_an_exception_and_is_told(self) -> None:
        config = self.load(ini("retention.core.projects = acme-core"))
        self.assertTrue(config.retention[0].keep.keeps_all)
        self.assertEqual(config.retention[0].apply, "never")
        self.assertIn("retention.core lets nothing go", config.notices[0])

    def test_mistakes(self) -> None:
        for lines, parts in (
            (["keep_releases = 0"], ["retention.x.keep_releases = '0'", "from 1 to"]),
            (["keep_releases = ten"], ["is not a whole number"]),
            (["keep_younger = 30 days"], ["keep_younger = '30 days' is not a"]),
            (["keep_younger = 0"], ["too short"]),
            (["keep_dev = -1"], ["from 0 to"]),
            (["apply = hourly"], ["write daily or never"]),
            (["keep = 3"], ["retention.x.keep is no setting", "keep_releases"]),
            (["projects = a b!"], ["acme-*"]),
            (["projects = acme-"], ["ends with a dash"]),
            (["projects = ,"], ["names no project"]),
            (["projects = -"], ["retention.x.projects is missing"]),
        ):
            settings = {"projects": "acme-*", "keep_releases": "3"}
            settings |= dict(line.split(" = ", 1) for line in lines)
            kept = {key: text for key, text in settings.items() if text != "-"}
            text = ini(*(f"retention.x.{key} = {t}" for key, t in kept.items()))
            problems = " ".join(self.problems(text))
            for part in parts:
                self.assertIn(part, problems, lines)

    def test_every_mistake_is_told_at_once(self) -> None:
        text = ini("retention.x y.keep_dev = a", "retention.x y.apply = b")
        problems = self.problems(text)
        self.assertEqual(len(problems), 4)
        self.assertIn("is called by letters", " ".join(problems))

    def test_two_rules_for_one_pattern(self) -> None:
        text = ini(
            "retention.a.projects = acme-*, x",
            "retention.b.projects = Acme_*, acme-tool",
        )
        (problem,) = self.problems(text)
        self.assertIn("retention.b.projects has acme-*, and so has", problem)


class NumberTests(ConfigTestCase):
    """What does not come from an ini obeys the same bounds."""

    def test_options(self) -> None:
        texts = {"releases": "3", "younger": "2d", "dev": None}
        self.assertEqual(parse_keeping(texts), Keeping(3, 2 * DAY))
        with self.assertRaisesRegex(BadValueError, "younger = 'x' is not a duration"):
            parse_keeping({"younger": "x"})

    def test_requests(self) -> None:
        check_keeping(Keeping(1, 1, 0, 1, 0, 1, 1))
        for bad, message in (
            (Keeping(releases=0), "releases = 0 is not a whole number from 1"),
            (Keeping(dev=-1), "dev = -1 is not"),
            (Keeping(fetched=10**11), "fetched = 100000000000 is too long"),
        ):
            with self.assertRaisesRegex(BadValueError, message):
                check_keeping(bad)
