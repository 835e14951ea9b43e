"""What comes from upstream and is kept in a bucket (``pypi.fallback = cache``)."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPException

from tests.integration import apart
from tests.integration.clients.environments import PIPS, environment
from tests.integration.dists import make_wheel
from tests.integration.fake_upstream import FakeUpstream
from tests.integration.rig import Answer, Server, script, wait_until
from tests.integration.s3_rig import S3TestCase
from tests.integration.seaweedfs import shared

#: Large enough for several parts of an upload to S3.
LARGE = {"acme/data": bytes(range(256)) * 100_000}


class CacheTests(S3TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.upstream = FakeUpstream()
        self.upstream.start()
        self.addCleanup(lambda: self.upstream.stop())
        self.wheel = make_wheel(self.dist, "acme", "1.0", files=LARGE)
        self.upstream.publish(self.wheel)

    def front(self) -> Server:
        return self.s3_server(
            {
                "pypi.use_fallback": "true",
                "pypi.fallback": "cache",
                "pypi.fallback_url": self.upstream.simple,
            }
        )

    def path(self, server: Server) -> str:
        (file,) = server.document("acme")["files"]
        return "/" + str(file["url"]).removeprefix("../../")

    def get(self, server: Server, path: str) -> Answer:
        answer = server.get(path)
        return self.follow(answer) if answer.status == 302 else answer

    def kept(self) -> list[str]:
        return [key for key in self.bucket.sizes(".cache/acme/") if key[-4:] == ".whl"]

    def wait_for_it(self) -> None:
        wait_until(self.kept, lambda: f"not kept: {self.bucket.sizes()}")

    def install(self, server: Server) -> None:
        clients = (
            (environment(PIPS[0]), "-m", "pip", "install", "--no-cache-dir"),
            (script("uv"), "pip", "install", "--no-cache", "--python", sys.executable),
        )
        for number, client in enumerate(clients):
            target = self.make_folder() / str(number)
            where = ("--target", target, "--index-url", server.simple)
            self.run_client(*client, *where, "acme")
            self.assertTrue((target / "acme" / "data").exists())

    def fetched(self) -> list[str]:
        asked = self.upstream.paths_asked("/files/", by_us=True)
        return [path for path in asked if path.endswith(".whl")]

    def test_kept_for_all(self) -> None:
        """One fetch for all clients; then every server has it, nobody upstream."""
        one, two = self.front(), self.front()
        path = self.path(one)
        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda _: self.get(one, path), range(6)))
        for answer in answers:
            self.assertEqual(answer.body, self.wheel.read_bytes())
        self.assertEqual(len(self.fetched()), 1)
        self.wait_for_it()
        self.install(one)
        wait_until(lambda: self.bucket.sizes(".cache/.pages/"), lambda: "no page")
        self.upstream.stop()
        for server in (one, two):
            server.stop()
            server.start()
            answer = server.get(path)
            self.assertEqual(answer.status, 302, answer)
            self.assertTrue(answer.headers["location"].startswith(shared().url))
            self.assertEqual(self.follow(answer).body, self.wheel.read_bytes())
            part = self.follow(answer, Range="bytes=10-19")
            self.assertEqual(part.body, self.wheel.read_bytes()[10:20])
            self.install(server)
        self.assertEqual(self.bucket.projects(), {})
        self.assertEqual(self.bucket.uploads(), [])

    def test_a_client_that_goes_away(self) -> None:
        server = self.front()
        connection = server.connect()
        connection.request("GET", self.path(server))
        connection.getresponse().read(100_000)
        connection.close()
        self.wait_for_it()
        self.assertEqual(self.bucket.get(self.kept()[0]), self.wheel.read_bytes())

    def test_not_what_the_page_says(self) -> None:
        """Nobody gets it whole, and nothing is kept, not even a part."""
        server = self.front()
        path = self.path(server)
        right = self.wheel.read_bytes()
        self.wheel.write_bytes(right[:-1] + bytes([right[-1] ^ 1]))
        with ThreadPoolExecutor(3) as pool:
            broken = list(pool.map(lambda _: self.is_broken(server, path), range(3)))
        self.assertEqual(broken, [True] * 3)
        wait_until(lambda: not self.bucket.uploads(), lambda: "an upload is left")
        self.assertEqual(self.kept(), [])
        self.wheel.write_bytes(right)
        self.assertEqual(self.get(server, path).body, right)

    def is_broken(self, server: Server, path: str) -> bool:
        """Whether the connection breaks off, or nothing of the file is sent."""
        try:
            return server.get(path).status == 502
        except (HTTPException, ConnectionError):
            return True

    def test_killed_meanwhile(self) -> None:
        """What is left of it is no file; a sweep leaves the others."""
        server = self.front()
        path = self.path(server)
        connection = server.connect()
        connection.request("GET", path)
        connection.getresponse().read(100_000)
        server.kill()
        connection.close()
        for key in self.kept():
            self.assertEqual(self.bucket.get(key), self.wheel.read_bytes())
        server.start()
        self.assertEqual(self.get(server, path).body, self.wheel.read_bytes())
        self.wait_for_it()
        self.command(server, "sweep")
        self.assertEqual(self.get(server, path).body, self.wheel.read_bytes())


test_suite = apart(__name__)
