"""The rules of rights: the table of what pypicloud 1.x did, and what is ours."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.principal import ANONYMOUS, Principal
from tests.access.doubles import policy_of, row

WHO = {
    "anonymous": ANONYMOUS,
    "bob": Principal("bob"),
    "dev1": Principal("dev1"),
    "boss": Principal("boss"),
}

BASE = """
auth.admins = boss
group.dev = dev1
"""

#: pypicloud 1.x let only users read where its ini did not say; ours lets everyone.
CLOSED = "pypi.default_read = authenticated\n"
OPEN = "pypi.default_read = everyone\npypi.default_write = authenticated\n"

#: What pypicloud 1.3's own modules answer to anonymous, bob, dev1 (in the group dev)
#: and an administrator, but for the rows that say so.
TABLE = (
    ("nothing", CLOSED, "p", "- r r rw"),
    ("everyone reads", "pypi.default_read = everyone", "p", "r r r rw"),
    (
        "groups by default",
        "pypi.default_read = dev\npypi.default_write = dev",
        "p",
        "- - rw rw",
    ),
    ("users write", OPEN, "p", "r rw rw rw"),
    ("a line of its own closes", f"{OPEN}package.p.user.bob = r", "p", "- r - rw"),
    ("... no other project", f"{OPEN}package.p.user.bob = r", "q", "r rw rw rw"),
    (
        "lines add up",
        f"{OPEN}package.p.group.dev = rw\npackage.p.user.dev1 = r",
        "p",
        "- - rw rw",
    ),
    ("an empty line closes", f"{OPEN}package.p.user.bob =", "p", "- - - rw"),
    ("none closes", f"{OPEN}package.p.user.bob = none", "p", "- - - rw"),
    (
        "everyone as a group",
        f"{OPEN}package.p.user.bob = w\npackage.p.group.everyone = r",
        "p",
        "r rw r rw",
    ),
    ("users", f"{OPEN}package.p.group.authenticated = rw", "p", "- rw rw rw"),
    ("administrators", f"{OPEN}package.p.group.admin = rw", "p", "- - - rw"),
    (
        "everyone writes",
        f"{CLOSED}pypi.default_write = everyone",
        "p",
        "w rw rw rw",
    ),
    # Ours: pypicloud 1.x had no patterns,
    (
        "a pattern",
        "pypi.default_read = everyone\npackage.acme-*.user.bob = rw",
        "acme-tool",
        "- rw - rw",
    ),
    (
        "... and no other name",
        "pypi.default_read = everyone\npackage.acme-*.user.bob = rw",
        "acme",
        "r r r rw",
    ),
    # matched raw names only,
    (
        "normalised",
        f"{OPEN}package.django_unchained.user.bob = rw",
        "django-unchained",
        "- rw - rw",
    ),
    # passed over names with dots,
    (
        "dots",
        f"{OPEN}package.zope.interface.user.bob = rw",
        "zope-interface",
        "- rw - rw",
    ),
    # and took a comma between words for the end of the first.
    ("commas", f"{OPEN}package.p.user.bob = read, write", "p", "- rw - rw"),
    ("words", f"{OPEN}package.p.user.bob = read write", "p", "- rw - rw"),
)


class TableTests(SynchronousTestCase):
    def test_table(self) -> None:
        for what, text, project, expected in TABLE:
            policy = policy_of(f"{BASE}{text}")
            self.assertEqual(row(policy, WHO, project), expected, what)
