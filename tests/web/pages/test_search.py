from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.builders import wheel
from tests.web.doubles import Web
from tests.web.pages.doubles import Reader


class SearchTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.web = Web()
        self.web.publish("acme-1.0-py3-none-any.whl", wheel())

    def page(self, query: str) -> Reader:
        answer = self.web.get(f"/search?q={query}")
        self.assertEqual(answer.status, 200, query)
        return Reader(answer.body)

    def test_found(self) -> None:
        page = self.page("ACM")
        self.assertIn("/project/acme/", page.links)
        self.assertIn("1 project", page.text)
        (field,) = (found for found in page.named("input") if found["name"] == "q")
        self.assertEqual(field["value"], "ACM")

    def test_narrowed(self) -> None:
        self.assertIn("/project/acme/", self.page("acme&origin=ours").links)
        self.assertNotIn("/project/acme/", self.page("acme&origin=upstream").links)
        self.assertEqual(self.web.get("/search?q=acme&origin=mars").status, 400)

    def test_nothing_found(self) -> None:
        self.assertIn("Nothing was found", self.page("zzz").text)

    def test_nothing_asked(self) -> None:
        page = self.page("")
        self.assertNotIn("Nothing was found", page.text)
        self.assertEqual(page.count("li"), 2)  # Upload, and the log-in

    def test_too_much_is_a_sentence(self) -> None:
        self.assertIn("at most 16 words", self.page("a+" * 17).text)

    def test_markup(self) -> None:
        page = self.page("%3Cscript%3Ealert(1)%3C/script%3E")
        self.assertEqual(page.count("script"), 1)
