"""Clients that install and lock."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

from tests.integration import apart
from tests.integration.clients import cells
from tests.integration.clients.cells import YANKED, Rows
from tests.integration.clients.environments import environment
from tests.integration.rig import script

UV_PROJECT = """
[[tool.uv.index]]
name = "acme"
url = "{url}"
default = true
"""

POETRY_PROJECT = """
[tool.poetry]
package-mode = false
[[tool.poetry.source]]
name = "acme"
url = "{url}"
priority = "primary"
"""

PDM_PROJECT = """
[tool.pdm]
distribution = false
[[tool.pdm.source]]
name = "pypi"
url = "{url}"
verify_ssl = true
"""

PIPFILE = """
[[source]]
name = "acme"
url = "{url}"
verify_ssl = true
[packages]
{app} = "*"
"""

HATCH_PROJECT = """
[tool.hatch.envs.default]
type = "virtual"
skip-install = true
dependencies = ["{app}"]
"""

#: What is not ours in an environment that Poetry, PDM or Pipenv makes: none of them
#: may ask any index for it.
_VARIABLES = {
    "POETRY_VIRTUALENVS_IN_PROJECT": "true",
    "POETRY_KEYRING_ENABLED": "false",
    "PDM_CHECK_UPDATE": "false",
    "PIPENV_VENV_IN_PROJECT": "1",
    "PIPENV_NOSPIN": "1",
    "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
}


def site(project: Path, environment: str = ".venv") -> Path:
    """Find where an environment has its packages."""
    (found,) = (project / environment).glob("lib/python*/site-packages")
    return found


class PipRows(Rows):
    """pip of several ages, and what its options ask of an index."""

    def pip(self, release: str, *arguments: str | Path) -> str:
        python = environment(release)
        command = (python, "-m", "pip", "install", "--no-cache-dir")
        return self.run_client(*command, "-i", self.simple, *arguments)

    def target(self, name: str = "target") -> Path:
        return self.folder / name

    def installs(self, release: str, *options: str) -> None:
        self.pip(release, "--target", self.target(), *options, self.app)
        self.assert_installed(self.target())

    def test_pip(self) -> None:
        self.installs("pip")

    def test_pip_23_0(self) -> None:
        self.installs("pip==23.0")

    def test_pip_22_2(self) -> None:
        self.installs("pip==22.2")

    def test_pip_20_3(self) -> None:
        self.installs("pip==20.3")

    def test_pip_builds(self) -> None:
        self.pip("pip", "--target", self.target(), f"{self.lib}==1.2")
        self.assert_installed(self.target(), "1.2", app=False)

    def test_pip_require_hashes(self) -> None:
        requirements = self.folder / "requirements.txt"
        app = self.hashes(self.app)[f"{self.kind}_app-1.0-py3-none-any.whl"]
        lib = self.hashes(self.lib)[f"{self.kind}_lib-1.3-py3-none-any.whl"]
        requirements.write_text(
            f"{self.app}==1.0 --hash=sha256:{app}\n"
            f"{self.lib}==1.3 --hash=sha256:{lib}\n"
        )
        self.pip(
            "pip", "--target", self.target(), "--require-hashes", "-r", requirements
        )
        self.assert_installed(self.target())

    def test_pip_uploaded_prior_to(self) -> None:
        """It needs upload-time, and fails without it (pip 26.0)."""
        before = (self.shared.before + timedelta(seconds=1)).isoformat()
        self.pip(
            "pip",
            *("--target", self.target(), "--only-binary=:all:"),
            f"--uploaded-prior-to={before}",
            self.app,
        )
        self.assert_installed(self.target(), "1.1")

    def test_pip_yanked(self) -> None:
        """Only by its very version, and with the reason (PEP 592)."""
        output = self.pip("pip", "--target", self.target(), f"{self.lib}==1.4")
        self.assert_installed(self.target(), "1.4", app=False)
        self.assertIn(YANKED, " ".join(output.split()))

    def test_pip_fast_deps(self) -> None:
        self.installs("pip", "--use-feature=fast-deps")


class UvRows(Rows):
    """uv: installing, locking, and what its options ask of an index."""

    def uv(self, *arguments: str | Path, cwd: Path | None = None) -> str:
        command = (script("uv"), *arguments, "--python", sys.executable)
        return self.run_client(*command, cwd=cwd, **self.variables)

    @property
    def variables(self) -> dict[str, str]:
        """The log-in, as uv's own guide has it: not in the address."""
        if self.credentials is None:
            return {}
        user, password = self.credentials
        return {"UV_INDEX_ACME_USERNAME": user, "UV_INDEX_ACME_PASSWORD": password}

    def install(self, *what: str) -> Path:
        target = self.folder / "target"
        index = ("--index-url", self.simple)
        self.uv("pip", "install", "--target", target, *index, *what)
        return target

    def test_uv_pip(self) -> None:
        self.assert_installed(self.install(self.app))

    def test_uv_exclude_newer(self) -> None:
        before = self.shared.before + timedelta(seconds=1)
        option = f"--exclude-newer={before:%Y-%m-%dT%H:%M:%SZ}"
        site = self.install(option, "--only-binary=:all:", self.app)
        self.assert_installed(site, "1.1")

    def test_uv_yanked(self) -> None:
        self.assert_installed(self.install(f"{self.lib}==1.4"), "1.4", app=False)

    def test_uv_require_hashes(self) -> None:
        compiled = self.folder / "requirements.txt"
        wanted = self.folder / "requirements.in"
        wanted.write_text(f"{self.app}\n")
        index = ("--index-url", self.simple)
        self.uv("pip", "compile", "--generate-hashes", *index, wanted, "-o", compiled)
        self.assert_installed(self.install("--require-hashes", "-r", str(compiled)))

    def test_uv_add_lock_and_sync_frozen_after_a_restart(self) -> None:
        """A lock file outlives the server that told its addresses."""
        project = self.folder / "project"
        project.mkdir()
        head = (
            '[project]\nname = "consumer"\nversion = "1"\nrequires-python = ">=3.9"\n'
        )
        index = UV_PROJECT.format(url=self.index.simple)
        (project / "pyproject.toml").write_text(head + index)
        self.uv("add", self.app, cwd=project)
        self.assert_installed(site(project))
        self.uv("lock", "--check", cwd=project)
        self.index.stop()
        self.index.start()
        self.uv("sync", "--frozen", "--no-cache", "--reinstall", cwd=project)
        self.assert_installed(site(project))


class Tooling(Rows):
    """Clients that take seconds for each step."""

    def tool(self, name: str, *arguments: str | Path, **options: object) -> str:
        packages, command = _TOOLS[name]
        python = environment(*packages)
        variables = {**_VARIABLES, **options}
        return self.run_client(script(command, python), *arguments, **variables)


class PipenvRows(Tooling):
    """Pipenv, but with no password that an address must escape.

    Pipenv 2026.10 asks for pages with such a password, and for the core metadata that
    they name without it.
    """

    def test_pipenv(self) -> None:
        project = self.folder / "project"
        project.mkdir()
        pipfile = PIPFILE.format(url=self.simple, app=self.app)
        (project / "Pipfile").write_text(pipfile)
        self.tool("pipenv", "lock", cwd=project)
        self.tool("pipenv", "sync", cwd=project)
        self.assert_installed(site(project))


class ToolRows(Tooling):
    """Those that take any log-in."""

    def test_poetry(self) -> None:
        project = self.pyproject(
            self.folder / "project", POETRY_PROJECT, url=self.index.simple
        )
        login = {}
        if self.credentials is not None:
            user, password = self.credentials
            login["POETRY_HTTP_BASIC_ACME_USERNAME"] = user
            login["POETRY_HTTP_BASIC_ACME_PASSWORD"] = password
        self.tool("poetry", "lock", "--no-interaction", cwd=project, **login)
        self.tool("poetry", "sync", "--no-interaction", cwd=project, **login)
        self.assert_installed(site(project))

    def test_pdm(self) -> None:
        project = self.pyproject(self.folder / "project", PDM_PROJECT, url=self.simple)
        self.tool("pdm", "lock", cwd=project)
        self.tool("pdm", "sync", "--no-self", cwd=project)
        self.assert_installed(site(project))

    def test_hatch(self) -> None:
        """It has pip install what an environment needs."""
        project = self.pyproject(self.folder / "project", HATCH_PROJECT, app=self.app)
        found = self.tool(
            "hatch",
            *("run", "python", "-c"),
            f"import {self.kind}_lib; print({self.kind}_lib.__file__)",
            cwd=project,
            PIP_INDEX_URL=self.simple,
            HATCH_DATA_DIR=str(self.folder / "hatch"),
        )
        self.assert_installed(Path(found.split()[-1]).parents[1])

    def test_pip_tools(self) -> None:
        wanted, compiled = self.folder / "wanted.in", self.folder / "wanted.txt"
        wanted.write_text(f"{self.app}\n")
        options = ("--generate-hashes", "--no-emit-index-url", "-i", self.simple)
        self.tool("pip-tools", *options, wanted, "-o", compiled)
        self.assertIn(
            self.hashes(self.app)[f"{self.kind}_app-1.0-py3-none-any.whl"],
            compiled.read_text(),
        )
        target = self.folder / "target"
        command = (environment("pip"), "-m", "pip", "install", "--require-hashes")
        where = ("--target", target, "-i", self.simple)
        self.run_client(*command, *where, "-r", compiled)
        self.assert_installed(target)


#: What is installed for each, and the command that it brings.
_TOOLS = {
    "poetry": (("poetry",), "poetry"),
    # PDM 2.29 imports a name that hishel 1.2 has no more.
    "pdm": (("pdm", "hishel<2"), "pdm"),
    "pipenv": (("pipenv",), "pipenv"),
    "hatch": (("hatch",), "hatch"),
    "pip-tools": (("pip-tools",), "pip-compile"),
}


class FolderNoneTests(PipRows, UvRows, cells.FolderNone):
    pass


class FolderBasicTests(PipRows, UvRows, cells.FolderBasic):
    pass


class FolderTokenTests(PipRows, UvRows, cells.FolderToken):
    pass


class BucketNoneTests(PipRows, UvRows, cells.BucketNone):
    pass


class BucketBasicTests(PipRows, UvRows, cells.BucketBasic):
    pass


class BucketTokenTests(PipRows, UvRows, cells.BucketToken):
    pass


class FolderTokenToolTests(ToolRows, PipenvRows, cells.FolderToken):
    pass


class BucketBasicToolTests(ToolRows, cells.BucketBasic):
    pass


if cells.every_column():

    class FolderNoneToolTests(ToolRows, PipenvRows, cells.FolderNone):
        pass

    class FolderBasicToolTests(ToolRows, cells.FolderBasic):
        pass

    class BucketNoneToolTests(ToolRows, PipenvRows, cells.BucketNone):
        pass

    class BucketTokenToolTests(ToolRows, PipenvRows, cells.BucketToken):
        pass


test_suite = apart(__name__)
