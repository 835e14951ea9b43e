"""A bucket that the programs before have filled is adopted while servers run on it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from hashlib import md5, sha256
from threading import Event

from attrs import define, field

from tests.integration import apart
from tests.integration.dists import make_sdist, make_wheel
from tests.integration.rig import Server
from tests.integration.s3_rig import S3TestCase

#: Files of each layout.
EACH = 6


@define
class Poller:
    """A client that reads everything all the time, and must never see less."""

    server: Server
    rounds: int = 0
    _seen: set[str] = field(factory=set)
    _over: Event = field(factory=Event)

    def run(self) -> None:
        while not self._over.wait(0.1):
            accept = "application/vnd.pypi.simple.v1+json"
            index = self.server.get("/simple/", Accept=accept).json()
            seen = set[str]()
            for project in index["projects"]:
                name = project["name"]
                listed = self.server.document(name)["files"]
                seen |= {name} | {file["filename"] for file in listed}
            assert seen >= self._seen, f"gone: {self._seen - seen}"
            self._seen = seen
            self.rounds += 1

    def stop(self) -> None:
        self._over.set()


class RefreshTests(S3TestCase):
    def test_beside_a_server(self) -> None:
        server = self.s3_server()
        for n in range(3):
            wheel = make_wheel(self.dist, "acme", f"2.{n}")
            self.assertEqual(server.upload(wheel).status, 200)
        # For the commands: the server would refuse uploads that take half of it.
        server.configure(**{"index.sweep_age": "2s"})
        old = self.fill()
        poller = Poller(server)
        with ThreadPoolExecutor(1) as pool:
            polling = pool.submit(poller.run)
            try:
                dry = self.command(server, "refresh", "--dry-run")
                before = set(self.files(server, "acme"))
                first = self.command(server, "refresh")
                again = self.command(server, "refresh")
            finally:
                poller.stop()
            polling.result()
        self.assertGreater(poller.rounds, 3)
        self.assertEqual(len(before), 3)
        count = len(old)
        # Whether it is an archive only reading tells.
        self.assertIn(f"{count + 1} files would be adopted, 0 known already", dry)
        self.assertIn(f"{count} files adopted, 0 known already, 2 skipped", first)
        self.assertIn("skipped 'broken-1.0-py3-none-any.whl'", first)
        self.assertIn(f"0 files adopted, {count} known already, 2 skipped", again)
        time.sleep(2.5)
        self.command(server, "sweep")
        self.check(server, old)
        self.verify(count + 3)

    def fill(self) -> dict[str, bytes]:
        """Put files where pypicloud 1.x and its later versions have put them."""
        old: dict[str, bytes] = {}
        for n in range(EACH):
            flat = make_wheel(self.dist, "acme", f"0.{n}")
            old[flat.name] = flat.read_bytes()
            named = make_sdist(self.dist, "acme", f"1.{n}")
            old[f"acme/{named.name}"] = named.read_bytes()
            hashed = make_wheel(self.dist, "other_tool", f"1.{n}")
            digits = md5(hashed.name.encode()).hexdigest()[:4]
            old[f"{digits}/other-tool/{hashed.name}"] = hashed.read_bytes()
        for key, data in old.items():
            name = key.rpartition("/")[2]
            self.bucket.put(key, data, name=name.split("-")[0], summary="A tool")
        self.bucket.put("broken-1.0-py3-none-any.whl", b"no archive")
        self.bucket.put("notes.txt", b"not a distribution at all")
        return old

    def check(self, server: Server, old: dict[str, bytes]) -> None:
        """Everything is served, from where it lay."""
        shown = {**self.files(server, "acme"), **self.files(server, "other-tool")}
        self.assertEqual(len(shown), len(old) + 3)
        for key, data in old.items():
            file = shown[key.rpartition("/")[2]]
            self.assertEqual(file["hashes"]["sha256"], sha256(data).hexdigest())
            self.assertEqual(self.bucket.get(key), data)
            self.assertEqual(self.fetch(server, file), data)


test_suite = apart(__name__)
