from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.web.http.accept import media_quality, parse_accept


class ParseTests(SynchronousTestCase):
    def test_qualities(self) -> None:
        for value, qualities in [
            (None, {}),
            (b"", {}),
            (b"gzip, BR;q=0.5", {"gzip": 1.0, "br": 0.5}),
            (b"text/html;level=1;q=0.4", {"text/html": 0.4}),
            (b"a;q=7, b;q=, c;q=x, ;q=1, d", {"a": 1.0, "d": 1.0}),
        ]:
            self.assertEqual(parse_accept(value), qualities, value)


class MediaTests(SynchronousTestCase):
    def test_the_most_specific_range_counts(self) -> None:
        accepted = parse_accept(b"text/html;q=0.1, text/*;q=0.2, */*;q=0.3")
        for name, quality in [
            ("text/html", (0.1, True)),
            ("text/plain", (0.2, False)),
            ("image/png", (0.3, False)),
        ]:
            self.assertEqual(media_quality((name,), accepted), quality, name)

    def test_by_any_of_its_names(self) -> None:
        accepted = parse_accept(b"a/b;q=0.1, a/c;q=0.5")
        self.assertEqual(media_quality(("a/b", "a/c"), accepted), (0.5, True))

    def test_not_accepted(self) -> None:
        self.assertEqual(media_quality(("a/b",), parse_accept(b"c/*")), (0.0, False))
