"""What a user installs: the wheel, the plugin, and what may go wrong around them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from functools import cache
from hashlib import sha256
from pathlib import Path

from twisted.trial.unittest import SkipTest

import pypicloud_tw
from tests.integration import apart
from tests.integration.clients.environments import (
    environment,
    find_python,
    once,
    run_here,
)
from tests.integration.rig import (
    CHECKOUT,
    IntegrationTestCase,
    clean_environment,
    run,
    script,
    wait_until,
)

#: The Pythons after the oldest that is supported, as far as they may exist by now.
NEWER = ("3.12", "3.13", "3.14", "3.15")

#: What is not part of a checkout.
NOT_OURS = shutil.ignore_patterns(
    ".*", "__pycache__", "*.egg-info", "_trial_temp*", "build", "dist", "packages",
    "dropin.cache", "venv",
)  # fmt: skip

#: How ``twistd --help`` shows that it has found us.
PLUGIN = r"\n +pypicloud +\S"


@cache
def state() -> str:
    """Name the state of the checkout, so that what is made of it is made again."""
    digest = sha256()
    for pattern in (
        "pyproject.toml",
        "README.rst",
        "pypicloud_tw/**/*",
        "twisted/**/*",
    ):
        for path in sorted(CHECKOUT.glob(pattern)):
            if path.is_file() and "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(CHECKOUT)}\0".encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def checkout() -> Path:
    """Copy the checkout, so that building leaves nothing in it."""

    def make(path: Path) -> None:
        shutil.copytree(CHECKOUT, path, ignore=NOT_OURS, dirs_exist_ok=True)

    return once(f"checkout-{state()}", make)


def wheel() -> Path:
    """Build the wheel as a release does, isolated."""

    def make(path: Path) -> None:
        command = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps")
        run_here(*command, "--wheel-dir", str(path), str(checkout()))

    (built,) = once(f"wheel-{state()}", make).glob("*.whl")
    return built


def installed(python: str = sys.executable) -> str:
    """Install the wheel and all it needs into a new environment."""
    # Byte code is made when it is needed: most is not.
    return environment("--no-compile", "pip", str(wheel()), python=python)


def site_packages(python: str) -> Path:
    (found,) = Path(python).parents[1].glob("lib/python*/site-packages")
    return found


class WheelTests(IntegrationTestCase):
    def test_members(self) -> None:
        with zipfile.ZipFile(wheel()) as archive:
            members = set(archive.namelist())
        expected = {
            "twisted/plugins/pypicloud_plugin.py",
            "pypicloud_tw/py.typed",
            "pypicloud_tw/tap.py",
        }
        pages = CHECKOUT / "pypicloud_tw" / "web" / "pages"
        for kind in ("templates/**/*.html", "static/*"):
            expected |= {str(found.relative_to(CHECKOUT)) for found in pages.glob(kind)}
        self.assertLessEqual(expected, members)
        modules = (CHECKOUT / "pypicloud_tw").rglob("*.py")
        ours = {str(module.relative_to(CHECKOUT)) for module in modules}
        self.assertLessEqual(ours, members)
        # They would shadow Twisted's own, and the plugin would not be looked for.
        for foreign in ("twisted/__init__.py", "twisted/plugins/__init__.py"):
            self.assertNotIn(foreign, members)
        top = {name.split("/")[0] for name in members if ".dist-info/" not in name}
        self.assertEqual(top, {"pypicloud_tw", "twisted"})
        self.assertFalse([name for name in members if "dropin.cache" in name])

    def test_commands(self) -> None:
        python = installed()
        output = self.run_client(script("twistd", python), "--help")
        self.assertRegex(output, PLUGIN)
        output = self.run_client(script("twist", python), "--help")
        self.assertRegex(output, PLUGIN)
        output = self.run_client(script("twistd", python), "-n", "pypicloud", "--help")
        self.assertIn("--listen", output)
        self.run_client(script("pypicloud", python), "--help")

    def test_consistent(self) -> None:
        """What it needs is what it says that it needs."""
        python = installed()
        self.run_client(python, "-m", "pip", "check")
        self.run_client(python, "-c", "import twisted.web, pypicloud_tw.tap")


class ServingTests(IntegrationTestCase):
    """The installed server, from another folder than that of its configuration."""

    def test_twistd(self) -> None:
        elsewhere = self.make_folder()
        launcher = (script("twistd", installed()), "-n", "--pidfile=")
        server = self.server(launcher=launcher, cwd=elsewhere)
        self.assertEqual(server.get("/simple/").status, 200)
        server.stop()
        self.assertEqual(list(elsewhere.iterdir()), [])

    def test_twist(self) -> None:
        elsewhere = self.make_folder()
        launcher = (script("twist", installed()),)
        server = self.server(launcher=launcher, cwd=elsewhere)
        self.assertEqual(server.get("/simple/").status, 200)
        server.stop()

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
        self.assertIn("pypicloud-gen-password", server.log)
        body = b"--x--\r\n"
        answer = server.request(
            "POST", "/", body, {"Content-Type": "multipart/form-data; boundary=x"}
        )
        self.assertIn(answer.status, (401, 403))
        server.stop()

    def test_read_only_site_packages(self) -> None:
        """dropin.cache cannot be written there, nor can byte code."""
        unprivileged, python, site = self.read_only_installation()
        twistd = "from twisted.scripts.twistd import run; run()"
        server = self.server(
            launcher=(*unprivileged, python, "-c", twistd, "-n", "--pidfile=")
        )
        self.assertEqual(server.get("/simple/").status, 200)
        server.stop()
        self.assertFalse((site / "twisted/plugins/dropin.cache").exists())
        self.assertEqual(list(site.rglob("__pycache__")), [])
        self.assertNotIn("Traceback", server.log)

    def test_serve_from_read_only_site_packages(self) -> None:
        """It does not look for plugins, so there is nothing to complain about."""
        unprivileged, python, _ = self.read_only_installation()
        server = self.server(
            launcher=(*unprivileged, python, "-m", "pypicloud_tw"), command=("serve",)
        )
        self.assertEqual(server.get("/simple/").status, 200)
        server.stop()
        self.assertIn("Serving ", server.log.splitlines()[0])
        self.assertNotIn("dropin.cache", server.log)

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
    """The plugin on every newer Python that this machine has."""

    def test_newer_pythons(self) -> None:
        found = [python for version in NEWER if (python := find_python(version))]
        if not found:
            raise SkipTest(f"This machine has no Python of {', '.join(NEWER)}.")
        for python in found:
            made = installed(python)
            strict = ("-W", "error::SyntaxWarning")
            self.run_client(made, *strict, "-c", "import pypicloud_tw.tap")
            output = self.run_client(script("twistd", made), "--help")
            self.assertRegex(output, PLUGIN)
            server = self.server(launcher=(script("twistd", made), "-n", "--pidfile="))
            self.assertEqual(server.get("/simple/").status, 200)
            server.stop()


def _without_override() -> tuple[str, ...]:
    """Give what makes a command heed the modes of folders, which root does not."""
    if os.geteuid() != 0:
        return ()
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        raise SkipTest("setpriv (util-linux) is missing.")
    return (setpriv, "--bounding-set=-dac_override")


test_suite = apart(__name__)
