"""Changes of the access document, beside what the ini has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access import changes
from pypicloud_tw.access.document import AccessDocument, StoredUser
from pypicloud_tw.access.document_format import Contents, decode, encode
from pypicloud_tw.access.settings import AccessSettings
from pypicloud_tw.config.rights import Action, Kind, RightLine, TrustedPublisher
from pypicloud_tw.errors import BadRequest, Conflict, NotFound, PypicloudError
from tests.web.doubles import HASH

READ, UPLOAD = frozenset({Action.READ}), frozenset({Action.UPLOAD})


def publisher(name: str) -> TrustedPublisher:
    claims = (("repository", "acme/tool"),)
    return TrustedPublisher(
        name, "https://i.example", "pypicloud", claims, ("Acme_Tool",), UPLOAD, ""
    )


INI = AccessSettings(
    users=frozenset({"root"}),
    groups={"ops": frozenset({"root"})},
    rights=(
        RightLine("corp-*", "group", "ops", READ, "the ini, line 7"),
        RightLine("fixed", "user", "root", READ, "the ini, line 8"),
    ),
    publishers={"nightly": publisher("nightly")},
)
EMPTY = AccessDocument()


class ChangesCase(SynchronousTestCase):
    def refused(
        self,
        error: type[PypicloudError],
        why: str,
        change: Callable[..., AccessDocument],
        *arguments: Any,
        document: AccessDocument = EMPTY,
    ) -> None:
        with self.assertRaises(error) as caught:
            change(document, INI, *arguments)
        self.assertIn(why, caught.exception.message)

    def same(
        self, document: AccessDocument, change: Callable[..., Any], *arguments: Any
    ) -> None:
        """A change that finds its wish fulfilled."""
        self.assertIs(change(document, INI, *arguments), document)


class UserTests(ChangesCase):
    def setUp(self) -> None:
        self.ann = changes.put_user(EMPTY, INI, "ann", HASH, administrator=True)

    def test_one_is_made(self) -> None:
        user = self.ann.users["ann"]
        self.assertEqual((user.hash, user.administrator), (HASH, True))
        self.assertEqual(len(user.id), 16)
        bot = changes.put_user(self.ann, INI, "bot", None).users["bot"]
        self.assertEqual((bot.hash, bot.administrator), (None, False))

    def test_one_that_is_there(self) -> None:
        put = changes.put_user(self.ann, INI, "ann", None)
        self.assertEqual(put.users["ann"].id, self.ann.users["ann"].id)
        self.same(put, changes.put_user, "ann", None)

    def test_the_inis_are_left_alone(self) -> None:
        fixed = "The ini has the user root, so that it can be changed only there"
        self.refused(Conflict, fixed, changes.put_user, "root", HASH)
        self.refused(Conflict, fixed, changes.set_password, "root", HASH)
        self.refused(Conflict, fixed, changes.set_administrator, "root", True)
        self.refused(Conflict, fixed, changes.remove_user, "root")

    def test_names_and_hashes_that_cannot_be(self) -> None:
        for name, why in (
            ("", "printable text"),
            ("a:b", "printable text"),
            ("a\n", "printable text"),
            ("Everyone", "means a group"),
            ("x" * 257, "at most 256 characters"),
        ):
            self.refused(BadRequest, why, changes.put_user, name, HASH)
        with self.assertRaises(BadRequest) as caught:
            changes.put_user(EMPTY, INI, "ann", "secret")
        self.assertIn("no hash of a password", caught.exception.message)
        self.assertNotIn("secret", caught.exception.message)

    def test_password_and_administrator(self) -> None:
        changed = changes.set_password(self.ann, INI, "ann", None)
        user = changed.users["ann"]
        self.assertEqual(user, evolve(self.ann.users["ann"], hash=None))
        changed = changes.set_administrator(changed, INI, "ann", False)
        self.assertFalse(changed.users["ann"].administrator)
        self.same(changed, changes.set_administrator, "ann", False)
        absent = "There is no user bob."
        self.refused(NotFound, absent, changes.set_password, "bob", None)
        self.refused(NotFound, absent, changes.set_administrator, "bob", True)
        self.refused(NotFound, absent, changes.remove_user, "bob")

    def test_nothing_of_one_who_was_removed_comes_alive(self) -> None:
        document = changes.put_group(self.ann, INI, "dev", ["ann", "bob"])
        lines: list[tuple[Kind, str]]
        lines = [("user", "ann"), ("group", "ann"), ("user", "bob")]
        for kind, name in lines:
            document = changes.set_right(document, INI, "acme", kind, name, READ)
        removed = changes.remove_user(document, INI, "ann")
        self.assertEqual(removed.users, {})
        self.assertEqual(removed.groups, {"dev": frozenset({"bob"})})
        self.assertEqual(
            [(line.kind, line.name) for line in removed.rights],
            [("group", "ann"), ("user", "bob")],
        )
        again = changes.put_user(removed, INI, "ann", HASH).users["ann"]
        self.assertNotEqual(again.id, self.ann.users["ann"].id)

    def test_no_project_is_opened_by_a_removal(self) -> None:
        """Without a line the defaults would decide, and may let everyone read."""
        document = changes.put_group(self.ann, INI, "dev", ["ann"])
        document = changes.set_right(document, INI, "acme", "user", "ann", READ)
        document = changes.set_right(document, INI, "tool", "group", "dev", READ)
        document = changes.remove_user(document, INI, "ann")
        document = changes.remove_group(document, INI, "dev")
        self.assertEqual(
            [(line.project, line.name, line.actions) for line in document.rights],
            [("acme", "ann", frozenset()), ("tool", "dev", frozenset())],
        )

    def test_nor_what_a_newer_version_wrote_of_one(self) -> None:
        extra = {("users", "ann"): {"later": 1}, (): {"later": 2}}
        contents = Contents(self.ann, extra=extra)
        contents = contents.saying(changes.remove_user(self.ann, INI, "ann"))
        contents = contents.saying(
            changes.put_user(contents.document, INI, "ann", None)
        )
        self.assertEqual(contents.extra, {(): {"later": 2}})


class GroupTests(ChangesCase):
    def setUp(self) -> None:
        self.dev = changes.put_group(EMPTY, INI, "dev", [])

    def test_members_come_and_go(self) -> None:
        document = changes.add_member(self.dev, INI, "dev", "ann")
        self.assertEqual(document.groups, {"dev": frozenset({"ann"})})
        self.same(document, changes.add_member, "dev", "ann")
        document = changes.remove_member(document, INI, "dev", "ann")
        self.assertEqual(document.groups, {"dev": frozenset()})
        self.refused(
            NotFound,
            "ann is not in the group dev.",
            *(changes.remove_member, "dev", "ann"),
            document=document,
        )

    def test_one_that_is_there_or_is_not(self) -> None:
        self.same(self.dev, changes.put_group, "dev", [])
        absent = "There is no group qa."
        self.refused(NotFound, absent, changes.add_member, "qa", "ann")
        self.refused(NotFound, absent, changes.remove_member, "qa", "ann")
        self.refused(NotFound, absent, changes.remove_group, "qa")

    def test_the_inis_are_left_alone(self) -> None:
        fixed = "The ini has the group ops, so that it can be changed only there"
        self.refused(Conflict, fixed, changes.put_group, "ops", [])
        self.refused(Conflict, fixed, changes.add_member, "ops", "ann")
        self.refused(Conflict, fixed, changes.remove_member, "ops", "ann")
        self.refused(Conflict, fixed, changes.remove_group, "ops")

    def test_names_that_cannot_be(self) -> None:
        for name in ("everyone", "Admin", "a:b", "", "x" * 257):
            self.refused(BadRequest, "name", changes.put_group, name, [])
        self.refused(BadRequest, "printable", changes.put_group, "dev", ["a:b"])

    def test_its_lines_go_with_it(self) -> None:
        document = changes.set_right(self.dev, INI, "acme", "group", "dev", READ)
        document = changes.set_right(document, INI, "acme", "user", "dev", READ)
        removed = changes.remove_group(document, INI, "dev")
        self.assertEqual(removed.groups, {})
        self.assertEqual([line.kind for line in removed.rights], ["user"])


class RightTests(ChangesCase):
    def test_a_line_is_set_and_removed(self) -> None:
        document = changes.set_right(EMPTY, INI, "Acme_*", "user", "ann", READ)
        (line,) = document.rights
        self.assertEqual(line.project, "acme-*")
        self.assertEqual(line.source, "the access document")
        self.same(document, changes.set_right, "acme-*", "user", "ann", READ)
        document = changes.set_right(document, INI, "acme-*", "user", "ann", UPLOAD)
        self.assertEqual([line.actions for line in document.rights], [UPLOAD])
        document = changes.remove_right(document, INI, "acme.*", "user", "ann")
        self.assertEqual(document.rights, ())

    def test_what_is_written_is_read_again(self) -> None:
        document = changes.set_right(EMPTY, INI, "acme", "group", "EVERYONE", READ)
        self.assertEqual(document.rights[0].name, "everyone")
        again = decode(encode(Contents(document))).document
        self.assertEqual(again.rights, document.rights)

    def test_projects_that_the_ini_decides_for(self) -> None:
        for project in ("corp-tool", "corp-*", "corp-tool-*", "corp-?", "fixed"):
            self.refused(
                Conflict,
                "Only the ini says who may do what",
                *(changes.set_right, project, "user", "ann", READ),
            )
        for project in ("corp", "cor*", "*", "fixed-*", "acme"):
            changes.set_right(EMPTY, INI, project, "user", "ann", READ)

    def test_a_question_mark_is_no_star(self) -> None:
        ini = evolve(INI, rights=(RightLine("a?", "user", "root", READ, "x"),))
        changes.set_right(EMPTY, ini, "a*", "user", "ann", READ)
        with self.assertRaises(Conflict):
            changes.set_right(EMPTY, ini, "a?", "user", "ann", READ)
        with self.assertRaises(Conflict):
            changes.set_right(EMPTY, ini, "ab", "user", "ann", READ)

    def test_what_cannot_be(self) -> None:
        set_right = changes.set_right
        self.refused(BadRequest, "neither a name", set_right, "a/b", "user", "x", READ)
        self.refused(BadRequest, "printable", set_right, "acme", "user", "a:b", READ)
        self.refused(BadRequest, "no group", set_right, "acme", "group", "none", READ)
        deleting = frozenset({Action.DELETE})
        self.refused(BadRequest, "read", set_right, "acme", "user", "ann", deleting)

    def test_what_is_not_there(self) -> None:
        remove = changes.remove_right
        self.refused(
            NotFound, "no right of user ann to acme", remove, "acme", "user", "ann"
        )
        self.refused(
            Conflict, "package.fixed.user.root", remove, "fixed", "user", "root"
        )

    def test_one_that_the_ini_keeps_from_counting_can_be_removed(self) -> None:
        document = changes.set_right(
            EMPTY, AccessSettings(), "fixed", "user", "ann", READ
        )
        document = changes.remove_right(document, INI, "fixed", "user", "ann")
        self.assertEqual(document.rights, ())


class PublisherTests(ChangesCase):
    def test_one_comes_and_goes(self) -> None:
        document = changes.put_publisher(EMPTY, INI, publisher("ci"))
        kept = document.publishers["ci"]
        self.assertEqual(kept.projects, ("acme-tool",))
        self.assertEqual(kept.source, "the access document, publisher ci")
        self.same(document, changes.put_publisher, publisher("ci"))
        self.assertEqual(changes.remove_publisher(document, INI, "ci").publishers, {})

    def test_the_inis_are_left_alone(self) -> None:
        fixed = "The ini has the publisher nightly"
        nightly = publisher("nightly")
        self.refused(Conflict, fixed, changes.put_publisher, nightly)
        self.refused(Conflict, fixed, changes.remove_publisher, "nightly")

    def test_what_cannot_be(self) -> None:
        put = changes.put_publisher
        self.refused(BadRequest, "claims", put, evolve(publisher("ci"), claims=()))
        self.refused(BadRequest, "projects", put, evolve(publisher("ci"), projects=()))
        bad = evolve(publisher("ci"), projects=("a/b",))
        self.refused(BadRequest, "neither a name", put, bad)
        self.refused(NotFound, "no publisher ci", changes.remove_publisher, "ci")


class SecretTests(SynchronousTestCase):
    def test_a_hash_is_in_no_repr(self) -> None:
        document = AccessDocument({"ann": StoredUser(HASH)})
        self.assertNotIn(HASH, repr(document))
