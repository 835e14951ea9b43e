"""The commands, run in this process with a world of the tests' own."""

from __future__ import annotations

import errno
import os
import re
import stat
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any

import click
from attrs import define, field
from click.testing import CliRunner, Result
from hypothesis import example, given
from hypothesis import strategies as st
from passlib.hash import argon2
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw import __version__
from pypicloud_tw.__main__ import with_command
from pypicloud_tw.access.hashes import verify
from pypicloud_tw.cli import main as cli
from pypicloud_tw.cli import maintaining as maintenance
from pypicloud_tw.cli.base import Surroundings
from pypicloud_tw.config.configuration import Config
from pypicloud_tw.config.example import CannotWriteError, ini_text
from pypicloud_tw.config.hashes import SCHEMES
from pypicloud_tw.config.keys import document_keys
from pypicloud_tw.config.load import load
from pypicloud_tw.config.sections.upstream import OSV_OF_PYPI
from pypicloud_tw.errors import ConfigError, StoreError

CHECKOUT = Path(__file__).parents[2]

HASH = "$5$rounds=80000$yiWi67QBJLDTvbI/$d6qIG/bIoM3hp0lxH8v/vzxg8Qc4CJbxbxiUH4MlnE7"


@define
class FakeMaintenance:
    """Remembers what it was asked; returns or raises as it is told."""

    code: int = 0
    error: Exception | None = None
    calls: list[tuple[str, Config, bool]] = field(factory=list)

    def prepare(self, config: Config) -> int:
        return self._do("prepare", config, False)

    def run_refresh(self, config: Config, *, dry_run: bool, derived: bool) -> int:
        return self._do("derived" if derived else "refresh", config, dry_run)

    def run_verify(self, config: Config, *, deep: bool) -> int:
        return self._do("verify", config, deep)

    def run_sweep(self, config: Config, *, age: float | None, dry_run: bool) -> int:
        return self._do(f"sweep {age}", config, dry_run)

    def run_rebuild(self, config: Config, *, project: str | None, dry_run: bool) -> int:
        return self._do(f"rebuild {project}", config, dry_run)

    def _do(self, name: str, config: Config, dry_run: bool) -> int:
        self.calls.append((name, config, dry_run))
        if self.error is not None:
            raise self.error
        return self.code


class CliTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.ini = self.folder / "x.ini"
        self.maintenance = FakeMaintenance()
        self.served: list[tuple[Path | None, str | None, str | None]] = []
        self.serving_fails: Exception | None = None
        self.environ: Mapping[str, str] = {}
        self.terminal = False

    def run_command(self, *args: str | Path, input: str | bytes = b"") -> Result:
        world = Surroundings(
            environ=self.environ,
            is_terminal=lambda: self.terminal,
            maintenance=lambda: self.maintenance,
            run_server=self.run_server,
        )
        result = CliRunner().invoke(cli.main, [*map(str, args)], input=input, obj=world)
        if result.exception is not None:
            self.assertIsInstance(result.exception, SystemExit, result.exception)
        return result

    def run_server(
        self, config: Path | None, listen: str | None, workers: str | None
    ) -> None:
        self.served.append((config, listen, workers))
        if self.serving_fails is not None:
            raise self.serving_fails

    def succeed(self, *args: str | Path, input: str | bytes = b"") -> str:
        result = self.run_command(*args, input=input)
        self.assertEqual(result.exit_code, 0, result.output)
        return result.stdout

    def fail_with(self, code: int, *args: str | Path, input: str | bytes = b"") -> str:
        result = self.run_command(*args, input=input)
        self.assertEqual(result.exit_code, code, result.output)
        self.assertEqual(result.stdout, "")
        self.assertNotIn("Traceback", result.stderr)
        return result.stderr


class MainTests(CliTestCase):
    def test_version(self) -> None:
        self.assertIn(__version__, self.succeed("--version"))

    def test_unknown_command(self) -> None:
        self.assertIn("No such command", self.fail_with(2, "chekc"))

    def test_help_names_every_command(self) -> None:
        text = self.succeed("-h")
        for name in (
            "check",
            "make-config",
            "gen-password",
            "create-schema",
            "refresh",
        ):
            self.assertIn(name, text)

    def test_scripts(self) -> None:
        """The names that pyproject.toml gives to the scripts are commands."""
        project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
        scripts = {
            script: place
            for script, place in project["scripts"].items()
            if script not in ("pypicloud", "pypicloud-tw")
        }
        self.assertEqual(len(scripts), 4)
        for place in scripts.values():
            module, _, name = place.partition(":")
            command = getattr(import_module(module), name)
            self.assertIs(cli.main.commands[command.name], command)
            self.assertEqual(CliRunner().invoke(command, ["--help"]).exit_code, 0)

    def test_the_process_is_the_world(self) -> None:
        world = Surroundings()
        self.assertIs(world.environ, os.environ)
        self.assertIs(world.is_terminal(), os.isatty(0))
        self.assertTrue(callable(world.maintenance().run_refresh))


class CheckTests(CliTestCase):
    def test_right(self) -> None:
        self.ini.write_text(
            f"[app:main]\nuse = egg:pypicloud\nstorage.dir = p\nuser.al = {HASH}\n"
        )
        for args in ([self.ini], ["--config", self.ini], [f"--config={self.ini}"]):
            lines = self.succeed("check", *args).splitlines()
            self.assertEqual(
                lines[0],
                f"OK: packages in the folder {self.folder}/p, 1 user(s), listening at "
                "tcp:6543:interface=127.0.0.1",
            )
            self.assertIn("Passed over", lines[1])

    def test_bucket(self) -> None:
        self.environ = {"PYPICLOUD_AWS_BUCKET": "acme"}
        self.assertIn("in the bucket acme,", self.succeed("check"))

    def test_wrong(self) -> None:
        self.ini.write_text("[pypicloud]\naws.bukcet = x\npypi.max_upload = lots\n")
        self.environ = {"PYPICLOUD_X": "hunter2"}
        lines = self.fail_with(1, "check", self.ini).splitlines()
        self.assertEqual(len(lines), 3)
        self.assertIn("line 2: there is no key 'aws.bukcet'", lines[0])
        self.assertIn("line 3: pypi.max_upload = 'lots'", lines[1])
        self.assertIn("PYPICLOUD_X", lines[2])

    def test_variables_of_pypicloud_1_x(self) -> None:
        """They are named, and their values are not."""
        self.environ = {"PPC_B": "hunter2", "PPC_A": "", "XPPC_C": "x"}
        text = self.succeed("check")
        self.assertIn("Ignored: PPC_A, PPC_B. The variables of pypicloud 1.x", text)
        self.assertNotIn("hunter2", text)
        self.assertNotIn("XPPC", text)
        self.environ = {}
        self.assertNotIn("1.x", self.succeed("check"))

    def test_hashes_of_other_kinds(self) -> None:
        """Which work, and how to make one, is told where one is refused."""
        for other in ("$apr1$nI/ss8sc$zcKzBAX5gC63oKTMLVtiz0", "{SHA}nope", "plain"):
            self.ini.write_text(f"[pypicloud]\nuser.al = {other}\n")
            text = self.fail_with(1, "check", self.ini)
            for part in (*SCHEMES, "pypicloud-gen-password", "htpasswd -nB"):
                self.assertIn(part, text)
            self.assertNotIn(other, text)

    def test_no_file(self) -> None:
        self.assertIn("there is no such file", self.fail_with(1, "check", self.ini))

    def test_two_files(self) -> None:
        self.assertIn(
            "once", self.fail_with(2, "check", self.ini, "--config", self.ini)
        )


class ServeTests(CliTestCase):
    def test_arguments(self) -> None:
        """As twistd's plugin takes them, or the ini as the other commands take it."""
        for args in ([self.ini], ["--config", self.ini], ["-c", self.ini]):
            self.succeed("serve", *args)
        self.succeed("serve")
        self.succeed("serve", "--config", self.ini, "--listen", "unix:/run/x")
        self.succeed("serve", self.ini, "--workers", "4")
        self.assertEqual(
            self.served,
            [
                *[(self.ini, None, None)] * 3,
                (None, None, None),
                (self.ini, "unix:/run/x", None),
                (self.ini, None, "4"),
            ],
        )

    def test_every_mistake(self) -> None:
        self.serving_fails = ConfigError(["x.ini, line 1: no.", "x.ini, line 2: no."])
        said = self.fail_with(1, "serve", self.ini)
        self.assertEqual(said, "x.ini, line 1: no.\nx.ini, line 2: no.\n")
        self.assertIn("once", self.fail_with(2, "serve", self.ini, "-c", self.ini))

    def test_two_endpoints(self) -> None:
        """The first is not left out in silence."""
        listen = ("--listen", "tcp:80", "-l", "unix:/run/x")
        self.assertIn("give --listen once", self.fail_with(2, "serve", *listen))

    def test_cannot_listen(self) -> None:
        """The plugin's own sentence, and its exit code, go through."""

        def run_server(
            config: Path | None, listen: str | None, workers: str | None
        ) -> None:
            raise SystemExit("pypicloud: cannot listen")

        world = Surroundings(run_server=run_server)
        result = CliRunner().invoke(cli.main, ["serve"], obj=world)
        self.assertEqual(
            (result.exit_code, result.output), (1, "pypicloud: cannot listen\n")
        )

    def test_as_a_module(self) -> None:
        """``python -m pypicloud_tw`` serves, or does what it is told."""
        for arguments, made in {
            (): ["serve"],
            ("--config=x.ini",): ["serve", "--config=x.ini"],
            ("x.ini", "-l", "tcp:80"): ["serve", "x.ini", "-l", "tcp:80"],
            ("serve", "x.ini"): ["serve", "x.ini"],
            ("check", "x.ini"): ["check", "x.ini"],
            ("--version",): ["--version"],
            ("-h",): ["-h"],
        }.items():
            self.assertEqual(with_command(arguments), made)

    def test_the_reactor_is_not_touched_before(self) -> None:
        """Importing it installs it, and a command may want another, or none."""
        code = "import pypicloud_tw.cli.main, sys; print('twisted.internet.reactor' in "
        code += "sys.modules)"
        said = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, check=True, text=True
        )
        self.assertEqual(said.stdout, "False\n")


class GenPasswordTests(CliTestCase):
    def test_pipe(self) -> None:
        for given_line in ("gunface\n", "gunface", "gunface\r\n", "gunface\nmore\n"):
            (line,) = self.succeed("gen-password", input=given_line).splitlines()
            self.assertTrue(verify("gunface", line), given_line)

    def test_parameters(self) -> None:
        """OWASP's: argon2id, 19 MiB, two passes, one lane."""
        line = self.succeed("gen-password", input="Zoë's 100%\n").strip()
        parsed = argon2.from_string(line)
        self.assertTrue(line.startswith("$argon2id$"))
        self.assertEqual(
            (parsed.memory_cost, parsed.rounds, parsed.parallelism), (19456, 2, 1)
        )
        self.assertTrue(verify("Zoë's 100%", line))

    def test_terminal(self) -> None:
        self.terminal = True
        result = self.run_command("gen-password", input="a\nb\ngunface\ngunface\n")
        self.assertEqual(result.exit_code, 0)
        self.assertTrue(verify("gunface", result.stdout.strip()))
        self.assertIn("do not match", result.stderr)
        self.assertNotIn("gunface", result.output)

    def test_refused(self) -> None:
        cases: dict[bytes, str] = {
            b"": "There is no password",
            b"\n": "There is no password",
            b"\xff\n": "not UTF-8",
            b"x" * 4097 + b"\n": "at most 4096",
        }
        for line, sentence in cases.items():
            self.assertIn(sentence, self.fail_with(1, "gen-password", input=line))


class NoFolderTests(CliTestCase):
    def test_a_folder_that_is_not_there_does_not_pass_for_an_empty_one(self) -> None:
        self.ini.write_text("[pypicloud]\nstorage.dir = mispelt\n")
        config = load(self.ini, {})
        works: list[Callable[[], int]] = [
            lambda: maintenance.run_verify(config),
            lambda: maintenance.run_refresh(config),
            lambda: maintenance.run_sweep(config),
            lambda: maintenance.run_rebuild(config, project=None),
        ]
        for work in works:
            with redirect_stderr(StringIO()) as said:
                self.assertEqual(work(), 2)
            self.assertIn(f"There is no folder {config.storage.dir}", said.getvalue())
        self.assertFalse(config.storage.dir.exists())


class OutputTests(CliTestCase):
    def test_what_cannot_be_written_is_a_sentence(self) -> None:
        """A script that redirects it to a full disk gets no traceback."""

        def full(text: str, *args: Any, **kwargs: Any) -> None:
            if not kwargs.get("err"):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        self.patch(click, "echo", full)
        for args, line in ((["gen-password"], "gunface\n"), (["check"], "")):
            result = self.run_command(*args, input=line)
            self.assertEqual(result.exit_code, 1)


class StoreTests(CliTestCase):
    def test_prepare(self) -> None:
        self.ini.write_text("[pypicloud]\nstorage.dir = p\n")
        text = self.succeed("create-schema", self.ini)
        self.assertIn("There is no schema", text)
        ((name, config, _),) = self.maintenance.calls
        self.assertEqual((name, config.storage.dir), ("prepare", self.folder / "p"))

    def test_refresh(self) -> None:
        self.succeed("refresh")
        self.succeed("refresh", "--dry-run")
        self.succeed("refresh", "--derived")
        self.assertEqual(
            [call[::2] for call in self.maintenance.calls],
            [("refresh", False), ("refresh", True), ("derived", False)],
        )
        told = self.fail_with(2, "refresh", "--derived", "--dry-run")
        self.assertIn("changes no project", told)

    def test_exit_code(self) -> None:
        self.maintenance.code = 3
        self.fail_with(3, "refresh")
        self.fail_with(3, "create-schema")

    def test_errors_are_sentences(self) -> None:
        self.maintenance.error = StoreError("The bucket is not there.")
        self.assertEqual(self.fail_with(2, "refresh"), "The bucket is not there.\n")
        self.maintenance.error = PermissionError(13, "Permission denied", "/srv/p")
        self.assertEqual(
            self.fail_with(2, "create-schema"), "/srv/p: Permission denied.\n"
        )

    def test_bad_configuration(self) -> None:
        self.environ = {"PYPICLOUD_X": ""}
        self.assertIn("PYPICLOUD_X", self.fail_with(2, "refresh"))
        self.assertEqual(self.maintenance.calls, [])


class MakeConfigTests(CliTestCase):
    def make(self, *args: str, input: str = "") -> Config:
        self.succeed("make-config", self.ini, *args, input=input)
        return load(self.ini, {})

    def test_options(self) -> None:
        config = self.make(
            "--bucket=acme",
            "--prefix=pkg/",
            "--region=eu",
            "--endpoint-url=https://h:9000",
            "--host=*",
            "--port=80",
            "--default-read=authenticated",
            "--user=al",
            f"--password-hash={HASH}",
        )
        self.assertEqual((config.aws.bucket, config.aws.prefix), ("acme", "pkg/"))
        self.assertEqual(config.aws.endpoint_url, "https://h:9000")
        self.assertEqual(config.server.listen, "tcp:80:interface=0.0.0.0")
        self.assertEqual(config.pypi.default_read, ("authenticated",))
        self.assertEqual(config.users, {"al": HASH})
        self.assertEqual(config.notices, ())

    def test_defaults(self) -> None:
        config = self.make("--dir=p")
        self.assertEqual(config.storage.dir, self.folder / "p")
        self.assertEqual(config.upstream.min_age, 7 * 86400)
        self.assertEqual(config.advisories.source, OSV_OF_PYPI)

    def test_who_uploads(self) -> None:
        """Without a user it names the one command that makes one."""
        made = f"pypicloud user add NAME --admin --config={self.ini}"
        self.assertIn(made, self.succeed("make-config", self.ini))
        options = ("--force", "--user=al", f"--password-hash={HASH}")
        self.assertNotIn(made, self.succeed("make-config", self.ini, *options))

    def test_private(self) -> None:
        old = os.umask(0)
        self.addCleanup(os.umask, old)
        self.make()
        self.assertEqual(stat.S_IMODE(self.ini.stat().st_mode), 0o600)
        self.assertEqual(os.listdir(self.folder), ["x.ini"])

    def test_never_replaces_unless_told(self) -> None:
        self.ini.write_text("mine")
        text = self.fail_with(1, "make-config", self.ini)
        self.assertIn("is there already", text)
        self.assertEqual(self.ini.read_text(), "mine")
        self.make("--force", "--port=80")
        self.assertEqual(os.listdir(self.folder), ["x.ini"])

    def test_links_are_followed(self) -> None:
        link = self.folder / "link.ini"
        link.symlink_to(self.ini)
        self.succeed("make-config", link)
        self.assertTrue(link.is_symlink())
        self.fail_with(1, "make-config", link)

    def test_bad_places(self) -> None:
        for path, sentence in {
            self.folder / "none" / "x.ini": "No such file or directory",
            self.folder: "is there already",
        }.items():
            self.assertIn(sentence, self.fail_with(1, "make-config", path))
        text = self.fail_with(1, "make-config", self.folder, "--force")
        self.assertIn("cannot be written: Is a directory", text)

    def test_standard_output(self) -> None:
        text = self.succeed("make-config", "-", "--port=80")
        self.assertIn("\nport = 80\n", text)
        self.assertEqual(
            text,
            ini_text(
                {
                    "server.port": "80",
                    "upstream.min_age": "7d",
                    "advisories.source": OSV_OF_PYPI,
                },
                {},
                name="-",
            ),
        )
        # What stdout becomes is not known; --config=- would be a file of that name.
        self.assertIn("pypicloud --config=pypicloud.ini\n", text)

    def test_bad_options(self) -> None:
        for args, sentence in {
            ("--port=x",): "from 0 to 65535",
            ("--bucket=s3://x",): "not a bucket's name",
            ("--dir=a", "--bucket=acme"): "give one",
            ("--user=a:b",): "RFC 7617",
            ("--user=al",): "--user needs --password-hash",
            ("--user=al", "--password-hash=hunter2"): "not a hash",
            (f"--password-hash={HASH}",): "belongs to a --user",
        }.items():
            text = self.fail_with(2, "make-config", self.ini, *args)
            self.assertIn(sentence, " ".join(text.split()), args)
            self.assertNotIn("hunter2", text)
        self.assertFalse(self.ini.exists())

    def test_asks_at_a_terminal(self) -> None:
        self.terminal = True
        config = self.make(input="folder\np\nal\ngunface\ngunface\n")
        self.assertEqual(config.storage.dir, self.folder / "p")
        self.assertTrue(verify("gunface", config.users["al"]))

    def test_asks_again(self) -> None:
        self.terminal = True
        config = self.make(input="bucket\nx\nacme\n\na:b\n\n")
        self.assertEqual((config.aws.bucket, config.aws.region), ("acme", None))
        self.assertEqual(config.users, {})

    def test_asks_only_for_what_is_not_given(self) -> None:
        self.terminal = True
        self.make("--dir=p", "--user=al", f"--password-hash={HASH}")


class IniTextTests(SynchronousTestCase):
    def load(self, text: str) -> Config:
        path = Path(self.mktemp())
        path.write_text(text, encoding="utf-8")
        return load(path, {})

    def test_every_key_is_there(self) -> None:
        text = ini_text({}, {})
        for key in document_keys():
            name = key.name.replace("server.host", "host").replace(
                "server.port", "port"
            )
            self.assertIn(f"\n#{name} =", text)

    def test_every_default_loads(self) -> None:
        # An empty value is one of its own where unset is another.
        unset = r"^#(auth.admins|pypi.default_write) .*$"
        text = re.sub(unset, "", ini_text({}, {}), flags=re.M)
        text = re.sub(r"^#(?!user\.)(\S+ =)", r"\1", text, flags=re.M)
        config = self.load(text)
        for section in (
            "server",
            "aws",
            "pypi",
            "auth",
            "index",
            "upstream",
            "metrics",
        ):
            self.assertEqual(getattr(config, section), getattr(Config(), section))

    @given(st.text())
    @example("%(here)s")
    def test_any_value_or_a_sentence(self, message: str) -> None:
        try:
            text = ini_text({"upstream.denied_message": message}, {})
        except CannotWriteError as e:
            self.assertIn("upstream.denied_message", e.message)
            return
        try:
            config = self.load(text)
        except ConfigError:
            return
        assert config.ini is not None
        here = str(config.ini.parent.absolute())
        expected = message.replace("%(here)s", here)
        self.assertEqual(
            config.upstream.denied_message, " ".join(expected.split()), message
        )

    def test_percent_signs(self) -> None:
        config = self.load(ini_text({"storage.dir": "/p/%d%%(here)s%"}, {}))
        self.assertEqual(str(config.storage.dir)[:6], "/p/%d%")

    def test_users(self) -> None:
        config = self.load(ini_text({}, {"Zoë Ash": HASH}))
        self.assertEqual(config.users, {"Zoë Ash": HASH})


class IndexCommandTests(CliTestCase):
    def asked(self, *args: str | Path) -> tuple[str, bool]:
        self.ini.write_text("[app:main]\n")
        self.succeed(*args)
        name, _, flag = self.maintenance.calls.pop()
        return name, flag

    def test_each_asks_for_its_work(self) -> None:
        self.assertEqual(self.asked("verify", self.ini), ("verify", False))
        self.assertEqual(self.asked("verify", self.ini, "--deep"), ("verify", True))
        self.assertEqual(self.asked("sweep", self.ini), ("sweep None", False))
        self.assertEqual(
            self.asked("sweep", "--config", self.ini, "--age", "2d", "--dry-run"),
            ("sweep 172800.0", True),
        )
        self.assertEqual(
            self.asked("rebuild", "--config", self.ini), ("rebuild None", False)
        )
        self.assertEqual(
            self.asked("rebuild", "acme", "--config", self.ini, "--dry-run"),
            ("rebuild acme", True),
        )

    def test_what_is_wrong_and_what_was_not_seen(self) -> None:
        self.ini.write_text("[app:main]\nnonsense = 1\n")
        self.fail_with(2, "sweep", self.ini)
        self.fail_with(2, "verify", self.ini)
        self.ini.write_text("[app:main]\n")
        for code in (1, 2):
            self.maintenance.code = code
            self.fail_with(code, "verify", self.ini)
        self.maintenance.error = StoreError("The bucket is not there.")
        self.assertEqual(
            self.fail_with(2, "verify", self.ini), "The bucket is not there.\n"
        )

    def test_an_age_that_is_none(self) -> None:
        self.ini.write_text("[app:main]\n")
        said = self.fail_with(2, "sweep", self.ini, "--age", "soon")
        self.assertIn("--age = soon", said)
