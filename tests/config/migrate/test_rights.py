"""Users, groups and rights of pypicloud 1.x: nothing that was closed is open."""

from __future__ import annotations

import gzip
import json
import sqlite3
from contextlib import closing
from pathlib import Path

from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.utils import canonicalize_name

from pypicloud_tw.access.policy import Policy
from pypicloud_tw.access.principal import ANONYMOUS, Principal
from pypicloud_tw.access.settings import AccessSettings
from pypicloud_tw.config.example import ini_text
from pypicloud_tw.config.load import load
from pypicloud_tw.config.migrate.convert import Migrated, migrate
from pypicloud_tw.errors import ConfigError
from tests.access.doubles import letters
from tests.access.test_rights import TABLE
from tests.config.migrate.test_convert import MigrateTestCase
from tests.config.test_load import SHA256_CRYPT

#: The example of pypicloud 1.x's own documentation of its access control.
DOCUMENTED = f"""
[app:main]
pypi.storage = file
user.stevearc = {SHA256_CRYPT}
user.dsa = {SHA256_CRYPT}
user.donlan = {SHA256_CRYPT}
group.sharkfest =
    stevearc
    dsa
group.brotatos =
    donlan
    dsa
package.django_unchained.user.stevearc = rw
package.django_unchained.group.sharkfest = rw
package.polite_requests.user.dsa = rw
package.polite_requests.group.authenticated = r
package.polite_requests.group.brotatos = rw
package.pyramid_head.group.brotatos = rw
package.pyramid_head.group.everyone = r
"""

#: ... and its table: django_unchained, polite_requests, pyramid_head.
DOCUMENTED_TABLE = {
    "stevearc": "rw r r",
    "dsa": "rw rw rw",
    "donlan": "- rw rw",
    None: "- - r",
}


@frozen
class Former:
    """The rules of pypicloud 1.3 for one old ini, by the settings in it."""

    old: dict[str, str]

    def may(self, user: str | None, word: str, project: str) -> bool:
        """Whether it lets somebody, by its code or by what its ini says."""
        if user in self.old.get("auth.admins", "").split():
            return True
        return any(self._given(user, word, lines) for lines in self._lines(project))

    def _lines(self, project: str) -> list[list[tuple[str, str, str]]]:
        found = []
        for normalized in (True, False):
            lines = []
            for key, text in self.old.items():
                head, *rest = key.split(".")
                if head != "package" or len(rest) < 3:
                    continue
                name = ".".join(rest[:-2])
                if name == project or (
                    normalized and canonicalize_name(name) == project
                ):
                    lines.append((rest[-2], rest[-1], text))
            found.append(lines or self._defaults())
        return found

    def _defaults(self) -> list[tuple[str, str, str]]:
        old = self.old
        reads = old.get("pypi.default_read", "authenticated").split()
        writes = old.get("pypi.default_write", "").split()
        return [("group", name, "r") for name in reads] + [
            ("group", name, "w") for name in writes
        ]

    def _given(
        self, user: str | None, word: str, lines: list[tuple[str, str, str]]
    ) -> bool:
        return any(
            self._says(text, word)
            and (name == user if kind == "user" else self._is_in(user, name))
            for kind, name, text in lines
        )

    @staticmethod
    def _says(text: str, word: str) -> bool:
        if len(text) > 2:
            return {"r": "read", "w": "write"}[word] in text.split()
        return word in text

    def _is_in(self, user: str | None, group: str) -> bool:
        if group == "everyone":
            return True
        if group == "authenticated":
            return user is not None
        return user in self.old.get(f"group.{group}", "").split()


def policy_of(migrated: Migrated, path: Path) -> Policy:
    """The policy of a server that runs with what came out."""
    path.write_text(ini_text(migrated.settings, migrated.users, grants=migrated.grants))
    return Policy(AccessSettings.of(load(path, {})))


def row(policy: Policy, user: str | None, *projects: str) -> str:
    who = ANONYMOUS if user is None else Principal(user)
    return " ".join(letters(policy, who, project) for project in projects)


NAMES = st.sampled_from(
    ("bob", "ann", "ann,", "everyone", "admin", "Everyone", "dev", "nobody", "a:b")
)
GROUPS = st.sampled_from(
    (
        "everyone",
        "authenticated",
        "dev",
        "ops,",
        "admin",
        "Authenticated",
        "nobody",
        "x",
    )
)
LISTS = st.lists(NAMES, max_size=2).map(" ".join)
GROUP_LISTS = st.lists(GROUPS, max_size=2).map(" ".join)
VALUES = st.sampled_from(
    ("r", "rw", "w", "", "none", "read write", "read, write", "rw, x", "R", "wr", "r w")
)
PACKAGES = st.sampled_from(("p", "a-b", "a_b", "a.b", "A.b", "*", "a-*", "-"))
KEYS = st.one_of(
    st.tuples(NAMES.map("group.{}".format), LISTS),
    st.tuples(st.just("auth.admins"), LISTS),
    st.tuples(st.just("pypi.default_read"), GROUP_LISTS),
    st.tuples(st.just("pypi.default_write"), GROUP_LISTS),
    st.tuples(st.builds("package.{}.user.{}".format, PACKAGES, NAMES), VALUES),
    st.tuples(st.builds("package.{}.group.{}".format, PACKAGES, GROUPS), VALUES),
    st.tuples(st.builds("package.{}.group.{}".format, PACKAGES, GROUPS), VALUES),
)


class CarriedTests(MigrateTestCase):
    def policy(self, text: str) -> Policy:
        return policy_of(self.migrate(text), self.new)

    def test_the_documented_example(self) -> None:
        migrated = self.migrate(DOCUMENTED)
        policy = policy_of(migrated, self.new)
        projects = ("django-unchained", "polite-requests", "pyramid-head")
        for user, expected in DOCUMENTED_TABLE.items():
            self.assertEqual(row(policy, user, *projects), expected, user)
        for user in DOCUMENTED_TABLE:
            # Any other project: who logs in may read, and nobody may write.
            self.assertEqual(row(policy, user, "other"), "r" if user else "-")
        self.assertIn(
            "protected nothing: django_unchained, polite_requests, pyramid_head. Here "
            "they are in force",
            "\n".join(migrated.notes),
        )

    def test_the_table(self) -> None:
        """Old files say what ours do, but for what pypicloud 1.x did not understand."""
        people = "".join(
            f"user.{n} = {SHA256_CRYPT}\n" for n in ("bob", "dev1", "boss")
        )
        base = f"[app:main]\nauth.admins = boss\ngroup.dev = dev1\n{people}"
        ours = {"a pattern", "... and no other name", "commas"}
        for what, text, project, expected in TABLE:
            if what not in ours:
                policy = self.policy(f"{base}{text}\n")
                users = (None, "bob", "dev1", "boss")
                found = " ".join(row(policy, user, project) for user in users)
                self.assertEqual(found, expected, what)

    @settings(max_examples=60)
    @given(st.lists(KEYS, max_size=7))
    def test_nothing_that_was_closed_is_open(
        self, lines: list[tuple[str, str]]
    ) -> None:
        old = {key: text for key, text in lines if ":" not in key}
        former = Former(old)
        text = "".join(f"{key} = {value}\n" for key, value in old.items())
        policy = self.policy(f"[app:main]\npypi.storage = file\n{text}")
        for user in (None, "bob", "ann", "dev", "else"):
            for project in ("p", "a-b", "a-c", "other"):
                for word in row(policy, user, project).replace("-", ""):
                    self.assertTrue(
                        former.may(user, word, project), (user, project, old)
                    )

    def test_two_spellings(self) -> None:
        policy = self.policy(
            "[app:main]\npackage.a-b.user.bob = r\npackage.a_b.user.bob = rw\n"
        )
        self.assertEqual(row(policy, "bob", "a-b"), "r")

    def test_names_that_have_no_place(self) -> None:
        migrated = self.migrate(
            "[app:main]\nauth.admins = ann, bob\ngroup.dev = eve everyone\n"
            "pypi.default_read = dev nobody\n"
        )
        self.assertEqual(migrated.settings["auth.admins"], "bob")
        self.assertEqual(migrated.settings["pypi.default_read"], "dev")
        self.assertEqual(dict(migrated.grants), {"group.dev": "eve"})
        lost = "\n".join(migrated.lost)
        for part in (
            "auth.admins: 'ann,' is left out",
            "group.dev: 'everyone' is left out",
            "pypi.default_read: 'nobody' is left out",
        ):
            self.assertIn(part, lost)


TABLES = f"""
CREATE TABLE pypicloud_users (username, password, admin, pending);
CREATE TABLE pypicloud_groups (name);
CREATE TABLE pypicloud_user_groups (username, "group");
CREATE TABLE pypicloud_user_permissions (package, "read", "write", username);
CREATE TABLE pypicloud_group_permissions (package, "read", "write", groupname);
CREATE TABLE pypicloud_keyvals ("key", value);
INSERT INTO pypicloud_users VALUES ('boss', '{SHA256_CRYPT}', 1, 0);
INSERT INTO pypicloud_users VALUES ('bob', '{SHA256_CRYPT}', 0, 0);
INSERT INTO pypicloud_users VALUES ('new', '{SHA256_CRYPT}', 0, 1);
INSERT INTO pypicloud_users VALUES ('a=b', '{SHA256_CRYPT}', 0, 0);
INSERT INTO pypicloud_groups VALUES ('dev');
INSERT INTO pypicloud_groups VALUES ('none of it');
INSERT INTO pypicloud_user_groups VALUES ('bob', 'dev');
INSERT INTO pypicloud_user_permissions VALUES ('acme_core', 1, 0, 'bob');
INSERT INTO pypicloud_group_permissions VALUES ('acme', 1, 1, 'dev');
INSERT INTO pypicloud_group_permissions VALUES ('acme', 1, 0, 'everyone');
"""

#: What all forms below say.
CARRIED = {
    "group.dev": "bob",
    "package.acme-core.user.bob": "r",
    "package.acme.group.dev": "rw",
    "package.acme.group.everyone": "r",
}

SECRET = {
    "users": {"boss": SHA256_CRYPT, "bob": SHA256_CRYPT},
    "pending_users": {"new": SHA256_CRYPT},
    "groups": {"dev": ["bob"]},
    "admins": ["boss"],
    "packages": {
        "acme_core": {"users": {"bob": ["read"]}, "groups": {}},
        "acme": {"groups": {"dev": ["read", "write"], "everyone": ["read"]}},
    },
    "allow_registration": True,
}

EXPORT = {
    "version": "1.3.12",
    "allow_register": False,
    "users": [
        {"username": "boss", "admin": True, "password": SHA256_CRYPT},
        {"username": "bob", "admin": False, "password": SHA256_CRYPT},
    ],
    "groups": {"dev": ["bob"]},
    "packages": {
        "users": {"acme_core": {"bob": ["read"]}},
        "groups": {"acme": {"dev": ["read", "write"], "everyone": ["read"]}},
    },
}


class ElsewhereTests(MigrateTestCase):
    """Users and rights that were not in the ini."""

    def setUp(self) -> None:
        super().setUp()
        self.database = self.folder / "users.db"
        with closing(sqlite3.connect(self.database)) as database:
            database.executescript(TABLES)

    def assert_carried(self, migrated: Migrated) -> None:
        grants = {k: v for k, v in migrated.grants.items() if "none of it" not in k}
        self.assertEqual(grants, CARRIED)
        self.assertEqual(sorted(migrated.users), ["bob", "boss"])
        self.assertEqual(migrated.settings["auth.admins"], "boss")
        self.assertEqual(migrated.settings["pypi.default_read"], "authenticated")
        self.assertFalse(migrated.incomplete)
        policy_of(migrated, self.new)

    def test_a_database_that_the_ini_names(self) -> None:
        before = self.database.read_bytes()
        for url in (
            "sqlite:///users.db",
            f"sqlite:///{self.database}",
            "sqlite:///%(here)s/users.db",
            "sqlite+pysqlite:///users.db",
        ):
            for key in ("auth.db.url", "db.url"):
                migrated = self.migrate(
                    f"[app:main]\npypi.auth = sql\n{key} = {url}\nuser.eve = x\n"
                )
                self.assert_carried(migrated)
                notes = "\n".join(migrated.notes)
                self.assertIn("1 users who waited", notes)
                self.assertIn("no place for a name with '='", notes)
                self.assertIn("in the old file were not used", notes)
        self.assertEqual(self.database.read_bytes(), before)

    def test_a_database_that_is_not_here(self) -> None:
        migrated = self.migrate(
            "[app:main]\npypi.auth = sql\nauth.db.url = sqlite:///other.db\n"
        )
        self.assertTrue(migrated.incomplete)
        self.assertIn("ppc-export", migrated.lost[0])

    def test_every_form(self) -> None:
        self.old.write_text("[app:main]\npypi.auth = sql\n")
        file = self.folder / "access"
        self.assert_carried(migrate(self.old, self.database))
        for document in (SECRET, EXPORT):
            text = json.dumps(document).encode()
            for data in (text, gzip.compress(text)):
                file.write_bytes(data)
                self.assert_carried(migrate(self.old, file))

    def test_what_is_none(self) -> None:
        self.old.write_text("[app:main]\npypi.auth = sql\n")
        file = self.folder / "access"
        with closing(sqlite3.connect(self.folder / "empty.db")) as database:
            database.executescript("CREATE TABLE x (y)")
        for data, part in (
            ((self.folder / "empty.db").read_bytes(), "not a database of pypicloud"),
            (b"{}", "neither a SQLite database nor"),
            (b'{"users": {"bob": 1}}', "neither a SQLite database nor"),
            (b'{"users": [1]}', "neither a SQLite database nor"),
            (b"\x1f\x8b", "neither a SQLite database nor"),
            (b"SQLite format 3\0", "not a database of pypicloud"),
        ):
            file.write_bytes(data)
            error = self.assertRaises(ConfigError, migrate, self.old, file)
            self.assertIn(part, str(error))
        error = self.assertRaises(ConfigError, migrate, self.old, self.folder / "no")
        self.assertIn("cannot be read", str(error))
