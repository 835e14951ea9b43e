"""The one object that is asked, and what it tells of its rules."""

from __future__ import annotations

from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.access import Access
from pypicloud_tw.access.document import AccessDocument
from pypicloud_tw.access.settings import AccessSettings
from tests.access.doubles import config_of, policy_of


class ObeyTests(SynchronousTestCase):
    def told(self, access: Access, text: str) -> list[str]:
        with capturedLogs() as logs:
            access.obey(AccessSettings.of(config_of(text)))
        return [formatEvent(event) for event in logs]

    def test_which_of_the_two_holds_is_told_when_it_changes(self) -> None:
        access = Access(policy_of(""), ())
        self.assertEqual(self.told(access, ""), [])
        (closed,) = self.told(access, "auth.admins = boss")
        self.assertIn("Only those may write who have been given the right", closed)
        self.assertEqual(self.told(access, "auth.admins = bob"), [])
        (opened,) = self.told(access, "")
        self.assertIn("every user may upload and delete", opened)

    def test_what_does_not_count_is_told_once(self) -> None:
        document = AccessDocument(groups={"dev": frozenset({"bob"})})
        access = Access(policy_of("", document), ())
        (told,) = self.told(access, "group.dev = dev1")
        self.assertIn("The groups dev in the access document do not count", told)
        self.assertEqual(self.told(access, "group.dev = dev1 boss"), [])
