"""What is true of the administration of access, wherever it is done."""

from __future__ import annotations

from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.administration.interface import AccessAdministration
from pypicloud_tw.access.administration.values import (
    NEW,
    Changed,
    Grant,
    Members,
    NewExemption,
    NewToken,
    NewUser,
    PublisherTerms,
    Required,
    UserChange,
)
from pypicloud_tw.config.rights import Action
from pypicloud_tw.errors import (
    BadRequest,
    ConditionFailed,
    Conflict,
    NotFound,
    PypicloudError,
)

T = TypeVar("T")

READ = Grant(frozenset({Action.READ}))
TERMS = PublisherTerms(
    "https://ci.example", {"repository": "acme/tool"}, ("acme-tool",)
)

#: Less than a year after what the clocks of the suite's servers show.
SOON = datetime(2027, 2, 1, tzinfo=UTC)

#: What the ini has where the suite runs; ann and root are administrators.
INI = {
    "auth.admins": "ann root",
    "group.fixed": "ann",
    "package.fixed.user.ann": "rw",
    "upstream.exempt": "old until 2001-01-01 of the ini",
}


class WorkCase(SynchronousTestCase):
    """A test of what is done at once."""

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Return what comes of some work."""
        return self.successResultOf(Deferred.fromCoroutine(work))

    def refused(
        self, kind: type[PypicloudError], work: Coroutine[Any, Any, Any]
    ) -> str:
        """Return the sentence with which some work is refused."""
        failure = self.failureResultOf(Deferred.fromCoroutine(work), PypicloudError)
        self.assertIsInstance(failure.value, kind)
        return str(failure.value)


if TYPE_CHECKING:
    SuiteCase = WorkCase
else:
    # Trial would run the suite by itself, too, if it were a test case.
    SuiteCase = object


class AdministrationSuite(SuiteCase):
    """The cases; a :class:`WorkCase` that inherits them makes what they are about."""

    def make(self) -> AccessAdministration:
        """Make one that works for an administrator, by name ann."""
        raise NotImplementedError

    def setUp(self) -> None:
        self.access = self.make()

    # -- users

    def test_users(self) -> None:
        access = self.access
        bob = NewUser("a good word")
        changed = self.wait(access.put_user("bob", bob, NEW))
        self.assertTrue(changed.made)
        self.refused(ConditionFailed, access.put_user("bob", bob, NEW))
        self.wait(access.put_user("robot", NewUser()))
        users = {one.name: one for one in self.wait(access.users())}
        self.assertEqual(set(users), {"ann", "bob", "robot"})
        self.assertTrue(users["ann"].fixed and users["ann"].administrator)
        self.assertTrue(users["bob"].password and not users["bob"].fixed)
        self.assertFalse(users["robot"].password)
        self.assertEqual(users["bob"], self.wait(access.user("bob")))

    def test_a_part_of_a_user_changes_alone(self) -> None:
        access = self.access
        self.wait(access.put_user("bob", NewUser("a good word")))
        self.wait(access.change_user("bob", UserChange(administrator=True)))
        user = self.wait(access.user("bob"))
        self.assertTrue(user.administrator and user.password)
        self.wait(access.change_user("bob", UserChange(password="another")))
        self.assertTrue(self.wait(access.user("bob")).administrator)
        self.refused(NotFound, access.change_user("carol", UserChange("x")))

    def test_remove_a_user(self) -> None:
        access = self.access
        self.wait(access.put_user("bob", NewUser()))
        self.wait(access.remove_user("bob"))
        self.refused(NotFound, access.user("bob"))
        self.refused(NotFound, access.remove_user("bob"))

    def test_what_the_ini_has_stays(self) -> None:
        access = self.access
        for work in (
            access.put_user("ann", NewUser()),
            access.change_user("ann", UserChange("x")),
            access.remove_user("ann"),
            access.put_group("fixed", Members(())),
            access.add_member("fixed", "bob"),
            access.remove_group("fixed"),
            access.put_right("fixed", "user", "bob", READ),
            access.remove_right("fixed", "user", "ann"),
        ):
            self.assertIn("ini", self.refused(Conflict, work))

    def test_bad_values(self) -> None:
        access = self.access
        for work in (
            access.put_user("b:b", NewUser()),
            access.put_user("bob", NewUser("")),
            access.put_user("everyone", NewUser()),
            access.put_group("authenticated", Members(())),
            access.put_group("dev", Members(("a:b",))),
            access.put_right("a b", "user", "bob", READ),
            access.put_right("acme", "user", "b:b", READ),
            access.put_publisher("ci", evolve(TERMS, projects=("a b",))),
            access.put_publisher("ci", evolve(TERMS, projects=("a, b",))),
            access.put_publisher("ci", evolve(TERMS, claims={})),
            access.put_publisher("ci", evolve(TERMS, claims={"a:b": "c"})),
            access.put_publisher("ci", evolve(TERMS, claims={"a": 'x", "b:y'})),
            access.put_publisher("ci", evolve(TERMS, issuer="http://ci.example")),
            access.put_publisher("c i", TERMS),
            access.put_publisher(
                "ci", evolve(TERMS, actions=frozenset({Action.ADMINISTER}))
            ),
            access.make_token(NewToken(life=10**10)),
        ):
            sentence = self.refused(BadRequest, work)
            self.assertRegex(sentence, r"\A[A-Z].*\.\Z")

    # -- groups

    def test_groups(self) -> None:
        access = self.access
        self.assertTrue(self.wait(access.put_group("dev", Members(("bob",)), NEW)).made)
        self.refused(ConditionFailed, access.put_group("dev", Members(()), NEW))
        self.wait(access.add_member("dev", "carol"))
        self.wait(access.add_member("dev", "carol"))
        self.assertEqual(self.wait(access.group("dev")).members, ("bob", "carol"))
        self.wait(access.remove_member("dev", "bob"))
        names = [(one.name, one.members) for one in self.wait(access.groups())]
        self.assertEqual(names, [("dev", ("carol",)), ("fixed", ("ann",))])
        self.wait(access.remove_group("dev"))
        self.refused(NotFound, access.group("dev"))
        self.refused(NotFound, access.add_member("dev", "bob"))

    # -- rights

    def test_rights(self) -> None:
        access = self.access
        self.wait(access.put_right("Acme_Tool", "user", "bob", READ))
        self.wait(access.put_right("acme-*", "group", "dev", READ))
        lines = [
            (one.project, one.kind, one.name, one.fixed)
            for one in self.wait(access.rights())
        ]
        self.assertEqual(
            lines,
            [
                ("fixed", "user", "ann", True),
                ("acme-tool", "user", "bob", False),
                ("acme-*", "group", "dev", False),
            ],
        )
        self.wait(access.remove_right("acme-tool", "user", "bob"))
        self.refused(NotFound, access.remove_right("acme-tool", "user", "bob"))

    def test_why(self) -> None:
        access = self.access
        self.wait(access.put_right("acme", "user", "bob", READ))
        found = self.wait(access.rights_of("bob", "Acme"))
        self.assertEqual(found.user, "bob")
        (decision,) = found.decisions
        self.assertEqual(decision.decided_by, "acme")
        verdicts = {one.action: one for one in decision.verdicts}
        self.assertTrue(verdicts[Action.READ].allowed)
        self.assertFalse(verdicts[Action.UPLOAD].allowed)
        self.assertIn("package.acme.user.bob = r", verdicts[Action.READ].reasons[0])
        everything = self.wait(access.rights_of("bob"))
        projects = [one.project for one in everything.decisions]
        self.assertEqual(projects, ["fixed", "acme", "*"])

    # -- publishers

    def test_publishers(self) -> None:
        access = self.access
        self.assertTrue(self.wait(access.put_publisher("ci", TERMS, NEW)).made)
        found = self.wait(access.publisher("ci"))
        self.assertEqual((found.terms, found.fixed), (TERMS, False))
        self.assertEqual([one.name for one in self.wait(access.publishers())], ["ci"])
        self.wait(access.remove_publisher("ci"))
        self.refused(NotFound, access.publisher("ci"))
        self.refused(NotFound, access.remove_publisher("ci"))

    def test_what_would_be_safer_is_told(self) -> None:
        github = "https://token.actions.githubusercontent.com"
        terms = evolve(TERMS, issuer=github)
        (notice,) = self.wait(self.access.put_publisher("ci", terms)).notices
        self.assertIn("repository_id", notice)

    # -- tokens

    def test_tokens(self) -> None:
        access = self.access
        self.wait(access.put_user("robot", NewUser()))
        new = NewToken("CI", READ.actions, ("acme-*",), 3600, "robot")
        made = self.wait(access.make_token(new))
        self.assertNotIn(made.token, repr(made))
        (listed,) = self.wait(access.tokens("robot"))
        self.assertEqual(listed.id, made.id)
        self.assertEqual((listed.owner, listed.description), ("robot", "CI"))
        self.assertEqual(listed.actions, READ.actions)
        self.assertEqual(listed.projects, ("acme-*",))
        self.assertEqual((listed.expires - listed.created).total_seconds(), 3600)
        everybody = self.wait(access.tokens(everybody=True))
        self.assertEqual([one.id for one in everybody], [made.id])
        why = self.wait(access.rights_of(made.id, "other"))
        self.assertIn("the token is for", repr(why.decisions))
        self.wait(access.revoke_token(made.id))
        (listed,) = self.wait(access.tokens("robot"))
        self.assertTrue(listed.revoked)
        self.refused(NotFound, access.revoke_token("0" * 32))

    def test_who_is_removed_has_no_tokens(self) -> None:
        access = self.access
        self.wait(access.put_user("robot", NewUser()))
        self.wait(access.make_token(NewToken(owner="robot")))
        self.wait(access.remove_user("robot"))
        (listed,) = self.wait(access.tokens("robot"))
        self.assertTrue(listed.revoked)

    # -- conditions

    def test_only_as_it_is_known(self) -> None:
        access = self.access
        first = self.wait(access.put_group("dev", Members(("bob",))))
        known = Required(states=frozenset({first.state or ""}))
        second = self.wait(access.put_group("dev", Members(("carol",)), known))
        self.assertNotEqual(first.state, second.state)
        self.refused(ConditionFailed, access.remove_group("dev", known))
        self.assertEqual(self.wait(access.group("dev")).members, ("carol",))
        present = Required(present=True)
        self.refused(ConditionFailed, access.put_group("other", Members(()), present))

    def test_another_password_is_another_state(self) -> None:
        access = self.access
        states = {
            self.wait(access.put_user("bob", NewUser("a good word"))).state
            for _ in range(2)
        }
        self.assertEqual(len(states), 2)

    def test_what_a_change_returns(self) -> None:
        access = self.access
        made = self.wait(access.put_group("dev", Members(())))
        self.assertEqual((made.made, made.notices), (True, ()))
        again = self.wait(access.put_group("dev", Members(())))
        self.assertEqual(again, Changed(state=made.state))
        gone = self.wait(access.remove_group("dev"))
        self.assertEqual(gone, Changed())

    # -- exemptions

    def test_exemptions(self) -> None:
        access = self.access
        new = NewExemption("Urllib3", SOON, "CVE fix", "==2.5.1")
        added = self.wait(access.add_exemption(new))
        self.assertEqual(
            (added.what, added.source, added.until, added.fixed, added.ended),
            ("urllib3==2.5.1", "ann", SOON, False, False),
        )
        self.assertEqual(self.wait(access.exemption(added.id)), added)
        fixed, last = self.wait(access.exemptions())
        self.assertEqual((fixed.what, fixed.fixed, fixed.ended), ("old", True, True))
        self.assertEqual(last, added)
        removed = self.wait(access.remove_exemption(added.id))
        self.assertIsNone(removed.state)
        self.refused(NotFound, access.remove_exemption(added.id))
        self.refused(NotFound, access.exemption(added.id))

    def test_the_same_again_is_another_end(self) -> None:
        access = self.access
        first = NewExemption("acme", SOON, "a fix")
        one = self.wait(access.add_exemption(first))
        longer = evolve(first, until=SOON + timedelta(days=1), reason="still")
        again = self.wait(access.add_exemption(longer))
        self.assertEqual((again.id, again.reason), (one.id, "still"))
        self.refused(ConditionFailed, access.add_exemption(first, NEW))
        other = self.wait(access.add_exemption(evolve(first, rule="severity")))
        self.assertNotEqual(other.id, one.id)

    def test_exemptions_that_cannot_be(self) -> None:
        for new, why in (
            (NewExemption("acme", SOON - timedelta(days=999), "x"), "this one is past"),
            (NewExemption("acme", SOON + timedelta(days=400), "x"), "a year at most"),
            (NewExemption("acme", SOON, ""), "a reason"),
            (NewExemption("a b", SOON, "x"), "not a project's name"),
            (NewExemption("acme", SOON, "x", "=>1"), "not a version specifier"),
            (NewExemption("acme==1", SOON, "x"), "a name as its project"),
            (NewExemption("acme", SOON, "x", "b==1"), "a name as its project"),
            (NewExemption("acme", SOON, "x", rule="deny"), "a rule that nothing"),
            (NewExemption("acme", SOON, "x", rule="malware"), "without a version"),
            (NewExemption("acme", SOON, "x", sha256="ff"), "64 hexadecimal"),
        ):
            said = self.refused(BadRequest, self.access.add_exemption(new))
            self.assertIn(why, said)
