"""Two servers on one bucket of a real S3 server, with nothing else between them."""

from __future__ import annotations

import os
import time
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import cycle
from pathlib import Path
from threading import Event

from attrs import define, field

from tests.integration import apart
from tests.integration.dists import make_wheel
from tests.integration.rig import Server
from tests.integration.s3_rig import S3TestCase, metric, remove, upload_all, yank

#: Seconds that a server may rely on what it was last told (``index.fresh_for``).
FRESH_FOR = 1.0


class RaceTests(S3TestCase):
    """What one alone may do, and what everybody may do at once."""

    def test_one_filename(self) -> None:
        """Fifty at once with different bytes: one wins, and all the others hear so."""
        servers = self.pair()
        wheels = []
        for number in range(50):
            folder = self.dist / str(number)
            folder.mkdir()
            wheels.append(
                make_wheel(folder, "acme", "1.0", files={"n": b"%d" % number})
            )
        statuses = upload_all(zip(cycle(servers), wheels, strict=False))
        self.assertEqual(sorted(statuses), [200] + [409] * 49)
        winner = wheels[statuses.index(200)].read_bytes()
        time.sleep(FRESH_FOR)
        for server in servers:
            (file,) = self.files(server, "acme").values()
            self.assertEqual(self.fetch(server, file), winner)
        # What lost was cleared away; neither file nor metadata of it is left.
        self.assertEqual(len(self.bucket.sizes("acme/")), 2)
        self.verify(1)

    def test_one_project(self) -> None:
        """Two hundred different files at once: all are there, and swaps are shared."""
        servers = self.pair()
        count = 200
        wheels = [make_wheel(self.dist, "acme", f"1.{n}") for n in range(count)]
        began = time.monotonic()
        statuses = upload_all(zip(cycle(servers), wheels, strict=False))
        took = time.monotonic() - began
        self.assertEqual(statuses, [200] * count)
        time.sleep(FRESH_FOR)
        for server in servers:
            self.assertEqual(set(self.files(server, "acme")), {w.name for w in wheels})
        swaps = sum(metric(server, "pypicloud_swaps_total") for server in servers)
        changes = sum(metric(server, "pypicloud_changes_total") for server in servers)
        print(f"{count} uploads through 2 servers: {took:.1f} s, {swaps:.0f} swaps")
        self.assertEqual(changes, count)
        # Those that the other server overtook are among them.
        self.assertLess(swaps, count)
        self.verify(count)

    def test_eight_writers(self) -> None:
        """Each waits for its answer before it sends the next, as clients do."""
        servers = self.pair()
        writers, each = 8, 6

        def write(writer: int) -> list[int]:
            server = servers[writer % 2]
            files = [
                make_wheel(self.dist, "acme", f"{writer}.{n}") for n in range(each)
            ]
            return [server.upload(file).status for file in files]

        began = time.monotonic()
        with ThreadPoolExecutor(writers) as pool:
            for statuses in pool.map(write, range(writers)):
                self.assertEqual(statuses, [200] * each)
        took = time.monotonic() - began
        tries, overtaken = (
            sum(metric(server, name) for server in servers)
            for name in ("pypicloud_swaps_total", "pypicloud_swaps_overtaken_total")
        )
        print(
            f"{writers} writers of {each}: {took:.1f} s, {tries:.0f} tries to swap, "
            f"{overtaken:.0f} of them overtaken"
        )
        # Each change by a swap of its own took 99 to 148 tries (decision D1).
        self.assertLess(tries, 99)
        self.assertEqual(len(self.bucket.projects()["acme"].files), writers * each)


@define
class Poller:
    """A client that asks for a page all the time, and remembers what it saw."""

    server: Server
    project: str
    seen: list[tuple[float, dict[str, object]]] = field(factory=list)
    _over: Event = field(factory=Event)

    def run(self) -> None:
        while not self._over.wait(0.05):
            asked = time.monotonic()
            listed = self.server.document(self.project)["files"]
            self.seen.append((asked, {f["filename"]: f.get("yanked") for f in listed}))

    def start(self, pool: ThreadPoolExecutor) -> Future[None]:
        return pool.submit(self.run)

    def stop(self) -> None:
        self._over.set()

    def since(self, instant: float) -> list[dict[str, object]]:
        """Tell what was seen by who asked after *instant*."""
        return [files for asked, files in self.seen if asked > instant]


class ChangesTests(S3TestCase):
    """Uploads, removals and yanks at the same time."""

    def test_interleaved(self) -> None:
        """No change is lost, and each is seen everywhere as soon as was promised."""
        a, b = self.pair()
        for n in range(12):
            self.assertEqual(a.upload(self.wheel(f"1.{n}")).status, 200)
        pollers = [Poller(a, "acme"), Poller(b, "acme")]
        done: dict[str, float] = {}

        def upload(server: Server, number: int) -> None:
            wheel = self.wheel(f"2.{number}")
            assert server.upload(wheel).status == 200
            done[f"uploaded {wheel.name}"] = time.monotonic()

        def take_away(server: Server, number: int) -> None:
            answer = remove(server, "acme", f"1.{number}")
            assert answer.status == 200, answer
            name = self.wheel(f"1.{number}").name
            done[f"removed {name}"] = time.monotonic()

        def withdraw(number: int) -> None:
            yank(a, "acme", f"1.{number}", "broken")
            name = self.wheel(f"1.{number}").name
            done[f"yanked {name}"] = time.monotonic()

        with ThreadPoolExecutor(12) as pool:
            polling = [poller.start(pool) for poller in pollers]
            work = [pool.submit(withdraw, n) for n in (0, 1, 2)]
            for n in range(16):
                work.append(pool.submit(upload, (a, b)[n % 2], n))
                if 3 <= n < 9:
                    work.append(pool.submit(take_away, (b, a)[n % 2], n))
            for one in work:
                one.result()
            time.sleep(FRESH_FOR + 0.5)
            for poller in pollers:
                poller.stop()
            for poll in polling:
                poll.result()
        self.assertEqual(len(done), 16 + 6 + 3)
        for what, instant in done.items():
            deed, name = what.split()
            for poller in pollers:
                seen = poller.since(instant + FRESH_FOR)
                self.assertTrue(seen)
                for files in seen:
                    shown = {
                        "uploaded": name in files,
                        "removed": name not in files,
                        "yanked": files.get(name) == "broken",
                    }
                    self.assertTrue(shown[deed], f"{what}: {sorted(files)}")
        self.verify(12 - 6 + 16)

    def wheel(self, version: str) -> Path:
        return make_wheel(self.dist, "acme", version)

    def test_same_address(self) -> None:
        """Two processes sign one file alike, so that clients' caches hit."""
        a, b = self.pair()
        data = {"acme/data": os.urandom(1000)}
        wheels = [make_wheel(self.dist, "acme", f"1.{n}", files=data) for n in "123"]
        for wheel in wheels:
            self.assertEqual(a.upload(wheel).status, 200)
        time.sleep(FRESH_FOR)
        for file in self.files(b, "acme").values():
            path = file["url"].removeprefix("../..")
            answers = [server.get(path) for server in (a, b, a)]
            self.assertEqual([answer.status for answer in answers], [302] * 3)
            (location,) = {answer.headers["location"] for answer in answers}
            self.assertEqual(self.follow(answers[0]).status, 200, location)


test_suite = apart(__name__)
