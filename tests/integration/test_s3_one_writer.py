"""An S3 server without conditional writes: one process writes, for everybody."""

from __future__ import annotations

from tests.integration import apart
from tests.integration.dists import make_wheel
from tests.integration.rig import script
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
        said = self.command(server, "yank", "acme", "1.0", "--reason", "broken")
        self.assertIn("that is asked to do it", said)
        self.assertIn("acme 1.0 is yanked.", said)
        files = self.files(server, "acme")
        self.assertEqual(files[wheels[0].name]["yanked"], "broken")
        self.assertIn("acme", self.bucket.projects())
        foreign = make_wheel(self.dist, "other", "1.0")
        self.bucket.put(f"other/{foreign.name}", foreign.read_bytes())
        self.assertIn("1 files adopted", self.command(server, "refresh"))
        self.assertIn(foreign.name, self.files(server, "other"))
        self.assertIn("0 orphans", self.command(server, "sweep"))
        missing = self.run_failing(
            script("pypicloud"), "remove", server.config, "acme", "9.0"
        )
        self.assertIn("pypicloud: There is no such release of acme here.", missing)
        self.assertEqual(list(self.bucket.sizes(".errands/")), [])
        server.stop()
        said = self.command(server, "remove", "acme", "1.0")
        self.assertNotIn("that is asked to do it", said)
        self.assertIn("acme 1.0 is removed.", said)
        self.verify(2)
