"""The columns of the matrix: an index on each kind of store, and who asks it."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from attrs import frozen

from tests.integration.dists import make_sdist, make_wheel
from tests.integration.rig import (
    PASSWORD,
    USER,
    IntegrationTestCase,
    Server,
    basic,
    hashed,
    run,
    script,
)
from tests.integration.s3_rig import Bucket
from tests.integration.seaweedfs import CREDENTIALS, shared

StoreKind = Literal["folder", "bucket"]
LogIn = Literal["none", "basic", "token"]

#: Set to run the clients that take long in every column, and not in two of them.
ALL = "PYPICLOUD_CLIENTS_ALL"

#: Why the one release of each library is yanked.
YANKED = "it forgets to close the gate"


@frozen
class SharedIndex:
    """An index that all tests of a run share, with a few projects.

    Of each name there are two: ``open_...``, which anybody may read, and
    ``closed_...``, for whoever logs in. Anybody may publish ``free_...``. The
    application ``..._app`` 1.0 needs ``..._lib`` of at least 1.1. Of the library there
    are wheels 1.0 and 1.1, the source distribution 1.2, the wheel 1.3, and 1.4, which
    is yanked.

    :ivar token: a token of the user's.
    :ivar before: when all but the library's last two releases had been uploaded.
    """

    server: Server
    token: str
    before: datetime


@cache
def shared_index(store: StoreKind) -> SharedIndex:
    """Start the index on a store of that kind, until this process ends."""
    folder = Path(mkdtemp(prefix="pypicloud-matrix-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    server = Server(folder)
    atexit.register(server.kill)
    server.configure(
        **{
            f"user.{USER}": hashed(),
            "pypi.use_fallback": "false",
            "pypi.default_read": "authenticated",
            "pypi.default_write": "authenticated",
            "package.open-*.group.everyone": "r",
            "package.open-*.group.authenticated": "rw",
            "package.free-*.group.everyone": "rw",
            "server.grace": "5s",
            **(_bucket() if store == "bucket" else {}),
        }
    )
    server.start()
    before = _fill(server, folder)
    return SharedIndex(server, _make_token(server), before)


def _bucket() -> dict[str, str]:
    return {
        "aws.bucket": Bucket.make().name,
        "aws.endpoint_url": shared().url,
        "aws.access_key": CREDENTIALS.access_key,
        "aws.secret_key": CREDENTIALS.secret_key,
    }


def _fill(server: Server, folder: Path) -> datetime:
    """Publish the projects; return when the first ones were, and the last ones not."""
    dist = folder / "dist"
    dist.mkdir()
    for kind in ("open", "closed"):
        app, lib = f"{kind}_app", f"{kind}_lib"
        _publish(
            server,
            make_wheel(dist, app, "1.0", requires=[f"{kind}-lib>=1.1"]),
            make_wheel(dist, lib, "1.0"),
            make_wheel(dist, lib, "1.1"),
            make_sdist(dist, lib, "1.2"),
        )
    before = datetime.now(UTC)
    # Clients take a time with whole seconds.
    time.sleep(1.1)
    for kind in ("open", "closed"):
        lib = f"{kind}_lib"
        _publish(
            server, *(make_wheel(dist, lib, version) for version in ("1.3", "1.4"))
        )
        yank = (script("pypicloud"), "yank", server.config, lib, "1.4")
        done = run((*yank, "--reason", YANKED), home=folder)
        assert done.code == 0, done.output
    return before


def _publish(server: Server, *files: Path) -> None:
    for file in files:
        answer = server.upload(file)
        assert answer.status == 200, answer


def _make_token(server: Server) -> str:
    body = json.dumps({"description": "the matrix of clients"}).encode()
    headers = {"Authorization": basic(), "Content-Type": "application/json"}
    answer = server.request("POST", "/api/v1/access/tokens", body, headers)
    assert answer.status == 201, answer.text
    return str(answer.json()["token"])


def every_column() -> bool:
    """Whether clients that take long run in each column."""
    return bool(os.environ.get(ALL))


class ClientsTestCase(IntegrationTestCase):
    """A column of the matrix; the rows are in classes that are mixed in."""

    store: StoreKind
    log_in: LogIn

    def setUp(self) -> None:
        super().setUp()
        self.shared = shared_index(self.store)
        self.index = self.shared.server
        self.kind = "open" if self.log_in == "none" else "closed"
        self.app, self.lib = f"{self.kind}-app", f"{self.kind}-lib"

    @property
    def credentials(self) -> tuple[str, str] | None:
        """The user and the password that are shown; None: none are."""
        match self.log_in:
            case "basic":
                return USER, PASSWORD
            case "token":
                return "__token__", self.shared.token
        return None

    @property
    def simple(self) -> str:
        """The index's address, with the log-in in it."""
        return f"{self.address}/simple/"

    @property
    def address(self) -> str:
        """The server's root, with the log-in in it."""
        if self.credentials is None:
            return self.index.url
        user, password = map(quote, self.credentials)
        return f"http://{user}:{password}@127.0.0.1:{self.index.port}"

    def pyproject(self, folder: Path, text: str = "", **values: Any) -> Path:
        """Make a folder with a project in it that needs the application."""
        folder.mkdir()
        head = (
            '[project]\nname = "consumer"\nversion = "1"\nrequires-python = ">=3.9"\n'
            f'dependencies = ["{self.app}"]\n'
        )
        (folder / "pyproject.toml").write_text(head + text.format(**values))
        return folder

    def assert_installed(
        self, site: Path, lib_version: str = "1.3", app: bool = True
    ) -> None:
        """Assert what lies among installed packages."""
        expected = {f"{self.kind}_lib": lib_version}
        if app:
            expected[f"{self.kind}_app"] = "1.0"
        for module, version in expected.items():
            text = (site / module / "__init__.py").read_text()
            self.assertEqual(text, f"version = {version!r}\n")

    def hashes(self, project: str) -> Mapping[str, str]:
        """Tell the SHA-256 of each file of a project, by its name."""
        files = self.index.document(project, Authorization=basic())["files"]
        return {file["filename"]: file["hashes"]["sha256"] for file in files}


class FolderNone(ClientsTestCase):
    store, log_in = "folder", "none"


class FolderBasic(ClientsTestCase):
    store, log_in = "folder", "basic"


class FolderToken(ClientsTestCase):
    store, log_in = "folder", "token"


class BucketNone(ClientsTestCase):
    store, log_in = "bucket", "none"


class BucketBasic(ClientsTestCase):
    store, log_in = "bucket", "basic"


class BucketToken(ClientsTestCase):
    store, log_in = "bucket", "token"


if TYPE_CHECKING:
    #: What classes of rows are mixed into; by itself it is no test case.
    Rows = ClientsTestCase
else:
    Rows = object
