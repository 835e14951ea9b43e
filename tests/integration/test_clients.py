"""What uploads and installs, as users have it: pip, uv, twine and setup.py."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.integration import apart
from tests.integration.clients.environments import PIPS, environment, python_3_11
from tests.integration.dists import make_sdist, make_wheel
from tests.integration.rig import (
    PASSWORD,
    USER,
    IntegrationTestCase,
    Server,
    script,
)

#: Where clients of different ages and habits post to.
ADDRESSES = (
    "",
    "/",
    "/simple",
    "/simple/",
    "/legacy",
    "/legacy/",
    "/pypi",
    "/pypi/",
)

SETUP_PY = """\
from {module} import setup
setup(name="{name}", version="1.0", description="A tool", author="A. Cme",
      author_email="a@acme.example", url="https://acme.example", py_modules=["{name}"])
"""

PYPIRC = """\
[distutils]
index-servers =
    acme
[acme]
repository = {url}
username = {user}
password = {password}
"""


class ClientTestCase(IntegrationTestCase):
    """Clients with a folder for what they upload, and one for what they install."""

    def setUp(self) -> None:
        super().setUp()
        self.dist = self.folder / "dist"
        self.dist.mkdir()
        self.target = self.folder / "target"

    def publish(self, server: Server, *files: Path) -> None:
        for file in files:
            answer = server.upload(file)
            self.assertEqual(answer.status, 200, answer)

    def publish_pair(self, server: Server) -> None:
        """Publish two projects, the first of which needs the second."""
        self.publish(
            server,
            make_wheel(self.dist, "acme_app", "1.0", requires=["acme-lib>=1.1"]),
            make_wheel(self.dist, "acme_lib", "1.0"),
            make_wheel(self.dist, "acme_lib", "1.1"),
            make_sdist(self.dist, "acme_lib", "1.2"),
        )

    def installed(self, name: str, version: str) -> None:
        """Assert what lies in the target folder."""
        text = (self.target / name / "__init__.py").read_text()
        self.assertEqual(text, f"version = {version!r}\n")

    def twine(self, server: Server, *files: Path, path: str = "/") -> tuple[str, ...]:
        return (
            *(script("twine"), "upload", "--non-interactive"),
            *("--disable-progress-bar", "--repository-url", f"{server.url}{path}"),
            *("-u", USER, "-p", PASSWORD),
            *map(str, files),
        )

    def uv_publish(
        self, server: Server, *files: Path, path: str = "/"
    ) -> tuple[str, ...]:
        return (
            *(script("uv"), "publish", "--publish-url", f"{server.url}{path}"),
            *("--trusted-publishing=never", "--username", USER),
            *("--password", PASSWORD, *map(str, files)),
        )

    def pip(self, python: str, command: str, *arguments: str) -> tuple[str, ...]:
        return (python, "-m", "pip", command, "--no-cache-dir", *arguments)


class UploadTests(ClientTestCase):
    """Every client publishes, to every address, and is told what is wrong."""

    def files(self, server: Server, project: str) -> list[str]:
        return [file["filename"] for file in server.document(project)["files"]]

    def test_twine(self) -> None:
        server = self.server()
        wheel = make_wheel(self.dist, "acme", "1.0")
        sdist = make_sdist(self.dist, "acme", "1.0")
        self.run_client(*self.twine(server, wheel, sdist))
        self.assertEqual(
            self.files(server, "acme"), ["acme-1.0-py3-none-any.whl", "acme-1.0.tar.gz"]
        )

    def test_uv(self) -> None:
        server = self.server()
        wheel = make_wheel(self.dist, "acme", "1.0")
        sdist = make_sdist(self.dist, "acme", "1.0")
        self.run_client(*self.uv_publish(server, wheel, sdist))
        self.assertEqual(
            self.files(server, "acme"), ["acme-1.0-py3-none-any.whl", "acme-1.0.tar.gz"]
        )

    def test_as_many_fields_as_the_largest_project_has(self) -> None:
        """boto3-stubs: a field each for 882 Requires-Dist; here 439 extras as well."""
        extras = [f"mypy-boto3-service{n}<1.1.0,>=1.0.0" for n in range(1321)]
        wheel = make_wheel(self.dist, "acme", "1.0", requires=extras)
        server = self.server()
        self.run_client(*self.twine(server, wheel))
        self.run_client(*self.uv_publish(server, wheel))
        self.assertEqual(self.files(server, "acme"), [wheel.name])

    def test_every_address(self) -> None:
        """uv refuses every redirect."""
        server = self.server()
        for number, path in enumerate(ADDRESSES):
            wheel = make_wheel(self.dist, "acme", f"1.{number}")
            self.run_client(*self.uv_publish(server, wheel, path=path))
            wheel = make_wheel(self.dist, "acme", f"2.{number}")
            self.run_client(*self.twine(server, wheel, path=path))
        self.assertEqual(len(self.files(server, "acme")), 2 * len(ADDRESSES))

    def test_same_bytes_again(self) -> None:
        """So an upload whose answer was lost can simply be repeated."""
        server = self.server()
        wheel = make_wheel(self.dist, "acme", "1.0")
        for _ in range(2):
            self.run_client(*self.twine(server, wheel))
            self.run_client(*self.uv_publish(server, wheel))
        self.assertEqual(len(self.files(server, "acme")), 1)

    def test_other_bytes(self) -> None:
        server = self.server()
        self.publish(server, make_wheel(self.dist, "acme", "1.0"))
        before = server.document("acme")
        wheel = make_wheel(self.dist, "acme", "1.0", files={"more.py": b""})
        output = self.run_failing(*self.twine(server, wheel))
        self.assertIn("409", output)
        self.assertIn("File already exists", output)
        output = self.run_failing(*self.uv_publish(server, wheel))
        self.assertIn("File already exists", output)
        self.assertEqual(server.document("acme"), before)

    def test_skip_existing(self) -> None:
        """twine 1.13 is the last that offers it with indexes other than the big one."""
        server = self.server()
        self.publish(server, make_wheel(self.dist, "acme", "1.0"))
        before = server.document("acme")
        wheel = make_wheel(self.dist, "acme", "1.0", files={"more.py": b""})
        python = environment("twine==1.13.0", "setuptools<81", "urllib3<2")
        command = (script("twine", python), *self.twine(server, wheel)[1:])
        old = [w for w in command if w != "--non-interactive"]
        output = self.run_client(*old, "--skip-existing")
        self.assertIn("Skipping acme-1.0-py3-none-any.whl", output)
        self.assertEqual(server.document("acme"), before)
        self.assertIn("File already exists", self.run_failing(*old))

    def test_uv_check_url(self) -> None:
        """uv asks the index first, and sends only what is not there."""
        server = self.server()
        first = make_wheel(self.dist, "acme", "1.0")
        self.publish(server, first)
        second = make_wheel(self.dist, "acme", "1.1")
        command = self.uv_publish(server, first, second)
        output = self.run_client(*command, "--check-url", server.simple)
        self.assertIn("already exists, skipping", output)
        self.assertEqual(len(self.files(server, "acme")), 2)

    def test_wrong_password(self) -> None:
        server = self.server()
        wheel = make_wheel(self.dist, "acme", "1.0")
        for command in (self.twine(server, wheel), self.uv_publish(server, wheel)):
            words = [w if w != PASSWORD else "wrong" for w in command]
            output = " ".join(self.run_failing(*words).split())
            self.assertIn("401", output)
            self.assertIn("password", output.lower().replace("--password", ""))
        self.assertEqual(server.get("/simple/acme/").status, 404)

    def test_not_a_distribution(self) -> None:
        """twine reads the metadata itself, so the archive is made worse after that."""
        server = self.server()
        wheel = make_wheel(self.dist, "acme", "1.0")
        other = wheel.rename(self.dist / "acme-1.1-py3-none-any.whl")
        answer = server.upload(other)
        self.assertEqual(answer.status, 400)
        self.assertIn("version", answer.reason.lower())
        other.write_bytes(b"PK\x03\x04 but no more")
        self.assertEqual(server.upload(other).status, 400)
        self.assertEqual(server.get("/simple/acme/").status, 404)

    def test_large_file(self) -> None:
        """Refused while it is still being sent; the client reads why."""
        server = self.server(settings={"pypi.max_upload": "1MiB"})
        big = {"acme/data": bytes(64 * 2**20)}
        wheel = make_wheel(self.dist, "acme", "1.0", files=big)
        for command in (self.twine(server, wheel), self.uv_publish(server, wheel)):
            output = self.run_failing(*command)
            self.assertIn("413", output)
            self.assertIn("pypi.max_upload", " ".join(output.split()))


class SetupPyTests(ClientTestCase):
    """``setup.py upload``, gone since setuptools 42 and Python 3.12, and still used."""

    def upload(self, python: str, module: str, **environment: str) -> None:
        server = self.server()
        project = self.folder / "project"
        project.mkdir()
        (project / "acme.py").touch()
        setup_py = SETUP_PY.format(module=module, name="acme")
        (project / "setup.py").write_text(setup_py)
        pypirc = PYPIRC.format(url=f"{server.url}/", user=USER, password=PASSWORD)
        (self.home / ".pypirc").write_text(pypirc)
        command = (python, "setup.py", "sdist", "--formats=gztar", "upload")
        output = self.run_client(
            *command, "-r", "acme", "--show-response", cwd=project, **environment
        )
        self.assertIn("Server response (200): OK", output)
        files = server.document("acme")["files"]
        self.assertEqual([file["filename"] for file in files], ["acme-1.0.tar.gz"])
        # The same bytes once more, as who repeats a release that broke half-way.
        built = project / "dist" / "acme-1.0.tar.gz"
        self.assertEqual(server.upload(built).status, 200)

    def test_distutils(self) -> None:
        """The standard library's own."""
        python = environment(python=python_3_11())
        self.upload(python, "distutils.core", SETUPTOOLS_USE_DISTUTILS="stdlib")

    def test_setuptools_with_its_own_distutils(self) -> None:
        python = environment("setuptools==65.5.0", python=python_3_11())
        self.upload(python, "distutils.core", SETUPTOOLS_USE_DISTUTILS="local")

    def test_old_setuptools(self) -> None:
        """The last release with an upload command of its own."""
        python = environment("setuptools==41.6.0", python=python_3_11())
        self.upload(python, "setuptools")


class PipTests(ClientTestCase):
    """pip of three ages; the oldest reads HTML only."""

    def pips(self) -> list[str]:
        return [environment(pip) for pip in PIPS]

    def install(self, python: str, index: str, *what: str, **options: str) -> str:
        command = self.pip(python, "install", "--target", str(self.target), *what)
        return self.run_client(*command, "--upgrade", "-i", index, **options)

    def test_install(self) -> None:
        """A project and what it needs, from an index that is all there is."""
        server = self.server()
        self.publish_pair(server)
        for number, python in enumerate(self.pips()):
            self.target = self.folder / f"target-{number}"
            self.install(python, server.simple, "acme.app")
            self.installed("acme_app", "1.0")
            # The newest is a source distribution, which pip builds.
            self.installed("acme_lib", "1.2")

    def test_download(self) -> None:
        server = self.server()
        self.publish_pair(server)
        for number, python in enumerate(self.pips()):
            folder = self.folder / f"downloads-{number}"
            command = self.pip(python, "download", "--only-binary=:all:")
            self.run_client(*command, "-d", folder, "-i", server.simple, "acme-app")
            names = sorted(path.name for path in folder.iterdir())
            self.assertEqual(
                names,
                ["acme_app-1.0-py3-none-any.whl", "acme_lib-1.1-py3-none-any.whl"],
            )
            for name in names:
                self.assertEqual(
                    (folder / name).read_bytes(), (self.dist / name).read_bytes()
                )

    def test_without_the_final_slash(self) -> None:
        server = self.server()
        self.publish_pair(server)
        self.install(environment(PIPS[0]), f"{server.url}/simple", "Acme_App")
        self.installed("acme_app", "1.0")

    def test_metadata_alone(self) -> None:
        """The newest pip resolves by PEP 658, without the wheels."""
        server = self.server()
        self.publish_pair(server)
        command = self.pip(environment(PIPS[0]), "install", "--dry-run")
        self.run_client(
            *command, "--ignore-installed", "-i", server.simple, "acme_lib<1.2"
        )
        # The access log is written a little later.
        server.stop()
        self.assertIn("acme_lib-1.1-py3-none-any.whl.metadata", server.log)
        self.assertNotIn("acme_lib-1.1-py3-none-any.whl HTTP", server.log)

    def test_search(self) -> None:
        """By a part of the name, at the addresses that pip's users know."""
        server = self.server()
        self.publish(server, make_wheel(self.dist, "acme_lib", "1.0"))
        for python in self.pips():
            for path in ("pypi", "simple/"):
                address = ("-i", f"{server.url}/{path}")
                search = (python, "-m", "pip", "search", *address)
                self.assertIn("acme_lib (1.0)", self.run_client(*search, "acme"))
                self.run_failing(*search, "nothing-of-that-name")

    def test_requires_python(self) -> None:
        """What needs another Python is passed over."""
        server = self.server()
        self.publish(
            server,
            make_wheel(self.dist, "acme", "1.0"),
            make_wheel(self.dist, "acme", "2.0", requires_python=">=9"),
        )
        for number, python in enumerate(self.pips()):
            self.target = self.folder / f"target-{number}"
            self.install(python, server.simple, "acme")
            self.installed("acme", "1.0")

    def test_hashes(self) -> None:
        server = self.server()
        wheel = make_wheel(self.dist, "acme", "1.0")
        self.publish(server, wheel)
        digest = server.document("acme")["files"][0]["hashes"]["sha256"]
        requirements = self.folder / "requirements.txt"
        requirements.write_text(f"acme==1.0 --hash=sha256:{digest}\n")
        options = ("--require-hashes", "-r", str(requirements))
        for number, python in enumerate(self.pips()):
            self.target = self.folder / f"target-{number}"
            self.install(python, server.simple, *options)
            self.installed("acme", "1.0")

    def test_log_in(self) -> None:
        """With the password in the address, and in .netrc; without it, refused."""
        server = self.server(settings={"pypi.default_read": "authenticated"})
        self.publish_pair(server)
        netrc = f'machine 127.0.0.1 login {USER} password "{PASSWORD}"\n'
        for number, python in enumerate(self.pips()):
            self.target = self.folder / f"target-{number}"
            self.install(python, f"{server.url_with_password}/simple/", "acme-app")
            self.installed("acme_app", "1.0")
            command = self.pip(python, "download", "-d", str(self.folder))
            output = self.run_failing(*command, "-i", server.simple, "acme-app")
            self.assertIn("No matching distribution found for acme-app", output)
            (self.home / ".netrc").write_text(netrc)
            (self.home / ".netrc").chmod(0o600)
            self.target = self.folder / f"target-netrc-{number}"
            self.install(python, server.simple, "acme-app")
            self.installed("acme_app", "1.0")
            (self.home / ".netrc").unlink()
        server.stop()
        self.assertNotIn(PASSWORD, server.log)
        self.assertNotIn(PASSWORD.replace(" ", "%20"), server.log)

    def test_absent(self) -> None:
        server = self.server()
        for python in self.pips():
            command = self.pip(python, "download", "-d", str(self.folder))
            output = self.run_failing(*command, "-i", server.simple, "no-such")
            self.assertIn("No matching distribution found for no-such", output)


class UvTests(ClientTestCase):
    """uv, which reads JSON and core metadata, and locks addresses."""

    def uv(self, *arguments: str | Path, **options: str | Path) -> str:
        command = (script("uv"), *arguments, "--python", sys.executable)
        return self.run_client(*command, **options)

    def test_install(self) -> None:
        server = self.server()
        self.publish_pair(server)
        index = ("--index-url", server.simple)
        self.uv("pip", "install", "--target", self.target, *index, "acme-app")
        self.installed("acme_app", "1.0")
        self.installed("acme_lib", "1.2")

    def test_lock(self) -> None:
        """A lock file made today works tomorrow, when the server was restarted."""
        server = self.server()
        self.publish_pair(server)
        project = self.project(server.simple)
        self.uv("lock", cwd=project)
        lock = (project / "uv.lock").read_text()
        self.assertIn(f"{server.url}/packages/acme-app/", lock)
        self.assertNotIn("?", lock)
        self.assertIn("upload-time", lock)
        server.stop()
        server.start()
        self.uv("lock", "--check", "--no-cache", cwd=project)
        self.uv("sync", "--locked", "--no-cache", cwd=project)
        (site,) = (project / ".venv").glob("lib/python*/site-packages")
        self.target = site
        self.installed("acme_app", "1.0")

    def test_log_in(self) -> None:
        server = self.server(settings={"pypi.default_read": "authenticated"})
        self.publish_pair(server)
        index = ("--index-url", f"{server.url_with_password}/simple/")
        self.uv("pip", "install", "--target", self.target, *index, "acme-app")
        self.installed("acme_app", "1.0")
        command = (script("uv"), "pip", "install", "--target", self.folder / "other")
        output = self.run_failing(*command, "--index-url", server.simple, "acme-app")
        self.assertIn("401", output)
        project = self.project(server.simple)
        password = {
            "UV_INDEX_ACME_USERNAME": USER,
            "UV_INDEX_ACME_PASSWORD": PASSWORD,
        }
        self.uv("lock", cwd=project, **password)
        self.assertNotIn(PASSWORD, (project / "uv.lock").read_text())
        self.uv("sync", "--locked", "--no-cache", cwd=project, **password)

    def project(self, index: str) -> Path:
        """Make a project of a user's that needs ours."""
        project = self.folder / "project"
        project.mkdir()
        (project / "pyproject.toml").write_text(
            '[project]\nname = "user-project"\nversion = "1"\n'
            'requires-python = ">=3.11"\ndependencies = ["acme-app"]\n'
            f'[[tool.uv.index]]\nname = "acme"\nurl = "{index}"\ndefault = true\n'
        )
        return project


test_suite = apart(__name__)
