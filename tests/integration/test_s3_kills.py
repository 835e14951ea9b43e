"""Kill -9 at every step of a publish into a bucket, beside others and a sweep.

Several servers live and die on one bucket at the same time, each behind a proxy of its
own that can end it at a request to S3, before S3 has heard of it or when it is done.
The seed of the dice is in the failure's text.
"""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from http.client import HTTPException
from pathlib import Path
from random import Random
from threading import Event

from attrs import define, field, frozen

from pypicloud_tw.index.first_uploads import PUBLISHING
from pypicloud_tw.index.layout import is_own
from pypicloud_tw.index.manifest import manifest_key
from pypicloud_tw.index.names import project_name
from pypicloud_tw.maintenance.sweep import named_keys
from tests.integration import apart
from tests.integration.dists import make_wheel
from tests.integration.dying_server import last_words
from tests.integration.nursery import Nursery
from tests.integration.rig import Server, wait_until
from tests.integration.s3_proxy import Kind, S3Proxy, after, before
from tests.integration.s3_rig import S3TestCase
from tests.integration.seaweedfs import shared
from tests.integration.test_kill import Ledger, race
from tests.manifests import whole_project

#: Lives that end in each step, and at any moment. A few take a minute; more are for
#: those who change how things are published.
KILLS = int(os.environ.get("PYPICLOUD_KILLS", "4"))

#: How many go on at a time.
AT_ONCE = 3

#: Rounds of work until a server must have met its end.
ROUNDS = 30

#: What is put in parts: more than goes in one PUT (s3_upload.SINGLE).
BIG = 17 * 2**20

#: ``index.sweep_age``, in seconds, of everybody.
SWEEP_AGE = 20
SWEPT = {"index.sweep_age": f"{SWEEP_AGE}s"}


@frozen
class Step:
    """A step in which a server dies.

    :ivar name: of a checkpoint, or of what is asked of S3.
    :ivar kind: of that request; None for a checkpoint.
    :ivar part: of the key.
    :ivar big: it is passed only by files that are put in parts.
    """

    name: str
    kind: Kind | None = None
    part: str = ""
    big: bool = False


STEPS = (
    Step("publish:file"),
    Step("publish:metadata"),
    Step("publish:swapped"),
    Step("publish:told"),
    Step("put file", Kind.PUT, "none-any.whl"),
    Step("put manifest", Kind.PUT, ".index/"),
    Step("put marker", Kind.PUT, ".marker"),
    Step("tell first upload", Kind.PUT, PUBLISHING),
    Step("end first upload", Kind.DELETE, PUBLISHING),
    Step("begin parts", Kind.INIT, big=True),
    Step("put part", Kind.PART, big=True),
    Step("complete parts", Kind.COMPLETE, big=True),
)


@define
class DigestLedger(Ledger):
    """A ledger that keeps the digests of what was sent, since it is too much."""

    big: bytes = field(factory=lambda: os.urandom(BIG))

    def upload(self, server: Server, wheel: Path) -> int | None:
        digest = sha256(wheel.read_bytes()).digest()
        with self._lock:
            self.sent.setdefault(wheel.name, set()).add(digest)
            self.doubtful.add(wheel.name)
        try:
            answer = server.upload(wheel)
        except (OSError, HTTPException):
            return None
        with self._lock:
            self.doubtful.discard(wheel.name)
            if answer.status == 200:
                self.kept[wheel.name] = digest
        return answer.status

    def big_wheel(self, project: str, version: str) -> Path:
        files = {f"{project}/data": self.big}
        return make_wheel(self.folder, project, version, files=files)


@define
class Sweeping:
    """Sweeps all the while."""

    sweep: Callable[[], str]
    removed: int = 0
    _over: Event = field(factory=Event)

    def run(self) -> None:
        while not self._over.wait(3.0):
            self.removed += self.sweep().count("removed ")

    def stop(self) -> None:
        self._over.set()


class KillTests(S3TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.seed = int.from_bytes(os.urandom(4))
        self.random = Random(self.seed)
        self.ledger = DigestLedger(self.folder / "sent")
        self.ledger.folder.mkdir()
        self.nursery = Nursery.shared()
        self.deaths: Counter[str] = Counter()

    def mortals(self) -> list[tuple[Server, S3Proxy]]:
        found = []
        for _ in range(AT_ONCE):
            proxy = S3Proxy.before(shared().url)
            self.addCleanup(proxy.go_away)
            server = self.s3_server(SWEPT, url=proxy.url, start=False)
            found.append((server, proxy))
        return found

    def test_every_step(self) -> None:
        """Nothing acknowledged is lost, nothing by halves is seen, orphans go."""
        lives = deque(step for step in STEPS for _ in range(KILLS))
        self.random.shuffle(lives)
        self.die(lambda mortal: self.die_in_turn(lives, *mortal))
        self.assertEqual(self.deaths, Counter({step.name: KILLS for step in STEPS}))

    def test_any_moment(self) -> None:
        """Many uploads at once, small and large."""
        lives = deque(range(KILLS))
        self.die(lambda mortal: self.die_at_any_moment(lives, *mortal))
        self.assertGreater(len(self.ledger.kept), KILLS)

    def die(self, work: Callable[[tuple[Server, S3Proxy]], None]) -> None:
        """Let servers die beside a sweep, then see what they have left."""
        steady = self.s3_server(SWEPT, start=False)
        sweeping = Sweeping(lambda: self.command(steady, "sweep"))
        began = time.monotonic()
        with ThreadPoolExecutor(AT_ONCE + 1) as pool:
            swept = pool.submit(sweeping.run)
            try:
                for _ in pool.map(work, self.mortals()):
                    pass
            finally:
                sweeping.stop()
            swept.result()
        took = time.monotonic() - began
        print(
            f"{sum(self.deaths.values())} lives in {took:.0f} s, "
            f"{sweeping.removed} orphans swept meanwhile"
        )
        self.recover(steady)

    def die_in_turn(self, lives: deque[Step], server: Server, proxy: S3Proxy) -> None:
        while lives:
            try:
                step = lives.popleft()
            except IndexError:
                return
            self.die_once(step, server, proxy)

    def die_once(self, step: Step, server: Server, proxy: S3Proxy) -> None:
        nth = self.random.randint(1, 1 if step.big else 3)
        self.nursery.start(server, step.name if step.kind is None else "", nth)
        work = self.work_big if step.big else self.work
        if step.kind is None:
            projects = work(server)
            self.assertIn(last_words(step.name, nth), server.log[-200:], server.log)
        else:
            kill = self.random.choice((before, after))(server.kill)
            with proxy.spoiling(
                kill, step.kind, part=step.part, passes=nth - 1
            ) as rule:
                projects = work(server)
            self.assertEqual(rule.hits, 1, f"{step}:\n{server.log[-3000:]}")
        assert server.process is not None
        server.process.wait(30)
        self.deaths[step.name] += 1
        self.audit(projects, f"{step}, seed {self.seed}")

    def work(self, server: Server) -> set[str]:
        """Do all that changes a project until none answers; tell what was changed."""
        ledger, projects = self.ledger, {"acme"}
        for _ in range(ROUNDS):
            number = ledger.number()
            first = ledger.wheel("acme", f"1.{number}")
            ledger.upload(server, first)
            projects.add(f"acme_{number}")
            ledger.upload(server, ledger.wheel(f"acme_{number}", "1.0"))
            if number % 3 == 0 and first.name in ledger.kept:
                ledger.remove(server, first.name)
            race(server, ledger, f"2.{number}")
            if is_dead(server):
                break
        return projects

    def work_big(self, server: Server) -> set[str]:
        for _ in range(ROUNDS):
            wheel = self.ledger.big_wheel("large", f"1.{self.ledger.number()}")
            self.ledger.upload(server, wheel)
            if is_dead(server):
                break
        return {"large"}

    def die_at_any_moment(
        self, lives: deque[int], server: Server, proxy: S3Proxy
    ) -> None:
        while lives:
            try:
                lives.popleft()
            except IndexError:
                return
            self.nursery.start(server)
            with ThreadPoolExecutor(4) as pool:
                work = [pool.submit(self.upload_until_dead, server) for _ in range(3)]
                work.append(pool.submit(self.work_big, server))
                self.kill_after_first(server)
                for one in work:
                    one.result()
            self.deaths["any moment"] += 1
            self.audit({"acme_0", "acme_1", "acme_2", "large"}, f"seed {self.seed}")

    def kill_after_first(self, server: Server) -> None:
        """Kill it some time after the next answer to an upload."""
        before = len(self.ledger.kept)
        try:
            wait_until(lambda: len(self.ledger.kept) > before, lambda: server.log)
            time.sleep(self.random.uniform(0, 1.0))
        finally:
            server.kill()

    def upload_until_dead(self, server: Server) -> set[str]:
        while not is_dead(server):
            number = self.ledger.number()
            wheel = self.ledger.wheel(f"acme_{number % 3}", f"1.{number}")
            self.ledger.upload(server, wheel)
        return set()

    def audit(self, projects: Collection[str], where: str) -> None:
        """Compare projects in the bucket, while others work, with what was said."""
        ledger = self.ledger
        with ledger._lock:
            kept, removed = dict(ledger.kept), set(ledger.removed)
        for project in projects:
            name = project_name(project)
            key = manifest_key(name)
            mine = [f for f in kept if f.split("-")[0] == project]
            if not self.bucket.sizes(key):
                self.assertEqual(mine, [], where)
                continue
            state = whole_project(name, self.bucket.get)
            sizes = self.bucket.sizes(f"{name}/")
            files = {file.filename: file for file in state.files}
            for filename in mine:
                if filename in ledger.removing | ledger.removed:
                    continue
                self.assertIn(filename, files, where)
                self.assertEqual(
                    files[filename].sha256, kept[filename].hex(), (filename, where)
                )
            for filename, file in files.items():
                self.assertNotIn(filename, removed, where)
                sent = {digest.hex() for digest in ledger.sent[filename]}
                self.assertIn(file.sha256, sent, where)
                self.assertEqual(sizes.get(file.key), file.size, (filename, where))
                assert file.metadata_key is not None, where
                self.assertIn(file.metadata_key, sizes, where)

    def recover(self, server: Server) -> None:
        """Repeat what was not answered, look at everything, and sweep."""
        ledger = self.ledger
        server.start()
        for filename in sorted(ledger.doubtful):
            # Two that raced may leave a name that other bytes cannot take.
            status = ledger.upload(server, ledger.folder / filename)
            self.assertIn(status, (200, 409), (filename, self.seed))
        for filename in sorted(ledger.removing):
            self.assertIn(ledger.remove(server, filename), (200, 404), filename)
            ledger.kept.pop(filename, None)
        projects = self.bucket.projects()
        self.audit({f.split("-")[0] for f in ledger.kept}, f"seed {self.seed}")
        shown = {name: self.files(server, name) for name in projects}
        for filename, digest in ledger.kept.items():
            project = filename.split("-")[0].replace("_", "-")
            file = shown[project][filename]
            self.assertEqual(file["hashes"]["sha256"], digest.hex(), filename)
        self.verify(sum(map(len, shown.values())))
        self.sweep_all(server)
        self.verify(sum(map(len, shown.values())))

    def sweep_all(self, server: Server) -> None:
        """Sweep until every orphan is old enough to go, and assert that all do."""
        named = set[str]()
        for project in self.bucket.projects().values():
            named |= named_keys(project)

        def left() -> set[str]:
            keys = self.bucket.sizes()
            first = {key for key in keys if key.startswith(PUBLISHING)}
            return first | {key for key in keys if is_own(key)} - named

        def clean() -> bool:
            self.command(server, "sweep")
            return not left() and not self.bucket.uploads()

        print(f"{len(left())} orphans, {len(self.bucket.uploads())} uploads left")
        wait_until(clean, lambda: f"{left()} {self.bucket.uploads()}", SWEEP_AGE + 30.0)


def is_dead(server: Server) -> bool:
    return server.process is None or server.process.poll() is not None


test_suite = apart(__name__)
