"""Old ini files, of every version, into ours."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.config.example import ini_text
from pypicloud_tw.config.former_keys import FORMER, RENAMED
from pypicloud_tw.config.keys import KEYS
from pypicloud_tw.config.load import Config, load
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
        self.new.write_text(ini_text(migrated.settings, migrated.users))
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
        self.assertEqual(pypi.default_read, "authenticated")
        self.assertEqual(pypi.fallback, "cache")
        self.assertEqual(pypi.fallback_url, ("https://mirror.example.com/simple/",))
        self.assertEqual(pypi.private, ("acme-core", "acme-web"))
        self.assertEqual(pypi.public_url, "https://pypi.example.com")
        self.assertEqual(config.server.listen, "tcp:8080:interface=0.0.0.0")
        self.assertEqual(sorted(config.users), ["alice", "bob"])
        for part in (
            "storage.expire_after = 1000000 is longer than S3 allows",
            "upstream.merge",
            "pypi.realm is left out",
            "auth.admins is left out",
            "group.devs = 'alice bob' is left out: there are no groups here yet",
            "package.acme_core.group.devs is left out: there are no rights of single",
            "package.acme_core.user.bob is left out",
            "whoever may read or upload anything may do so with this project, too",
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
        self.new.write_text(ini_text(migrated.settings, migrated.users))
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
            "auth.zero_security_mode = true": {"pypi.default_read": "everyone"},
            "pypi.default_read = devs everyone": {"pypi.default_read": "everyone"},
            "storage.dir = /p\npypi.storage = file": {"storage.dir": "/p"},
        }
        for lines, expected in cases.items():
            settings, _ = self.settings(f"use = x\n{lines}\n")
            if settings.get("pypi.default_read") == "authenticated":
                del settings["pypi.default_read"]
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
    def test_nothing_is_opened_without_a_word(self) -> None:
        settings, notes = self.settings("pypi.storage = file\n")
        self.assertEqual(settings["pypi.default_read"], "authenticated")
        self.assertIn("Look here: every user of the new file may upload", notes[0])
        settings, notes = self.settings("pypi.default_read = devs ops\n")
        self.assertEqual(settings["pypi.default_read"], "authenticated")
        self.assertIn("Look here: pypi.default_read was 'devs ops'", notes[0])

    def test_users_elsewhere(self) -> None:
        for key in ("pypi.auth", "pypi.access_backend"):
            for kind in ("sql", "ldap", "pypicloud.access.RemoteAccessBackend"):
                _, notes = self.settings(f"{key} = {kind}\n")
                self.assertIn("kept users and their rights elsewhere", notes[0])
            _, notes = self.settings(f"{key} = config\n")
            self.assertNotIn("elsewhere", notes[0])

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
            "pypi.default_write = everyone": "must be a user",
            "pypi.allow_delete = false": "may remove, too",
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


class OpenedTests(MigrateTestCase):
    """Whether somebody may read now who could not: pypicloud 1.3's own rules."""

    def judge(self, lines: str, people: str = PEOPLE) -> Migrated:
        return self.migrate(f"[app:main]\npypi.storage = file\n{people}{lines}\n")

    def test_projects(self) -> None:
        cases = {
            "package.p.group.devs = rw": "p could be read by alice, bob; now by every",
            "package.p.user.bob = r": "p could be read by alice, bob; now by every",
            # By nobody but administrators.
            "package.p.user.bob =": "p could be read by alice; now by every user",
            "package.p.user.bob = w": "p could be read by alice; now by every user",
            "package.p.group.admin = rw": "p could be read by alice; now",
            "package.p.group.nobody = rw": "p could be read by alice; now",
            "package.zope.p.user.bob = r": "zope.p could be read by alice, bob; now",
            "pypi.default_read = everyone\npackage.p.group.authenticated = r": (
                "p could be read by alice, bob, carol; now by everyone."
            ),
        }
        for lines, sentence in cases.items():
            migrated = self.judge(lines)
            self.assertTrue(migrated.opened, lines)
            self.assertIn(sentence, "\n".join(migrated.lost))
        for lines in (
            "",
            "pypi.default_read = everyone",
            "package.p.group.all = r",
            "package.p.group.authenticated = rw",
            "package.p.group.everyone = r",
            "package.p.user.bob = r\npackage.p.user.carol = rw",
            "pypi.default_read = everyone\npackage.p.group.everyone = r",
            "package.p.user.bob = r\npypi.zero_security_mode = true",
        ):
            self.assertFalse(self.judge(lines).opened, lines)

    def test_default(self) -> None:
        for groups in ("devs", "", "nobody"):
            migrated = self.judge(f"pypi.default_read = {groups}")
            self.assertTrue(migrated.opened, groups)
            self.assertIn("pypi.default_read was", "\n".join(migrated.lost))
        for groups in ("authenticated", "everyone", "devs everyone", "all"):
            self.assertFalse(self.judge(f"pypi.default_read = {groups}").opened)

    def test_users_who_are_not_in_the_file(self) -> None:
        """Who they are is not known, so nothing is taken for open to them."""
        self.assertTrue(self.judge("package.p.group.devs = r", people="").opened)
        self.assertTrue(self.judge("pypi.default_read = devs", people="").opened)
        self.assertTrue(self.judge("pypi.auth = sql", people="").opened)
        self.assertFalse(self.judge("pypi.auth = config", people="").opened)
        self.assertTrue(
            self.judge("package.p.group.devs = r", "user.bo = some hash\n").opened
        )

    def test_many_names(self) -> None:
        users = "".join(f"user.u{n} = {SHA256_CRYPT}\n" for n in range(9))
        rights = "".join(f"package.p.user.u{n} = r\n" for n in range(8))
        (told,) = [
            note for note in self.judge(rights, users).lost if "be read by" in note
        ]
        self.assertIn("by u0, u1, u2, u3, u4 and 3 more; now", told)

    def test_what_is_lost_comes_last(self) -> None:
        migrated = self.migrate(VERSION_1_3)
        self.assertEqual(migrated.notes, migrated.changes + migrated.lost)
        for part in ("group.devs", "package.acme_core", "auth.admins"):
            self.assertTrue(any(part in note for note in migrated.lost), part)
            self.assertFalse(any(part in note for note in migrated.changes), part)


class CommandTests(CliTestCase):
    def test_lost_permissions(self) -> None:
        """They are told apart from the rest, and last; the exit code tells, too."""
        old = self.folder / "old.ini"
        old.write_text(f"[app:main]\ndb.url = x\n{PEOPLE}package.p.user.bob = rw\n")
        self.environ = {"PPC_AUTH_SIGNING_KEY": "hunter2"}
        result = self.run_command("migrate", old, self.ini)
        self.assertEqual((result.exit_code, result.stdout), (3, ""))
        before, _, lost = result.stderr.partition("\nPermissions that are lost:\n")
        self.assertIn("Not needed any more: db.*", before)
        self.assertIn("PPC_AUTH_SIGNING_KEY", before)
        self.assertNotIn("hunter2", result.stderr)
        self.assertNotIn("Not needed", lost)
        for part in (
            "- group.devs = 'alice bob' is left out",
            "- package.p.user.bob is left out",
            "- auth.admins is left out",
            "- Look here: every user of the new file may upload",
            "- Look here: p could be read by alice, bob; now by every user.",
        ):
            self.assertIn(part, lost)
        self.assertIn("Read protection is lost", lost.splitlines()[-1])
        self.assertEqual(sorted(load(self.ini, {}).users), ["alice", "bob", "carol"])

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
        self.assertIn("group.devs", result.stderr)
        self.assertEqual(load(self.ini, {}).aws.bucket, "acme-pypi")
        self.assertEqual(self.ini.stat().st_mode & 0o777, 0o600)
        self.assertIn("is there already", self.fail_with(1, "migrate", old, self.ini))
        self.succeed("migrate", old, self.ini, "--force")

    def test_standard_output(self) -> None:
        self.ini.write_text(FIRST_PROGRAM)
        self.assertIn("\naws.bucket = acme-pypi\n", self.succeed("migrate", self.ini))

    def test_mistakes(self) -> None:
        self.assertIn("no such file", self.fail_with(1, "migrate", self.ini))

    def test_check_names_it(self) -> None:
        self.ini.write_text(VERSION_1_3)
        text = self.fail_with(1, "check", self.ini)
        begin = "this is a file of pypicloud 1.x: use migrate. "
        self.assertTrue(text.startswith(begin), text)
        self.assertIn(f"pypicloud migrate {self.ini} translates it", text)
        self.assertIn("there is no key 'storage.bucket'; here it is aws.bucket.", text)
        self.assertNotIn("hunter2", text)
