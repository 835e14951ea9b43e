"""A real pip and a real uv, through servers of ours, against the live public index.

Passed over where it does not answer.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import rmtree
from typing import Any
from urllib.parse import urljoin
from urllib.request import Request, urlopen

from attrs import frozen
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion
from twisted.trial.unittest import SkipTest

from tests.integration import apart
from tests.integration.clients.environments import PIPS, environment
from tests.integration.live_index import LiveIndex, live_index
from tests.integration.rig import (
    IntegrationTestCase,
    Server,
    free_port,
    script,
    wait_until,
)

#: Needs about twenty other projects, all small.
TOOL = "cookiecutter"

#: These release often.
BUSY = (
    *("boto3", "botocore", "anthropic", "ty", "openai", "ruff", "uv", "awscli"),
    *("types-requests", "types-docutils", "boto3-stubs", "langchain-core", "litellm"),
    *("google-cloud-storage", "google-cloud-bigquery", "sentry-sdk", "checkov"),
)
#: Releases that are tried, of one project two at most.
TRIED, OF_ONE = 10, 2

JSON = "application/vnd.pypi.simple.v1+json"


class LiveTestCase(IntegrationTestCase):
    """Servers of ours in front of the live index."""

    index: LiveIndex

    def setUp(self) -> None:
        self.index = live_index()
        super().setUp()
        self.target = self.folder / "target"

    def front(self, mode: str, **settings: str) -> Server:
        server = self.server(
            start=False,
            settings={**self.index.settings, "pypi.fallback": mode, **settings},
        )
        server.environment = self.index.trust
        server.start()
        return server


class LiveTests(LiveTestCase):
    """A tool with two dozen dependencies."""

    def pip(self, server: Server, *what: str) -> None:
        rmtree(self.target, ignore_errors=True)
        self.run_client(
            *(environment(PIPS[0]), "-m", "pip", "install", "--no-cache-dir"),
            *("--target", str(self.target), "-i", server.simple, *what),
            **self.index.trust,
        )
        self.runs()

    def uv(self, server: Server, *what: str) -> None:
        rmtree(self.target, ignore_errors=True)
        self.run_client(
            *(script("uv"), "pip", "install", "--no-cache", "--target", self.target),
            *("--python", sys.executable, "--index-url", server.simple, *what),
            **self.index.trust,
        )
        self.runs()

    def runs(self) -> None:
        """Assert that the tool was installed whole."""
        python = environment(PIPS[0])
        command = (python, "-m", TOOL, "--version")
        output = self.run_client(*command, PYTHONPATH=str(self.target))
        self.assertIn("cookiecutter", output.lower())

    def lock(self, server: Server) -> Path:
        wanted, lock = self.folder / "wanted.in", self.folder / "lock.txt"
        wanted.write_text(f"{TOOL}\n")
        self.run_client(
            *(script("uv"), "pip", "compile", "--generate-hashes", "--no-cache"),
            *("--python", sys.executable, "--index-url", server.simple),
            *("-o", lock, wanted),
            **self.index.trust,
        )
        self.assertGreater(lock.read_text().count("=="), 12)
        return lock

    def test_proxy(self) -> None:
        server = self.front("proxy")
        self.uv(server, TOOL)
        self.pip(server, TOOL)

    def test_redirect(self) -> None:
        self.uv(self.front("redirect"), TOOL)

    def test_says_what_it_says(self) -> None:
        """What the index's JSON says ours says, but for what describes its form."""
        server = self.front("proxy")
        ours = server.document(TOOL)
        address = f"{self.index.url.rstrip('/')}/{TOOL}/"
        request = Request(address, headers={"Accept": JSON})
        with urlopen(request, timeout=30) as answer:
            theirs = json.load(answer)
        for document in (ours, theirs):
            # null and false say what leaving a key out does (PEP 691).
            document["files"] = [
                {k: v for k, v in file.items() if v not in (None, False)}
                for file in document["files"]
            ]
        for file in theirs["files"]:
            file["url"] = urljoin(address, file["url"])
        self.assertEqual(ours.pop("meta")["api-version"][0], "1")
        theirs.pop("meta")
        # PEP 752: they are not ours to tell, so ours says null.
        self.assertIsNone(ours.pop("namespaces"))
        theirs.pop("namespaces", None)
        self.assertEqual(ours, theirs)

    def test_lock_and_index_cut_off(self) -> None:
        """The index is a server of ours in front of the live one, which is stopped."""
        back = self.front("proxy", **{"pypi.fallback_files": "relay"})
        server = self.front("cache", **{"pypi.fallback_url": back.simple})
        lock = self.lock(server)
        self.uv(server, "--require-hashes", "-r", str(lock))
        self.kept(server, self.target)
        server.stop()
        back.stop()
        server.start()
        self.uv(server, "--require-hashes", "-r", str(lock))
        self.pip(server, "--require-hashes", "-r", str(lock))
        # Without the lock, too.
        self.uv(server, TOOL)

    def test_lock_and_nowhere_to_ask(self) -> None:
        """uv's own lock names the files: nothing but what is kept is needed."""
        server = self.front("cache")
        project = self.folder / "project"
        project.mkdir()
        (project / "pyproject.toml").write_text(
            '[project]\nname = "user-project"\nversion = "1"\n'
            f'requires-python = ">=3.11"\ndependencies = ["{TOOL}"]\n'
            f'[[tool.uv.index]]\nname = "ours"\nurl = "{server.simple}"\n'
            "default = true\n"
        )
        options = ("--no-cache", "--python", sys.executable)
        self.run_client(script("uv"), "lock", *options, cwd=project)
        self.run_client(script("uv"), "sync", "--frozen", *options, cwd=project)
        (site,) = project.glob(".venv/lib/*/site-packages")
        self.kept(server, site)
        server.stop()
        nowhere = f"http://127.0.0.1:{free_port()}/simple/"
        server.configure(**{"pypi.fallback_url": nowhere})
        server.start()
        rmtree(project / ".venv")
        self.run_client(script("uv"), "sync", "--frozen", *options, cwd=project)
        self.assertTrue((project / ".venv" / "bin" / TOOL).exists())

    def kept(self, server: Server, site: Path) -> None:
        """Wait until what is installed there, and every page of it, is in the store.

        More than that may be: uv reads what other platforms would need, too.
        """
        cache = server.store / ".cache"
        names = {
            canonicalize_name(info.name.split("-")[0])
            for info in site.glob("*.dist-info")
        }
        self.assertGreater(len(names), 12)

        def missing() -> list[str]:
            return sorted(
                name
                for name in names
                if not list((cache / name).glob("*/*.whl"))
                or not (cache / ".pages" / name).exists()
            )

        wait_until(lambda: not missing(), lambda: f"not kept: {missing()}")


@frozen
class Release:
    """What the index says of one."""

    project: str
    version: str
    first: datetime
    last: datetime


class CooldownTests(LiveTestCase):
    """What is newest there is hidden here, and is told of."""

    def test_what_is_newest_is_hidden_and_explained(self) -> None:
        releases = self.releases()
        fresh = self.newest(releases)
        age = datetime.now(UTC) - min(one.first for one in fresh)
        # To the hour, and longer than the oldest of them is old.
        hours = int(age / timedelta(hours=1)) + 2
        server = self.front("proxy", **{"upstream.min_age": f"{hours}h"})
        cooldown = timedelta(hours=hours)
        for one in fresh:
            self.hidden(server, one, cooldown)
        for name in {one.project for one in fresh}:
            page = server.document(name)
            latest = max(file["upload-time"] for file in page["files"])
            begins = datetime.now(UTC) - cooldown
            self.assertLess(datetime.fromisoformat(latest), begins, name)
            older = [o for o in releases if o.project == name and o.last < begins]
            shown = max(older, key=lambda o: o.last)
            self.assertIn(shown.version, page["versions"])
            (told,) = self.explain(server, shown, shown=True)["releases"]
            self.assertEqual((told["shown"], told["hidden"]), (True, []))

    def hidden(self, server: Server, one: Release, cooldown: timedelta) -> None:
        """Assert that a page does not show it, and that it is said why, rightly."""
        page = server.document(one.project)
        self.assertNotIn(one.version, page["versions"])
        told = {entry["version"]: entry for entry in page["_hidden"]}
        self.assertEqual(told[one.version]["rule"], "min-age")
        (release,) = self.explain(server, one, shown=False)["releases"]
        (why,) = release["hidden"]
        self.assertEqual(why["rule"], "min-age")
        for said, moment in (
            (release["uploaded"], one.first),
            (why["until"], one.first + cooldown),
            (told[one.version]["until"], one.first + cooldown),
        ):
            off = abs(datetime.fromisoformat(said) - moment)
            self.assertLess(off, timedelta(seconds=2), one)

    def explain(self, server: Server, one: Release, *, shown: bool) -> Any:
        run = self.run_client if shown else self.run_failing
        what = f"{one.project}=={one.version}"
        return json.loads(
            run(script("pypicloud"), "explain", what, "--json", "--index", server.url)
        )

    def newest(self, releases: list[Release]) -> list[Release]:
        """Choose those that were released last, of several projects."""
        chosen: list[Release] = []
        for one in sorted(releases, key=lambda one: one.first, reverse=True):
            if sum(one.project == other.project for other in chosen) < OF_ONE:
                chosen.append(one)
        self.assertGreaterEqual(len(chosen), TRIED)
        return chosen[:TRIED]

    def releases(self) -> list[Release]:
        """Read what the index says of busy projects' releases."""
        return [one for name in BUSY for one in self.releases_of(name)]

    def releases_of(self, name: str) -> Iterator[Release]:
        url = f"{self.index.url.rstrip('/')}/{name}/"
        with urlopen(Request(url, headers={"Accept": JSON}), timeout=60) as answer:
            if answer.headers.get_content_type() != JSON:
                raise SkipTest("The index answers HTML here, without times of upload.")
            page = json.load(answer)
        if not any("upload-time" in file for file in page["files"]):
            raise SkipTest("The index tells no times of upload here.")
        moments: dict[str, list[datetime]] = {}
        for file in page["files"]:
            version = version_of(file["filename"])
            if version is None or "upload-time" not in file or file.get("yanked"):
                continue
            moment = datetime.fromisoformat(file["upload-time"])
            moments.setdefault(version, []).append(moment)
        for version in set(page["versions"]) & set(moments):
            told = moments[version]
            yield Release(name, version, min(told), max(told))


def version_of(filename: str) -> str | None:
    """Read a filename's version; None: it has none that is a version."""
    parse = parse_wheel_filename if filename[-4:] == ".whl" else parse_sdist_filename
    try:
        return str(parse(filename)[1])
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
        return None


test_suite = apart(__name__)
