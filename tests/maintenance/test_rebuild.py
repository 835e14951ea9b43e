"""A lost manifest is written anew from what lies there, and no good one is touched."""

from __future__ import annotations

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import Conflict, NotFound, StoreError
from pypicloud_tw.index.admission import Claims, UploadRules
from pypicloud_tw.index.audit import Actor
from pypicloud_tw.index.first_uploads import PUBLISHING
from pypicloud_tw.index.manifest import manifest_key, project_of
from pypicloud_tw.index.manifest_parts import PARTS
from pypicloud_tw.index.manifests import Change
from pypicloud_tw.index.model import File, Project, Tombstone
from pypicloud_tw.index.names import Filename, NormalizedName, project_name
from pypicloud_tw.index.publication import Publication
from pypicloud_tw.maintenance.adopt import Adopter
from pypicloud_tw.maintenance.rebuild import Rebuilder, Rebuilt
from tests.builders import MORNING, file, sdist, wheel
from tests.web.doubles import Domain, damage, started, stored_project

ACME = project_name("acme")
WHEEL, SDIST = "acme-1.0-py3-none-any.whl", "acme-1.0.tar.gz"
MANIFEST = manifest_key(ACME)
OTHER_WHEEL = wheel(extra=[("acme/__init__.py", b"other = True\n")])


class RebuildCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.domain = Domain(rules=UploadRules(reupload_deleted=True))
        self.store = self.domain.store

    def publish(self, filename: str, data: bytes) -> None:
        async def publish() -> None:
            publication = Publication(self.domain.publisher, Actor("ann"))
            await publication.begin(Filename.parse(filename), {"uploader": "ann"})
            await publication.write(data)
            await publication.finish(Claims(), overwrite=True)

        self.successResultOf(started(publish()))
        self.domain.clock.advance(1)

    def project(self) -> Project:
        return stored_project(self.store)

    def make(self, *, dry_run: bool = False) -> Rebuilder:
        domain = self.domain
        adopter = Adopter(
            domain.store, domain.manifests, domain.publisher, dry_run=dry_run
        )
        return Rebuilder(adopter, dry_run)

    def lost(self) -> list[NormalizedName]:
        return self.successResultOf(started(self.make().lost()))

    async def _rebuild(self, dry_run: bool) -> Rebuilt | None:
        rebuilder = self.make(dry_run=dry_run)
        await rebuilder.lost()
        return await rebuilder.rebuild(ACME)

    def rebuild(self, *, dry_run: bool = False) -> Rebuilt | None:
        work = started(self._rebuild(dry_run))
        self.domain.settle(work)
        return self.successResultOf(work)


class RebuildTests(RebuildCase):
    def test_everything_that_lies_there(self) -> None:
        self.publish(WHEEL, wheel())
        self.publish(SDIST, sdist())
        before = self.project()
        self.assertEqual(self.lost(), [])
        del self.store.objects[MANIFEST]
        self.assertEqual(self.lost(), [ACME])
        objects = dict(self.store.objects)
        dry = self.rebuild(dry_run=True)
        self.assertEqual(self.store.objects, objects)
        rebuilt = self.rebuild()
        self.assertEqual(dry, rebuilt)
        assert rebuilt is not None
        self.assertEqual(rebuilt.left, ())
        after = self.project()
        self.assertEqual(after.files, rebuilt.files)
        self.assertEqual(after.files, before.files)
        self.assertEqual(after.display_name, before.display_name)
        self.assertEqual(damage(self.store), [])
        self.assertEqual(self.lost(), [])

    def test_every_server_sees_it(self) -> None:
        self.publish(WHEEL, wheel())
        manifest = self.store.objects.pop(MANIFEST)
        other = self.domain.beside().catalog
        self.failureResultOf(started(other.project(ACME)), NotFound)
        self.rebuild()
        self.domain.clock.advance(1)
        self.successResultOf(started(other.project(ACME)))
        self.assertNotEqual(self.store.objects[MANIFEST].info, manifest.info)

    def test_a_good_manifest_stays(self) -> None:
        self.publish(WHEEL, wheel())
        objects = dict(self.store.objects)
        self.assertIsNone(self.rebuild())
        self.assertEqual(self.store.objects, objects)

    def test_one_that_another_made_meanwhile_stays(self) -> None:
        self.publish(WHEEL, wheel())
        manifest = self.store.objects.pop(MANIFEST)

        def before(operation: str, key: str) -> None:
            if (operation, key) == ("put", MANIFEST):
                self.store.objects[MANIFEST] = manifest

        self.store.before = before
        self.failureResultOf(started(self._rebuild(False)), Conflict)
        self.assertIs(self.store.objects[MANIFEST], manifest)

    def test_a_damaged_one_is_kept_beside(self) -> None:
        self.publish(WHEEL, wheel())
        before = self.project()
        self.store.add(MANIFEST, b"{damaged")
        self.assertEqual(self.lost(), [])
        rebuilt = self.rebuild()
        assert rebuilt is not None and rebuilt.damaged is not None
        self.assertEqual(self.store.objects[rebuilt.damaged].data, b"{damaged")
        self.assertIsNone(project_of(rebuilt.damaged))
        self.assertEqual(self.project().files, before.files)

    def test_one_of_a_newer_format_is_good(self) -> None:
        self.publish(WHEEL, wheel())
        newer = self.store.objects[MANIFEST].data.replace(
            b'"_format":1', b'"_format":9'
        )
        self.store.add(MANIFEST, newer)
        self.assertIsNone(self.rebuild())

    def test_of_files_of_one_name_the_newest(self) -> None:
        self.publish(WHEEL, wheel())
        [old] = self.project().files
        self.publish(WHEEL, OTHER_WHEEL)
        [new] = self.project().files
        self.assertNotEqual(old, new)
        del self.store.objects[MANIFEST]
        rebuilt = self.rebuild()
        assert rebuilt is not None
        self.assertEqual(rebuilt.files, (new,))
        self.assertEqual([left.key for left in rebuilt.left], [old.key])

    def test_of_a_large_one_only_what_is_damaged_is_lost(self) -> None:
        self.publish(WHEEL, wheel())
        self.publish(SDIST, sdist())
        dead, many = (
            file("acme-0.1.tar.gz"),
            [
                file(f"acme-2.{n}.tar.gz", version=f"2.{n}", yanked="y")
                for n in range(300)
            ],
        )
        tombstone = Tombstone(dead.filename, dead.sha256, dead.key, MORNING, file=dead)
        self.store.add(dead.key, b"deleted")
        # What a publish of its name left, that was overtaken or broken off.
        orphan = f"acme/{'e' * 32}/{dead.filename}"
        self.store.add(orphan, sdist(version="0.1"))
        before = self.change(
            lambda p: evolve(
                p, files=(*p.files, *many), tombstones=(tombstone,), status="archived"
            )
        )
        part = next(
            key
            for key, stored in self.store.objects.items()
            if key.startswith(PARTS) and SDIST.encode() in stored.data
        )
        self.store.add(part, b"{")
        self.domain = self.domain.beside()
        rebuilt = self.rebuild()
        assert rebuilt is not None and rebuilt.damaged is not None
        after = self.read()
        here = {WHEEL, SDIST}
        self.assertLessEqual(here, {f.filename for f in after.files})
        self.assertGreater(len(after.files), 160)
        others = [f for f in after.files if f.filename not in here]
        self.assertEqual([f for f in others if f not in before.files], [])
        self.assertEqual(after.tombstones, (tombstone,))
        self.assertIn(orphan, [left.key for left in rebuilt.left])
        self.assertNotIn(dead.filename, {f.filename for f in after.files})
        self.assertEqual(after.status, "archived")
        self.assertEqual(after.history[:-1], before.history)
        self.assertEqual(after.history[-1].act, "rebuilt")

    def change(self, change: Change) -> Project:
        work = self.domain.manifests.change(ACME, change)
        self.domain.settle(work)
        return self.successResultOf(work).project

    def read(self) -> Project:
        fresh = self.domain.beside().manifests
        return self.successResultOf(started(fresh.read(ACME))).project

    def test_what_is_damaged_is_left_and_the_rest_is_served(self) -> None:
        self.publish(WHEEL, wheel())
        self.publish(SDIST, sdist())
        broken: File
        broken, good = self.project().files
        self.store.add(broken.key, b"PK")
        del self.store.objects[MANIFEST]
        rebuilt = self.rebuild()
        assert rebuilt is not None
        self.assertEqual(rebuilt.files, (good,))
        self.assertEqual([left.key for left in rebuilt.left], [broken.key])

    def test_files_that_were_adopted(self) -> None:
        self.store.add(f"old/{WHEEL}", wheel())
        domain = self.domain
        adopter = Adopter(domain.store, domain.manifests, domain.publisher)
        self.successResultOf(started(adopter.run()))
        self.publish(SDIST, sdist())
        before = self.project()
        del self.store.objects[MANIFEST]
        rebuilt = self.rebuild()
        assert rebuilt is not None
        self.assertEqual(
            [(file.key, file.sha256) for file in rebuilt.files],
            [(file.key, file.sha256) for file in before.files],
        )
        self.assertEqual(damage(self.store), [])

    def test_files_that_were_removed_come_back_unless_they_were_swept(self) -> None:
        self.publish(WHEEL, wheel())
        before = self.project()
        self.successResultOf(started(self.domain.delete("1.0")))
        del self.store.objects[MANIFEST]
        self.assertEqual(self.lost(), [ACME])
        self.rebuild()
        self.assertEqual(self.project().files, before.files)

    def test_an_upload_that_was_broken_off_is_left(self) -> None:
        self.publish(WHEEL, wheel())
        [file] = self.project().files
        unfinished = f"acme/{'a' * 32}"
        self.store.add(f"{unfinished}/{WHEEL}", OTHER_WHEEL)
        self.store.add(f"{PUBLISHING}{unfinished}", b"")
        del self.store.objects[MANIFEST]
        rebuilt = self.rebuild()
        assert rebuilt is not None
        self.assertEqual(rebuilt.files, (file,))
        self.assertEqual([left.key for left in rebuilt.left], [f"{unfinished}/{WHEEL}"])
        self.assertEqual([k for k in self.store.objects if PUBLISHING in k], [])

    def test_nothing_of_nothing(self) -> None:
        work = started(self._rebuild(False))
        error = self.failureResultOf(work, NotFound).value
        self.assertIn("nothing of acme in the store", error.message)

    def test_a_store_that_goes_away_meanwhile(self) -> None:
        self.publish(WHEEL, wheel())
        del self.store.objects[MANIFEST]
        self.store.fail_next("open", StoreError("away"))
        self.failureResultOf(started(self._rebuild(False)), StoreError)
        self.assertNotIn(MANIFEST, self.store.objects)
        self.rebuild()
        self.assertEqual(len(self.project().files), 1)
