"""The configuration: what is read, what wins, and every mistake at once."""

from __future__ import annotations

import os
from ipaddress import ip_network
from pathlib import Path
from typing import ClassVar

import attrs
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.config.configuration import Config
from pypicloud_tw.config.key import variable
from pypicloud_tw.config.keys import FILE_KEYS, KEYS, SECTIONS, document_keys
from pypicloud_tw.config.load import load
from pypicloud_tw.config.sections.upstream import OSV_OF_PYPI
from pypicloud_tw.errors import ConfigError

REPOSITORY = Path(__file__).absolute().parents[2]

#: The password is "gunface".
SHA256_CRYPT = (
    "$5$rounds=80000$yiWi67QBJLDTvbI/$d6qIG/bIoM3hp0lxH8v/vzxg8Qc4CJbxbxiUH4MlnE7"
)

#: As pypicloud 1.x's own development.ini was, with its blanks filled in.
FIRST_PROGRAM = f"""
###
# app configuration
###

[app:main]
use = egg:pypicloud

pyramid.reload_templates = true
pyramid.debug_authorization = false
pyramid.default_locale_name = en
pyramid.includes =\x20
    pyramid_jinja2
    pyramid_tm

jinja2.filters =
    route_url = pyramid_jinja2.filters:route_url_filter

jinja2.directories = pypicloud:templates

aws.access_key = AKIAIOSFODNN7EXAMPLE
aws.secret_key = wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY
aws.bucket = acme-pypi
aws.prefix = packages/
aws.expire_after = 3600
aws.buffer_time = 600

pypi.use_fallback = True
pypi.fallback_url = http://pypi.python.org/simple

user.Alice = {SHA256_CRYPT}

sqlalchemy.url = sqlite:///%(here)s/db.sqlite

[server:main]
use = egg:waitress#main
host = 0.0.0.0
port = 8080

[loggers]
keys = root,\x20

[handlers]
keys = console

[formatters]
keys = generic

[logger_root]
level = INFO
handlers = console

[logger_]
level = DEBUG
handlers =
qualname =\x20

[handler_console]
class = StreamHandler
args = (sys.stderr,)
level = NOTSET
formatter = generic

[formatter_generic]
format = %(asctime)s %(levelname)-5.5s [%(name)s][%(threadName)s] %(message)s
"""


class ConfigTestCase(SynchronousTestCase):
    """Loads what a test writes."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.ini = self.folder / "x.ini"

    def load(self, text: str = "[pypicloud]\n", **environ: str) -> Config:
        self.ini.write_text(text, encoding="utf-8")
        return load(self.ini, environ)

    def problems(self, text: str = "[pypicloud]\n", **environ: str) -> tuple[str, ...]:
        error = self.assertRaises(ConfigError, self.load, text, **environ)
        problems: tuple[str, ...] = error.problems
        self.assertEqual(str(error), "\n".join(problems))
        return problems

    def problem(self, text: str = "[pypicloud]\n", **environ: str) -> str:
        problems = self.problems(text, **environ)
        self.assertEqual(len(problems), 1, problems)
        return problems[0]


class SourceTests(ConfigTestCase):
    def test_a_cooldown_where_there_is_no_file(self) -> None:
        for environ, wanted in (
            ({"PYPICLOUD_UPSTREAM_MIN_AGE": "0"}, 0),
            ({"PYPICLOUD_UPSTREAM_MIN_AGE": "3d"}, 3 * 86400),
            ({"PYPICLOUD_PYPI_FALLBACK": "none"}, None),
            ({"PYPICLOUD_PYPI_FALLBACK": "redirect"}, None),
        ):
            config = load(None, {"PYPICLOUD_ADVISORIES_SOURCE": "none", **environ})
            self.assertEqual(config.upstream.min_age, wanted, environ)
            self.assertEqual(config.notices, (), environ)
        # A file is as it stands there.
        self.assertIsNone(self.load("[pypicloud]\n").upstream.min_age)

    def test_advisories_where_there_is_no_file(self) -> None:
        mirror = "https://mirror.example/all.zip"
        for environ, wanted in (
            ({}, OSV_OF_PYPI),
            # A template whose value was not set lifts no protection.
            ({"PYPICLOUD_ADVISORIES_SOURCE": ""}, OSV_OF_PYPI),
            ({"PYPICLOUD_ADVISORIES_SOURCE": "none"}, None),
            ({"PYPICLOUD_ADVISORIES_SOURCE": mirror}, mirror),
            ({"PYPICLOUD_PYPI_FALLBACK": "none"}, None),
            ({"PYPICLOUD_PYPI_FALLBACK": "redirect"}, None),
        ):
            config = load(None, environ)
            self.assertEqual(config.advisories.source, wanted, environ)
            told = any("mirror of it, or none" in n for n in config.notices)
            self.assertEqual(told, wanted == OSV_OF_PYPI, environ)
        # A file is as it stands there.
        self.assertIsNone(self.load("[pypicloud]\n").advisories.source)
        none = "[pypicloud]\nadvisories.source = none\n"
        self.assertIsNone(self.load(none).advisories.source)

    def test_an_environment_without_advisories(self) -> None:
        """An empty variable lifts nothing that the ini has; a word does."""
        ini = f"[pypicloud]\nadvisories.source = {OSV_OF_PYPI}\n"
        problem = self.problem(ini, PYPICLOUD_ADVISORIES_SOURCE="")
        self.assertIn("which would lift advisories.source", problem)
        config = self.load(ini, PYPICLOUD_ADVISORIES_SOURCE="none")
        self.assertIsNone(config.advisories.source)

    def test_advisories_that_are_not_used(self) -> None:
        security = "upstream.min_age.security = 1d\n"
        (notice,) = self.load(f"[pypicloud]\n{security}").notices
        self.assertEqual(
            notice,
            "upstream.min_age.security is not used, as advisories.source is not set.",
        )
        nowhere = f"[pypicloud]\n{security}advisories.source = nowhere.zip\n"
        (notice,) = self.load(nowhere).notices
        self.assertIn("nothing is there. Until something is, known malware", notice)
        (notice,) = self.load(f"{nowhere}advisories.when_away = closed\n").notices
        self.assertIn("nothing of the other index is let through", notice)

    def test_nothing(self) -> None:
        config = load(None, {"HOME": "/root", "AWS_SECRET_ACCESS_KEY": "x"})
        self.assertEqual(config.storage.dir, Path.cwd() / "packages")
        self.assertEqual(config.server.listen, "tcp:6543:interface=127.0.0.1")
        self.assertEqual(config.pypi.default_read, ("everyone",))
        self.assertEqual(config.users, {})
        # Safe without having asked for it.
        self.assertEqual(config.upstream.min_age, 7 * 86400)
        cooldown, malware = config.notices
        self.assertIn("PYPICLOUD_UPSTREAM_MIN_AGE sets another time", cooldown)
        self.assertEqual(config.advisories.source, OSV_OF_PYPI)
        self.assertIn("PYPICLOUD_ADVISORIES_SOURCE names a mirror", malware)
        sections = attrs.asdict(Config(), recurse=False)
        for name in set(sections) - {"storage", "notices"}:
            usual = sections[name]
            if name == "upstream":
                usual = attrs.evolve(usual, min_age=config.upstream.min_age)
            if name == "advisories":
                usual = attrs.evolve(usual, source=OSV_OF_PYPI)
            self.assertEqual(getattr(config, name), usual, name)

    def test_first_program(self) -> None:
        config = self.load(FIRST_PROGRAM)
        self.assertEqual(config.aws.access_key, "AKIAIOSFODNN7EXAMPLE")
        self.assertEqual(
            config.aws.secret_key, "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
        )
        self.assertEqual(config.aws.bucket, "acme-pypi")
        self.assertEqual(config.aws.prefix, "packages/")
        self.assertEqual(config.aws.expire_after, 3600)
        self.assertEqual(config.aws.buffer_time, 600)
        self.assertEqual(config.pypi.fallback, "proxy")
        self.assertEqual(config.pypi.fallback_url, ("http://pypi.python.org/simple/",))
        self.assertEqual(config.server.listen, "tcp:8080:interface=0.0.0.0")
        self.assertEqual(config.users, {"Alice": SHA256_CRYPT})
        old, database = config.notices
        for name in (
            "use",
            "pyramid.*",
            "jinja2.*",
            "[loggers]",
            "[formatter_generic]",
        ):
            self.assertIn(name, old)
        self.assertEqual(
            database, "sqlalchemy.url: no database is needed any more; the line can go."
        )

    def test_shipped_examples(self) -> None:
        for name in ("development.ini", "production.ini"):
            config = load(REPOSITORY / name, {})
            self.assertEqual(config.notices, (), name)
        self.assertEqual(config.aws.bucket, "acme-pypi")
        self.assertEqual(config.pypi.default_read, ("authenticated",))

    def test_here(self) -> None:
        config = self.load("[pypicloud]\nstorage.dir = %(here)s/p\n")
        self.assertEqual(config.storage.dir, self.folder / "p")

    def test_relative_paths_begin_at_the_file(self) -> None:
        self.assertEqual(self.load().storage.dir, self.folder / "packages")
        config = self.load(PYPICLOUD_STORAGE_DIR="q")
        self.assertEqual(config.storage.dir, self.folder / "q")
        config = self.load("[pypicloud]\nstorage.dir = /srv/p\n")
        self.assertEqual(config.storage.dir, Path("/srv/p"))
        config = load(None, {"PYPICLOUD_STORAGE_DIR": "q"})
        self.assertEqual(config.storage.dir, Path.cwd() / "q")

    def test_percent_signs_survive(self) -> None:
        text = "[pypicloud]\naws.bucket = abc\naws.access_key = a%b%\n"
        config = self.load(f"{text}aws.secret_key = %s%%c%(\n")
        self.assertEqual(config.aws.access_key, "a%b%")
        self.assertEqual(config.aws.secret_key, "%s%c%(")
        # What the environment says is not interpolated.
        config = self.load(
            PYPICLOUD_AWS_ACCESS_KEY="%(here)s", PYPICLOUD_AWS_SECRET_KEY="a%%b"
        )
        self.assertEqual(config.aws.access_key, "%(here)s")
        self.assertEqual(config.aws.secret_key, "a%%b")

    def test_other_references(self) -> None:
        problem = self.problem("[pypicloud]\nstorage.dir = %(home)s/p\n")
        self.assertIn("x.ini, line 2: storage.dir refers to %(home)s", problem)

    def test_both_sections(self) -> None:
        config = self.load(
            "[app:main]\naws.bucket = abc\n[pypicloud]\naws.link=stream\n"
        )
        self.assertEqual((config.aws.bucket, config.aws.link), ("abc", "stream"))

    def test_lists(self) -> None:
        text = (
            "[pypicloud]\npypi.private = acme-*,  # ours\n  Corp\n\n  # more\n  x.y\n"
        )
        self.assertEqual(self.load(text).pypi.private, ("acme-*", "corp", "x-y"))

    def test_byte_order_mark_and_line_ends(self) -> None:
        self.ini.write_bytes(b"\xef\xbb\xbf[pypicloud]\r\naws.bucket = acme\r\n")
        self.assertEqual(load(self.ini, {}).aws.bucket, "acme")


class EnvironmentTests(ConfigTestCase):
    def test_wins(self) -> None:
        text = "[pypicloud]\naws.bucket = from-ini\nuser.al = x\n"
        config = self.load(
            text, PYPICLOUD_AWS_BUCKET="from-env", PYPICLOUD_USER_al=SHA256_CRYPT
        )
        self.assertEqual(config.aws.bucket, "from-env")
        self.assertEqual(config.users, {"al": SHA256_CRYPT})

    def test_every_key(self) -> None:
        for key in document_keys():
            self.assertEqual(variable(key.name), key.variable)
            if key.default is not None:
                config = load(None, {"PYPICLOUD_AWS_BUCKET": "acme"})
                again = load(
                    None, {"PYPICLOUD_AWS_BUCKET": "acme", key.variable: key.default}
                )
                self.assertEqual(
                    getattr(config, key.section), getattr(again, key.section), key
                )

    def test_variables_are_different(self) -> None:
        names = [*(key.name for key in document_keys()), *FILE_KEYS]
        self.assertEqual(len({variable(name) for name in names}), len(names))

    def test_examples(self) -> None:
        config = load(
            None,
            {
                "PYPICLOUD_PYPI_MAX_UPLOAD": "100MB",
                "PYPICLOUD_UPSTREAM_MIN_AGE": "7d",
                "PYPICLOUD_UPSTREAM_MIN_AGE_EXEMPT": "acme-*",
                "PYPICLOUD_SQLALCHEMY_URL": "sqlite://",
                "PYPICLOUD_PORT": "80",
                "PYPICLOUD_SERVER_HOST": "::1",
            },
        )
        self.assertEqual(config.pypi.max_upload, 10**8)
        self.assertEqual(config.upstream.min_age, 7 * 86400)
        self.assertEqual(config.upstream.min_age_exempt, ("acme-*",))
        self.assertEqual(config.server.listen, r"tcp:80:interface=\:\:1")
        self.assertIn("no database", config.notices[0])

    def test_users(self) -> None:
        config = self.load(
            PYPICLOUD_USER_ALICE=SHA256_CRYPT, PYPICLOUD_USER_Bob_1=SHA256_CRYPT
        )
        self.assertEqual(sorted(config.users), ["Bob_1", "alice"])

    def test_unknown(self) -> None:
        problem = self.problem(PYPICLOUD_AWS_BUKET="hunter2")
        self.assertIn("nearest is PYPICLOUD_AWS_BUCKET", problem)
        # Nothing is near: PYPICLOUD_PORT has no more than the beginning in common.
        problem = self.problem(PYPICLOUD_COLOUR="red")
        self.assertEqual(problem, "PYPICLOUD_COLOUR: no setting is called so.")
        self.assertNotIn("hunter2", problem)

    def test_empty_is_unset(self) -> None:
        text = "[pypicloud]\naws.region = eu-west-1\nupstream.merge = acme\n"
        config = self.load(text, PYPICLOUD_AWS_REGION="", PYPICLOUD_UPSTREAM_MERGE=" ")
        self.assertIsNone(config.aws.region)
        self.assertEqual(config.upstream.merge, ())
        self.assertIn(
            "PYPICLOUD_PYPI_MAX_UPLOAD: pypi.max_upload = '' is empty",
            self.problem(PYPICLOUD_PYPI_MAX_UPLOAD=""),
        )

    def test_empty_lifts_no_protection(self) -> None:
        """A template's unset value must not undo what the ini says."""
        for name, value in {
            "aws.bucket": "acme-packages",
            "aws.prefix": "team/",
            "aws.endpoint_url": "https://s3.example",
            "aws.ca_file": "/dev/null",
            "aws.server_side_encryption": "AES256",
            "pypi.trusted_proxies": "10.0.0.1",
            "pypi.public_url": "https://pypi.example",
            "pypi.private": "acme-*",
            "upstream.allow": "django",
            "upstream.deny": "django",
            "upstream.min_age": "7d",
            "upstream.not_after": "2026-01-31",
        }.items():
            variable = KEYS[name].variable
            for empty in ("", " ", "\t\n", "\u00a0"):
                (problem,) = self.problems(
                    f"[pypicloud]\n{name} = {value}\n", **{variable: empty}
                )
                self.assertIn(f"{variable}: {name} is empty, which would lift", problem)
                self.assertIn(f"{value}' (", problem)
                self.assertIn("line 2). Give the variable a value or unset", problem)

    def test_empty_lifts_no_credentials(self) -> None:
        """The machine's role may be allowed more."""
        text = "[pypicloud]\naws.access_key = AKID\naws.secret_key = s3cr3t\n"
        problems = self.problems(
            text, PYPICLOUD_AWS_ACCESS_KEY="", PYPICLOUD_AWS_SECRET_KEY=""
        )
        for problem, name in zip(problems, ("access", "secret"), strict=True):
            self.assertIn(f"aws.{name}_key is empty, which would lift", problem)
            self.assertNotIn("s3cr3t", problem)
            self.assertNotIn("AKID", problem)

    def test_empty_lifts_no_file(self) -> None:
        text = "aws.access_key_file = /run/a\naws.secret_key_file = /run/b\n"
        problems = self.problems(
            f"[pypicloud]\n{text}",
            PYPICLOUD_AWS_ACCESS_KEY="",
            PYPICLOUD_AWS_SECRET_KEY="",
        )
        for problem, name in zip(problems, ("access", "secret"), strict=True):
            self.assertIn(
                f"aws.{name}_key is empty, which would lift aws.{name}_key_file = "
                "(not shown) (",
                problem,
            )

    def test_commas_are_an_empty_list(self) -> None:
        text = "[pypicloud]\nupstream.allow = django\n"
        problem = self.problem(text, PYPICLOUD_UPSTREAM_ALLOW=" , ")
        self.assertIn("upstream.allow is empty, which would lift", problem)

    def test_empty_over_nothing(self) -> None:
        for text in ("", "upstream.allow =", "upstream.allow = ,"):
            config = self.load(f"[pypicloud]\n{text}\n", PYPICLOUD_UPSTREAM_ALLOW="")
            self.assertEqual(config.upstream.allow, ())

    def test_emptiness_of_each_key_was_thought_of(self) -> None:
        """Where empty is unset, unset protects as much."""
        harmless = {key.name for key in KEYS.values() if key.optional}
        harmless -= {key.name for key in KEYS.values() if key.empty_is_laxer}
        self.assertEqual(
            harmless,
            {
                "attestations.trust_root",
                "auth.certificate_user",
                "auth.htpasswd",
                "auth.ldap.admin_field",
                "auth.ldap.admin_group_dn",
                "auth.ldap.admin_value",
                "auth.ldap.base_dn",
                "auth.ldap.fallback",
                "auth.ldap.group_base_dn",
                "auth.ldap.member_of",
                "auth.ldap.service_dn",
                "auth.ldap.service_password",
                "auth.ldap.service_username",
                "auth.ldap.url",
                "auth.ldap.user_attribute",
                "auth.ldap.user_dn_format",
                "auth.ldap.user_search_filter",
                "auth.remote_groups_header",
                "auth.remote_user_header",
                "oidc_login.client_id",
                "oidc_login.client_secret",
                "oidc_login.issuer",
                "aws.object_acl",
                "aws.region",
                "aws.session_token",
                "aws.storage_class",
                "oidc.ca_file",
                "oidc.private_hosts",
                "pypi.allow_overwrite_groups",
                "server.cors_origins",
                "storage.temp_dir",
                "upstream.allow_private_hosts",
                "upstream.exempt",
                "upstream.merge",
                "upstream.min_age.exempt",
                "upstream.min_age.security",
            },
        )
        for key in KEYS.values():
            if not key.optional and key.empty is None:
                self.assertIn("is empty", self.problem(**{key.variable: ""}))

    def test_variables_of_kubernetes(self) -> None:
        config = self.load(
            PYPICLOUD_SERVICE_HOST="10.0.0.1",
            PYPICLOUD_SERVICE_PORT="6543",
            PYPICLOUD_SERVICE_PORT_HTTP="6543",
            PYPICLOUD_PORT="tcp://10.0.0.1:6543",
            PYPICLOUD_PORT_6543_TCP="tcp://10.0.0.1:6543",
            PYPICLOUD_PORT_6543_TCP_ADDR="10.0.0.1",
        )
        self.assertEqual(config.server.port, 6543)

    def test_proxies(self) -> None:
        """A proxy that would be used, and cannot be, is told of before the start."""
        socks = {"ALL_PROXY": "socks5://u:s3cr3t@h:1"}
        problem = self.problem(**socks)
        self.assertIn("ALL_PROXY in the environment is not an HTTP proxy", problem)
        self.assertNotIn("s3cr3t", problem)
        self.load("[pypicloud]\npypi.fallback = none\n", **socks)
        self.load(**socks, no_proxy="*")
        self.load(HTTPS_PROXY="http://u:s3cr3t@h:1")
        bucket = "[pypicloud]\npypi.fallback = none\naws.bucket = acme-packages\n"
        self.assertIn("ALL_PROXY", self.problem(bucket, **socks))

    def test_undecodable(self) -> None:
        problem = self.problem(PYPICLOUD_AWS_PREFIX="a\udcffb")
        self.assertIn("PYPICLOUD_AWS_PREFIX: aws.prefix", problem)
        problem.encode()


class MistakeTests(ConfigTestCase):
    def test_all_at_once(self) -> None:
        problems = self.problems(
            """
            [app:main]
            aws.bukcet = acme
            aws.expire_after = 604801
            pypi.max_upload = lots
            user.alice = hunter2
            bucket = acme
            junk
            [pypiclood]
            [server:main]
            port = 65536
            """,
            PYPICLOUD_PYPI_FALLBACK="proxi",
        )
        expected = [
            ("line 3", "'aws.bukcet'; the nearest is aws.bucket."),
            ("line 4", "aws.expire_after = '604801' is too long", "604800 seconds"),
            ("line 5", "pypi.max_upload = 'lots' is not a size", "6GiB"),
            ("line 6", "user.alice = (not shown)", "pypicloud-gen-password"),
            ("line 7", "'bucket'; the nearest is aws.bucket."),
            ("line 8", "not 'key = value'"),
            ("line 9", "[pypiclood]; the nearest is [pypicloud]."),
            ("line 11", "server.port = '65536'", "from 0 to 65535"),
            ("PYPICLOUD_PYPI_FALLBACK", "'proxi'", "cache, kept or none"),
        ]
        # In the order of the file; what stands elsewhere comes after.
        self.assertEqual(len(problems), len(expected), problems)
        for problem, parts in zip(problems, expected, strict=True):
            for part in parts:
                self.assertIn(part, problem)
        self.assertNotIn("hunter2", "".join(problems))

    def test_limit_of_signatures(self) -> None:
        config = self.load("[app:main]\naws.expire_after = 604800\n")
        self.assertEqual(config.aws.expire_after, 604800)
        self.assertIn("7 days", self.problem("[app:main]\naws.expire_after = 604801\n"))

    def test_files_that_cannot_be_read(self) -> None:
        self.ini.write_bytes(b"[pypicloud]\naws.bucket = \xff\n")
        cases = {
            self.ini: "line 2 is not UTF-8",
            self.folder: "this is a directory",
            self.folder / "none.ini": "there is no such file",
        }
        for path, sentence in cases.items():
            environ = {"PYPICLOUD_AWS_LINK": "chain"}
            error = self.assertRaises(ConfigError, load, path, environ)
            self.assertIn(f"{path}: {sentence}", error.problems[0])
            # The other source's mistakes are told, too.
            self.assertIn("PYPICLOUD_AWS_LINK", error.problems[1])

    def test_unreadable_file(self) -> None:
        self.ini.write_text("[pypicloud]\n")
        self.ini.chmod(0)
        if os.access(self.ini, os.R_OK):
            self.skipTest("this user may read everything")
        error = self.assertRaises(ConfigError, load, self.ini, {})
        self.assertIn("may not read it", str(error))

    def test_no_section(self) -> None:
        self.assertIn("neither a section [pypicloud] nor", self.problem("# nothing\n"))
        self.assertEqual(self.load("[server:main]\nport = 80\n").server.port, 80)

    def test_duplicates(self) -> None:
        text = "[pypicloud]\naws.link = stream\naws.link = signed\n"
        problem = self.problem(text)
        self.assertIn("x.ini, line 3: aws.link is given twice", problem)
        self.assertIn("line 2.", problem)
        self.problem("[pypicloud]\naws.link = stream\n[app:main]\naws.link = stream\n")
        user = f"user.al = {SHA256_CRYPT}\n"
        self.assertIn(
            "user.al is given twice", self.problem(f"[pypicloud]\n{user}{user}")
        )
        text = "[pypicloud]\nserver.port = 1\n[server:main]\nport = 1\n"
        self.assertIn("server.port is given twice", self.problem(text))

    def test_other_server_programs(self) -> None:
        config = self.load("[server:main]\nuse = egg:waitress#main\nthreads = 4\n")
        self.assertIn("threads in [server:main]", config.notices[0])
        text = "[server:main]\nuse = egg:waitress#main\n"
        self.assertIn("prot is not a key", self.problem(f"{text}prot = 80\n"))
        self.assertIn("server.listen", self.problem(f"{text}listen = *:80\n"))
        self.assertIn(
            "threads is not a key", self.problem("[server:main]\nthreads=4\n")
        )

    def test_comment_behind_a_value(self) -> None:
        problem = self.problem("[pypicloud]\nserver.port = 80 #http\n")
        self.assertIn("blank on both sides", problem)

    def test_empty_values(self) -> None:
        text = "[pypicloud]\naws.bucket =\nupstream.min_age =\npypi.max_upload =\n"
        self.assertIn("line 4: pypi.max_upload = '' is empty", self.problem(text))

    def test_characters_that_cannot_be_seen(self) -> None:
        problem = self.problem("[pypicloud]\naws.region = eu\x1b[31m\n")
        self.assertIn("cannot be seen", problem)
        self.assertTrue(problem.isprintable())

    def test_keys_of_any_case(self) -> None:
        problem = self.problem("[pypicloud]\nAWS.BUCKET = acme\n")
        self.assertIn("nearest is aws.bucket", problem)

    @given(st.text(), st.text())
    def test_any_text(self, key: str, value: str) -> None:
        text = f"[pypicloud]\n{key} = {value}\n"
        try:
            self.load(text)
        except ConfigError as e:
            self.assertNotEqual(e.problems, ())


class UserTests(ConfigTestCase):
    HASHES: ClassVar[tuple[str, ...]] = (
        SHA256_CRYPT,
        "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHRzYWx0$"
        "aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g",
        "$2b$12$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
    )

    def test_hashes(self) -> None:
        for hashed in self.HASHES:
            config = self.load(f"[pypicloud]\nuser.al = {hashed}\n")
            self.assertEqual(config.users["al"], hashed)

    def test_what_is_no_hash(self) -> None:
        for text in ("hunter2", "", "$5$rounds=80000$hunter2", "{SHA}hunter2"):
            problem = self.problem(f"[pypicloud]\nuser.al = {text}\n")
            self.assertIn("user.al = (not shown) is not a password's hash", problem)
            self.assertNotIn("hunter2", problem)

    def test_names(self) -> None:
        config = self.load(f"[pypicloud]\nuser.Zoë Ash = {SHA256_CRYPT}\n")
        self.assertEqual(list(config.users), ["Zoë Ash"])
        self.assertIn(
            "A user's name is printable",
            self.problem(f"[pypicloud]\nuser. = {SHA256_CRYPT}"),
        )
        environ = {"PYPICLOUD_USER_a:b": SHA256_CRYPT}
        self.assertIn("RFC 7617", self.problem(**environ))
        problem = self.problem(f"[pypicloud]\nuser.Everyone = {SHA256_CRYPT}")
        self.assertIn("means a group", problem)


class SecretTests(ConfigTestCase):
    BUCKET = "[pypicloud]\naws.bucket = acme\naws.access_key = AKIA\n"

    def test_files(self) -> None:
        (self.folder / "key").write_text(" hunter2 \n")
        config = self.load(f"{self.BUCKET}aws.secret_key_file = key\n")
        self.assertEqual(config.aws.secret_key, "hunter2")
        config = self.load(
            self.BUCKET, PYPICLOUD_AWS_SECRET_KEY_FILE=str(self.folder / "key")
        )
        self.assertEqual(config.aws.secret_key, "hunter2")

    def test_bad_files(self) -> None:
        (self.folder / "empty").write_text("\n")
        (self.folder / "bad").write_text("hunter2 hunter2")
        for name, sentence in {
            "none": "there is no such file",
            ".": "this is a directory",
            "empty": "the file is empty",
            "bad": "aws.secret_key = (not shown) is not one word",
        }.items():
            problem = self.problem(f"{self.BUCKET}aws.secret_key_file = {name}\n")
            self.assertIn(sentence, problem)
            self.assertNotIn("hunter2", problem)
        problem = self.problem(f"{self.BUCKET}aws.secret_key_file = hunter2\n")
        self.assertIn("aws.secret_key_file: there is no such file", problem)
        self.assertNotIn("hunter2", problem)

    def test_both(self) -> None:
        (self.folder / "key").write_text("of-file")
        both = "aws.secret_key = of-ini\naws.secret_key_file = key\n"
        self.assertIn("both given; keep one", self.problem(f"{self.BUCKET}{both}"))
        # The environment wins over the ini, whichever form each has.
        config = self.load(
            f"{self.BUCKET}aws.secret_key_file = key\n", PYPICLOUD_AWS_SECRET_KEY="env"
        )
        self.assertEqual(config.aws.secret_key, "env")
        config = self.load(
            f"{self.BUCKET}aws.secret_key = ini\n",
            PYPICLOUD_AWS_SECRET_KEY_FILE=str(self.folder / "key"),
        )
        self.assertEqual(config.aws.secret_key, "of-file")

    def test_nothing_is_shown(self) -> None:
        config = self.load(
            f"{self.BUCKET}aws.secret_key = hunter2\naws.session_token = hunter2\n"
            "pypi.fallback_url = https://u:hunter2@h/simple\n"
            f"user.al = {SHA256_CRYPT}\n"
        )
        self.assertNotIn("hunter2", repr(config))
        self.assertNotIn(SHA256_CRYPT, repr(config))
        self.assertEqual(config.pypi.fallback_url, ("https://u:hunter2@h/simple/",))

    def test_no_mistake_shows_them(self) -> None:
        for line in (
            "pypi.fallback_url = https://u:hunter2@h:99999/simple",
            "pypi.fallback_url = https:/u:hunter2@h/simple",
            "pypi.fallback_url = https://u:a/b hunter2@h/simple",
            "pypi.fallback_ulr = https://u:hunter2@h/simple",
            "pypi.public_url = https://u:hunter2@h/",
            "aws.endpoint_url = https://u:hunter2@h/",
            "aws.secert_key = hunter2",
            "aws.ca_file = https://u:hunter2@h/",
            "aws.access_key = hunter2 hunter2",
            "aws.session_token = hunter2\u00e9",
        ):
            problems = self.problems(f"{self.BUCKET}aws.secret_key = x\n{line}\n")
            self.assertNotIn("hunter2", "".join(problems), line)


REDIRECT = "pypi.fallback = redirect\n"


class AgreementTests(ConfigTestCase):
    def test_contradictions(self) -> None:
        cases = {
            "aws.expire_after = 300": "aws.buffer_time = 300 must be less than",
            "aws.access_key = AKIA": "belong together",
            "aws.session_token = x": "without the aws.access_key",
            "aws.sse_kms_key_id = x": "aws.server_side_encryption = aws:kms",
            "pypi.use_fallback = no\npypi.fallback = cache": "contradicts",
            "pypi.use_fallback = yes\npypi.fallback = none": "contradicts",
            "pypi.private = a\nupstream.merge = b A": "upstream.merge names a",
            f"{REDIRECT}upstream.min_age = 7d": "upstream.min_age judges files",
            f"{REDIRECT}upstream.not_after = 2026-01-31": "upstream.not_after judges",
            f"{REDIRECT}upstream.deny = a, b<2": "upstream.deny judges files",
            f"{REDIRECT}upstream.allow = a b==2.*": "upstream.allow judges files",
            "aws.ca_file = none.pem": "no such file",
            "storage.temp_dir = none": "no such folder",
            "storage.dir = x.ini": "not a folder",
        }
        for lines, sentence in cases.items():
            self.assertIn(sentence, self.problem(f"[pypicloud]\n{lines}\n"), lines)

    def test_redirects_keep_rules_about_names(self) -> None:
        rules = "upstream.deny = a, b-*\nupstream.allow = c\n"
        exempt = "upstream.min_age.exempt = a\n"
        config = self.load(f"[pypicloud]\n{REDIRECT}{rules}{exempt}")
        self.assertEqual(config.upstream.deny, ("a", "b-*"))
        off = "pypi.use_fallback = no\nupstream.min_age = 7d\n"
        self.assertEqual(self.load(f"[pypicloud]\n{off}").notices, ())

    def test_exemptions(self) -> None:
        config = self.load(
            """[pypicloud]
            upstream.exempt =
                Urllib3==2.5.1 until 2026-12-24 CVE fix
                # what a comment says
                acme rule:severity until 2026-12-24T10:00Z is not reached here
            """
        )
        self.assertEqual(
            [(one.what, one.reason) for one in config.upstream.exempt],
            [
                ("urllib3==2.5.1", "CVE fix"),
                ("acme rule:severity", "is not reached here"),
            ],
        )

    def test_exemptions_of_what_is_never_asked_for(self) -> None:
        line = "upstream.exempt = a==1 until 2026-12-24 x"
        malware = "upstream.exempt = a==1 rule:malware until 2026-12-24 x"
        for lines, notices in (
            ((line,), ()),
            ((line, "pypi.private = a"), ("Not used, as pypi.private has a,",)),
            ((line, "pypi.fallback = none"), ("Not used, as no other index",)),
            ((malware, "pypi.private = a"), ()),
        ):
            told = self.load("\n".join(("[pypicloud]", *lines))).notices
            self.assertEqual(len(told), len(notices), told)
            for notice, wanted in zip(told, notices, strict=True):
                self.assertIn(wanted, notice)

    def test_every_wrong_exemption_is_told(self) -> None:
        first, second = self.problems(
            """[pypicloud]
            upstream.exempt =
                urllib3==2.5.1 CVE fix
                acme until 2026-12-24 this one is right
                acme rule:deny until 2026-12-24 x
            """
        )
        self.assertIn(
            "upstream.exempt: the line 'urllib3==2.5.1 CVE fix' has no end date", first
        )
        self.assertIn("'acme rule:deny until 2026-12-24 x' has a rule", second)

    def test_no_second_complaint(self) -> None:
        """A key whose value is wrong is not compared with others."""
        problem = self.problem(
            "[pypicloud]\naws.expire_after = 8d\naws.buffer_time=2d\n"
        )
        self.assertIn("too long", problem)

    def test_no_fallback(self) -> None:
        for line in ("pypi.use_fallback = False", "pypi.fallback = none"):
            config = self.load(f"[pypicloud]\n{line}\n")
            self.assertEqual(config.pypi.fallback, "none")
            self.assertFalse(config.pypi.use_fallback)

    def test_what_is_not_used_is_told(self) -> None:
        cases = {
            "aws.bucket = acme\nstorage.dir = x": "storage.dir is not used",
            "aws.region = eu": "as aws.bucket is not set: aws.region",
            "server.listen = unix:x\nserver.port = 1": "server.listen says where",
            f"{REDIRECT}pypi.fallback_url = https://a/, https://b/": "the first index",
        }
        for lines, sentence in cases.items():
            (notice,) = self.load(f"[pypicloud]\n{lines}\n").notices
            self.assertIn(sentence, notice)

    def test_listen(self) -> None:
        config = self.load("[pypicloud]\nserver.listen = unix:/run/x:mode=660\n")
        self.assertEqual(config.server.listen, "unix:/run/x:mode=660")

    def test_values(self) -> None:
        config = self.load(
            "[pypicloud]\npypi.trusted_proxies = 10.0.0.0/8\nmetrics.read = everyone\n"
            "pypi.public_url = https://h/root/\n"
        )
        self.assertEqual(config.pypi.trusted_proxies, (ip_network("10.0.0.0/8"),))
        self.assertEqual(config.metrics.read, "everyone")
        self.assertEqual(config.pypi.public_url, "https://h/root")


class DocumentTests(SynchronousTestCase):
    def test_every_field_is_a_key(self) -> None:
        fields = [
            (section, attribute.name)
            for section, made_of in SECTIONS.items()
            for attribute in attrs.fields(made_of)
        ]
        keys = [(key.section, key.attribute) for key in document_keys()]
        self.assertEqual(keys, fields)

    def test_every_key_is_described(self) -> None:
        for key in document_keys():
            self.assertTrue(key.doc and key.doc[0].isupper(), key.name)

    def test_secrets_have_no_repr(self) -> None:
        for key in document_keys():
            attribute = attrs.fields_dict(SECTIONS[key.section])[key.attribute]
            self.assertEqual(attribute.repr, not key.secret)
