"""Who publishes the projects of upstreams, shown and changed."""

from __future__ import annotations

from attrs import define
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.administration.authority import Authority, Operator
from pypicloud_tw.config.signers import Signer
from pypicloud_tw.errors import BadRequest, Conflict, Forbidden
from pypicloud_tw.index.audit import Act, Actor
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.index.standing import Standing
from pypicloud_tw.projects.pinning import NewPin, PinAdministration, StoredPins
from pypicloud_tw.store.memory import MemoryStore
from pypicloud_tw.upstream.provenance.pins import Pins
from tests.doubles import InlineOffload
from tests.upstream.doubles import clock, started

ACME = NormalizedName("acme")
ONE, TWO = "github:acme/tool:release.yml", "github:mallory/tool:release.yml"


@define
class Nobody(Operator):
    """May do nothing."""

    def check(self, action: object, project: object) -> None:
        raise Forbidden("You may not.")


class PinningTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.acts: list[Act] = []
        self.pins = Pins(MemoryStore(InlineOffload()), clock(), Standing())
        self.doer = self.as_(Operator())

    def as_(self, authority: Authority) -> PinAdministration:
        return StoredPins(self.pins, self.acts.append, Actor("root"), authority)

    def listed(self) -> list[tuple[str, str | None, str]]:
        found = self.successResultOf(started(self.doer.pins()))
        return [(one.project, one.publisher, one.source) for one in found]

    def test_set_and_removed(self) -> None:
        made = self.successResultOf(started(self.doer.set_pin("Acme", NewPin(ONE))))
        self.assertEqual((made.project, made.publisher, made.by), ("acme", ONE, "root"))
        self.assertEqual(self.listed(), [("acme", ONE, "store")])
        gone = self.successResultOf(started(self.doer.remove_pin("acme")))
        self.assertIsNone(gone.publisher)
        self.assertEqual(self.listed(), [])
        self.assertEqual(
            [(act.act, act.project, act.reason) for act in self.acts],
            [
                ("set a pin", "acme", f"{ONE}; before: nobody"),
                ("removed a pin", "acme", f"nobody; before: {ONE}"),
            ],
        )
        self.assertEqual(self.acts[0].actor.name, "root")

    def test_what_is_so_is_not_recorded(self) -> None:
        for _ in range(2):
            self.successResultOf(started(self.doer.set_pin("acme", NewPin(ONE))))
        self.successResultOf(started(self.doer.remove_pin("other")))
        self.assertEqual(len(self.acts), 1)

    def test_accepting_another_ends_what_was_refused(self) -> None:
        self.successResultOf(started(self.doer.set_pin("acme", NewPin(ONE))))
        note = self.pins.note_refused(ACME, Signer.parse(TWO), "acme-2.0.tar.gz")
        self.successResultOf(started(note))
        (pin,) = self.successResultOf(started(self.doer.pins()))
        assert pin.refused is not None
        self.assertEqual(pin.refused.publisher, TWO)
        changed = self.doer.set_pin("acme", NewPin(pin.refused.publisher))
        self.assertIsNone(self.successResultOf(started(changed)).refused)

    def test_of_the_ini(self) -> None:
        self.pins.obey({"acme": Signer.parse(ONE)})
        self.successResultOf(started(self.doer.set_pin("other", NewPin(TWO))))
        note = self.pins.note_refused(ACME, Signer.parse(TWO), "acme-2.0.tar.gz")
        self.successResultOf(started(note))
        self.assertEqual(self.listed(), [("acme", ONE, "ini"), ("other", TWO, "store")])
        (acme, _) = self.successResultOf(started(self.doer.pins()))
        self.assertIsNotNone(acme.refused)
        for change in (
            self.doer.set_pin("acme", NewPin(TWO)),
            self.doer.remove_pin("acme"),
        ):
            error = self.failureResultOf(started(change), Conflict).value
            self.assertIn("only the ini changes that", error.message)

    def test_what_cannot_be(self) -> None:
        for project, publisher, cause in (
            ("acme", "somebody", "'somebody' is no publisher as github:OWNER"),
            ("ac me!", ONE, "project"),
        ):
            change = started(self.doer.set_pin(project, NewPin(publisher)))
            error = self.failureResultOf(change, BadRequest).value
            self.assertIn(cause, error.message)
        self.assertEqual(self.acts, [])

    def test_for_administrators(self) -> None:
        doer = self.as_(Nobody())
        for work in (
            doer.pins(),
            doer.set_pin("acme", NewPin(ONE)),
            doer.remove_pin("acme"),
        ):
            self.failureResultOf(started(work), Forbidden)
