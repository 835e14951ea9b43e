"""An S3 server without conditional writes: one process writes, for everybody."""

from __future__ import annotations

import json
import time

from pypicloud_tw.access.document_format import BEGUN, KEY
from tests.integration import apart
from tests.integration.dists import make_wheel
from tests.integration.rig import USER, Answer, Server, basic, run, script
from tests.integration.s3_proxy import Kind, Rule, S3Proxy, no_conditions
from tests.integration.s3_rig import S3TestCase
from tests.integration.seaweedfs import shared

test_suite = apart(__name__)


class OneWriterTests(S3TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.proxy = S3Proxy.before(shared().url)
        self.addCleanup(self.proxy.go_away)
        self.proxy.add(Rule(frozenset({Kind.PUT}), "", no_conditions, times=None))

    def test_commands_beside_the_server_and_after_it(self) -> None:
        server = self.s3_server(url=self.proxy.url)
        self.assertIn("does not honour conditional writes", server.log)
        wheels = [make_wheel(self.dist, "acme", version) for version in ("1.0", "2.0")]
        for wheel in wheels:
            self.assertEqual(server.upload(wheel).status, 200)
        foreign = make_wheel(self.dist, "other", "1.0")
        self.bucket.put(f"other/{foreign.name}", foreign.read_bytes())
        before = self.objects()
        for command in (
            ("yank", server.config, "acme", "1.0", "--reason", "broken"),
            ("remove", server.config, "acme", "1.0"),
            ("refresh", server.config),
            ("sweep", server.config),
            ("rebuild", "--config", server.config),
        ):
            outcome = run([script("pypicloud"), *command], home=self.home)
            self.assertEqual(outcome.code, 1, outcome.output)
            self.assertIn("Another process, probably", outcome.output)
            self.assertIn("Stop the server, run this again", outcome.output)
        self.assertEqual(self.objects(), before)
        # Whatever changes nothing needs no claim.
        self.assertIn("1 files would", self.command(server, "refresh", "--dry-run"))
        self.assertIn("2 files checked", self.command(server, "verify"))
        server.stop()
        said = self.command(server, "yank", "acme", "1.0", "--reason", "broken")
        self.assertIn("acme 1.0 is yanked.", said)
        self.assertIn("1 files adopted", self.command(server, "refresh"))
        self.assertIn("0 orphans", self.command(server, "sweep"))
        said = self.command(server, "remove", "acme", "1.0")
        self.assertIn("acme 1.0 is deleted: 1 file.", said)
        self.verify(2)

    def test_who_may_do_what_is_changed_by_one_alone(self) -> None:
        admins = {"auth.admins": USER}
        first = self.s3_server(admins, url=self.proxy.url)
        second = self.s3_server(admins, url=self.proxy.url)
        for server, path in (
            (second, "/api/v1/access/users/bob"),
            (second, "/api/v1/access/groups/dev"),
        ):
            answer = self.change(server, path)
            self.assertEqual(answer.status, 503, answer.body)
            self.assertEqual(answer.headers["retry-after"], "60")
            self.assertIn("Another process writes", answer.body.decode())
        add = ("user", "add", "bob", "--service", "--config", first.config)
        outcome = run([script("pypicloud"), *add], home=self.home)
        self.assertEqual(outcome.code, 1, outcome.output)
        self.assertIn("Stop the server, run this again", outcome.output)
        self.assertNotIn(KEY, self.bucket.sizes())
        answer = self.change(first, "/api/v1/access/users/bob")
        self.assertEqual(answer.status, 201, answer.body)
        self.assertIn(BEGUN, self.bucket.sizes())
        # Whoever may not write obeys all the same, within index.fresh_for.
        time.sleep(1.1)
        self.assertIn("bob", self.get_users(second))

    def change(self, server: Server, path: str) -> Answer:
        return server.request(
            "PUT",
            path,
            json.dumps({"members": []} if "groups" in path else {}).encode(),
            {"Content-Type": "application/json", "Authorization": basic()},
        )

    def get_users(self, server: Server) -> str:
        return server.get("/api/v1/access/users", Authorization=basic()).body.decode()

    def objects(self) -> dict[str, int]:
        """Tell of every object but the claims to be the only writer, and records.

        Records of the server's own changes come a second after these, as does what is
        derived of the projects.
        """
        others = (".lease", ".audit/", ".derived/")
        sizes = self.bucket.sizes().items()
        return {key: size for key, size in sizes if not key.startswith(others)}
