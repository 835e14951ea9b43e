"""uv's own trusted publishing, over TLS, against an issuer that the test runs."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from tests.certificates import make_certificates
from tests.integration import apart
from tests.integration.clients.environments import PIPS, environment
from tests.integration.dists import make_wheel
from tests.integration.oidc_issuer import LiveIssuer
from tests.integration.rig import IntegrationTestCase, Server, script, wait_until


class TrustedPublishingTests(IntegrationTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.authority, self.certificate, self.key = make_certificates(self.folder)
        self.issuer = LiveIssuer(self.certificate, self.key)
        self.addCleanup(self.issuer.stop)
        self.store = self.folder / "store"

    def tls_server(self, **settings: str) -> Server:
        """Start a server; all are on one store.

        :param settings: what is set of the publisher ``tool``, if not all of it.
        """
        server = self.server(scheme="https", start=False)
        server.options = [
            f"--listen=ssl:{server.port}:interface=127.0.0.1"
            f":certKey={self.certificate}:privateKey={self.key}"
        ]
        server.configure(
            **{
                "storage.dir": str(self.store),
                "pypi.default_read": "authenticated",
                "oidc.ca_file": str(self.authority),
                **self.publisher(**settings),
                "publisher.readers.issuer": self.issuer.url,
                "publisher.readers.claims": "repository_owner_id:42",
                "publisher.readers.projects": "acme",
                "publisher.readers.acts": "read",
            }
        )
        server.start()
        return server

    def publisher(self, **settings: str) -> dict[str, str]:
        given = {
            "issuer": self.issuer.url,
            "claims": "repository:acme/tool, ref:refs/tags/*",
            "projects": "acme",
            **settings,
        }
        return {f"publisher.tool.{key}": text for key, text in given.items()}

    def publish(self, server: Server, *files: Path) -> tuple[str | Path, ...]:
        return (
            *(script("uv"), "publish", "--trusted-publishing", "always", "-v"),
            *("--publish-url", f"{server.url}/legacy/"),
            *files,
        )

    def environment(self, job: dict[str, str]) -> dict[str, str]:
        return {"SSL_CERT_FILE": str(self.authority), **job}

    def test_github(self) -> None:
        server = self.tls_server()
        files = [make_wheel(self.folder, "acme", v) for v in ("1.0", "1.1")]
        job = self.environment(self.issuer.github)
        self.run_client(*self.publish(server, *files), **job)
        burnt = '"POST /_/oidc/burn-token HTTP/1.1" 204'
        # Lines of requests are written a little later.
        wait_until(lambda: burnt in server.log, lambda: server.log)
        log = server.log
        self.assertEqual(log.count('"POST /_/oidc/mint-token HTTP/1.1" 200'), 1)
        self.assertEqual(log.count('"POST /legacy/ HTTP/1.1" 200'), 2)
        document = json.loads((self.store / ".index" / "acme.json").read_text())
        for file in document["files"]:
            self.assertEqual(file["_uploader"], "publisher readers, tool")
            self.assertEqual(file["_publisher"]["repository"], "acme/tool")

    def test_wrong_claims(self) -> None:
        """uv shows the sentence; the log says what differs."""
        server = self.tls_server()
        self.issuer.claims = {"ref": "refs/heads/dev", "repository_owner_id": "7"}
        output = self.run_failing(
            *self.publish(server, make_wheel(self.folder, "acme", "1.0")),
            **self.environment(self.issuer.github),
        )
        self.assertIn("no trusted publisher of this index is for this job", output)
        self.assertIn("refs/heads/dev", output)
        self.assertNotIn("refs/tags/*", output)
        self.assertIn("ref is 'refs/heads/dev', not 'refs/tags/*'", server.log)

    def test_a_replay_on_the_second_server(self) -> None:
        """A GitLab job has one token for all of it."""
        first, second = self.tls_server(), self.tls_server()
        job = self.environment(self.issuer.gitlab)
        one, other = (make_wheel(self.folder, "acme", v) for v in ("1.0", "1.1"))
        self.run_client(*self.publish(first, one), **job)
        for server in (second, first):
            output = self.run_failing(*self.publish(server, other), **job)
            self.assertIn("was exchanged before", output)
            self.assertIn("GitLab job", output)
        again = self.environment(self.issuer.gitlab)
        self.run_client(*self.publish(second, other), **again)

    def test_reload(self) -> None:
        """SIGHUP: what was trusted for another project is trusted for this one."""
        server = self.tls_server(projects="other")
        wheel = make_wheel(self.folder, "acme", "1.0")
        job = self.environment(self.issuer.github)
        output = self.run_failing(*self.publish(server, wheel), **job)
        self.assertIn("403", output)
        server.configure(**self.publisher())
        assert server.process is not None
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "were read again" in server.log, lambda: server.log)
        self.run_client(*self.publish(server, wheel), **job)

    def test_reading(self) -> None:
        """A job that installs needs no stored secret either."""
        server = self.tls_server()
        wheel = make_wheel(self.folder, "acme", "1.0")
        self.run_client(
            *self.publish(server, wheel), **self.environment(self.issuer.github)
        )
        self.issuer.claims = {"ref": "refs/heads/dev"}
        body = json.dumps({"token": self.issuer.token()}).encode()
        minted = server.request("POST", "/_/oidc/mint-token", body)
        self.assertEqual(minted.status, 200, minted)
        token = minted.json()["token"]
        index = f"https://__token__:{token}@127.0.0.1:{server.port}/simple/"
        pip = (environment(PIPS[0]), "-m", "pip")
        self.run_client(
            *(*pip, "download", "--no-cache-dir", "-d", self.folder / "got"),
            *("--cert", self.authority, "-i", index, "acme"),
        )
        self.run_client(
            *(script("uv"), "pip", "install", "--no-cache", "--target"),
            *(self.folder / "here", "--index-url", index, "acme"),
            SSL_CERT_FILE=str(self.authority),
        )
        self.assertTrue((self.folder / "here" / "acme").exists())
        self.run_failing(
            *(*pip, "download", "--no-cache-dir", "-d", self.folder / "got"),
            *("--cert", self.authority, "-i", server.simple, "acme"),
        )


test_suite = apart(__name__)
