from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import StoreError
from pypicloud_tw.index.names import NormalizedName, project_name
from pypicloud_tw.projects.elsewhere import Elsewhere
from pypicloud_tw.projects.search import Others
from pypicloud_tw.projects.values import Origin
from tests.builders import wheel
from tests.web.doubles import Web, started


async def kept() -> frozenset[NormalizedName]:
    return frozenset(map(project_name, ("b", "a")))


async def listed() -> tuple[tuple[bytes, ...], ...]:
    return ((b"\na\n",),)


class ElsewhereTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.web = Web()
        self.elsewhere = Elsewhere(kept, listed, lambda: ("private-*",))

    def ask(self, origin: Origin | None = None) -> Others | None:
        index = self.web.domain.index
        work: Any = self.elsewhere.to_search(index, origin)
        found: Others | None = self.successResultOf(started(work))
        return found

    def test_what_is_looked_at(self) -> None:
        self.assertIsNone(self.ask("ours"))
        for origin, lists, shows_kept in (
            (None, 1, True),
            ("kept", 0, True),
            ("upstream", 1, False),
        ):
            others = self.ask(origin)  # type: ignore[arg-type]  # one of them
            assert others is not None
            self.assertEqual(others.kept, ["a", "b"])
            self.assertEqual(len(others.lists), lists)
            self.assertEqual(others.shows_kept, shows_kept)

    def test_what_is_ours_is_nobody_else_s(self) -> None:
        self.web.publish("acme-1.0-py3-none-any.whl", wheel())
        self.web.wait(self.web.domain.catalog.names())
        self.web.domain.index.unserved.find({project_name("lost"): "It is damaged."})
        others = self.ask()
        assert others is not None
        hidden = [n for n in ("acme", "lost", "private-x", "other") if others.hidden(n)]
        self.assertEqual(hidden, ["acme", "lost", "private-x"])

    def test_while_the_store_is_away(self) -> None:
        async def away() -> frozenset[NormalizedName]:
            raise StoreError("The store is away.")

        self.elsewhere = Elsewhere(away, listed)
        others = self.ask()
        assert others is not None
        self.assertEqual(others.kept, [])

    def test_nothing_is_known_where_there_is_no_other_index(self) -> None:
        self.elsewhere = Elsewhere()
        others = self.ask()
        assert others is not None
        self.assertEqual((others.kept, others.lists), ([], ()))
