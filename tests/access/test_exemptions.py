"""The exemptions in force, and the changes of those in the access document."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.access import Access
from pypicloud_tw.access.document import AccessDocument
from pypicloud_tw.access.exemption_changes import (
    MOST,
    exemption_id,
    put_exemption,
    remove_exemption,
)
from pypicloud_tw.access.exemptions import Exemptions, ended_notices
from pypicloud_tw.access.policy import Policy
from pypicloud_tw.access.settings import AccessSettings
from pypicloud_tw.config.exemptions import Exemption, make_exemption
from pypicloud_tw.errors import BadRequest, InsufficientStorage, NotFound

NOW = datetime(2026, 12, 1, tzinfo=UTC)
DAY = timedelta(days=1)


def exempt(what: str, until: datetime = NOW + DAY) -> Exemption:
    return make_exemption(what, until=until, reason="a fix")


def put(document: AccessDocument, *exemptions: Exemption) -> AccessDocument:
    for one in exemptions:
        document = put_exemption(document, one, NOW.timestamp())
    return document


class InForceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.settings = AccessSettings(exemptions=(exempt("acme==1"),))
        self.access = Access(Policy(self.settings), ())
        self.exemptions = Exemptions(self.access)

    def obey(self, document: AccessDocument) -> None:
        self.access.policy = self.access.policy.with_document(document)

    def test_of_both_sources(self) -> None:
        self.obey(put(AccessDocument(), exempt("acme==2"), exempt("other")))
        what = [one.what for one in self.exemptions.of("acme")]
        self.assertEqual(what, ["acme==1", "acme==2"])
        self.assertEqual(len(self.exemptions.all), 3)
        self.assertEqual(self.exemptions.of("none"), ())

    def test_the_edition_moves_with_them_and_with_nothing_else(self) -> None:
        first = self.exemptions.edition
        self.obey(AccessDocument(groups={"dev": frozenset({"ann"})}))
        self.assertEqual(self.exemptions.edition, first)
        self.obey(put(AccessDocument(), exempt("other")))
        second = self.exemptions.edition
        self.assertNotEqual(second, first)
        self.access.obey(evolve(self.settings, exemptions=()))
        self.assertNotEqual(self.exemptions.edition, second)
        self.assertEqual(self.exemptions.of("acme"), ())

    def test_ended(self) -> None:
        lines = [exempt("old==1", NOW), exempt("new")]
        (notice,) = ended_notices(lines, NOW.timestamp())
        self.assertIn("old==1 ended on 2026-12-01 00:00 UTC", notice)


class ChangeTests(SynchronousTestCase):
    def test_each_change_drops_what_has_ended(self) -> None:
        document = put(AccessDocument(), exempt("a"), exempt("b", NOW + 3 * DAY))
        later = (NOW + 2 * DAY).timestamp()
        after = put_exemption(document, exempt("c", NOW + 3 * DAY), later)
        left = sorted(one.project for one in after.exemptions.values())
        self.assertEqual(left, ["b", "c"])
        id = exemption_id(exempt("b"))
        self.assertEqual(remove_exemption(document, id, later).exemptions, {})

    def test_nothing_new_is_no_change(self) -> None:
        document = put(AccessDocument(), exempt("a"))
        self.assertIs(put(document, exempt("a")), document)

    def test_not_for_ever(self) -> None:
        for until in (NOW, NOW + 367 * DAY):
            with self.assertRaises(BadRequest):
                put(AccessDocument(), exempt("a", until))

    def test_not_any_number(self) -> None:
        full = put(AccessDocument(), *(exempt(f"a{n}") for n in range(MOST)))
        with self.assertRaisesRegex(InsufficientStorage, "Remove some"):
            put(full, exempt("b"))
        # One that is there can last longer.
        put(full, exempt("a1", NOW + 2 * DAY))
        # Those that have ended count no more.
        put_exemption(full, exempt("b", NOW + 9 * DAY), (NOW + 2 * DAY).timestamp())

    def test_remove_none(self) -> None:
        with self.assertRaises(NotFound):
            remove_exemption(AccessDocument(), "0" * 16, 0.0)
