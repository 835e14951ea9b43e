"""``pypicloud mirror`` and ``bundle``: what is asked for, and what is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from attrs import define, evolve, field
from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.cli import main as cli
from pypicloud_tw.cli.base import Surroundings
from pypicloud_tw.cli.moving.carrier import BundleOrder, MirrorOrder
from pypicloud_tw.errors import Conflict, PypicloudError, StoreError
from pypicloud_tw.moving.bundle.packing import Packed
from pypicloud_tw.moving.bundle.tar import save_list
from pypicloud_tw.moving.mirror.values import Mirrored, Outcome, Report
from pypicloud_tw.moving.report import Progress
from tests.moving.bundle.test_tar import INDEX

PACKED = Packed(2, 3, 4096, 1, 5, Path("a.tar"), Path("a.tar.json"), "0" * 64)


@define
class FakeCarrier:
    """Does nothing, and says what it is told to."""

    report: Report = field(factory=lambda: Report(()))
    packed: Packed = PACKED
    error: PypicloudError | None = None
    mirrors: list[MirrorOrder] = field(factory=list)
    bundles: list[BundleOrder] = field(factory=list)

    def mirror(
        self,
        order: MirrorOrder,
        environ: Mapping[str, str],
        tell: Callable[[Progress], None],
    ) -> Report:
        self.mirrors.append(order)
        if self.error is not None:
            raise self.error
        tell(Progress(3, 1, 1, 4096, "file"))
        return self.report

    def bundle(self, order: BundleOrder, tell: Callable[[Progress], None]) -> Packed:
        self.bundles.append(order)
        if self.error is not None:
            raise self.error
        return self.packed


class CarryingCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = Path(self.mktemp()).absolute()
        self.home.mkdir()
        self.ini = self.home / "x.ini"
        self.ini.write_text(f"[pypicloud]\nstorage.dir = {self.home}/packages\n")
        self.carrier = FakeCarrier()
        self.moments = iter([0.0, 9.0])
        self.world = Surroundings(
            environ={},
            is_terminal=lambda: False,
            prints_to_terminal=lambda: False,
            now=lambda: next(self.moments, 9.0),
            carrier=lambda: self.carrier,
            home=lambda: self.home,
            keyring=lambda: None,
        )

    def invoke(self, *args: str) -> Result:
        chosen = [*args, "--config", str(self.ini)]
        return CliRunner().invoke(cli.main, chosen, obj=self.world)


class MirrorTests(CarryingCase):
    def lock(self, text: str = "acme==1.0\n", name: str = "requirements.txt") -> str:
        path = self.home / name
        path.write_text(text)
        return str(path)

    def test_order(self) -> None:
        result = self.invoke(
            *("mirror", "--lock", self.lock(), "--lock", self.lock("b==1", "b.txt")),
            *("--platform", "linux", "--python", "3.12", "--python", "3.13"),
            *("--to", str(self.home / "house"), "--dry-run"),
        )
        self.assertEqual(result.exit_code, 0, result.output)
        (order,) = self.carrier.mirrors
        self.assertEqual(list(map(str, order.lock.releases)), ["acme 1.0", "b 1"])
        told = list(map(str, order.wanted.environments))
        self.assertEqual(told, ["linux, Python 3.12", "linux, Python 3.13"])
        self.assertEqual(order.folder, self.home / "house")
        self.assertEqual(order.config.storage.dir, self.home / "packages")
        self.assertTrue(order.dry_run)
        self.assertIn("1 of 3 files: 1 file, 4.0 KiB", result.stderr)

    def test_without_a_lock(self) -> None:
        self.assertEqual(self.invoke("mirror").exit_code, 2)

    def test_a_lock_that_is_not_pinned(self) -> None:
        result = self.invoke("mirror", "--lock", self.lock("acme\nb\n"))
        self.assertEqual(result.exit_code, 1)
        self.assertEqual(result.stderr.count("is not pinned"), 2)
        self.assertEqual(self.carrier.mirrors, [])

    def test_an_unknown_platform(self) -> None:
        result = self.invoke("mirror", "--lock", self.lock(), "--platform", "amiga")
        self.assertIn("--platform amiga is not known", result.stderr)

    def test_report(self) -> None:
        self.carrier.report = Report(
            (
                Mirrored("acme", Outcome.FETCHED, "acme-1.whl", 2048),
                Mirrored("acme", Outcome.THERE, "acme-2.whl", 2048),
                Mirrored("corp", Outcome.OWN, "corp-1.whl", 2048),
                Mirrored("beta", Outcome.REFUSED, "beta-1.whl", 1, "It is too young."),
                Mirrored("gone", Outcome.MISSING, why="There is none."),
            ),
            ("uv.lock: x is from a URL, and not mirrored.",),
        )
        result = self.invoke("mirror", "--lock", self.lock())
        self.assertEqual(result.exit_code, 1)
        self.assertEqual(
            result.stdout.splitlines(),
            [
                "Fetched: 1 file, 2.0 KiB.",
                "There already: 1 file.",
                "Of this index itself: 1 file.",
                "Not there: 1 missing, 1 refused.",
            ],
        )
        self.assertIn("beta-1.whl: refused. It is too young.", result.stderr)
        self.assertIn("gone: missing. There is none.", result.stderr)
        self.assertIn("x is from a URL", result.stderr)

    def test_what_failed(self) -> None:
        failed = Mirrored("a", Outcome.FAILED, why="It is away.")
        refused = Mirrored("b", Outcome.REFUSED, why="No.")
        self.carrier.report = Report((failed, refused))
        self.assertEqual(self.invoke("mirror", "--lock", self.lock()).exit_code, 2)

    def test_dry_run(self) -> None:
        planned = Mirrored("acme", Outcome.PLANNED, "acme-1.whl", 4096)
        self.carrier.report = Report((planned,), dry_run=True)
        result = self.invoke("mirror", "--lock", self.lock(), "--dry-run")
        self.assertIn("Would be fetched: 1 file, 4.0 KiB.", result.stdout)

    def test_json(self) -> None:
        refused = Mirrored("beta", Outcome.REFUSED, "beta-1.whl", 1, "Why.")
        self.carrier.report = Report((refused,), dry_run=True)
        result = self.invoke("mirror", "--lock", self.lock(), "--json")
        told = json.loads(result.stdout)
        self.assertTrue(told["dry_run"])
        self.assertEqual(
            told["files"],
            [
                {
                    "project": "beta",
                    "filename": "beta-1.whl",
                    "outcome": "refused",
                    "size": 1,
                    "why": "Why.",
                }
            ],
        )

    def test_what_cannot_be_begun(self) -> None:
        for error, code in ((Conflict("No."), 1), (StoreError("Away."), 2)):
            self.carrier.error = error
            result = self.invoke("mirror", "--lock", self.lock())
            self.assertEqual(result.exit_code, code)
            self.assertEqual(result.stderr.strip(), error.message)


class BundleTests(CarryingCase):
    def test_order(self) -> None:
        listed = self.home / "first.tar.json"
        save_list(listed, INDEX)
        result = self.invoke(
            *("bundle", "second.tar", "--since-bundle", str(listed)),
            *("--project", "b*", "--project", "Acme", "--only", "kept", "--dry-run"),
        )
        self.assertEqual(result.exit_code, 0, result.output)
        (order,) = self.carrier.bundles
        self.assertEqual(order.since, INDEX)
        self.assertEqual(order.wanted.patterns, ("acme", "b*"))
        self.assertEqual((order.contents, order.dry_run), (("kept",), True))
        self.assertEqual(order.output, Path("second.tar"))

    def test_no_list(self) -> None:
        result = self.invoke("bundle", "b.tar", "--since-bundle", str(self.ini))
        self.assertEqual(result.exit_code, 1)
        self.assertIn("is no bundle", result.stderr)

    def test_report(self) -> None:
        result = self.invoke("bundle", "a.tar")
        self.assertEqual(
            result.stdout.splitlines(),
            [
                "Bundle 2 has 3 objects, 4.0 KiB; it is about 1 project of this index, "
                "5 of the other.",
                f"a.tar  sha256 {'0' * 64}",
                "For the next one: --since-bundle a.tar.json",
            ],
        )
        self.carrier.packed = evolve(PACKED, sha256=None)
        result = self.invoke("bundle", "a.tar", "--dry-run")
        self.assertIn("Bundle 2 would have 3 objects", result.stdout)

    def test_json(self) -> None:
        told = json.loads(self.invoke("bundle", "a.tar", "--json").stdout)
        self.assertEqual((told["number"], told["sha256"]), (2, "0" * 64))
        self.assertEqual((told["own"], told["kept"], told["objects"]), (1, 5, 3))

    def test_what_cannot_be_done(self) -> None:
        self.carrier.error = StoreError("The disk is full.")
        result = self.invoke("bundle", "a.tar")
        self.assertEqual(result.exit_code, 2)
        self.assertIn("The disk is full.", result.stderr)


class DigestTests(CarryingCase):
    def test_before_anything_is_taken(self) -> None:
        result = CliRunner().invoke(
            cli.main,
            ["import", str(self.ini), "--sha256", "0" * 64, "--into", str(self.ini)],
            obj=self.world,
        )
        self.assertEqual(result.exit_code, 1)
        self.assertIn("has the SHA-256", result.stderr)
