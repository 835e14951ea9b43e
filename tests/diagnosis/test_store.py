"""A store of any kind: is it there, does it keep what it is given?"""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.config.configuration import Config
from pypicloud_tw.diagnosis import store
from pypicloud_tw.diagnosis.values import Finding
from pypicloud_tw.errors import StoreError
from pypicloud_tw.store.interfaces import StoredBytes
from tests.diagnosis.doubles import levels, the
from tests.web.doubles import Domain, started

T = TypeVar("T")

AWAY = StoreError("It is away.")


class StoreTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.domain = Domain()
        self.store = self.domain.store
        self.index = self.domain.index

    def look(self, work: Coroutine[Any, Any, list[Finding]]) -> list[Finding]:
        """Look; nothing is left in the store, whatever comes of it."""
        looking = started(work)
        self.domain.settle(looking)
        found = self.successResultOf(looking)
        self.assertEqual(dict(self.store.objects), {})
        return found

    def test_reach(self) -> None:
        (found,) = self.look(store.reach(self.index, "the folder"))
        self.assertEqual(found.found, "The folder is there, and can be listed.")
        self.store.fail_next("ping", AWAY)
        found = the("fault", self.look(store.reach(self.index, "the folder")))
        self.assertEqual(found.found, "It is away.")

    def test_write(self) -> None:
        self.assertEqual(levels(self.look(store.write(self.index))), ["ok"])
        keys = {key for operation, key in self.store.calls if operation == "put"}
        for key in keys:
            self.assertTrue(key.startswith(".probe/"), key)

    def test_each_operation_fails(self) -> None:
        """It is told, and nothing is left."""
        for operation in ("put", "get", "begin", "commit", "head"):
            self.store.fail_next(operation, AWAY)
            found = the("fault", self.look(store.write(self.index)))
            self.assertEqual(found.found, "It is away.", operation)

    def test_deleting_fails(self) -> None:
        """It is tried again, so that nothing is left."""
        self.store.fail_next("delete", AWAY)
        found = the("fault", self.look(store.write(self.index)))
        self.assertEqual(found.found, "It is away.")

    def test_other_bytes(self) -> None:
        def change(operation: str, key: str) -> None:
            if operation == "put":
                info = self.store.objects[key].info
                self.store.objects[key] = StoredBytes(info, b"other")

        self.store.after = change
        found = the("fault", self.look(store.write(self.index)))
        self.assertIn("does not give back what was written", found.found)

    def test_what_was_deleted_stays(self) -> None:
        kept: dict[str, StoredBytes] = {}

        def keep(operation: str, key: str) -> None:
            if operation == "delete":
                kept.update(self.store.objects)
            elif operation == "head":
                self.store.objects.update(kept)

        self.store.before = keep
        looking = started(store.write(self.index))
        self.domain.settle(looking)
        result: list[Finding] = self.successResultOf(looking)
        found = the("fault", result)
        self.assertIn("is still there", found.found)

    def test_conditions(self) -> None:
        self.assertEqual(levels(self.look(store.conditions(self.store))), ["ok"])
        self.store.fail_next("put", AWAY)
        found = the("fault", self.look(store.conditions(self.store)))
        self.assertEqual(found.found, "It is away.")

    def test_conditions_are_not_honoured(self) -> None:
        real = self.store.put

        class Careless:
            put = staticmethod(lambda key, data, *, condition=None: real(key, data))
            delete = self.store.delete

        found = the("fault", self.look(store.conditions(Careless())))  # type: ignore[arg-type]  # all it asks
        self.assertIn("If-None-Match: * and If-Match let a write through", found.found)

    def test_no_folder(self) -> None:
        folder = Path(self.mktemp()).absolute()
        config = Config()
        config = evolve(config, storage=evolve(config.storage, dir=folder))
        self.assertIn(
            f"There is no folder {folder}", store.missing_folder(config) or ""
        )
        folder.mkdir()
        self.assertIsNone(store.missing_folder(config))
