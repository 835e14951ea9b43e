"""What a server does at its start."""

from __future__ import annotations

from functools import partial
from typing import Any

from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import StoreError, Unavailable
from pypicloud_tw.startup import FIRST_RETRY, start
from tests.builders import wheel
from tests.web.doubles import ACME, Web, damage, started, stored_project


async def no_warm_up() -> None:
    """Prepare for nobody."""


class MovesTests(SynchronousTestCase):
    """What was to be moved is, before anything else takes long."""

    def setUp(self) -> None:
        self.web = Web()
        self.domain = self.web.domain
        self.web.publish("acme-1.0-py3-none-any.whl", wheel())
        self.former = set(stored_project(self.web.store).files[0].keys)
        self.web.store.fail_next("copy", StoreError("It is away."))
        acts = self.domain.index.acts
        work = started(acts.set_status(ACME, "quarantined"))
        self.domain.settle(work)
        self.failureResultOf(work, Unavailable)

    def start(self) -> list[str]:
        domain = self.domain.beside()
        access: Any = self.web.application.access
        with capturedLogs() as logs:
            work = started(start(domain.index, access, no_warm_up))
            domain.settle(work)
            self.successResultOf(work)
        return [formatEvent(event) or "" for event in logs]

    def test_what_another_server_left(self) -> None:
        self.start()
        self.assertIsNone(stored_project(self.web.store).moving)
        self.assertEqual(self.former & set(self.web.store.objects), set())
        self.assertEqual(damage(self.web.store), [])

    def test_what_goes_on_beside_begins_when_the_store_is_ready(self) -> None:
        domain = self.domain.beside()
        access: Any = self.web.application.access
        domain.store.fail_next("prepare", StoreError("It is away."))
        begun: list[bool] = []
        beginning = partial(begun.append, True)
        work = started(start(domain.index, access, no_warm_up, beginning))
        self.assertEqual(begun, [])
        domain.clock.advance(FIRST_RETRY)
        domain.settle(work)
        self.assertEqual(begun, [True])

    def test_names_are_known_before_anything_long_begins(self) -> None:
        """The first list of projects waits for them alone."""
        domain = self.domain.beside()
        access: Any = self.web.application.access
        known: list[bool] = []

        def begin() -> None:
            known.append(domain.catalog.has(ACME))
            self.assertNotIn(("list", ""), domain.store.calls)

        work = started(start(domain.index, access, no_warm_up, begin))
        domain.settle(work)
        self.assertEqual(known, [True])

    def test_where_it_fails_the_server_starts(self) -> None:
        self.web.store.fail_next("copy", StoreError("It is away."))
        said = self.start()
        self.assertTrue(
            any("Objects of acme could not be moved: It is away." in s for s in said)
        )
        self.assertIsNotNone(stored_project(self.web.store).moving)
