"""``pypicloud import``: what is asked for, and how it is told what came of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from attrs import define, evolve, field
from click.testing import CliRunner, Result
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.basic import Login
from pypicloud_tw.cli import main as cli
from pypicloud_tw.cli.base import Surroundings
from pypicloud_tw.cli.moving.mover import IntoServer, IntoStore, Order
from pypicloud_tw.errors import PypicloudError, Unavailable
from pypicloud_tw.moving.report import Progress, ProjectReport, Remark, Report
from pypicloud_tw.moving.source import DamagedSource

SOURCE = "https://devpi.example/alice/dev"


@define
class FakeMover:
    """Takes nothing, and says what it is told to."""

    report: Report = field(
        factory=lambda: Report("devpi at somewhere", "the folder /srv", False)
    )
    error: PypicloudError | None = None
    orders: list[Order] = field(factory=list)

    def take(
        self,
        order: Order,
        environ: Mapping[str, str],
        tell: Callable[[Progress], None],
    ) -> Report:
        self.orders.append(order)
        if self.error is not None:
            raise self.error
        tell(Progress(2, 1, 3, 4096))
        return self.report


class ImportTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.home = Path(self.mktemp()).absolute()
        self.home.mkdir()
        self.ini = self.home / "x.ini"
        self.ini.write_text(f"[pypicloud]\nstorage.dir = {self.home}/packages\n")
        self.mover = FakeMover()
        self.environ: dict[str, str] = {}
        self.world = Surroundings(
            environ=self.environ,
            is_terminal=lambda: False,
            prints_to_terminal=lambda: False,
            now=lambda: 0.0,
            mover=lambda: self.mover,
            home=lambda: self.home,
            keyring=lambda: None,
        )

    def invoke(self, *args: str) -> Result:
        return CliRunner().invoke(cli.main, ["import", *args], obj=self.world)

    def run_into_store(self, *args: str) -> Result:
        return self.invoke(SOURCE, "--into", str(self.ini), *args)

    def order(self, *args: str) -> Order:
        result = self.invoke(*args)
        self.assertEqual(result.exit_code, 0, result.output)
        return self.mover.orders[-1]

    def test_into_a_store(self) -> None:
        order = self.order(SOURCE, "--into", str(self.ini))
        assert isinstance(order.into, IntoStore)
        self.assertEqual(order.into.config.storage.dir, self.home / "packages")
        self.assertEqual((order.origin.place, order.origin.kind), (SOURCE, None))
        self.assertEqual((order.jobs, order.dry_run), (8, False))

    def test_into_the_store_of_the_environment(self) -> None:
        self.environ["PYPICLOUD_STORAGE_DIR"] = "/srv/elsewhere"
        order = self.order("/some/folder", "--into", "-")
        assert isinstance(order.into, IntoStore)
        self.assertEqual(order.into.config.storage.dir, Path("/srv/elsewhere"))
        self.assertIsNone(order.origin.credentials.login)

    def test_into_a_server(self) -> None:
        self.environ |= {"PYPICLOUD_USERNAME": "ann", "PYPICLOUD_PASSWORD": "secret"}
        order = self.order(SOURCE, "--index", "https://pypi.example/simple/")
        assert isinstance(order.into, IntoServer)
        self.assertEqual(order.into.address.base, "https://pypi.example")
        self.assertEqual(order.into.credentials.login, Login("ann", "secret"))
        # Who logs in there does not at the source.
        self.assertIsNone(order.origin.credentials.login)

    def test_nowhere(self) -> None:
        result = self.invoke(SOURCE)
        self.assertEqual(result.exit_code, 2)
        self.assertIn("--index URL", result.stderr)
        result = self.run_into_store("--index", "https://pypi.example/")
        self.assertIn("Give --into or --index", result.stderr)

    def test_who_logs_in_at_the_source(self) -> None:
        self.environ |= {
            "PYPICLOUD_SOURCE_USERNAME": "bob",
            "PYPICLOUD_SOURCE_PASSWORD": "his",
        }
        self.run_into_store()
        credentials = self.mover.orders[-1].origin.credentials
        self.assertEqual(credentials.login, Login("bob", "his"))

    def test_a_user_without_a_password(self) -> None:
        result = self.run_into_store("--username", "bob")
        self.assertEqual(result.exit_code, 2)
        self.assertIn("PYPICLOUD_SOURCE_PASSWORD", result.stderr)
        self.assertEqual(self.mover.orders, [])

    def test_a_user_in_the_address(self) -> None:
        self.order("https://a:b%40c@devpi.example/a/b", "--into", str(self.ini))
        credentials = self.mover.orders[-1].origin.credentials
        self.assertEqual(credentials.login, Login("a", "b@c"))

    def test_what_is_wanted(self) -> None:
        self.run_into_store(
            *("--project", "Acme_*", "--project", "other", "--exclude", "acme-old"),
            *("--kind", "devpi", "--bases", "--jobs", "3", "--dry-run"),
        )
        order = self.mover.orders[-1]
        self.assertEqual(order.wanted.patterns, ("acme-*", "other"))
        self.assertEqual(order.wanted.excluded, ("acme-old",))
        self.assertEqual((order.origin.kind, order.origin.bases), ("devpi", True))
        self.assertEqual((order.jobs, order.dry_run), (3, True))
        result = self.run_into_store("--project", "/")
        self.assertIn("neither a name nor a pattern", result.stderr)
        self.assertEqual(result.exit_code, 1)

    def test_what_is_told(self) -> None:
        self.mover.report.projects += [
            ProjectReport("acme", taken=2, size=2048, there=1),
            ProjectReport("other", refused=1, yanked=1, status="archived"),
        ]
        self.mover.report.remarks.append(
            Remark("other", "o-1.zip", "refused", "It is\x1b no wheel.")
        )
        result = self.run_into_store()
        lines = result.stdout.splitlines()
        self.assertEqual(lines[0], "From devpi at somewhere into the folder /srv.")
        self.assertRegex(lines[1], r"^PROJECT +FILE +WHY$")
        self.assertRegex(lines[2], r"^other +o-1.zip +refused +It is\? no wheel.$")
        self.assertEqual(
            lines[3],
            "Took 2 files of 1 project, 2.0 KiB; 1 was there; 1 yanked; 1 refused; "
            "1 status changed. 2 projects in 0.0 s.",
        )
        self.assertEqual(result.exit_code, 1)

    def test_a_long_name_widens_no_table(self) -> None:
        long = "a" * 500
        self.mover.report.remarks += [
            Remark(long, f"{long}.zip", "refused", "It is too long."),
            Remark("acme", "a-1.zip", "refused", "It is no wheel."),
        ]
        self.mover.report.dry_run = True
        self.mover.report.projects.append(ProjectReport(long, refused=1))
        widths = map(len, self.run_into_store().stdout.splitlines())
        self.assertLess(max(widths), 300)
        report = json.loads(self.run_into_store("--json").stdout)
        self.assertEqual(report["remarks"][0]["filename"], f"{long}.zip")

    def test_what_failed(self) -> None:
        self.mover.report.stopped = "The disk is full."
        result = self.run_into_store()
        self.assertEqual(result.exit_code, 2)
        self.assertIn("It was ended: The disk is full.", result.stderr)
        self.assertIn("Run it again", result.stderr)

    def test_what_is_damaged(self) -> None:
        """To run it again is of no use."""
        damaged = DamagedSource("Its bytes are others.")
        report = self.mover.report
        of = ProjectReport("acme")
        report.not_taken(of, "a-1.zip", damaged, refused=False)
        result = self.run_into_store()
        self.assertEqual(result.exit_code, 2)
        self.assertIn("Carry it here once more, or make it anew", result.stderr)
        self.assertNotIn("Run it again", result.stderr)

    def test_what_would_be_taken(self) -> None:
        self.mover.report.dry_run = True
        self.mover.report.projects += [
            ProjectReport("acme", taken=2, size=2048, untold=1),
            ProjectReport("same", there=1),
        ]
        result = self.run_into_store("--dry-run")
        lines = result.stdout.splitlines()
        self.assertRegex(lines[2], r"^acme +2 +2.0 KiB and 1 of unknown size +0 +0$")
        self.assertIn("Would take 2 files", lines[3])
        self.assertEqual(len(lines), 4)

    def test_for_scripts(self) -> None:
        self.mover.report.projects.append(ProjectReport("acme", taken=2))
        result = self.run_into_store("--json")
        report = json.loads(result.stdout)
        self.assertEqual(report["projects"][0]["taken"], 2)
        self.assertEqual(report["source"], "devpi at somewhere")

    def test_nothing_could_be_begun(self) -> None:
        self.mover.error = Unavailable("Nobody is there.")
        result = self.run_into_store()
        self.assertEqual((result.exit_code, result.stdout), (2, ""))
        self.assertIn("Nobody is there.", result.stderr)

    def test_how_far_it_is(self) -> None:
        times = iter((0.0, 60.0))
        self.world = evolve(self.world, now=lambda: next(times))
        self.assertIn("1 of 2 projects: 3 files, 4.0 KiB", self.run_into_store().stderr)

    def test_a_bar_on_a_terminal(self) -> None:
        self.world = evolve(self.world, prints_to_terminal=lambda: True)
        result = self.run_into_store()
        self.assertEqual(result.exit_code, 0)
        self.assertIn("From devpi at somewhere", result.stdout)
