"""The names of this index, and those that are near to others."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import StoreError
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.projects.own_names import OwnNames
from tests.builders import wheel
from tests.web.doubles import Domain, started

PRIVATE = ("acme-tool", "corp", "corp-*")


class OwnNamesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.domain = Domain()
        self.names = OwnNames(self.domain.catalog, lambda: PRIVATE)
        work = started(self.domain.publish("acme-1.0-py3-none-any.whl", wheel()))
        self.domain.settle(work)
        self.successResultOf(work)

    def near(self, name: str) -> list[str]:
        return list(
            self.successResultOf(started(self.names.near(NormalizedName(name))))
        )

    def test_all(self) -> None:
        found = self.successResultOf(started(self.names.all()))
        self.assertEqual(found, {"acme", "acme-tool", "corp"})

    def test_near(self) -> None:
        for name, ours in (
            ("acmee", ["acme"]),
            ("acmetool", ["acme-tool"]),
            ("crop", ["corp"]),
            ("corp-x", []),
            ("acme", []),
            ("other", []),
        ):
            self.assertEqual(self.near(name), ours, name)

    def test_a_store_that_is_away(self) -> None:
        names = OwnNames(self.domain.beside().catalog, lambda: PRIVATE)

        def before(operation: str, key: str) -> None:
            raise StoreError("The store is away.")

        self.domain.store.before = before
        self.failureResultOf(started(names.all()), StoreError)
        self.failureResultOf(started(names.near(NormalizedName("acmee"))), StoreError)
