"""``pypicloud client-config --write``: each client does with it what it should."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tests.integration import apart
from tests.integration.clients import cells
from tests.integration.clients.environments import environment
from tests.integration.clients.test_install import _TOOLS, _VARIABLES, site
from tests.integration.dists import make_wheel
from tests.integration.rig import basic, script


class ConfiguredTests(cells.FolderToken):
    """No address is given to a client, nor is any of its files written but by that.

    The log-in is where the command says that it should be.
    """

    def setUp(self) -> None:
        super().setUp()
        user, password = self.login
        host = "machine 127.0.0.1"
        netrc = self.home / ".netrc"
        netrc.write_text(f"{host} login {user} password {password}\n")
        netrc.chmod(0o600)
        # What keeps this machine's settings out would keep out these, too.
        self.pip_conf = {"PIP_CONFIG_FILE": str(self.home / "pip.conf")}
        self.project = f"configured_{self.id().rpartition('_')[2]}"

    @property
    def login(self) -> tuple[str, str]:
        assert self.credentials is not None
        return self.credentials

    def configure(self, tool: str, *more: str, cwd: Path | None = None) -> str:
        command = (script("pypicloud"), "client-config", tool, "--index")
        said = self.run_client(
            *command, self.index.simple, "--write", *more, cwd=cwd, **self.pip_conf
        )
        self.assertIn(f"{self.index.url} answers", said)
        self.assertIn(" is written.", said)
        self.assertNotIn(self.login[1], said)
        return said

    def tool(self, name: str, *arguments: str | Path, **options: Any) -> str:
        packages, command = _TOOLS[name]
        python = environment(*packages)
        return self.run_client(
            script(command, python), *arguments, **{**_VARIABLES, **options}
        )

    def wheel(self) -> Path:
        return make_wheel(self.folder, self.project, "1.0")

    def published(self) -> None:
        page = self.project.replace("_", "-")
        document = self.index.document(page, Authorization=basic(*self.login))
        self.assertEqual(len(document["files"]), 1)

    def test_pip(self) -> None:
        self.configure("pip")
        target = self.folder / "target"
        command = (environment("pip"), "-m", "pip", "install", "--target", target)
        self.run_client(*command, self.app, **self.pip_conf)
        self.assert_installed(target)

    def test_uv(self) -> None:
        self.configure("uv")
        target = self.folder / "target"
        command = (script("uv"), "pip", "install", "--python", sys.executable)
        self.run_client(*command, "--target", target, self.app)
        self.assert_installed(target)
        self.uv_publish(self.home)

    def uv_publish(self, cwd: Path) -> None:
        user, password = self.login
        command = (script("uv"), "publish", "--index", "private", self.wheel())
        login = {"UV_PUBLISH_USERNAME": user, "UV_PUBLISH_PASSWORD": password}
        self.run_client(*command, cwd=cwd, **login)
        self.published()

    def test_uv_in_a_project(self) -> None:
        project = self.pyproject(self.folder / "project")
        self.configure("uv", "--project", cwd=project)
        command = (script("uv"), "sync", "--python", sys.executable)
        self.run_client(*command, cwd=project)
        self.assert_installed(site(project))
        self.uv_publish(project)

    def test_twine(self) -> None:
        user, password = self.login
        self.configure("twine", "--user", user)
        command = (script("twine"), "upload", "--non-interactive", "-r", "private")
        self.run_client(*command, self.wheel(), TWINE_PASSWORD=password)
        self.published()

    def test_poetry(self) -> None:
        project = self.pyproject(
            self.folder / "project", "[tool.poetry]\npackage-mode = false\n"
        )
        self.configure("poetry", cwd=project)
        user, password = self.login
        login = {
            "POETRY_HTTP_BASIC_PRIVATE_USERNAME": user,
            "POETRY_HTTP_BASIC_PRIVATE_PASSWORD": password,
        }
        self.tool("poetry", "lock", "--no-interaction", cwd=project, **login)
        self.tool("poetry", "sync", "--no-interaction", cwd=project, **login)
        self.assert_installed(site(project))
        told = self.tool("poetry", "config", "repositories.private", cwd=project)
        self.assertIn(f"{self.index.url}/legacy/", told)

    def test_pdm(self) -> None:
        project = self.pyproject(
            self.folder / "project", "[tool.pdm]\ndistribution = false\n"
        )
        self.configure("pdm")
        user, password = self.login
        login = {"PDM_PYPI_USERNAME": user, "PDM_PYPI_PASSWORD": password}
        self.tool("pdm", "lock", cwd=project, **login)
        self.tool("pdm", "sync", "--no-self", cwd=project, **login)
        self.assert_installed(site(project))
        told = self.tool("pdm", "config", "repository.private", cwd=project)
        self.assertIn(f"{self.index.url}/legacy/", told)

    def test_hatch(self) -> None:
        user, password = self.login
        self.configure("hatch", "--user", user)
        options = ("publish", "--no-prompt", "-r", "private", self.wheel())
        self.tool("hatch", *options, HATCH_INDEX_AUTH=password)
        self.published()


test_suite = apart(__name__)
