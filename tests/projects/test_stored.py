"""Projects in the index itself, without HTTP: by a command on the store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define, field
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.administration.authority import Operator
from pypicloud_tw.access.administration.values import Required
from pypicloud_tw.advisories.values import AdvisoriesStanding
from pypicloud_tw.config.rights import Action
from pypicloud_tw.errors import (
    BadRequest,
    ConditionFailed,
    Forbidden,
    NotFound,
    Unavailable,
)
from pypicloud_tw.index.audit import Actor, Proof
from pypicloud_tw.index.manifest import manifest_key
from pypicloud_tw.index.model import Selection
from pypicloud_tw.index.names import NormalizedName, project_name
from pypicloud_tw.projects.administered import AdministeredProjects
from pypicloud_tw.projects.interface import ProjectAdministration
from pypicloud_tw.projects.stored import StoredProjects
from pypicloud_tw.projects.values import StatusChange, Undo, Yank
from tests.builders import wheel
from tests.web.doubles import Web, started, stored_project

WHEEL = "acme-1.0-py3-none-any.whl"
ONE = Selection("1.0")
COMMAND = Actor("ann (command)", Proof("command"))


class StoredCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.web = Web()
        self.web.publish(WHEEL, wheel())
        index = self.web.domain.index
        self.projects: ProjectAdministration = StoredProjects(
            AdministeredProjects(index), COMMAND, Operator()
        )

    def do(self, work: Any) -> Any:
        return self.web.wait(work)

    def refused(self, kind: type[Exception], work: Any) -> str:
        return str(self.assertRaises(kind, self.do, work))


class OperatorTests(StoredCase):
    def test_may_do_everything(self) -> None:
        projects = self.projects
        yanked = self.do(projects.yank("Acme", ONE, Yank("broken")))
        self.assertEqual((yanked.act.who, yanked.act.proof), (COMMAND.name, "command"))
        self.do(projects.unyank("acme", ONE))
        self.do(projects.set_status("acme", StatusChange("deprecated")))
        deleted = self.do(projects.delete("acme", Selection(), reason="old"))
        self.assertEqual(deleted.act.reason, "old")
        self.do(projects.undo("acme", Undo(deleted.act.id)))
        page = self.do(projects.history("acme"))
        acts = [(act.act, act.undoable) for act in page.items][:4]
        self.assertEqual(
            acts,
            [
                ("undone", False),
                ("removed", False),
                ("status", True),
                ("un-yanked", True),
            ],
        )
        self.assertEqual([f.filename for f in self.files], [WHEEL])

    @property
    def files(self) -> Any:
        return stored_project(self.web.store).files

    def test_a_search_reads_what_a_server_would_remember(self) -> None:
        """But for what cannot be read, whose name is all that is known."""
        self.web.publish("tool-1.0-py3-none-any.whl", wheel("tool"))
        self.web.domain.store.add(manifest_key(project_name("tool")), b"{")
        index = self.web.domain.beside().index
        self.projects = StoredProjects(AdministeredProjects(index), COMMAND, Operator())
        page = self.do(self.projects.search("a tool of"))
        (found,) = page.items
        self.assertEqual((found.name, found.version), ("acme", "1.0"))
        self.assertFalse(page.complete)

    def test_a_command_is_no_server(self) -> None:
        shown = self.do(self.projects.server())
        self.assertIsNone(shown.uptime)
        self.assertEqual((shown.projects, shown.changeable), (1, True))

    def test_how_many_are_described_is_told(self) -> None:
        parts = AdministeredProjects(self.web.domain.index)
        stored = StoredProjects(parts, COMMAND, Operator())
        self.assertIsNone(self.do(stored.server()).described)
        self.do(parts.derived.catch_up())
        self.assertEqual(self.do(stored.server()).described, 1)

    def test_advisories_are_told(self) -> None:
        known = AdvisoriesStanding(7, 60.0, "They are old.")
        index = self.web.domain.index
        parts = AdministeredProjects(index, advisories=lambda: known)
        shown = self.do(StoredProjects(parts, COMMAND, Operator()).server())
        told = (shown.advisories, shown.advisories_age, shown.advisories_trouble)
        self.assertEqual(told, (7, 60.0, "They are old."))

    def test_what_is_deleted_is_told_with_its_end(self) -> None:
        done = self.do(self.projects.delete("acme", ONE))
        (deleted,) = self.do(self.projects.project("acme")).deleted
        kept = (deleted.until - deleted.deleted).total_seconds()
        self.assertEqual(kept, self.web.domain.index.acts.restore_for)
        self.assertEqual((deleted.version, deleted.act), ("1.0", done.act.id))


@define
class Losing(Operator):
    """Somebody who may once, and no more."""

    asked: list[Action] = field(factory=list)

    def check(self, action: Action, project: NormalizedName | None) -> None:
        self.asked.append(action)
        if len(self.asked) > 1:
            raise Forbidden("You may not any more.")


class LostRightTests(StoredCase):
    def test_a_right_that_is_lost_before_the_swap_is_no_right(self) -> None:
        parts = AdministeredProjects(self.web.domain.index)
        acts: tuple[Callable[[StoredProjects], Any], ...] = (
            lambda one: one.yank("acme", ONE, Yank()),
            lambda one: one.unyank("acme", ONE),
            lambda one: one.delete("acme", ONE),
            lambda one: one.restore("acme", ONE),
            lambda one: one.set_status("acme", StatusChange("archived")),
            lambda one: one.undo("acme", Undo()),
        )
        for act in acts:
            losing = Losing()
            before = dict(self.web.store.objects)
            doer = StoredProjects(parts, COMMAND, losing)
            self.assertIn("any more", self.refused(Forbidden, act(doer)))
            self.assertEqual(self.web.store.objects, before)


class RefusalTests(StoredCase):
    def test_names_and_numbers_that_cannot_be(self) -> None:
        projects = self.projects
        for work in (
            projects.project("-"),
            projects.yank("no name", ONE, Yank()),
            projects.release("acme", "x y"),
            projects.file("acme", ""),
        ):
            self.refused(NotFound, work)
        for limit in (0, -1, 1001):
            self.assertIn(
                "1 to 1000", self.refused(BadRequest, projects.projects(None, limit))
            )
            self.refused(BadRequest, projects.history("acme", None, limit))
            self.refused(BadRequest, projects.search("x", limit))

    def test_another_state_than_is_required(self) -> None:
        state = self.do(self.projects.project("acme")).state
        required = Required(states=frozenset({state}))
        done = self.do(self.projects.yank("acme", ONE, Yank(), required))
        again = self.projects.unyank("acme", ONE, required)
        self.assertIn("was changed since", self.refused(ConditionFailed, again))
        now = Required(states=frozenset({done.state}))
        self.do(self.projects.unyank("acme", ONE, now))
        absent = Required(absent=True)
        self.refused(ConditionFailed, self.projects.yank("acme", ONE, Yank(), absent))

    def test_acts_that_wait_together_are_judged_one_by_one(self) -> None:
        """One swap has both; what the second requires is not so any more."""
        state = self.do(self.projects.project("acme")).state
        required = Required(states=frozenset({state}))
        ended: list[Any] = []
        for reason in ("one", "two"):
            act = self.projects.yank("acme", ONE, Yank(reason), required)
            started(act).addBoth(ended.append)
        self.web.domain.clock.advance(5)
        (failed,) = [one.value for one in ended if hasattr(one, "value")]
        self.assertIsInstance(failed, ConditionFailed)
        self.assertEqual(len(ended), 2)

    def test_a_name_that_is_ours_without_a_page(self) -> None:
        self.web.domain.index.unserved.find({"ghost": "It lost its manifest."})  # type: ignore[dict-item]  # it is normalized
        why = self.refused(Unavailable, self.projects.project("ghost"))
        self.assertEqual(why, "It lost its manifest.")
