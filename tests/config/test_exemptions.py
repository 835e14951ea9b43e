"""Exemptions from the rules for what comes from upstream."""

from __future__ import annotations

from datetime import UTC, datetime

from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.config.exemptions import Exemption, Rule, make_exemption, parse_end
from pypicloud_tw.config.values import BadValueError

SHA = "a" * 64
END = datetime(2026, 12, 25, tzinfo=UTC)


class ParseTests(SynchronousTestCase):
    def test_line(self) -> None:
        got = Exemption.parse("UrlLib3==2.5.1 until 2026-12-24 CVE  fix")
        self.assertEqual(
            got,
            Exemption("urllib3", END, "CVE fix", "==2.5.1", source="upstream.exempt"),
        )

    def test_digest_and_rule(self) -> None:
        got = Exemption.parse(
            f"a sha256:{SHA.upper()} rule:malware until 2026-12-24T10:00Z false alarm"
        )
        self.assertEqual((got.sha256, got.rule), (SHA, Rule.MALWARE))
        self.assertEqual(got.until, datetime(2026, 12, 24, 10, tzinfo=UTC))

    def test_refused(self) -> None:
        for text, why in (
            ("urllib3==2.5.1 CVE fix", "no end date"),
            ("urllib3==2.5.1 until 2026-12-24", "reason"),
            ("urllib3==2.5.1 until soon CVE", "neither a day"),
            ("urllib3==x.y until 2026-12-24 CVE", "version specifier"),
            ("urllib3 rule:deny until 2026-12-24 x", "rule that nothing"),
            ("urllib3 rule:malware until 2026-12-24 x", "without a version"),
            ("urllib3 sha256:abc until 2026-12-24 x", "64 hexadecimal"),
            ("urllib3 maybe until 2026-12-24 x", "something before until"),
            ("-- until 2026-12-24 x", "project's name"),
        ):
            with self.subTest(text):
                error = self.assertRaises(BadValueError, Exemption.parse, text)
                self.assertIn(why, str(error))

    def test_written_as_read(self) -> None:
        line = f"urllib3==2.5.1 sha256:{SHA} rule:severity"
        self.assertEqual(Exemption.parse(f"{line} until 2026-12-24 x").what, line)


class HoldsTests(SynchronousTestCase):
    def test_versions_digest_and_end(self) -> None:
        now, end = END.timestamp() - 1, END.timestamp()
        some = make_exemption("a>=2,<3", until=END, reason="x")
        self.assertTrue(some.holds("2.1rc1", None, now))
        self.assertFalse(some.holds("3.0", None, now))
        self.assertFalse(some.holds(None, SHA, now))
        self.assertFalse(some.holds("2.1", None, end))
        one = make_exemption("a", until=END, reason="x", sha256=SHA)
        self.assertTrue(one.holds(None, SHA, now))
        self.assertFalse(one.holds("1", "b" * 64, now))

    def test_a_day_counts_to_its_end(self) -> None:
        self.assertEqual(parse_end("2026-12-24"), END)
