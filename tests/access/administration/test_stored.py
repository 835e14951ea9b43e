"""Administering access on the store itself, and what each may of it."""

from __future__ import annotations

from attrs import evolve
from twisted.internet.defer import CancelledError, Deferred

from pypicloud_tw.access.administration.authority import may_whole
from pypicloud_tw.access.administration.interface import AccessAdministration
from pypicloud_tw.access.administration.stored import StoredAdministration
from pypicloud_tw.access.administration.values import (
    Grant,
    Members,
    NewExemption,
    NewToken,
    NewUser,
    UserChange,
)
from pypicloud_tw.access.document_format import KEY
from pypicloud_tw.access.principal import Principal, Scope
from pypicloud_tw.access.tokens.text import UserToken
from pypicloud_tw.config.rights import Action
from pypicloud_tw.errors import (
    BadRequest,
    Forbidden,
    NotFound,
    StoreError,
    Unavailable,
)
from pypicloud_tw.index.marker import KEY as MARKER
from tests.access.administration.doubles import AccessServer
from tests.access.administration.suite import (
    READ,
    SOON,
    TERMS,
    AdministrationSuite,
    WorkCase,
)

ADMINISTER = Grant(frozenset({Action.ADMINISTER}))


class StoredTests(AdministrationSuite, WorkCase):
    def make(self) -> AccessAdministration:
        self.server = AccessServer.new()
        return self.server.administration()

    def hold_write(self) -> Deferred[None]:
        """Have the next write wait for what is returned."""
        held: Deferred[None] = Deferred()
        store = self.server.store

        def before(operation: str, key: str) -> Deferred[None] | None:
            if operation != "put":
                return None
            self.patch(store, "before", lambda operation, key: None)
            return held

        self.patch(store, "before", before)
        return held

    def test_records(self) -> None:
        self.wait(self.access.put_user("bob", NewUser("a good word")))
        self.wait(self.access.put_right("acme", "user", "bob", READ))
        acts = self.server.acts
        self.assertEqual([one.actor.name for one in acts], ["ann", "ann"])
        self.assertEqual([one.project for one in acts], [None, "acme"])
        told = [(one.act, one.reason) for one in acts]
        self.assertEqual(
            told,
            [
                ("set a user", "bob: new; with a password"),
                ("set a right", "user bob: r; before: nothing said"),
            ],
        )
        self.assertNotIn("good word", repr(acts))
        # Nothing was changed: nothing is recorded.
        self.wait(self.access.put_right("acme", "user", "bob", READ))
        self.assertEqual(len(acts), 2)

    def test_records_of_exemptions(self) -> None:
        new = NewExemption("acme", SOON, "a fix", "==1")
        id = self.wait(self.access.add_exemption(new)).id
        self.wait(self.access.add_exemption(evolve(new, reason="still")))
        self.wait(self.access.remove_exemption(id))
        told = [(one.act, one.project, one.reason) for one in self.server.acts]
        fix, still = (
            f"acme==1 until 2027-02-01T00:00Z, {why}" for why in ("a fix", "still")
        )
        self.assertEqual(
            told,
            [
                ("added an exemption", "acme", f"{id}: {fix}; new"),
                ("added an exemption", "acme", f"{id}: {still}; before: {fix}"),
                ("removed an exemption", "acme", f"{id}: removed; before: {still}"),
            ],
        )

    def test_records_say_who_got_and_who_lost_what(self) -> None:
        access, acts = self.access, self.server.acts
        rw = Grant(frozenset({Action.READ, Action.UPLOAD, Action.MANAGE}))
        other = evolve(TERMS, projects=("acme", "tools"))
        for work, told in (
            (access.put_user("bob", NewUser()), "bob: new; a service account"),
            (
                access.put_user("bob", NewUser("a good word", True)),
                "bob: another password; an administrator from now on",
            ),
            (
                access.change_user("bob", UserChange(administrator=False)),
                "bob: no administrator from now on",
            ),
            (
                access.put_user("bob", NewUser()),
                "bob: no password any more",
            ),
            (access.put_group("dev", Members(("bob", "al"))), "dev: new; in: al, bob"),
            (
                access.put_group("dev", Members(("bob", "cy"))),
                "dev: in: cy; out: al",
            ),
            (access.add_member("dev", "al"), "dev: in: al"),
            (access.remove_member("dev", "al"), "dev: out: al"),
            (
                access.put_right("acme-*", "user", "bob", READ),
                "user bob: r; before: nothing said",
            ),
            (access.put_right("acme-*", "user", "bob", rw), "user bob: rw; before: r"),
            (
                access.put_right("acme-*", "group", "dev", READ),
                "group dev: r; before: nothing said",
            ),
            (
                access.put_publisher("ci", TERMS),
                "ci: upload of acme-tool for repository:acme/tool by "
                "https://ci.example to pypicloud; new",
            ),
            (
                access.put_publisher("ci", other),
                "ci: upload of acme, tools for repository:acme/tool by "
                "https://ci.example to pypicloud; before: upload of acme-tool for "
                "repository:acme/tool by https://ci.example to pypicloud",
            ),
            (
                access.remove_publisher("ci"),
                "ci: removed; before: upload of acme, tools for repository:acme/tool "
                "by https://ci.example to pypicloud",
            ),
            (
                access.remove_user("bob"),
                "bob: removed; had acme-* rw; was in dev",
            ),
            (access.remove_group("dev"), "dev: removed; had acme-* r; out: cy"),
        ):
            self.wait(work)
            self.assertEqual(acts[-1].reason, told)
        members = tuple(f"u{number:02}" for number in range(25))
        self.wait(access.put_group("big", Members(members)))
        self.assertIn("u19 and 5 more", acts[-1].reason or "")

    def test_a_record_although_nobody_waits_for_it(self) -> None:
        """Who asks for a change and goes away does not get around its record."""
        self.wait(self.access.put_user("bob", NewUser()))
        self.wait(self.access.make_token(NewToken(owner="bob")))
        acts, of_tokens = self.server.acts, self.server.tokens.acts
        for work, told in (
            (self.access.put_right("acme", "user", "bob", READ), ["set a right"]),
            (self.access.make_token(NewToken(owner="bob")), ["made a token"]),
            (
                self.access.remove_user("bob"),
                ["removed a user", "revoked a token", "revoked a token"],
            ),
        ):
            del acts[:], of_tokens[:]
            held = self.hold_write()
            asked = Deferred.fromCoroutine(work)
            asked.addErrback(lambda failure: failure.trap(CancelledError))
            asked.cancel()
            held.callback(None)
            self.server.clock.pump([0.5] * 10)
            self.assertEqual([one.act for one in (*acts, *of_tokens)], told)

    def test_no_token_while_it_is_not_known_who_may_what(self) -> None:
        self.wait(self.access.put_user("bob", NewUser()))
        made = self.wait(self.access.make_token(NewToken(owner="bob")))
        self.wait(self.server.store.put(KEY, b"{"))
        self.server.clock.advance(100)
        told = self.refused(Unavailable, self.access.make_token(NewToken(owner="bob")))
        self.assertIn("damaged", told)
        # What takes a right away is done.
        self.wait(self.access.revoke_token(made.id))

    def test_a_record_although_the_others_could_not_be_told(self) -> None:
        def fail(operation: str, key: str) -> None:
            if (operation, key) == ("put", MARKER):
                raise StoreError("The store is away.")

        self.patch(self.server.store, "before", fail)
        self.refused(StoreError, self.access.put_right("acme", "user", "bob", READ))
        self.assertEqual([one.act for one in self.server.acts], ["set a right"])

    def test_hashes_are_made_off_the_reactor(self) -> None:
        administration = self.server.administration()
        self.wait(administration.put_user("bob", NewUser("a good word")))
        self.assertEqual(self.server.offload.threaded, ["hash_password"])

    def test_a_password_is_no_token(self) -> None:
        """It would be taken for one at each log-in, and refused."""
        user = NewUser(UserToken.draw("bob").text)
        self.refused(BadRequest, self.access.put_user("bob", user))

    def test_two_administrators_lose_nothing(self) -> None:
        other = self.server.beside().administration()
        for number in range(3):
            one, two = f"one{number}", f"two{number}"
            both = [
                Deferred.fromCoroutine(self.access.put_user(one, NewUser())),
                Deferred.fromCoroutine(other.put_user(two, NewUser())),
            ]
            self.server.clock.pump([0.5] * 40)
            for work in both:
                self.assertTrue(self.successResultOf(work).made)
        self.server.clock.advance(5)
        names = {one.name for one in self.wait(self.access.users())}
        self.assertEqual(len(names), 7)


class FirstRightTests(WorkCase):
    def setUp(self) -> None:
        self.server = AccessServer.new({})
        self.access = self.server.administration()

    def test_it_is_told_that_others_may_write_no_more(self) -> None:
        changed = self.wait(self.access.put_right("acme", "user", "ann", READ))
        notice, of_acme = changed.notices
        self.assertIn("every user could", notice)
        self.assertIn("acme is closed to everybody", of_acme)
        again = self.server.beside().administration()
        changed = self.wait(again.put_right("acme", "user", "bob", READ))
        self.assertEqual(changed.notices, ())
        self.wait(again.remove_right("acme", "user", "bob"))
        changed = self.wait(self.access.remove_right("acme", "user", "ann"))
        notice, of_acme = changed.notices
        self.assertIn("every user may write", notice)
        self.assertIn("no line for acme any more", of_acme)

    def test_a_line_for_all_closes_nothing(self) -> None:
        self.wait(self.access.put_right("acme", "user", "bob", READ))
        changed = self.wait(self.access.put_right("tool", "group", "everyone", READ))
        self.assertEqual(changed.notices, ())

    def test_it_is_told_that_nobody_is_left(self) -> None:
        self.wait(self.access.put_user("bob", NewUser()))
        self.wait(self.access.put_right("acme", "user", "bob", READ))
        self.wait(self.access.put_right("tool", "user", "bob", READ))
        self.wait(self.access.put_right("other", "user", "ann", READ))
        (notice,) = self.wait(self.access.remove_user("bob")).notices
        self.assertIn("may do anything with acme, tool now", notice)

    def test_it_is_told_that_nobody_administers_any_more(self) -> None:
        self.wait(self.access.put_user("bob", NewUser(administrator=True)))
        self.wait(self.access.put_user("al", NewUser(administrator=True)))
        changed = self.wait(self.access.remove_user("al"))
        self.assertEqual(changed.notices, ())
        changed = self.wait(
            self.access.change_user("bob", UserChange(administrator=False))
        )
        self.assertIn("pypicloud user set --admin", changed.notices[-1])

    def test_the_last_line_is_an_administrators_to_remove(self) -> None:
        """Without any, whoever has administered one project could write to all."""
        self.wait(self.access.put_right("acme", "user", "bob", ADMINISTER))
        self.wait(self.access.put_right("acme", "user", "al", READ))
        bob = self.server.administration(Principal("bob"))
        self.wait(bob.remove_right("acme", "user", "al"))
        told = self.refused(Forbidden, bob.remove_right("acme", "user", "bob"))
        self.assertIn("every user may write", told)
        self.wait(self.access.remove_right("acme", "user", "bob"))


class OfAProjectTests(WorkCase):
    """What those may change who administer some projects."""

    def setUp(self) -> None:
        self.server = AccessServer.new()
        operator = self.server.administration()
        self.wait(operator.put_user("bob", NewUser()))
        for project in ("acme", "tools-*"):
            self.wait(operator.put_right(project, "user", "bob", ADMINISTER))
        self.wait(operator.put_right("tools-x", "user", "carol", READ))
        self.wait(operator.put_publisher("other", evolve(TERMS, projects=("hidden",))))
        self.bob = Principal("bob")

    def doer(self, principal: Principal | None = None) -> StoredAdministration:
        return self.server.administration(principal or self.bob)

    def test_whole_patterns(self) -> None:
        policy = self.server.access.policy

        def may(project: str, principal: Principal = self.bob) -> bool:
            return may_whole(policy, principal, Action.ADMINISTER, project)

        self.assertTrue(may("acme"))
        self.assertFalse(may("acme-*"))
        # A part of it is decided by a line of its own, which does not name bob.
        self.assertFalse(may("tools-*"))
        self.assertFalse(may("tools-x"))
        self.assertFalse(may("tools-x*"))
        self.assertTrue(may("tools-y"))
        self.assertTrue(may("tools-y*"))
        self.assertTrue(may("tools-*-y"))
        self.assertFalse(may("*"))
        self.assertFalse(may("t*"))
        self.assertTrue(may("*", Principal("ann")))
        narrow = Scope(frozenset({Action.ADMINISTER}), ("tools-y*",))
        self.assertTrue(may("tools-y-*", Principal("bob", scope=narrow)))
        self.assertFalse(may("tools-z*", Principal("bob", scope=narrow)))
        reading = Scope(frozenset({Action.READ}))
        self.assertFalse(may("tools-y*", Principal("bob", scope=reading)))
        self.assertFalse(may("tools-y*", Principal(None, publishers=("other",))))

    def test_lists_have_what_is_theirs(self) -> None:
        lines = self.wait(self.doer().rights())
        self.assertEqual([one.project for one in lines], ["acme"])
        self.assertEqual(self.wait(self.doer().publishers()), [])

    def test_publishers_of_others(self) -> None:
        mine = evolve(TERMS, projects=("acme", "tools-y*"))
        self.wait(self.doer().put_publisher("mine", mine))
        self.refused(
            Forbidden, self.doer().put_publisher("x", evolve(TERMS, projects=("x",)))
        )
        operator = self.server.administration()
        hidden = evolve(TERMS, projects=("hidden",))
        self.wait(operator.put_publisher("other", hidden))
        # Neither taken over nor removed nor seen, nor is it told for what it is.
        for change in (
            self.doer().put_publisher("other", mine),
            self.doer().remove_publisher("other"),
        ):
            self.assertNotIn("hidden", self.refused(Forbidden, change))
        self.refused(NotFound, self.doer().publisher("other"))

    def test_what_is_an_administrators_alone(self) -> None:
        doer = self.doer()
        self.assertRaises(Forbidden, doer.authority.check_administers)
        self.assertRaises(Forbidden, doer.authority.check_administers, "acme", "x")
        doer.authority.check_administers("acme")
        doer.authority.check_administers_some()
        nobody = self.doer(Principal("carol")).authority
        self.assertRaises(Forbidden, nobody.check_administers_some)
        self.refused(Forbidden, doer.rights_of("carol"))
        self.wait(doer.rights_of("bob"))
        self.wait(doer.rights_of())
        self.refused(Forbidden, doer.tokens("carol"))
        self.refused(Forbidden, doer.tokens(everybody=True))

    def test_why_tells_of_what_is_theirs_alone(self) -> None:
        """That a project has lines says that there is one."""
        operator = self.server.administration()
        grant = Grant(frozenset({Action.READ}))
        self.wait(operator.put_right("merger", "user", "carol", grant))
        all_of_it = [
            one.project for one in self.wait(operator.rights_of("bob")).decisions
        ]
        self.assertIn("merger", all_of_it)
        own = self.wait(self.doer().rights_of())
        projects = [one.project for one in own.decisions]
        self.assertEqual(projects, ["acme", "tools-*", "*"])
        asked = [
            self.wait(self.doer().rights_of(None, name)).decisions
            for name in ("merger", "tools-x", "fixed")
        ]
        self.assertNotIn("carol", repr(asked))
        self.assertEqual(len({evolve(one, project="") for (one,) in asked}), 1)
        ((one,), *_) = asked
        self.assertFalse(any(verdict.allowed for verdict in one.verdicts))

    def test_why_by_a_token_tells_of_what_is_its_own_alone(self) -> None:
        made = self.wait(self.doer().make_token(NewToken(projects=("tools-y*",))))
        # Whoever shows it is told of it; its owner, of what is withheld from it.
        narrow = Principal("bob", scope=Scope(None, ("tools-y*",)))
        shown = self.wait(self.doer(narrow).rights_of(None, "acme"))
        self.assertNotIn("package.acme", repr(shown))
        owned = self.wait(self.doer().rights_of(made.id, "acme"))
        self.assertIn("the token is for the projects", repr(owned))
        self.assertIn("package.acme.user.bob", repr(owned))

    def test_own_rights_tell_of_no_other_projects(self) -> None:
        def projects(doer: StoredAdministration, user: str | None = None) -> set[str]:
            return {one.project for one in self.wait(doer.rights_of(user)).decisions}

        self.assertEqual(projects(self.doer()), {"acme", "tools-*", "*"})
        ann = self.doer(Principal("ann"))
        self.assertEqual(
            projects(ann, "bob"), {"fixed", "tools-x", *projects(self.doer())}
        )

    def test_a_token_administers_only_if_it_was_made_for_that(self) -> None:
        """Nor is it, as nobody would expect of a token that nothing was said of."""
        ann = Principal("ann", scope=Scope())
        authority = self.doer(ann).authority
        self.assertRaises(Forbidden, authority.check_administers)
        self.assertRaises(Forbidden, authority.check_administers, "acme")
        self.assertRaises(Forbidden, authority.check_administers, "acme-*")
        named = Scope(frozenset({Action.ADMINISTER}))
        self.doer(evolve(ann, scope=named)).authority.check_administers()
        found = self.wait(self.doer(ann).rights_of("ann", "acme")).decisions[0]
        (said,) = (v for v in found.verdicts if v.action is Action.ADMINISTER)
        self.assertFalse(said.allowed)
        self.assertIn("everything but to administer", said.reasons[0])

    def test_own_tokens(self) -> None:
        made = self.wait(self.doer().make_token(NewToken()))
        self.assertEqual(len(self.wait(self.doer().tokens())), 1)
        self.refused(Forbidden, self.doer().make_token(NewToken(owner="carol")))
        carol = self.doer(Principal("carol"))
        id = made.id
        self.refused(NotFound, carol.revoke_token(id))
        shown = Principal("bob", scope=Scope(frozenset({Action.READ})))
        self.assertRaises(Forbidden, self.doer(shown).authority.check_own_tokens)
        self.refused(Forbidden, self.doer(shown).make_token(NewToken()))
        # Nor is it told of the others: what they are for, and where they are used.
        for scope in (shown.scope, Scope(None, ("acme",))):
            narrow = self.doer(Principal("bob", scope=scope))
            self.refused(Forbidden, narrow.tokens())
            self.refused(Forbidden, narrow.rights_of(id))
        self.wait(self.doer().revoke_token(id))

    def test_who(self) -> None:
        operator = self.server.administration()
        self.wait(operator.put_group("dev", Members(("bob",))))
        identity = self.wait(self.doer().whoami())
        self.assertEqual(identity.name, "bob")
        self.assertEqual(identity.groups, ("dev",))
