"""Whose tokens live, as users come and go."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.document import AccessDocument, StoredUser
from pypicloud_tw.access.tokens.owners import ELSEWHERE, TokenOwners
from pypicloud_tw.access.users import Users
from tests.doubles import InlineOffload


class OwnersTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.users = Users({}, offload=InlineOffload(), clock=Clock())
        self.owners = TokenOwners(self.users.source_of)

    def document(self, **users: StoredUser) -> None:
        document = AccessDocument(users=users)
        self.users.obey(document)
        self.owners.obey(document)

    def test_nobody_else_is_known(self) -> None:
        self.assertIsNone(self.owners.identify("ann"))

    def test_whom_no_source_has_may_be_known_elsewhere(self) -> None:
        owners = TokenOwners(self.users.source_of, True)
        self.assertEqual(ELSEWHERE, owners.identify("ann"))
        document = AccessDocument(users={"ann": StoredUser(id="one")})
        self.users.obey(document)
        owners.obey(document)
        self.assertEqual("one", owners.identify("ann"))

    def test_a_user_of_the_document_is_another_after_being_removed(self) -> None:
        self.document(ann=StoredUser(id="one"))
        self.assertEqual("one", self.owners.identify("ann"))
        self.document()
        self.assertIsNone(self.owners.identify("ann"))
        self.document(ann=StoredUser(id="two"))
        self.assertEqual("two", self.owners.identify("ann"))

    def test_a_user_of_the_ini_is_not_the_documents(self) -> None:
        self.document(ann=StoredUser(id="one"))
        self.users.reload(
            {"ann": "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2g"}
        )
        self.assertEqual("", self.owners.identify("ann"))
        self.users.reload({})
        self.assertEqual("one", self.owners.identify("ann"))
