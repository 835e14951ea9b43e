"""Clients that publish."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.integration import apart
from tests.integration.clients import cells
from tests.integration.clients.cells import Rows
from tests.integration.clients.environments import environment, python_3_11
from tests.integration.dists import make_sdist, make_wheel
from tests.integration.rig import basic, script

PYPIRC = """\
[distutils]
index-servers =
    acme
[acme]
repository = {url}
username = {user}
password = {password}
"""

SETUP_PY = """\
from setuptools import setup
setup(name="{name}", version="1.0", description="A tool", author="A. Cme",
      author_email="a@acme.example", url="https://acme.example", py_modules=["{name}"])
"""

#: Read by Poetry, PDM, Flit and Hatch alike.
PYPROJECT = """\
[project]
name = "{name}"
version = "1.0"
description = "A tool"
[build-system]
requires = ["flit_core"]
build-backend = "flit_core.buildapi"
"""


class Publishing(Rows):
    """Each publishes a project of its own, and sees that it is there."""

    def setUp(self) -> None:
        super().setUp()
        kind = "free" if self.log_in == "none" else "closed"
        row = self.id().rpartition(".")[2].removeprefix("test_")
        #: Nobody else's: columns share an index.
        self.project = f"{kind}_{row}_{self.log_in}"
        self.source = self.folder / "source"
        (self.source / self.project).mkdir(parents=True)
        (self.source / self.project / "__init__.py").write_text('"""A tool."""\n')
        (self.source / "pyproject.toml").write_text(PYPROJECT.format(name=self.project))
        self.dist = self.source / "dist"
        self.dist.mkdir()

    @property
    def legacy(self) -> str:
        return f"{self.index.url}/legacy/"

    @property
    def login(self) -> tuple[str, str]:
        """The user and the password; in columns that have some."""
        assert self.credentials is not None
        return self.credentials

    def pair(self) -> tuple[Path, Path]:
        """Build what is published."""
        return (
            make_wheel(self.dist, self.project, "1.0"),
            make_sdist(self.dist, self.project, "1.0"),
        )

    def published(self, *filenames: str) -> None:
        """Assert which files are listed."""
        page = self.index.document(
            self.project.replace("_", "-"), Authorization=basic()
        )
        expected = filenames or tuple(sorted(path.name for path in self.dist.iterdir()))
        self.assertEqual(tuple(sorted(f["filename"] for f in page["files"])), expected)

    def tool(
        self, package: str, *arguments: str | Path, variables: Mapping[str, str]
    ) -> str:
        python = environment(*_PACKAGES[package])
        return self.run_client(
            script(package, python), *arguments, cwd=self.source, **variables
        )


class AnonymousRows(Publishing):
    """What publishes with or without a log-in."""

    def test_curl(self) -> None:
        """As the guide has it."""
        login = () if self.credentials is None else ("-u", ":".join(self.credentials))
        wheel, _ = self.pair()
        fields = (":action=file_upload", f"name={self.project}", "version=1.0")
        form = [
            part for field in (*fields, f"content=@{wheel}") for part in ("-F", field)
        ]
        self.run_client("curl", "-sS", "--fail-with-body", *login, *form, self.legacy)
        self.published(wheel.name)


class PublishRows(AnonymousRows):
    """With a log-in, without which these clients send nothing."""

    def test_twine(self) -> None:
        user, password = self.login
        command = (script("twine"), "upload", "--non-interactive")
        where = ("--repository-url", self.legacy, "-u", user, "-p", password)
        self.run_client(*command, "--disable-progress-bar", *where, *self.pair())
        self.published()

    def test_uv(self) -> None:
        """Once more as well, having looked what is there already."""
        login: tuple[str, ...] = ()
        if self.credentials is not None:
            user, password = self.credentials
            login = ("--username", user, "--password", password)
        command = (script("uv"), "publish", "--publish-url", self.legacy)
        options = ("--trusted-publishing=never", *login, "--check-url", self.simple)
        files = self.pair()
        self.run_client(*command, *options, *files)
        self.published()
        output = self.run_client(*command, *options, *files)
        self.assertIn("already exists, skipping", output)

    def test_setup_py(self) -> None:
        user, password = self.login
        (self.source / "setup.py").write_text(SETUP_PY.format(name=self.project))
        (self.source / f"{self.project}.py").touch()
        (self.source / "pyproject.toml").unlink()
        pypirc = PYPIRC.format(url=self.legacy, user=user, password=password)
        (self.home / ".pypirc").write_text(pypirc)
        # The last release with an upload command of its own.
        python = environment("setuptools==41.6.0", python=python_3_11())
        command = (python, "setup.py", "sdist", "--formats=gztar", "upload")
        output = self.run_client(
            *command, "-r", "acme", "--show-response", cwd=self.source
        )
        self.assertIn("Server response (200): OK", output)
        self.published()


class ToolRows(Publishing):
    """Those that take seconds for each step."""

    def test_poetry(self) -> None:
        self.pair()
        variables = {"POETRY_REPOSITORIES_ACME_URL": self.legacy}
        variables["POETRY_KEYRING_ENABLED"] = "false"
        user, password = self.login
        login = ("--username", user, "--password", password)
        options = ("publish", "--no-interaction", "-r", "acme", *login)
        self.tool("poetry", *options, variables=variables)
        self.published()

    def test_pdm(self) -> None:
        self.pair()
        user, password = self.login
        login = ("--username", user, "--password", password)
        options = ("publish", "--no-build", "-r", self.legacy, *login)
        self.tool("pdm", *options, variables={"PDM_CHECK_UPDATE": "false"})
        self.published()

    def test_flit(self) -> None:
        """It builds by itself, and asks no index."""
        user, password = self.login
        variables = {
            "FLIT_INDEX_URL": self.legacy,
            "FLIT_USERNAME": user,
            "FLIT_PASSWORD": password,
        }
        self.tool("flit", "publish", variables=variables)
        self.published()

    def test_hatch(self) -> None:
        self.pair()
        user, password = self.login
        options = ("publish", "-n", "-r", self.legacy, "-u", user, "-a", password)
        self.tool("hatch", *options, variables={})
        self.published()

    def test_maturin(self) -> None:
        wheel, sdist = self.pair()
        user, password = self.login
        options = ("--repository-url", self.legacy, "-u", user, "-p", password)
        self.tool(
            "maturin",
            "upload",
            "--non-interactive",
            *options,
            wheel,
            sdist,
            variables={},
        )
        self.published()


#: What is installed for the command of that name.
_PACKAGES = {
    "poetry": ("poetry",),
    # PDM 2.29 imports a name that hishel 1.2 has no more.
    "pdm": ("pdm", "hishel<2"),
    "flit": ("flit",),
    "hatch": ("hatch",),
    "maturin": ("maturin",),
}


class FolderNoneTests(AnonymousRows, cells.FolderNone):
    pass


class FolderBasicTests(PublishRows, cells.FolderBasic):
    pass


class FolderTokenTests(PublishRows, cells.FolderToken):
    pass


class BucketNoneTests(AnonymousRows, cells.BucketNone):
    pass


class BucketBasicTests(PublishRows, cells.BucketBasic):
    pass


class BucketTokenTests(PublishRows, cells.BucketToken):
    pass


class FolderTokenToolTests(ToolRows, cells.FolderToken):
    pass


class BucketBasicToolTests(ToolRows, cells.BucketBasic):
    pass


if cells.every_column():

    class FolderBasicToolTests(ToolRows, cells.FolderBasic):
        pass

    class BucketTokenToolTests(ToolRows, cells.BucketToken):
        pass


test_suite = apart(__name__)
