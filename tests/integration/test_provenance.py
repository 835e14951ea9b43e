"""Files of another index that must be attested, by a real server that verifies.

The files and what is attested of them are of the public index's own projects; see
:mod:`tests.integration.test_attestations`.
"""

from __future__ import annotations

import json
from hashlib import sha256
from urllib.parse import urljoin

from attrs import define, field
from twisted.trial.unittest import SkipTest

from tests.integration import apart
from tests.integration.fake_upstream import JSON, LONG_AGO, FakeUpstream
from tests.integration.live_index import live_index
from tests.integration.rig import (
    USER,
    IntegrationTestCase,
    Server,
    basic,
    run,
    script,
)
from tests.integration.test_attestations import GOOGLE, SDIST, assets

RELEASE = "github:trailofbits/pypi-attestations:release.yml"


@define(eq=False)
class AttestedUpstream(FakeUpstream):
    """Has what it is told to have, by path."""

    files: dict[str, tuple[str, bytes]] = field(factory=dict)

    def answer(self, path: str, accept: str) -> tuple[int, str, bytes]:
        """See :class:`FakeUpstream`."""
        if path not in self.files:
            return 404, "text/plain", b"no such thing\n"
        return 200, *self.files[path]

    def have(
        self, project: str, filename: str, data: bytes, provenance: bytes | None
    ) -> None:
        """Have a project of one file."""
        told = {
            "filename": filename,
            "url": f"/files/{filename}",
            "hashes": {"sha256": sha256(data).hexdigest()},
            "size": len(data),
            "upload-time": LONG_AGO,
        }
        if provenance is not None:
            told["provenance"] = f"/integrity/{filename}"
            self.files[f"/integrity/{filename}"] = "application/json", provenance
        page = {"meta": {"api-version": "1.3"}, "name": project, "files": [told]}
        self.files[f"/simple/{project}/"] = JSON, json.dumps(page).encode()
        self.files[f"/files/{filename}"] = "application/octet-stream", data


class ProvenanceTests(IntegrationTestCase):
    PROJECT, OTHER = "pypi-attestations", "gcb-attestation-test"

    def setUp(self) -> None:
        super().setUp()
        self.assets = assets()
        self.upstream = AttestedUpstream()
        self.upstream.start()
        self.addCleanup(lambda: self.upstream.stop())
        self.data = (self.assets / SDIST).read_bytes()
        self.provenance = (self.assets / f"{SDIST}.provenance").read_bytes()
        self.upstream.have(self.PROJECT, SDIST, self.data, self.provenance)

    def settings(self, **more: str) -> dict[str, str]:
        return {
            "auth.admins": USER,
            "pypi.use_fallback": "true",
            "pypi.fallback": "cache",
            "pypi.fallback_url": self.upstream.simple,
            "upstream.require_provenance": f"{self.PROJECT}, gcb-*",
            **more,
        }

    def address(self, server: Server, project: str) -> str | None:
        """Return where the project's page says that its file is."""
        path = f"/simple/{project}/"
        answer = server.request("GET", path, headers={"Accept": JSON})
        self.assertEqual(answer.status, 200, answer)
        files = answer.json()["files"]
        return urljoin(path, files[0]["url"]) if files else None

    def refused(self, server: Server, address: str, cause: str) -> None:
        for path in (address, f"{address}.metadata"):
            answer = server.request("GET", path)
            self.assertEqual(answer.status, 403, answer)
            self.assertEqual(answer.headers["x-pypicloud-refused"], "provenance")
            self.assertIn(cause, answer.text)

    def test_pinned_kept_and_changed(self) -> None:
        server = self.server(settings=self.settings())
        address = self.address(server, self.PROJECT)
        assert address is not None
        answer = server.request("GET", address)
        self.assertEqual((answer.status, answer.body), (200, self.data))
        pins = server.request("GET", "/api/v1/pins/", headers=self.boss)
        (pin,) = pins.json()["items"]
        self.assertEqual((pin["project"], pin["publisher"]), (self.PROJECT, RELEASE))
        self.upstream.stop()
        server.stop()
        server.start()
        answer = server.request("GET", address)
        self.assertEqual((answer.status, answer.body), (200, self.data))
        path = f"/api/v1/pins/{self.PROJECT}"
        other = json.dumps({"publisher": "github:mallory/tool:x.yml"}).encode()
        fields = {**self.boss, "Content-Type": "application/json"}
        changed = server.request("PUT", path, other, fields)
        self.assertEqual(changed.status, 200, changed)
        self.refused(server, address, f"is attested by {RELEASE}")
        server.request("DELETE", path, headers=self.boss)
        self.assertEqual(server.request("GET", address).status, 200)

    @property
    def boss(self) -> dict[str, str]:
        return {"Authorization": basic()}

    def test_what_does_not_hold(self) -> None:
        google = (self.assets / f"{GOOGLE}.provenance").read_bytes()
        self.upstream.have(self.OTHER, GOOGLE, b"other bytes", google)
        self.upstream.have(self.PROJECT, SDIST, self.data, google)
        server = self.server(settings=self.settings())
        address = self.address(server, self.OTHER)
        assert address is not None
        self.refused(server, address, "its digest is not the file's SHA-256")
        address = self.address(server, self.PROJECT)
        assert address is not None
        self.refused(server, address, "it is about a file of another name")
        self.assertEqual(self.upstream.paths_asked("/files/", by_us=True), [])

    def test_without_any(self) -> None:
        self.upstream.have(self.PROJECT, SDIST, self.data, None)
        server = self.server(settings=self.settings())
        self.assertIsNone(self.address(server, self.PROJECT))

    def test_not_where_clients_ask_the_other_index(self) -> None:
        server = self.server(
            start=False, settings=self.settings(**{"pypi.fallback": "proxy"})
        )
        home = self.make_folder()
        outcome = run([script("pypicloud"), "check", str(server.config)], home=home)
        self.assertEqual(outcome.code, 1, outcome)
        self.assertIn("Set pypi.fallback = cache", outcome.output)


class LiveTests(IntegrationTestCase):
    """The public index, where it answers and tells of provenance."""

    PROJECT = "sigstore"

    def test_a_release(self) -> None:
        index = live_index()
        server = self.server(
            start=False,
            settings={
                **index.settings,
                "auth.admins": USER,
                "pypi.fallback": "cache",
                "upstream.require_provenance": self.PROJECT,
            },
        )
        server.environment = index.trust
        server.start()
        path = f"/simple/{self.PROJECT}/"
        page = server.request("GET", path, headers={"Accept": JSON}).json()
        if not page["files"]:
            raise SkipTest("The public index tells of no provenance here.")
        wheels = [one for one in page["files"] if one["filename"].endswith(".whl")]
        answer = server.request("GET", urljoin(path, wheels[-1]["url"]))
        self.assertEqual(answer.status, 200, answer.text[:300])
        pins = server.request(
            "GET", "/api/v1/pins/", headers={"Authorization": basic()}
        )
        (pin,) = pins.json()["items"]
        self.assertTrue(pin["publisher"].startswith("github:sigstore/"), pin)


test_suite = apart(__name__)
