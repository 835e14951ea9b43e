"""What comes from upstream is judged, kept or not, as pip and uv meet it."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from typing import Any

from tests.advisories.osv import record
from tests.integration import apart
from tests.integration.dists import make_wheel
from tests.integration.rig import PASSWORD, USER, Server, basic, script, wait_until
from tests.integration.test_fallback import FallbackTestCase

NOW = datetime.now(UTC)
OLD = (NOW - timedelta(days=30)).isoformat()
NEW = (NOW - timedelta(hours=1)).isoformat()


class JudgementTestCase(FallbackTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.upstream.cache_control = "no-cache"
        self.osv = self.folder / "osv"
        self.osv.mkdir()
        self.write("GHSA-0", "somebody-else")

    def write(self, identifier: str, name: str, *versions: str, **more: Any) -> None:
        """Have an advisory in the folder that the servers read."""
        affected = {"versions": list(versions)} if versions else {}
        told = record(identifier, name, affected=affected, **more)
        (self.osv / f"{identifier}.json").write_text(json.dumps(told))

    def have(self, name: str, version: str, uploaded: str | None = OLD) -> Path:
        wheel = make_wheel(self.dist, name, version)
        self.upstream.publish(wheel, uploaded=uploaded)
        return wheel

    def judging(self, mode: str = "cache", **settings: str) -> Server:
        chosen = {
            "upstream.min_age": "7d",
            "advisories.source": str(self.osv),
            "auth.admins": USER,
        }
        return self.front(mode, **{**chosen, **settings})

    def kept(self, server: Server, count: int = 1) -> None:
        """Wait until so many files are in the store."""
        cache = server.store / ".cache"
        wait_until(lambda: len(list(cache.rglob("*.whl"))) == count, lambda: server.log)

    def path(self, server: Server, project: str, at: int = 0) -> str:
        file = server.document(project)["files"][at]
        return f"/{file['url'].removeprefix('../../')}"

    def refused(self, server: Server, path: str) -> str | None:
        """Return the rule by which an address is refused; None: it is not."""
        answer = server.get(path)
        if answer.status == 200:
            return None
        self.assertEqual(answer.status, 403, answer)
        return str(answer.headers["x-pypicloud-refused"]).partition(";")[0]

    def admin(self, server: Server, *command: str, code: int = 0) -> str:
        """Run a command against a server, as its user."""
        login = {"PYPICLOUD_USERNAME": USER, "PYPICLOUD_PASSWORD": PASSWORD}
        run = self.run_failing if code else self.run_client
        return run(script("pypicloud"), *command, "--index", server.url, **login)


class CooldownTests(JudgementTestCase):
    def test_newest_that_is_old_enough(self) -> None:
        self.have("acme_lib", "1.0")
        self.have("acme_lib", "1.1", NEW)
        for mode in ("proxy", "relay", "cache"):
            name = "proxy" if mode == "relay" else mode
            more = {"pypi.fallback_files": "relay"} if mode == "relay" else {}
            server = self.judging(name, **more)
            self.both_install(server, "acme_lib", "1.0", "acme-lib")
            (told,) = server.document("acme-lib")["_hidden"]
            self.assertEqual((told["version"], told["rule"]), ("1.1", "min-age"))
            said = self.both_refuse(server, "acme-lib==1.1")
            for words in said:
                self.assertIn("1.1", words)
            server.stop()

    def test_a_lock_names_what_became_refused(self) -> None:
        """The sentence reaches who installs; an exemption lets it through at once."""
        wheel = self.have("acme_lib", "1.1", OLD)
        server = self.judging("cache", **{"index.fresh_for": "0s"})
        project = self.folder / "project"
        project.mkdir()
        (project / "pyproject.toml").write_text(
            '[project]\nname = "user-project"\nversion = "1"\n'
            'requires-python = ">=3.11"\ndependencies = ["acme-lib"]\n'
            f'[[tool.uv.index]]\nname = "ours"\nurl = "{server.simple}"\n'
            "default = true\n"
        )
        uv = (script("uv"), "--no-cache", "--python", sys.executable)
        self.run_client(uv[0], "lock", *uv[1:], cwd=project)
        sync = (uv[0], "sync", "--frozen", *uv[1:])
        self.upstream.change(wheel, uploaded=NEW)
        said = self.run_failing(*sync, cwd=project, UV_HTTP_RETRIES="0")
        self.assertIn("403", said)
        path = self.path_of(server, wheel)
        self.assertEqual(self.refused(server, path), "min-age")
        until = (NOW + timedelta(days=3)).date().isoformat()
        exempt = ("exempt", "add", "acme-lib==1.1", "--until", until)
        self.admin(server, *exempt, "--reason", "CVE fix")
        rmtree(project / ".venv", ignore_errors=True)
        self.run_client(*sync, cwd=project)
        self.assertIn("CVE fix", self.admin(server, "exempt", "list"))
        explained = self.admin(server, "explain", "acme-lib==1.1")
        self.assertIn("CVE fix", explained)

    def path_of(self, server: Server, wheel: Path) -> str:
        """Return a file's address here, be it shown or not."""
        digest = sha256(wheel.read_bytes()).hexdigest()[:16]
        return f"/packages/acme-lib/{digest}/{wheel.name}"

    def test_what_was_told_first_counts(self) -> None:
        wheel = self.have("acme_lib", "1.0", OLD)
        server = self.judging()
        path = self.path(server, "acme-lib")
        self.assertIsNone(self.refused(server, path))
        self.kept(server)
        for uploaded in (NEW, None):
            self.upstream.change(wheel, uploaded=uploaded)
            server.stop()
            server.start()
            self.assertIsNone(self.refused(server, path), uploaded)


class MalwareTests(JudgementTestCase):
    def test_pages_files_kept_files_and_uploads(self) -> None:
        self.have("evil_lib", "1.0")
        self.have("evil_lib", "1.1")
        log = self.folder / "audit.log"
        server = self.judging(**{"audit.log": str(log)})
        path = self.path(server, "evil-lib", 1)
        self.assertIsNone(self.refused(server, path))
        self.kept(server)
        server.stop()
        self.write("MAL-2026-1", "evil-lib", "1.1")
        server.start()
        wait_until(lambda: self.refused(server, path) == "malware", lambda: server.log)
        self.both_install(server, "evil_lib", "1.0", "evil-lib")
        (told,) = server.document("evil-lib")["_hidden"]
        self.assertEqual((told["version"], told["rule"]), ("1.1", "malware"))
        self.assertIn("MAL-2026-1", server.get("/simple/evil-lib/").text)
        said = self.run_failing(
            *(script("twine"), "upload", "--repository-url", f"{server.url}/legacy/"),
            *("-u", USER, "-p", PASSWORD, self.dist / "evil_lib-1.1-py3-none-any.whl"),
        )
        self.assertIn("403", said)
        metrics = server.get("/metrics", Authorization=basic()).text
        self.assertIn('pypicloud_upstream_refused_total{rule="malware"}', metrics)
        wait_until(lambda: "MAL-2026-1" in log.read_text(), log.read_text)
        records = [json.loads(line) for line in log.read_text().splitlines()]
        refused = [one for one in records if one["act"] in ("fetch", "upload")]
        self.assertEqual({one["outcome"] for one in refused}, {"refused"})
        self.assertIn("MAL-2026-1", refused[0]["reason"])

    def test_closed_while_nothing_is_known(self) -> None:
        self.have("acme_lib", "1.0")
        source = str(self.folder / "nothing-there")
        open_ = self.judging(**{"advisories.source": source})
        self.assertIsNone(self.refused(open_, self.path(open_, "acme-lib")))
        wait_until(lambda: "cannot be read" in open_.log, lambda: open_.log)
        closed = {"advisories.source": source, "advisories.when_away": "closed"}
        server = self.judging(**closed)
        self.assertEqual(server.document("acme-lib")["files"], [])
        (told,) = server.document("acme-lib")["_hidden"]
        self.assertEqual(told["rule"], "advisories")


class QuarantineTests(JudgementTestCase):
    def test_found_by_recheck_on_every_server(self) -> None:
        self.have("acme_lib", "1.0")
        settings = {"upstream.recheck": "20s"}
        first = self.judging(**settings)
        path = self.path(first, "acme-lib")
        self.assertIsNone(self.refused(first, path))
        self.kept(first)
        first.stop()
        self.upstream.quarantine("acme-lib", "malware was found")
        first.start()
        wait_until(
            lambda: self.refused(first, path) == "quarantined",
            lambda: first.log,
            90,
        )
        self.assertIn("malware was found", first.get(path).text)
        self.assertEqual(self.refused(first, f"{path}.metadata"), "quarantined")
        self.upstream.lift("acme-lib")
        wait_until(lambda: self.refused(first, path) is None, lambda: first.log, 90)

    def test_deleted_and_yanked_stay_and_are_marked(self) -> None:
        one, two = self.have("acme_lib", "1.0"), self.have("acme_lib", "1.1")
        server = self.judging()
        paths = [self.path(server, "acme-lib", at) for at in (0, 1)]
        for path in paths:
            self.assertIsNone(self.refused(server, path))
        self.kept(server, 2)
        self.upstream.change(two, yanked="broken")
        self.upstream.delete(one)
        self.assertEqual(len(server.document("acme-lib")["files"]), 1)
        answers = [server.get(path) for path in paths]
        self.assertEqual([answer.status for answer in answers], [200, 200])
        marks = [answer.headers.get("x-pypicloud-upstream") for answer in answers]
        self.assertEqual(marks, ["deleted", "yanked; broken"])


test_suite = apart(__name__)
