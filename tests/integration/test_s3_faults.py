"""S3 that drops, delays, truncates, refuses, lies about it, and is away altogether.

Whatever it does, a client sees success or an honest error, and the bucket is whole.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from http.client import IncompleteRead
from pathlib import Path

from attrs import frozen

from pypicloud_tw.index.watch import PATIENCE
from tests.integration import apart
from tests.integration.dists import make_wheel
from tests.integration.rig import CLIENT_PATIENCE, Answer, Server, wait_until
from tests.integration.s3_proxy import (
    Fault,
    Kind,
    Rule,
    S3Proxy,
    cut_request,
    delay,
    do_and_cut,
    do_and_refuse,
    drop,
    refuse,
    silence,
    truncate,
)
from tests.integration.s3_rig import S3TestCase
from tests.integration.seaweedfs import shared

#: What is put in parts: more than goes in one PUT (s3_upload.SINGLE).
BIG = 16 * 2**20 + 1

#: Seconds that the servers here wait for S3's answer: SeaweedFS, when busy, takes
#: seconds for the contended writes by which it is tried at the start.
FIRST_BYTE = 4

#: Uploads under way at a time.
AT_ONCE = 16

#: What may go wrong once without any client's noticing.
PASSING = {
    "drop": drop,
    "delay": delay(FIRST_BYTE + 2),
    "cut request": cut_request,
    "truncate": truncate,
    "do and cut": do_and_cut,
    "500": refuse(500, "InternalError"),
    "503": refuse(503, "SlowDown"),
    "409": refuse(409, "ConditionalRequestConflict"),
    "do and 500": do_and_refuse(500, "InternalError"),
    "do and 503": do_and_refuse(503, "SlowDown"),
}

#: What may happen to large requests, each of which costs something here.
LARGE = ("drop", "delay", "cut request", "truncate", "do and cut", "503")

#: What stays wrong.
LASTING = {
    "drop": drop,
    "do and cut": do_and_cut,
    "truncate": truncate,
    "503": refuse(503, "SlowDown"),
    "412": refuse(412, "PreconditionFailed"),
    "409": refuse(409, "OperationAborted"),
    "403": refuse(403, "AccessDenied"),
    "404": refuse(404, ""),
}


#: ... with the marker.
TOLD = ("drop", "do and cut", "503", "412", "403")


@frozen
class Step:
    """One request of a publish.

    :ivar key: what its object's key contains.
    """

    name: str
    kind: Kind
    key: str
    big: bool = False


SMALL = (
    Step("read manifest", Kind.GET, ".index/{project}.json"),
    Step("put file", Kind.PUT, "{filename}"),
    Step("put metadata", Kind.PUT, "{filename}.metadata"),
    Step("put manifest", Kind.PUT, ".index/{project}.json"),
)
IN_PARTS = (
    Step("begin parts", Kind.INIT, "{filename}", big=True),
    Step("put part", Kind.PART, "{filename}", big=True),
    Step("complete parts", Kind.COMPLETE, "{filename}", big=True),
)
MARKER = Step("put marker", Kind.PUT, ".marker")


@frozen
class Case:
    """A fault in one step of publishing one file."""

    step: Step
    fault_name: str
    fault: Fault
    wheel: Path
    times: int | None

    @property
    def name(self) -> str:
        return f"{self.fault_name} at {self.step.name}"

    @property
    def project(self) -> str:
        return self.wheel.name.split("-")[0].replace("_", "-")

    @property
    def key(self) -> str:
        return self.step.key.format(project=self.project, filename=self.wheel.name)


class FaultTestCase(S3TestCase):
    """A server behind a proxy of the test's."""

    def setUp(self) -> None:
        super().setUp()
        self.proxy = S3Proxy.before(shared().url)
        self.addCleanup(self.proxy.go_away)

    def behind(
        self, settings: Mapping[str, str] | None = None, *, start: bool = True
    ) -> Server:
        quick = {
            "aws.connect_timeout": "1s",
            "aws.first_byte_timeout": f"{FIRST_BYTE}s",
            "aws.silence_timeout": f"{FIRST_BYTE}s",
        }
        keys = {**quick, **(settings or {})}
        # Not the time that anything takes is tested, but what comes of it: on a slow
        # machine the last of many uploads, each with its fault, takes long.
        return self.s3_server(
            keys, url=self.proxy.url, start=start, patience=CLIENT_PATIENCE
        )

    def honest(self, answer: Answer, what: str) -> None:
        """Assert that an answer is an error which says when to try again."""
        self.assertEqual(answer.status, 503, f"{what}: {answer}")
        self.assertIn("retry-after", answer.headers, what)


class PublishTests(FaultTestCase):
    """Every request of a publish, spoiled in every way."""

    def cases(
        self, steps: Iterable[Step], faults: dict[str, Fault], times: int | None
    ) -> list[Case]:
        return [
            self.case(step, name, faults[name], times)
            for step in steps
            for name in faults
            if name != "cut request" or step.kind in (Kind.PUT, Kind.PART)
        ]

    def case(self, step: Step, name: str, fault: Fault, times: int | None) -> Case:
        number = len(list(self.dist.iterdir()))
        files = {"data": os.urandom(BIG)} if step.big else {}
        wheel = make_wheel(self.dist, f"acme_{number}", "1.0", files=files)
        return Case(step, name, fault, wheel, times)

    def send(self, server: Server, case: Case) -> int:
        """Publish under a fault; tell the status."""
        spoiling = self.proxy.spoiling(
            case.fault, case.step.kind, part=case.key, times=case.times
        )
        with spoiling as rule:
            answer = server.upload(case.wheel)
        self.assertTrue(rule.hits, f"{case.name} did not come about")
        if answer.status != 200:
            self.honest(answer, case.name)
        return answer.status

    def run_cases(
        self, server: Server, cases: list[Case], at_once: int
    ) -> Counter[str]:
        """Send all, then again what failed; tell what failed."""
        with ThreadPoolExecutor(at_once) as pool:
            statuses = list(pool.map(lambda case: self.send(server, case), cases))
        failed = Counter(
            case.name
            for case, status in zip(cases, statuses, strict=True)
            if status != 200
        )
        for case, status in zip(cases, statuses, strict=True):
            if status != 200:
                again = server.upload(case.wheel)
                self.assertEqual(again.status, 200, f"{case.name}: {again}")
            (file,) = self.files(server, case.project).values()
            sent = sha256(case.wheel.read_bytes()).hexdigest()
            self.assertEqual(file["hashes"]["sha256"], sent)
        return failed

    def test_small_files(self) -> None:
        """What passes is not even noticed; what stays is said, and ends with its cause.

        All of them at once, but for the marker, which is the same for all.
        """
        server = self.behind()
        cases = self.cases(SMALL, PASSING, 1)
        self.assertEqual(self.run_cases(server, cases, AT_ONCE), Counter())
        marker = self.cases([MARKER], PASSING, 1)
        self.assertEqual(self.run_cases(server, marker, 1), Counter())
        lasting = self.cases(SMALL, LASTING, None)
        failed = self.run_cases(server, lasting, AT_ONCE)
        told = self.cases([MARKER], {n: LASTING[n] for n in TOLD}, None)
        failed += self.run_cases(server, told, 1)
        # What S3 has carried out, and what was found out by other means: that it
        # lists no manifest.
        self.assertLessEqual(
            {case.name for case in (*lasting, *told)} - set(failed),
            {
                *(f"{cut} at put manifest" for cut in ("do and cut", "truncate")),
                *(f"{cut} at put marker" for cut in ("do and cut", "truncate")),
                *(f"{odd} at read manifest" for odd in ("404", "truncate")),
            },
        )
        self.verify(len([*cases, *marker, *lasting, *told]))

    def test_parts(self) -> None:
        server = self.behind()
        faults = {name: PASSING[name] for name in LARGE}
        cases = self.cases(IN_PARTS, faults, 1)
        self.assertEqual(self.run_cases(server, cases, 4), Counter())
        self.verify(len(cases))


class ReadTests(FaultTestCase):
    """Pages and files."""

    def test_reads(self) -> None:
        server = self.behind({"aws.link": "stream"})
        data = {"data": os.urandom(2 * 2**20)}
        wheel = make_wheel(self.dist, "acme", "1.0", files=data)
        self.assertEqual(server.upload(wheel).status, 200)
        self.read_files(server, wheel)
        self.read_pages(server)

    def read_pages(self, server: Server) -> None:
        """A project that S3 does not tell of is never said to be absent."""
        manifest = self.bucket.get(".index/acme.json")

        def read(number: int, name: str, fault: Fault, times: int | None) -> None:
            key = f".index/acme-{number}.json"
            # Only a key that nobody has asked for is asked of S3.
            named = f'"acme-{number}"'.encode()
            self.bucket.put(key, manifest.replace(b'"acme"', named))
            with self.proxy.spoiling(fault, Kind.GET, part=key, times=times):
                answer = server.get(f"/simple/acme-{number}/")
            if times == 1:
                self.assertEqual(answer.status, 200, f"{name}: {answer}")
            else:
                self.honest(answer, name)

        # One by one: what passes may not take longer than a page has.
        for number, (name, fault) in enumerate(PASSING.items(), start=1):
            read(number, name, fault, 1)
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for done in [
                pool.submit(read, later, name, fault, None)
                for later, (name, fault) in enumerate(LASTING.items(), len(PASSING) + 1)
            ]:
                done.result()

    def read_files(self, server: Server, wheel: Path) -> None:
        """A download that breaks off goes on where it ended, or is cut short."""
        (file,) = self.files(server, "acme").values()
        part = wheel.name
        for name, fault in PASSING.items():
            with self.proxy.spoiling(fault, Kind.GET, part=part) as rule:
                self.assertEqual(self.fetch(server, file), wheel.read_bytes(), name)
            self.assertEqual(rule.hits, 1)
        with (
            self.proxy.spoiling(truncate, Kind.GET, part=part, times=None),
            # Cut short, in either way.
            self.assertRaises((IncompleteRead, ConnectionResetError)),
        ):
            self.fetch(server, file)
        path = file["url"].removeprefix("../..")
        with self.proxy.spoiling(drop, Kind.GET, part=part, times=None):
            self.honest(server.get(path), "drop")


class AwayTests(FaultTestCase):
    """No S3 at all."""

    def test_refuses_connections(self) -> None:
        server = self.behind({"server.grace": "1s"})
        self.survive(server, self.proxy.go_away, self.proxy.come_back, PATIENCE)

    def test_never_answers(self) -> None:
        server = self.behind({"server.grace": "1s"})
        silent = Rule(frozenset(Kind), "", silence, times=None)

        def back() -> None:
            self.proxy.remove(silent)
            self.proxy.hang_up()

        self.survive(server, lambda: self.proxy.add(silent), back, PATIENCE + 2.0)

    def survive(
        self,
        server: Server,
        away: Callable[[], object],
        back: Callable[[], None],
        patience: float,
    ) -> None:
        first, second, third = (make_wheel(self.dist, "acme", f"1.{n}") for n in "123")
        self.assertEqual(server.upload(first).status, 200)
        known = {path: server.get(path).body for path in ("/simple/acme/", "/simple/")}
        away()
        time.sleep(1.1)
        with ThreadPoolExecutor(2) as pool:
            upload = pool.submit(server.upload, second)
            for path in known:
                for _ in range(3):
                    answer = self.timed(server, path, 200, patience)
                    self.assertEqual(answer.body, known[path])
            self.timed(server, "/health", 200, 0.5)
            self.honest(self.timed(server, "/ready", 503, patience), "ready")
            self.honest(self.timed(server, "/simple/other/", 503, patience), "other")
            self.honest(upload.result(), "upload")
        back()
        wait_until(server.is_ready, lambda: server.log)
        for wheel in (second, third):
            self.assertEqual(server.upload(wheel).status, 200)
        self.assertEqual(len(self.files(server, "acme")), 3)
        self.verify(3)
        server.stop()

    def timed(self, server: Server, path: str, status: int, patience: float) -> Answer:
        began = time.monotonic()
        answer = server.get(path)
        took = time.monotonic() - began
        self.assertEqual(answer.status, status, answer)
        self.assertLess(took, patience, path)
        return answer

    def test_away_at_the_start(self) -> None:
        """It listens at once, and gets ready by itself when S3 is there."""
        self.proxy.go_away()
        server = self.behind(start=False)
        server.start(ready=False)

        def healthy() -> bool:
            try:
                return server.get("/health").status == 200
            except OSError:
                return False

        wait_until(healthy, lambda: server.log)
        self.honest(server.get("/ready"), "not ready")
        wheel = make_wheel(self.dist, "acme", "1.0")
        self.honest(server.upload(wheel), "upload")
        self.proxy.come_back()
        wait_until(server.is_ready, lambda: server.log)
        self.assertEqual(server.upload(wheel).status, 200)
        self.verify(1)


test_suite = apart(__name__)
