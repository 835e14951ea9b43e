"""Lost and unserved projects are the same over every store."""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import Unavailable
from pypicloud_tw.index.admission import Claims
from pypicloud_tw.index.audit import Actor
from pypicloud_tw.index.manifest import manifest_key
from pypicloud_tw.index.names import Filename, project_name
from pypicloud_tw.index.publication import Publication
from pypicloud_tw.index.unserved import Unserved
from pypicloud_tw.maintenance.adopt import Adopter
from pypicloud_tw.maintenance.rebuild import Rebuilder
from pypicloud_tw.maintenance.sweep import Sweeper, Swept
from pypicloud_tw.maintenance.verify import Verifier
from pypicloud_tw.store.folder.store import DirectoryStore
from pypicloud_tw.store.interfaces import IObjectStore
from pypicloud_tw.store.memory import MemoryStore
from pypicloud_tw.store.s3.probe import Abilities, Conditional
from pypicloud_tw.store.s3.store import S3Store
from tests.builders import sdist, wheel
from tests.doubles import InlineOffload
from tests.store.s3.doubles import Harness
from tests.web.doubles import Domain, new_clock

T = TypeVar("T")

ACME = project_name("acme")
WHEEL, SDIST = "acme-1.0-py3-none-any.whl", "acme-1.0.tar.gz"
DAY = 86_400.0


async def refusal(work: Coroutine[Any, Any, object]) -> str:
    """Tell why something may not be done now."""
    try:
        await work
    except Unavailable as e:
        return e.message
    return "nothing was refused"


class StoresMixin:
    """What is tried over a store; who mixes it in makes that, and waits."""

    store: IObjectStore
    domain: Domain
    keeps_metadata = True

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Let it come to its end."""
        raise NotImplementedError

    def later(self, seconds: float) -> None:
        """Let time pass for the store and everybody."""
        self.domain.clock.advance(seconds)

    async def publish(self, filename: str, data: bytes) -> None:
        name = Filename.parse(filename)
        publication = Publication(self.domain.publisher, Actor("ann"))
        await publication.begin(name, {"uploader": "ann"})
        try:
            await publication.write(data)
            await publication.finish(Claims())
        finally:
            await publication.abort()

    async def sweep(self) -> Swept:
        return await Sweeper(self.store, self.domain.manifests, DAY).run()

    def adopter(self, unserved: Unserved) -> Adopter:
        domain = self.domain
        return Adopter(self.store, domain.manifests, domain.publisher, unserved)

    def unserved(self) -> Unserved:
        domain = self.domain
        return Unserved(self.store, domain.clock, domain.manifests.check_open)

    def test_a_lost_manifest(self) -> None:
        case = cast(SynchronousTestCase, self)
        self.wait(self.publish(WHEEL, wheel()))
        self.wait(self.publish(SDIST, sdist()))
        before = self.wait(self.domain.manifests.read(ACME)).project
        self.wait(self.store.delete(manifest_key(ACME)))
        unserved = self.unserved()
        self.wait(self.adopter(unserved).run())
        case.assertIn("rebuild acme", (unserved.reasons() or {})[ACME])
        upload = self.publish("acme-2.0.tar.gz", sdist(version="2.0"))
        case.assertIn("rebuild acme", self.wait(refusal(upload)))
        self.later(DAY + 1)
        swept = self.wait(self.sweep())
        # What was refused a moment ago left nothing, or an orphan of its own.
        case.assertEqual(swept.removed, [])
        case.assertIn("rebuild acme", swept.left[0])

        async def rebuild() -> None:
            rebuilder = Rebuilder(self.adopter(unserved))
            for name in await rebuilder.lost():
                await rebuilder.rebuild(name)

        self.wait(rebuild())
        after = self.wait(self.domain.manifests.read(ACME)).project
        case.assertEqual(
            [(f.filename, f.key, f.sha256, f.metadata_sha256) for f in after.files],
            [(f.filename, f.key, f.sha256, f.metadata_sha256) for f in before.files],
        )
        uploader = "ann" if self.keeps_metadata else None
        case.assertEqual({file.uploader for file in after.files}, {uploader})
        case.assertEqual(self.wait(self.faults()), [None, None])

    async def faults(self) -> list[object]:
        domain = self.domain
        verifier = Verifier(self.store, domain.manifests, domain.offload, True)
        return [fault async for fault in verifier.faults()]

    def test_files_that_are_not_taken(self) -> None:
        case = cast(SynchronousTestCase, self)
        for key, data in (
            (f"old/{WHEEL}", wheel()[:80]),
            ("beta/beta-1.0.rpm", b""),
            ("gamma-1.0.tar.gz", sdist("gamma")),
            ("gamma-2.0.tar.gz", b""),
        ):
            self.wait(self.store.put(key, data))
        for _ in range(2):
            unserved = self.unserved()
            self.wait(self.adopter(unserved).run())
            case.assertEqual(set(unserved.reasons() or {}), {"acme", "beta"})
        self.wait(self.domain.manifests.read(project_name("gamma")))
        other = self.unserved()
        other.find({})
        said = self.wait(refusal(other.refuse(ACME, asks=True)))
        case.assertIn("was not taken", said)


class MemoryStoresTests(StoresMixin, SynchronousTestCase):
    def setUp(self) -> None:
        self.domain = Domain()
        self.store = self.domain.store

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """See :class:`StoresMixin`."""
        result: T = self.successResultOf(Deferred.fromCoroutine(work))
        return result


class DirectoryStoresTests(StoresMixin, SynchronousTestCase):
    keeps_metadata = False

    def setUp(self) -> None:
        clock = new_clock()
        store = DirectoryStore(
            Path(self.mktemp()), InlineOffload(), clock=clock.seconds
        )
        self.store = store
        self.domain = Domain(clock=clock, store=cast(MemoryStore, store))
        self.wait(store.prepare())

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """See :class:`StoresMixin`."""
        result: T = self.successResultOf(Deferred.fromCoroutine(work))
        return result


class S3StoresTests(StoresMixin, SynchronousTestCase):
    def setUp(self) -> None:
        self.harness = Harness()
        store = S3Store(self.harness.client, InlineOffload())
        store.abilities = Abilities(Conditional.QUOTED, ordered=True)
        self.store = store
        self.domain = Domain(clock=self.harness.clock, store=cast(MemoryStore, store))

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """See :class:`StoresMixin`."""
        waiting = self.harness.run(work)
        self.harness.settle(waiting)
        result: T = self.successResultOf(waiting)
        return result
