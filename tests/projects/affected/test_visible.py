"""What clients get of an upstream project is what its page shows, and hides."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.index.names import NormalizedName, project_name
from pypicloud_tw.projects.affected.kept import KeptInStore
from pypicloud_tw.projects.affected.values import Fix
from pypicloud_tw.projects.affected.visible import VisibleUpstream, seen_fixes
from pypicloud_tw.upstream.keeper import file_key, record_key
from tests.builders import wheel
from tests.web.doubles import ACME
from tests.web.test_app_fallback import Front


def same(page: Any) -> Any:
    return page


class SeenTests(SynchronousTestCase):
    def test_what_a_page_shows_and_hides(self) -> None:
        until = "2026-12-24T00:00:00Z"
        document = {
            # The last is of an upstream that wants to know what that breaks.
            "versions": ["1.0", "1.1.0", "9" * 5000],
            "_hidden": [
                {"version": "2.0", "rule": "min-age", "until": until},
                {"version": "3.0", "rule": "deny"},
                {"version": None, "rule": "deny"},
            ],
        }
        found = seen_fixes(same, document, ("1.1", "2.0.0", "3.0", "4.0"))
        self.assertEqual(
            found,
            {
                "1.1": Fix("1.1", "visible"),
                "2.0.0": Fix(
                    "2.0.0", "hidden", "min-age", datetime(2026, 12, 24, tzinfo=UTC)
                ),
                "3.0": Fix("3.0", "hidden", "deny"),
            },
        )


class UpstreamTests(SynchronousTestCase):
    def fixes(self, front: Front, name: str) -> Mapping[str, Fix]:
        domain = front.domain
        visible = VisibleUpstream(domain.index, front.fallback.upstreams)
        versions: Collection[str] = ("9.0",)
        work = Deferred.fromCoroutine(visible.fixes(project_name(name), versions))
        domain.settle(work)
        return self.successResultOf(work)

    def test_of_the_page_that_clients_get(self) -> None:
        front = Front()
        front.have()
        self.assertEqual(self.fixes(front, "acme"), {"9.0": Fix("9.0", "visible")})

    def test_of_what_is_ours_no_upstream_hears(self) -> None:
        front = Front()
        front.have()
        front.web.publish("acme-1.0-py3-none-any.whl", wheel("acme"))
        self.assertEqual(self.fixes(front, "acme"), {})
        self.assertEqual(front.asked(), [])

    def test_nothing_is_known_of_what_is_not_there(self) -> None:
        self.assertEqual(self.fixes(Front(), "absent"), {})


class KeptTests(SynchronousTestCase):
    def test_files_as_they_lie_in_the_store(self) -> None:
        front = Front("cache")
        store = front.domain.store
        for filename in (
            "acme-1.0-py3-none-any.whl",
            "acme-1.0-py3-none-any.whl.metadata",
            "acme-1.1.zip",
            "odd.tar.bz2",
        ):
            key = file_key(ACME, "f" * 64, filename)
            self.successResultOf(Deferred.fromCoroutine(store.put(key, b"x")))
        alone = record_key(NormalizedName("emptied"), "f" * 64, None)
        self.successResultOf(Deferred.fromCoroutine(store.put(alone, b"x")))
        kept = KeptInStore(store)
        names = self.successResultOf(Deferred.fromCoroutine(kept.names()))
        self.assertEqual(names, {"acme"})
        files = self.successResultOf(Deferred.fromCoroutine(kept.of(ACME)))
        self.assertEqual(
            sorted((one.filename, one.version) for one in files),
            [
                ("acme-1.0-py3-none-any.whl", "1.0"),
                ("acme-1.1.zip", "1.1"),
                ("odd.tar.bz2", None),
            ],
        )
