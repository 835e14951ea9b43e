"""Old ini files, of every version, into ours."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.config.configuration import Config
from pypicloud_tw.config.example import ini_text
from pypicloud_tw.config.former_keys import FORMER, RENAMED
from pypicloud_tw.config.keys import KEYS
from pypicloud_tw.config.load import load
from pypicloud_tw.config.migrate.convert import Migrated, migrate
from pypicloud_tw.errors import ConfigError
from tests.cli.test_commands import CliTestCase
from tests.config.test_load import FIRST_PROGRAM, SHA256_CRYPT

#: As the program's version 1.3 made it, filled in.
VERSION_1_3 = f"""
[DEFAULT]
workdir = /var/lib/pypicloud

[app:main]
use = egg:pypicloud

pyramid.reload_templates = False
pyramid.debug_authorization = false
pyramid.default_locale_name = en

pypi.default_read =
    authenticated

pypi.default_write =
    authenticated

pypi.storage = s3
storage.aws_access_key_id = AKIAIOSFODNN7EXAMPLE
storage.aws_secret_access_key = wJalr/100%%/EXAMPLEKEY
storage.bucket = acme-pypi
storage.region_name = eu-central-1
storage.prefix = packages/
storage.endpoint_url = http://minio:9000
storage.addressing_style = path
storage.server_side_encryption = AES256
storage.object_acl = bucket-owner-full-control
storage.expire_after = 1000000
storage.redirect_urls = true

pypi.fallback = cache
pypi.fallback_base_url = https://mirror.example.com/
pypi.disallow_fallback =
    acme-core
    acme-web
pypi.always_show_upstream = true
pypi.realm = acme
pypi.download_url = https://pypi.example.com/simple/

db.url = sqlite:///%(workdir)s/db.sqlite

auth.admins =
  alice
auth.rounds = 20000

user.alice = {SHA256_CRYPT}
user.bob = {SHA256_CRYPT}

group.devs =
    alice
    bob

package.acme_core.group.devs = rw
package.acme_core.user.bob = r

session.encrypt_key = hunter2
session.validate_key = hunter2
session.secure = True

[uwsgi]
paste = config:%p
http = 0.0.0.0:8080

[loggers]
keys = root
"""


class MigrateTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.old = self.folder / "old.ini"
        self.new = self.folder / "new.ini"

    def migrate(self, text: str) -> Migrated:
        self.old.write_text(text)
        return migrate(self.old)

    def settings(self, lines: str) -> tuple[dict[str, str], tuple[str, ...]]:
        migrated = self.migrate(f"[app:main]\n{lines}")
        return dict(migrated.settings), migrated.notes

    def config(self, text: str) -> tuple[Config, str]:
        migrated = self.migrate(text)
        self.new.write_text(
            ini_text(migrated.settings, migrated.users, grants=migrated.grants)
        )
        return load(self.new, {}), "\n".join(migrated.notes)


class WholeFileTests(MigrateTestCase):
    def test_first_program(self) -> None:
        config, notes = self.config(FIRST_PROGRAM)
        before = self.folder / "before.ini"
        before.write_text(FIRST_PROGRAM)
        expected = load(before, {})
        for section in ("server", "storage", "aws", "pypi", "users"):
            self.assertEqual(getattr(config, section), getattr(expected, section))
        self.assertEqual(
            notes, "Not needed any more: use, pyramid.*, jinja2.*, sqlalchemy.*."
        )

    def test_version_1_3(self) -> None:
        config, notes = self.config(VERSION_1_3)
        aws, pypi = config.aws, config.pypi
        self.assertEqual(aws.access_key, "AKIAIOSFODNN7EXAMPLE")
        self.assertEqual(aws.secret_key, "wJalr/100%/EXAMPLEKEY")
        self.assertEqual(
            (aws.bucket, aws.prefix, aws.region),
            ("acme-pypi", "packages/", "eu-central-1"),
        )
        self.assertEqual(
            (aws.endpoint_url, aws.addressing), ("http://minio:9000", "path")
        )
        self.assertEqual(aws.server_side_encryption, "AES256")
        self.assertEqual(aws.object_acl, "bucket-owner-full-control")
        self.assertEqual(aws.expire_after, 604800)
        self.assertEqual(pypi.default_read, ("authenticated",))
        self.assertEqual(pypi.fallback, "cache")
        self.assertEqual(pypi.fallback_url, ("https://mirror.example.com/simple/",))
        self.assertEqual(pypi.private, ("acme-core", "acme-web"))
        self.assertEqual(pypi.public_url, "https://pypi.example.com")
        self.assertEqual(config.server.listen, "tcp:8080:interface=0.0.0.0")
        self.assertEqual(sorted(config.users), ["alice", "bob"])
        self.assertEqual(config.auth.admins, ("alice",))
        self.assertEqual(pypi.default_write, ("authenticated",))
        self.assertEqual(dict(config.groups), {"devs": frozenset({"alice", "bob"})})
        self.assertEqual(
            [right.text for right in config.rights],
            ["package.acme-core.group.devs = rw", "package.acme-core.user.bob = r"],
        )
        for part in (
            "storage.expire_after = 1000000 is longer than S3 allows",
            "upstream.merge",
            "pypi.realm is left out",
            "the rights of these projects protected nothing: acme_core. Here they are",
            "Not needed any more: use, pyramid.*, db.*, auth.rounds, session.*.",
        ):
            self.assertIn(part, notes)
        self.assertNotIn("hunter2", notes)
        self.assertNotIn("EXAMPLEKEY", notes)
        self.assertNotIn("Look here", notes)

    def test_what_cannot_be_read(self) -> None:
        cases = {
            "[app:main]\njunk\n": "line 2: this line is not",
            "[loggers]\nkeys = root\n": "no settings in a section [app:main]",
            "": "no settings in a section [app:main]",
        }
        for text, sentence in cases.items():
            error = self.assertRaises(ConfigError, self.migrate, text)
            self.assertIn(sentence, str(error))
        error = self.assertRaises(ConfigError, migrate, self.folder)
        self.assertIn("this is a directory", str(error))

    def test_other_stores(self) -> None:
        for kind in ("gcs", "azure-blob", "acme.Storage"):
            error = self.assertRaises(
                ConfigError, self.settings, f"pypi.storage = {kind}\n"
            )
            self.assertIn(f"pypi.storage = {kind!r} cannot be carried", str(error))

    # Every example writes two files and reads one; the rest of the space is alike.
    @settings(max_examples=50)
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(
                    [*RENAMED, *KEYS, "storage.host", "storage.verify", "user.al"]
                ),
                st.sampled_from(
                    ["", "x", "true", "false", "60", "https://u:hunter2@h", "a # b"]
                ),
            ),
            max_size=6,
        )
    )
    def test_any_old_file(self, lines: list[tuple[str, str]]) -> None:
        """What comes out can be written, and is right but for what the notes say."""
        text = "".join(f"{key} = {value}\n" for key, value in lines)
        migrated = self.migrate(f"[app:main]\nuse = x\n{text}")
        self.new.write_text(
            ini_text(migrated.settings, migrated.users, grants=migrated.grants)
        )
        self.assertNotIn("hunter2", "".join(migrated.notes))
        try:
            load(self.new, {})
        except ConfigError as e:
            for problem in e.problems:
                self.assertTrue(problem.endswith(migrated.notes), problem)


class SettingTests(MigrateTestCase):
    def test_renamed_keys_are_ours(self) -> None:
        for old, new in RENAMED.items():
            self.assertIn(new, KEYS)
            self.assertTrue(FORMER.fullmatch(old), old)
        for name in KEYS:
            self.assertIsNone(FORMER.fullmatch(name), name)

    def test_translations(self) -> None:
        cases = {
            "storage.access_key = a\nstorage.secret_key = b": {
                "aws.access_key": "a",
                "aws.secret_key": "b",
            },
            "storage.host = ceph:8080\nstorage.is_secure = false": {
                "aws.endpoint_url": "http://ceph:8080"
            },
            "aws.host = ceph": {"aws.endpoint_url": "https://ceph"},
            "storage.host = http://ceph:8080": {"aws.endpoint_url": "http://ceph:8080"},
            "storage.calling_format = OrdinaryCallingFormat": {
                "aws.addressing": "path"
            },
            "storage.calling_format = SubdomainCallingFormat": {},
            "storage.server_side_encryption = true": {
                "aws.server_side_encryption": "AES256"
            },
            "storage.server_side_encryption = false": {},
            "pypi.stream_files = true": {"aws.link": "stream"},
            "pypi.fallback = mirror": {"pypi.fallback": "cache"},
            "pypi.fallback = none\npypi.use_fallback = true": {"pypi.fallback": "none"},
            "pypi.use_fallback = false": {"pypi.use_fallback": "false"},
            "pypi.fallback_base_url = http://a\npypi.fallback_url = http://b": {
                "pypi.fallback_url": "http://a/simple/"
            },
            "auth.zero_security_mode = true": {
                "pypi.default_read": "everyone",
                "pypi.default_write": "authenticated",
            },
            "pypi.default_read = devs everyone": {"pypi.default_read": "devs everyone"},
            "pypi.default_write = devs": {"pypi.default_write": "devs"},
            "pypi.allow_delete_groups =": {"pypi.allow_delete_groups": ""},
            "pypi.allow_delete = false": {"pypi.allow_delete_groups": ""},
            "pypi.allow_overwrite_groups = admin": {
                "pypi.allow_overwrite_groups": "admin"
            },
            "auth.admins = al": {"auth.admins": "al"},
            "storage.dir = /p\npypi.storage = file": {"storage.dir": "/p"},
        }
        for lines, expected in cases.items():
            settings, _ = self.settings(f"use = x\n{lines}\n")
            if settings.get("pypi.default_read") == "authenticated":
                del settings["pypi.default_read"]
            if settings.get("pypi.default_write") == "":
                del settings["pypi.default_write"]
            if "pypi.fallback" not in expected:
                # What was the default there is not here, and is written down.
                settings.pop("pypi.fallback", None)
            self.assertEqual(settings, expected, lines)

    def test_the_default_of_the_fallback_stays(self) -> None:
        """It was redirect in pypicloud 1.x, and is written down."""
        for lines in ("", "pypi.fallback =", "pypi.use_fallback = true"):
            settings, _ = self.settings(f"pypi.storage = file\n{lines}\n")
            self.assertEqual(settings["pypi.fallback"], "redirect", lines)
        for lines in ("pypi.fallback = none", "pypi.use_fallback = false"):
            settings, _ = self.settings(f"pypi.storage = file\n{lines}\n")
            self.assertNotEqual(settings.get("pypi.fallback"), "redirect", lines)
        config, _ = self.config("[app:main]\npypi.storage = file\n")
        self.assertEqual(config.pypi.fallback, "redirect")

    def test_ca_file(self) -> None:
        (self.folder / "ca.pem").write_text("")
        settings, _ = self.settings("storage.verify = ca.pem\n")
        self.assertEqual(settings["aws.ca_file"], "ca.pem")
        _, notes = self.settings("storage.verify = false\n")
        self.assertIn("certificates are always verified", notes[0])

    def test_place(self) -> None:
        both = "storage.dir = /p\nstorage.bucket = acme\n"
        settings, notes = self.settings(f"pypi.storage = file\n{both}")
        self.assertNotIn("aws.bucket", settings)
        self.assertIn("aws.bucket is left out: it was not used.", notes)
        for lines in (both, f"pypi.storage = s3\n{both}"):
            settings, notes = self.settings(lines)
            self.assertNotIn("storage.dir", settings)
            self.assertIn("storage.dir is left out: it was not used.", notes)
        _, notes = self.settings("storage.dir = p\n")
        self.assertIn("began at the server's working folder", notes[0])

    def test_waitress_had_defaults(self) -> None:
        migrated = self.migrate(
            "[app:main]\nuse = x\n[server:main]\nuse = egg:waitress#main\nhost = ::1\n"
        )
        self.assertEqual(
            dict(migrated.settings), {"server.host": "::1", "server.port": "8080"}
        )

    def test_references(self) -> None:
        settings, _ = self.settings(
            "root = %(here)s/data\nstorage.dir = %(root)s/%(none)s/%%(here)s/100%\n"
        )
        expected = f"{self.folder}/data/%(none)s/%(here)s/100%"
        self.assertEqual(settings["storage.dir"], expected)
        settings, _ = self.settings("a = %(b)s\nb = %(a)s\nstorage.dir = /%(a)s\n")
        self.assertIn("%(", settings["storage.dir"])

    def test_short_signatures(self) -> None:
        settings, notes = self.settings("aws.bucket = acme\naws.expire_after = 200\n")
        self.assertEqual(settings["aws.buffer_time"], "100")
        self.assertIn("aws.buffer_time is 100 now", notes[0])

    def test_wrong_values_are_left_out(self) -> None:
        settings, notes = self.settings("storage.bucket = s3://acme\n")
        self.assertNotIn("aws.bucket", settings)
        self.assertIn("storage.bucket is left out: aws.bucket = 's3://acme'", notes[0])

    def test_contradictions_are_told(self) -> None:
        _, notes = self.settings("aws.bucket = acme\naws.access_key = a\n")
        self.assertIn("belong together", notes[0])


class RightsTests(MigrateTestCase):
    def test_defaults(self) -> None:
        """They were not ours, and are written down."""
        settings, notes = self.settings("pypi.storage = file\n")
        self.assertEqual(settings["pypi.default_read"], "authenticated")
        self.assertEqual(settings["pypi.default_write"], "")
        self.assertEqual(notes, ())
        settings, notes = self.settings("pypi.default_read = devs ops\n")
        self.assertEqual(settings["pypi.default_read"], "devs ops")
        self.assertEqual(notes, ())

    def test_users_elsewhere(self) -> None:
        for key in ("pypi.auth", "pypi.access_backend"):
            for kind in ("sql", "pypicloud.access.RemoteAccessBackend"):
                migrated = self.migrate(
                    f"[app:main]\n{key} = {kind}\npypi.default_read = everyone\n"
                    f"package.p.user.bob = rw\nuser.bob = {SHA256_CRYPT}\n"
                )
                told = "\n".join(migrated.notes)
                self.assertIn("kept users and their rights elsewhere", told)
                self.assertIn("read here with --access=FILE", told)
                self.assertIn("in the old file were not used", told)
                self.assertTrue(migrated.incomplete)
                self.assertEqual(migrated.settings["pypi.default_read"], "")
                self.assertEqual(migrated.settings["pypi.default_write"], "")
                self.assertEqual((migrated.users, migrated.grants), ({}, {}))
            _, notes = self.settings(f"{key} = config\n")
            self.assertEqual(notes, ())
            migrated = self.migrate(f"[app:main]\n{key} = ldap\n")
            self.assertIn("elsewhere", migrated.notes[0])
            self.assertFalse(migrated.incomplete)
        _, notes = self.settings("pypi.auth = aws_secrets_manager\n")
        self.assertIn("aws secretsmanager get-secret-value", notes[0])

    def test_users(self) -> None:
        migrated = self.migrate(
            f"[app:main]\nuser.Al = {SHA256_CRYPT}\nuser.bo = hunter2\n"
            f"user.everyone = {SHA256_CRYPT}\n"
        )
        self.assertEqual(dict(migrated.users), {"Al": SHA256_CRYPT})
        notes = "\n".join(migrated.notes)
        self.assertIn("user.bo is left out: its password's hash", notes)
        self.assertIn("means a group", notes)
        self.assertNotIn("hunter2", notes)

    def test_other_keys(self) -> None:
        cases = {
            "pypi.cache_update = devs": "may read causes",
            "storage.redirect_urls = false": "aws.link = signed",
            "storage.cloud_front_domain = https://x": "CloudFront is not used",
            "storage.profile_name = acme": "AWS_PROFILE",
            "auth.ldap.url = ldap://x": "begin with StartTLS now",
            "auth.ldap.ignore_cert = true": "always checked",
            "auth.db.url = sqlite:///x": "users are kept in the ini",
            "auth.signing_key = hunter2": "no registration tokens",
            "storage.calling_format = VHostCallingFormat": "has no place here",
            "acme.secret = hunter2": "acme.secret is left out: it is not known here",
        }
        for lines, sentence in cases.items():
            _, notes = self.settings(f"{lines}\n")
            self.assertIn(sentence, notes[0])
            self.assertNotIn("hunter2", "".join(notes))


#: The users and groups of the cases below.
PEOPLE = f"""
user.alice = {SHA256_CRYPT}
user.bob = {SHA256_CRYPT}
user.carol = {SHA256_CRYPT}
group.devs = alice
    bob
group.all = alice bob carol
auth.admins = alice
"""


class CommandTests(CliTestCase):
    def test_lost_permissions(self) -> None:
        """They are told apart from the rest, and last."""
        old = self.folder / "old.ini"
        old.write_text(
            f"[app:main]\ndb.url = x\n{PEOPLE}package.p.user.bob = read, write\n"
            "package.q.group.admin = rw\ngroup.admin = bob\npackage.?.user.bob = r\n"
        )
        self.environ = {"PPC_AUTH_SIGNING_KEY": "hunter2"}
        result = self.run_command("migrate", old, self.ini)
        self.assertEqual((result.exit_code, result.stdout), (0, ""))
        before, _, lost = result.stderr.partition("\nPermissions that are lost:\n")
        self.assertIn("Not needed any more: db.*", before)
        self.assertIn("PPC_AUTH_SIGNING_KEY", before)
        self.assertNotIn("hunter2", result.stderr)
        self.assertNotIn("Not needed", lost)
        for part in (
            "- group.'admin' is left out: This name means a group that is there",
            "- 'package.q.group.admin' is left out: that group is left out.",
            "- package.? is left out: no project has that name.",
            "- package.p.user.bob was 'read, write', of which pypicloud 1.x understood "
            "w; so it is here. As it is written it would be rw.",
        ):
            self.assertIn(part, lost)
        config = load(self.ini, {})
        self.assertEqual(sorted(config.users), ["alice", "bob", "carol"])
        self.assertEqual(
            [right.text for right in config.rights],
            ["package.p.user.bob = w", "package.q.group.authenticated = none"],
        )

    def test_users_and_rights_elsewhere(self) -> None:
        old = self.folder / "old.ini"
        old.write_text("[app:main]\npypi.auth = sql\nauth.db.url = postgresql://x\n")
        result = self.run_command("migrate", old, self.ini)
        self.assertEqual(result.exit_code, 3)
        self.assertIn("Users and rights are missing", result.stderr.splitlines()[-1])
        access = self.folder / "access.json"
        access.write_text(
            f'{{"users": {{"bob": "{SHA256_CRYPT}"}}, "admins": ["bob"]}}'
        )
        text = self.succeed("migrate", old, "--access", access)
        self.assertIn("\nauth.admins = bob\n", text)
        self.assertIn("\nuser.bob = $5$", text)
        access.write_text("no json")
        problem = self.fail_with(2, "migrate", old, "--access", access)
        self.assertIn("neither a SQLite database nor a JSON document", problem)

    def test_nothing_is_lost(self) -> None:
        self.ini.write_text(FIRST_PROGRAM)
        result = self.run_command("migrate", self.ini)
        self.assertEqual(result.exit_code, 0)
        self.assertNotIn("lost", result.stderr)

    def test_migrate(self) -> None:
        old = self.folder / "old.ini"
        old.write_text(VERSION_1_3)
        result = self.run_command("migrate", old, self.ini)
        self.assertEqual((result.exit_code, result.stdout), (0, ""))
        self.assertIn("acme_core", result.stderr)
        self.assertEqual(load(self.ini, {}).aws.bucket, "acme-pypi")
        self.assertEqual(self.ini.stat().st_mode & 0o777, 0o600)
        self.assertIn("is there already", self.fail_with(1, "migrate", old, self.ini))
        self.succeed("migrate", old, self.ini, "--force")

    def test_standard_output(self) -> None:
        self.ini.write_text(FIRST_PROGRAM)
        self.assertIn("\naws.bucket = acme-pypi\n", self.succeed("migrate", self.ini))

    def test_mistakes(self) -> None:
        self.assertIn("no such file", self.fail_with(2, "migrate", self.ini))

    def test_check_names_it(self) -> None:
        self.ini.write_text(VERSION_1_3)
        text = self.fail_with(1, "check", self.ini)
        begin = "this is a file of pypicloud 1.x: use migrate. "
        self.assertTrue(text.startswith(begin), text)
        self.assertIn(f"pypicloud migrate {self.ini} translates it", text)
        self.assertIn("there is no key 'storage.bucket'; here it is aws.bucket.", text)
        self.assertNotIn("hunter2", text)
