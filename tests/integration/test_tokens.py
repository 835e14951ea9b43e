"""Tokens as users have them: twine, uv, pip and poetry, against a real server."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from pathlib import Path

from pypicloud_tw.access.tokens.records import (
    OwnerTokens,
    TokenRecord,
    document_key,
    encode,
)
from pypicloud_tw.access.tokens.text import UserToken, owner_key, seal_secret
from pypicloud_tw.access.tokens.tokens import checked_scope
from pypicloud_tw.config.rights import Action
from tests.integration import apart
from tests.integration.clients.environments import environment
from tests.integration.dists import make_wheel
from tests.integration.rig import USER, IntegrationTestCase, Server, script

PYPROJECT = """\
[project]
name = "acme"
version = "1.0"
requires-python = ">=3.11"
[tool.poetry]
packages = [{include = "acme"}]
[build-system]
requires = ["poetry-core"]
build-backend = "poetry.core.masonry.api"
"""


class TokenTests(IntegrationTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.dist = self.folder / "dist"
        self.dist.mkdir()
        closed = {"pypi.default_read": "authenticated"}
        self.index: Server = self.server(settings=closed)

    def token(self, actions: Iterable[Action] | None = None) -> str:
        """Have a token of the server's user, beside what that one has."""
        token, now = UserToken.draw(USER), int(time.time())
        record = TokenRecord(
            token.id,
            seal_secret(token.secret),
            "for clients",
            checked_scope(actions, None),
            now,
            now + 600,
            USER,
        )
        path = self.index.store / document_key(owner_key(USER))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(OwnerTokens(USER, {token.id: record})))
        return token.text

    def uploaded(self, command: Iterable[str | Path], **variables: str) -> None:
        self.run_client(*map(str, command), **variables)
        self.assertEqual(["acme-1.0-py3-none-any.whl"], self.files())
        for name, value in variables.items():
            if name != "TWINE_USERNAME":
                self.assertNotIn(value[-40:], self.index.log)

    def files(self) -> list[str]:
        """Name what is in the store of the project."""
        names = (path.name for path in self.index.store.glob("acme/*/*"))
        return sorted(name for name in names if not name.endswith(".metadata"))

    def test_twine_uploads(self) -> None:
        wheel = make_wheel(self.dist, "acme", "1.0")
        self.uploaded(
            (
                *(script("twine"), "upload", "--non-interactive"),
                *("--repository-url", f"{self.index.url}/legacy/", wheel),
            ),
            TWINE_USERNAME="__token__",
            TWINE_PASSWORD=self.token([Action.UPLOAD]),
        )

    def test_uv_uploads(self) -> None:
        wheel = make_wheel(self.dist, "acme", "1.0")
        self.uploaded(
            (
                *(script("uv"), "publish", "--publish-url"),
                *(f"{self.index.url}/legacy/", "--trusted-publishing=never", wheel),
            ),
            UV_PUBLISH_TOKEN=self.token([Action.UPLOAD]),
        )

    def test_poetry_uploads(self) -> None:
        project = self.folder / "project"
        (project / "acme").mkdir(parents=True)
        (project / "acme" / "__init__.py").touch()
        (project / "pyproject.toml").write_text(PYPROJECT)
        python = environment("poetry")
        poetry = script("poetry", python)
        self.run_client(
            *(poetry, "publish", "--build", "--no-interaction", "-r", "private"),
            cwd=project,
            POETRY_REPOSITORIES_PRIVATE_URL=f"{self.index.url}/legacy/",
            POETRY_PYPI_TOKEN_PRIVATE=self.token([Action.UPLOAD]),
        )
        self.assertEqual(["acme-1.0-py3-none-any.whl", "acme-1.0.tar.gz"], self.files())

    def test_a_token_that_was_cut_off_is_told(self) -> None:
        wheel = make_wheel(self.dist, "acme", "1.0")
        output = self.run_failing(
            *(script("uv"), "publish", "--publish-url", f"{self.index.url}/legacy/"),
            *("--trusted-publishing=never", str(wheel)),
            UV_PUBLISH_TOKEN=self.token()[:-1],
        )
        self.assertIn("not a whole token", " ".join(output.split()))

    def test_pip_installs_by_netrc(self) -> None:
        self.publish()
        netrc = self.home / ".netrc"
        token = self.token([Action.READ])
        netrc.write_text(f"machine 127.0.0.1 login __token__ password {token}\n")
        netrc.chmod(0o600)
        self.run_client(
            *(sys.executable, "-m", "pip", "install", "--no-cache-dir", "--target"),
            *(str(self.folder / "target"), "-i", self.index.simple, "acme"),
        )
        self.assertTrue((self.folder / "target" / "acme" / "__init__.py").exists())

    def test_uv_installs_by_its_environment(self) -> None:
        self.publish()
        self.run_client(
            *(script("uv"), "pip", "install", "--no-cache", "--target"),
            *(str(self.folder / "target"), "--index", f"private={self.index.simple}"),
            *("--default-index", self.index.simple, "acme"),
            UV_INDEX_PRIVATE_USERNAME="__token__",
            UV_INDEX_PRIVATE_PASSWORD=self.token([Action.READ]),
        )
        self.assertTrue((self.folder / "target" / "acme" / "__init__.py").exists())

    def publish(self) -> None:
        answer = self.index.upload(make_wheel(self.dist, "acme", "1.0"))
        self.assertEqual(200, answer.status)


test_suite = apart(__name__)
