"""uv asks a real server whether what it installs is malware, or has flaws."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from pypicloud_tw.config.sections.index import PypiSection
from tests.integration import apart
from tests.integration.dists import make_wheel
from tests.integration.rig import (
    PASSWORD,
    USER,
    IntegrationTestCase,
    Server,
    basic,
    script,
    wait_until,
)


def record(identity: str, name: str, **more: Any) -> dict[str, Any]:
    """Make an OSV record about version 1.0 of a project."""
    package = {"name": name, "ecosystem": "PyPI", "purl": f"pkg:pypi/{name}"}
    return {
        "schema_version": "1.7.0",
        "id": identity,
        "modified": "2026-03-01T00:00:00Z",
        "published": "2026-03-01T00:00:00Z",
        "summary": f"About {name}",
        "affected": [{"package": package, "versions": ["1.0"], **more}],
    }


class OsvTests(IntegrationTestCase):
    def setUp(self) -> None:
        super().setUp()
        records = self.folder / "records"
        records.mkdir()
        fixed = [{"introduced": "0"}, {"fixed": "1.1"}]
        for one in (
            record("MAL-2026-1", "acme-evil"),
            record(
                "GHSA-aaaa-bbbb-cccc",
                "acme-old",
                ranges=[{"type": "ECOSYSTEM", "events": fixed}],
            ),
        ):
            (records / f"{one['id']}.json").write_text(json.dumps(one))
        self.records = records

    def front(self, **settings: str) -> Server:
        server = self.server(settings=settings)
        for name in ("acme_evil", "acme_old", "acme_fine"):
            answer = server.upload(make_wheel(self.folder, name, "1.0"))
            self.assertEqual(answer.status, 200, answer)
        server.stop()
        # Only now: known malware is not taken.
        server.configure(**{"advisories.source": str(self.records)})
        server.start()
        wait_until(lambda: self.knows(server), lambda: server.log)
        return server

    def knows(self, server: Server) -> bool:
        path = "/osv/v1/vulns/MAL-2026-1"
        return server.get(path, Authorization=basic()).status == 200

    def project(self, server: Server, *needs: str) -> Path:
        """Make a project of uv's, locked."""
        folder = self.folder / "project"
        folder.mkdir(exist_ok=True)
        url = server.url_with_password
        (folder / "pyproject.toml").write_text(
            '[project]\nname = "ours"\nversion = "1"\n'
            f'requires-python = ">=3.9"\ndependencies = {json.dumps(needs)}\n'
            f'[[tool.uv.index]]\nname = "ours"\nurl = "{url}/simple/"\ndefault = true\n'
        )
        self.run_client(*self.uv("lock"), cwd=folder)
        return folder

    def uv(self, *words: str) -> tuple[str, ...]:
        return script("uv"), *words, "--no-cache", "--python", sys.executable

    def osv(self, server: Server) -> str:
        return f"{server.url_with_password}/osv/"

    def test_an_audit_tells_of_flaws_and_of_malware(self) -> None:
        server = self.front()
        folder = self.project(server, "acme-evil", "acme-old", "acme-fine")
        command = (script("uv"), "audit", "--no-cache", "--frozen")
        said = self.run_failing(*command, "--service-url", self.osv(server), cwd=folder)
        self.assertIn("MAL-2026-1", said)
        self.assertIn("GHSA-aaaa-bbbb-cccc: About acme-old", said)
        self.assertIn("Fixed in: 1.1", said)
        self.assertNotIn("acme-fine 1.0 has", said)

    def test_a_sync_ends_at_malware(self) -> None:
        server = self.front()
        environment = {
            "UV_MALWARE_CHECK": "1",
            "UV_MALWARE_CHECK_URL": self.osv(server),
            "UV_PREVIEW": "1",
        }
        sync = self.uv("sync", "--frozen")
        evil = self.locked_by_the_public_index(server, "acme-evil")
        said = self.run_failing(*sync, cwd=evil, **environment)
        self.assertIn("MAL-2026-1", said)
        # What merely has a flaw is installed.
        old = self.locked_by_the_public_index(server, "acme-old")
        self.run_client(*sync, cwd=old, **environment)

    def locked_by_the_public_index(self, server: Server, *needs: str) -> Path:
        """Have a lock that names the public index: uv checks no other packages."""
        folder = self.project(server, *needs)
        lock = folder / "uv.lock"
        (public,) = PypiSection().fallback_url
        # uv knows it by its shorter name.
        registry = f'registry = "{public.rstrip("/").replace(".python.", ".")}"'
        lock.write_text(re.sub(r'registry = "[^"]*"', registry, lock.read_text()))
        return folder

    def test_the_log_in_of_an_index_is_sent(self) -> None:
        server = self.front(**{"pypi.default_read": "authenticated"})
        folder = self.project(server, "acme-old")
        command = (script("uv"), "audit", "--no-cache", "--frozen", "--service-url")
        osv = f"{server.url}/osv/"
        for url in (self.osv(server), osv):
            said = self.run_failing(*command, url, cwd=folder)
            self.assertIn("GHSA-aaaa-bbbb-cccc", said)
        (folder / "pyproject.toml").write_text(
            '[project]\nname = "ours"\nversion = "1"\ndependencies = ["acme-old"]\n'
        )
        said = self.run_failing(*command, osv, cwd=folder)
        self.assertIn("401", said)
        (self.home / ".netrc").write_text(
            f"machine 127.0.0.1\nlogin {USER}\npassword {json.dumps(PASSWORD)}\n"
        )
        said = self.run_failing(*command, osv, cwd=folder)
        self.assertIn("GHSA-aaaa-bbbb-cccc", said)

    def test_the_command_tells_what_is_here(self) -> None:
        server = self.front()
        pypicloud = script("pypicloud")
        online = f"--index={server.url_with_password}"
        for target in (f"--config={server.config}", online):
            command = (pypicloud, "audit", "advisories", "--format=json", target)
            page = json.loads(self.run_failing(*command))
            self.assertEqual(
                [(row["project"], row["malware"]) for row in page["items"]],
                [("acme-evil", True), ("acme-old", False)],
            )
        high = ("--severity=high", "--project=acme-fine")
        self.run_client(
            pypicloud, "audit", "advisories", *high, f"--config={server.config}"
        )


test_suite = apart(__name__)
