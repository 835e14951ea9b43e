"""What lies beside a file and says who signed for it: verified, swept, found again."""

from __future__ import annotations

import json
from hashlib import sha256

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.index.admission import Claims
from pypicloud_tw.index.attestations.service import Attestations
from pypicloud_tw.index.audit import Actor
from pypicloud_tw.index.layout import is_foreign
from pypicloud_tw.index.manifest import manifest_key
from pypicloud_tw.index.model import File
from pypicloud_tw.index.names import Filename, project_name
from pypicloud_tw.index.publication import Publication
from pypicloud_tw.maintenance.adopt import Adopter
from pypicloud_tw.maintenance.rebuild import Rebuilder
from pypicloud_tw.maintenance.sweep import Sweeper
from pypicloud_tw.maintenance.verify import Verifier as StoreVerifier
from tests.builders import wheel
from tests.index.attestations.doubles import SIGNER, Verifier, attestation
from tests.web.doubles import (
    Domain,
    damage,
    data_keys,
    named,
    started,
    stored_project,
)

ACME = project_name("acme")
WHEEL = "acme-1.0-py3-none-any.whl"
DATA = wheel()
DIGEST = sha256(DATA).hexdigest()
ATTESTED = json.dumps([attestation(WHEEL, DIGEST)])


class AttestedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.domain = Domain(
            attestations=Attestations(Verifier(), lambda project: (SIGNER,))
        )
        self.store = self.domain.store

    def publish(self, attestations: str | None = ATTESTED) -> File:
        async def publish() -> None:
            publication = Publication(self.domain.publisher, Actor("ann"))
            await publication.begin(Filename.parse(WHEEL))
            await publication.write(DATA)
            await publication.finish(Claims(), attestations=attestations)

        self.successResultOf(started(publish()))
        (file,) = stored_project(self.store).files
        return file

    def problems(self) -> list[str]:
        async def collect() -> list[str]:
            domain = self.domain
            looked = StoreVerifier(self.store, domain.manifests, domain.offload)
            return [fault.problem async for fault in looked.faults() if fault]

        return self.successResultOf(started(collect()))

    def test_verify(self) -> None:
        key = self.publish().provenance_key
        assert key is not None
        self.assertEqual(self.problems(), [])
        other = json.dumps({"attestation_bundles": []}).encode()
        for data in (other, b"{", self.store.objects[key].data[:-1]):
            self.store.add(key, data)
            (problem,) = self.problems()
            self.assertEqual(problem, "its provenance is damaged, or another file's")
        del self.store.objects[key]
        self.assertEqual(self.problems(), ["its provenance is not in the store"])

    def test_sweep_leaves_what_is_named(self) -> None:
        self.publish(None)
        attested = self.publish()
        self.domain.clock.advance(3 * 86400)
        self.sweep()
        self.assertIn(attested.provenance_key, self.store.objects)
        self.assertEqual(damage(self.store), [])

    def test_what_breaks_off_is_swept(self) -> None:
        """Of a first upload, and of attestations for a file that is there."""
        for there in (False, True):
            self.setUp()
            if there:
                self.publish(None)
            for step in ("file", "metadata", "provenance"):
                with self.subTest(there=there, step=step):
                    self.break_off(f"publish:{step}")
            self.domain.clock.advance(3 * 86400)
            self.sweep()
            self.assertEqual(data_keys(self.store), named(self.store))
            attested = self.publish()
            self.assertIn(attested.provenance_key, self.store.objects)
            self.assertEqual(damage(self.store), [])

    def break_off(self, at: str) -> None:
        """Have the process end behind a step."""

        def die(step: str) -> None:
            if step == at:
                raise ZeroDivisionError

        async def publish() -> None:
            publication = Publication(self.domain.publisher, Actor("ann"))
            await publication.begin(Filename.parse(WHEEL))
            await publication.write(DATA)
            await publication.finish(Claims(), attestations=ATTESTED)

        self.domain.publisher.checkpoint = die
        self.failureResultOf(started(publish()), ZeroDivisionError)
        self.domain.publisher.checkpoint = self.domain.steps.append

    def sweep(self) -> None:
        sweeper = Sweeper(self.store, self.domain.manifests, 86400)
        self.successResultOf(started(sweeper.run()))

    def test_it_is_never_adopted(self) -> None:
        for key in (f"{WHEEL}.provenance", f"acme/1.0/{WHEEL}.provenance"):
            self.assertFalse(is_foreign(key))

    def rebuilt(self) -> File:
        del self.store.objects[manifest_key(ACME)]
        domain = self.domain
        adopter = Adopter(domain.store, domain.manifests, domain.publisher)
        work = started(Rebuilder(adopter).rebuild(ACME))
        domain.settle(work)
        self.successResultOf(work)
        (file,) = stored_project(self.store).files
        return file

    def test_rebuilding_finds_it(self) -> None:
        before = self.publish()
        self.assertEqual(evolve(self.rebuilt(), uploader="ann"), before)

    def test_rebuilding_finds_what_was_added_later(self) -> None:
        self.publish(None)
        before = self.publish()
        self.assertEqual(evolve(self.rebuilt(), uploader="ann"), before)

    def test_rebuilding_leaves_what_is_another_s(self) -> None:
        key = self.publish().provenance_key
        assert key is not None
        self.store.add(key, b"{}")
        self.assertIsNone(self.rebuilt().provenance_key)
