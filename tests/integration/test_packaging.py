"""What a user installs: the wheel, the plugin, and what may go wrong around them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest

import pypicloud_tw
from pypicloud_tw.cli.contrib import FILES
from tests.integration import apart
from tests.integration.clients.environments import find_python, run_here
from tests.integration.release import (
    MADE,
    archives,
    build,
    copy_checkout,
    installed,
    installed_for,
    released,
    released_files,
    wheelhouse,
)
from tests.integration.rig import (
    CHECKOUT,
    PATIENCE,
    IntegrationTestCase,
    Server,
    clean_environment,
    run,
    script,
    wait_until,
)

#: The Pythons after the oldest that is supported, newest first. Here the newest that
#: there is will do; those between are in .github/workflows/tests.yml.
NEWER = ("3.15", "3.14", "3.13", "3.12")

#: What is in the repository and not released: how it is worked on.
NOT_RELEASED = {".ci", ".github", ".pre-commit-config.yaml"}

#: How ``twistd --help`` shows that it has found us.
PLUGIN = r"\n +pypicloud +\S"


def site_packages(python: str) -> Path:
    (found,) = Path(python).parents[1].glob("lib/python*/site-packages")
    return found


class ArchiveTests(IntegrationTestCase):
    """What a release uploads."""

    def test_reproducible(self) -> None:
        """Anybody who has the sources can make the same bytes of them."""
        source = self.folder / "another place" / "of a longer name"
        source.mkdir(parents=True)
        copy_checkout(source)
        for path in (source, *source.rglob("*")):
            os.utime(path, (1.6e9, 1.6e9))
            path.chmod(path.stat().st_mode & ~0o077)
        again = build(source, self.folder / "dist", umask=0o077, TZ="Asia/Tokyo")
        first = archives()
        for one, other in ((first.wheel, again.wheel), (first.sdist, again.sdist)):
            self.assertEqual(one.name, other.name)
            self.assertEqual(_digest(one), _digest(other), one.name)

    def test_dated(self) -> None:
        """What is in them is as old as SOURCE_DATE_EPOCH says."""
        with tarfile.open(archives().sdist) as sdist:
            self.assertEqual({member.mtime for member in sdist}, {MADE})
            self.assertEqual({member.uname for member in sdist}, {""})
        made = datetime.fromtimestamp(MADE, UTC)
        with zipfile.ZipFile(archives().wheel) as wheel:
            dates = {member.date_time for member in wheel.infolist()}
        self.assertEqual(dates, {made.timetuple()[:6]})

    def test_version(self) -> None:
        """It stands in one place, and is nobody's development version."""
        project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))
        version = project["project"]["version"]
        self.assertRegex(version, r"^\d+\.\d+\.\d+((a|b|rc)\d+)?$")
        self.assertIn(f"-{version}-", archives().wheel.name)

    def test_source_is_complete(self) -> None:
        with tarfile.open(archives().sdist) as sdist:
            names = {name.partition("/")[2] for name in sdist.getnames()}
        files = {str(path.relative_to(CHECKOUT)) for path in released_files()}
        self.assertEqual(names, {*files, "PKG-INFO"} - {""})

    def test_all_is_released(self) -> None:
        """What a commit adds at the top is released, too."""
        git = ("git", "-C", str(CHECKOUT), "ls-files")
        if not (CHECKOUT / ".git").exists() or shutil.which("git") is None:
            raise SkipTest("This is no clone, so it does not know what is in it.")
        done = subprocess.run(git, capture_output=True, text=True, check=True)
        there = {line.partition("/")[0] for line in done.stdout.splitlines()}
        self.assertEqual(there - NOT_RELEASED - {*released()}, set())

    def test_twine(self) -> None:
        both = archives()
        self.run_client(script("twine"), "check", "--strict", both.wheel, both.sdist)

    def test_check_wheel_contents(self) -> None:
        config = CHECKOUT / "pyproject.toml"
        checker = script("check-wheel-contents")
        self.run_client(checker, "--config", config, archives().wheel)


class WheelTests(IntegrationTestCase):
    def test_members(self) -> None:
        """All of the package, the plugin and contrib's files are in it, and no more."""
        with zipfile.ZipFile(archives().wheel) as archive:
            members = set(archive.namelist())
        about = {name for name in members if ".dist-info/" in name}
        self.assertTrue(any(name.endswith("/licenses/LICENSE") for name in about))
        released = {path.relative_to(CHECKOUT) for path in released_files()}
        expected = {
            # No __init__.py beside it: it would shadow Twisted's own.
            "twisted/plugins/pypicloud_plugin.py",
            *(str(path) for path in released if path.parts[0] == "pypicloud_tw"),
            *(
                f"pypicloud_tw/{path}"
                for path in released
                if path.parts[0] == "contrib" and path.parts[1] in FILES
            ),
        }
        self.assertEqual(members - about, expected)

    def test_commands(self) -> None:
        python = installed()
        output = self.run_client(script("twistd", python), "--help")
        self.assertRegex(output, PLUGIN)
        output = self.run_client(script("twist", python), "--help")
        self.assertRegex(output, PLUGIN)
        output = self.run_client(script("twistd", python), "-n", "pypicloud", "--help")
        self.assertIn("--listen", output)
        self.run_client(script("pypicloud", python), "--help")

    def test_contrib(self) -> None:
        """It gives the files that come along, wherever it is installed."""
        command = (script("pypicloud", installed()), "contrib")
        printed = self.run_client(*command, "nginx.conf")
        self.assertEqual(printed, (CHECKOUT / "contrib" / "nginx.conf").read_text())
        self.run_client(*command, "terraform", self.folder)
        copied = {path.name for path in (self.folder / "terraform").iterdir()}
        original = {path.name for path in (CHECKOUT / "contrib/terraform").iterdir()}
        self.assertEqual(copied, original)

    def test_consistent(self) -> None:
        """What it needs is what it says that it needs."""
        python = installed()
        self.run_client(sys.executable, "-m", "pip", "--python", python, "check")
        self.run_client(python, "-c", "import twisted.web, pypicloud_tw.tap")


class ServingTests(IntegrationTestCase):
    """The installed server, from another folder than that of its configuration."""

    def test_twistd(self) -> None:
        elsewhere = self.make_folder()
        self.serves(script("twistd", installed()), "-n", "--pidfile=", cwd=elsewhere)
        self.assertEqual(list(elsewhere.iterdir()), [])

    def test_twist(self) -> None:
        self.serves(script("twist", installed()), cwd=self.make_folder())

    def test_without_a_config(self) -> None:
        """It serves ./packages, to readers, and tells how to get a writer."""
        server = self.server(
            launcher=(script("twistd", installed()), "-n", "--pidfile="), start=False
        )
        cwd = self.make_folder()
        command = (*server.launcher, "pypicloud", "--listen")
        endpoint = f"tcp:{server.port}:interface=127.0.0.1"
        with server.log_file.open("wb") as output:
            process = subprocess.Popen(
                [*command, endpoint],
                cwd=cwd,
                env=clean_environment(self.home),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        server.process = process
        wait_until(server.is_ready, lambda: server.log)
        self.assertEqual(server.get("/simple/").status, 200)
        self.assertTrue((cwd / "packages").is_dir())
        self.assertIn("/packages pypicloud user add NAME --admin", server.log)
        body = b"--x--\r\n"
        answer = server.request(
            "POST", "/", body, {"Content-Type": "multipart/form-data; boundary=x"}
        )
        self.assertIn(answer.status, (401, 403))
        server.stop()

    def test_read_only_site_packages(self) -> None:
        """dropin.cache cannot be written there, nor can byte code.

        ``serve`` does not look for plugins, so there is nothing to complain about.
        """
        unprivileged, python, site = self.read_only_installation()
        twistd = "from twisted.scripts.twistd import run; run()"
        twistd_log = self.serves(
            *unprivileged, python, "-c", twistd, "-n", "--pidfile="
        )
        self.assertFalse((site / "twisted/plugins/dropin.cache").exists())
        self.assertEqual(list(site.rglob("__pycache__")), [])
        self.assertNotIn("Traceback", twistd_log)
        serve = (*unprivileged, python, "-m", "pypicloud_tw")
        serve_log = self.serves(*serve, command=("serve",))
        self.assertIn("Serving ", serve_log.splitlines()[0])
        self.assertNotIn("dropin.cache", serve_log)

    def serves(self, *launcher: str, **options: Any) -> str:
        """See that a server starts and serves; give its log."""
        server: Server = self.server(launcher=launcher, **options)
        self.assertEqual(server.get("/simple/").status, 200)
        server.stop()
        return server.log

    def read_only_installation(self) -> tuple[tuple[str, ...], str, Path]:
        """Make one; give what makes a command heed that, its Python, its folder."""
        python = self.folder / "environment" / "bin" / "python"
        venv = (sys.executable, "-m", "venv", "--without-pip", "--symlinks")
        run_here(*venv, str(python.parents[1]))
        site = site_packages(str(python))
        left = shutil.ignore_patterns("dropin.cache", "__pycache__")
        source = site_packages(installed())
        shutil.copytree(source, site, ignore=left, dirs_exist_ok=True)
        self.close_for_writing(site)
        unprivileged = _without_override()
        probe = run((*unprivileged, "touch", site / "probe"), home=self.home)
        if probe.code == 0:
            raise SkipTest("Nothing keeps this user from writing to a folder.")
        return unprivileged, str(python), site

    def close_for_writing(self, folder: Path) -> None:
        """Do what ``chmod -R a-w`` does to folders, until the test ends."""
        for path in (folder, *(p for p in folder.rglob("*") if p.is_dir())):
            mode = path.stat().st_mode
            path.chmod(mode & ~0o222)
            self.addCleanup(path.chmod, mode)


class PidFileTests(IntegrationTestCase):
    """kill -9 leaves a twistd.pid, and its number may be another's by now."""

    def test_left_by_a_kill(self) -> None:
        """Every example says ``--pidfile=``, so nothing is left or looked for."""
        cwd = self.make_folder()
        server = self.server(cwd=cwd)
        server.kill()
        self.assertFalse((cwd / "twistd.pid").exists())
        # As an operator has it who ran it without, before: this test's own number.
        (cwd / "twistd.pid").write_text(str(os.getpid()))
        server.start()
        self.assertEqual(server.get("/simple/").status, 200)
        server.stop()


class EditableTests(IntegrationTestCase):
    """What a contributor has."""

    def test_editable(self) -> None:
        """As ``pip install -e '.[test]'`` leaves it, from any folder."""
        where = Path(pypicloud_tw.__file__)
        if CHECKOUT not in where.parents:
            raise SkipTest("These tests do not run with an editable install.")
        self.run_client(sys.executable, "-c", "import twisted.web, twisted.plugins")
        output = self.run_client(script("twistd"), "--help")
        self.assertRegex(output, PLUGIN)
        code = "import pypicloud_tw; print(pypicloud_tw.__file__)"
        self.assertIn(str(where), self.run_client(sys.executable, "-c", code))


class NewerPythonTests(IntegrationTestCase):
    """The plugin on the newest Python that this machine has."""

    def test_newest_python(self) -> None:
        python = next(filter(None, map(find_python, NEWER)), None)
        if python is None:
            raise SkipTest(f"This machine has no Python of {', '.join(NEWER)}.")
        made = installed_for(python)
        strict = ("-W", "error::SyntaxWarning")
        self.run_client(made, *strict, "-c", "import pypicloud_tw.tap")
        output = self.run_client(script("twistd", made), "--help")
        self.assertRegex(output, PLUGIN)
        server = self.server(launcher=(script("twistd", made), "-n", "--pidfile="))
        self.assertEqual(server.get("/simple/").status, 200)
        server.stop()


class WithoutInstallingTests(IntegrationTestCase):
    """One line, by those who keep programs apart: uv and pipx.

    What they take of an index comes from a folder here, so that they ask no other.
    """

    def setUp(self) -> None:
        super().setUp()
        self.wheel = archives().wheel
        house = str(wheelhouse(self.wheel))
        tools = self.folder / "tools"
        self.variables = {
            "UV_CACHE_DIR": str(tools / "cache"),
            "UV_TOOL_DIR": str(tools / "uv"),
            "UV_TOOL_BIN_DIR": str(tools / "bin"),
            "UV_PYTHON": sys.executable,
            "UV_OFFLINE": "1",
            "UV_NO_INDEX": "1",
            "UV_FIND_LINKS": house,
            "PIPX_HOME": str(tools / "pipx"),
            "PIPX_DEFAULT_PYTHON": sys.executable,
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": house,
        }

    def serves(self, *launcher: str) -> None:
        """See that a server starts so, serves, and ends when it is told to."""
        server: Server = self.server(
            launcher=launcher,
            command=("serve",),
            environment=self.variables,
            start=False,
        )
        server.start(ready=False)
        # It is installed first.
        wait_until(server.is_ready, lambda: server.log, 4 * PATIENCE)
        said = server.get("/health").headers["server"]
        self.assertEqual(said.split("/")[1], self.wheel.name.split("-")[1])
        server.stop()

    def test_uvx(self) -> None:
        self.serves(script("uvx"), "pypicloud-tw")

    def test_uv_tool_install(self) -> None:
        install = (script("uv"), "tool", "install", "pypicloud-tw")
        self.run_client(*install, **self.variables)
        self.serves(str(self.folder / "tools" / "bin" / "pypicloud"))

    def test_pipx_run(self) -> None:
        self.serves(script("pipx"), "run", "pypicloud-tw")


def _digest(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def _without_override() -> tuple[str, ...]:
    """Give what makes a command heed the modes of folders, which root does not."""
    if os.geteuid() != 0:
        return ()
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise SkipTest("setpriv (util-linux) is missing.")
    return (setpriv, "--bounding-set=-dac_override")


test_suite = apart(__name__)
