"""What commands do and say, wherever it is done."""

from __future__ import annotations

from datetime import UTC, datetime
from io import StringIO
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import PypicloudError, StoreError, Unavailable
from pypicloud_tw.index.first_uploads import PUBLISHING, Stage
from pypicloud_tw.index.layout import SWEEP_AGE
from pypicloud_tw.index.manifest import manifest_key
from pypicloud_tw.index.names import project_name
from pypicloud_tw.maintenance import jobs
from tests.builders import wheel
from tests.web.doubles import Domain, started, stored_project

ACME, WHEEL = project_name("acme"), "acme-1.0-py3-none-any.whl"


class JobCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.domain = Domain()
        self.index = self.domain.index
        self.successResultOf(started(self.index.secure()))
        self.out, self.err = StringIO(), StringIO()

    def begin(self, command: str, **arguments: Any) -> Deferred[int]:
        job = getattr(jobs, command)
        return started(job(self.index, self.out, self.err, **arguments))

    def do(self, command: str, **arguments: Any) -> int:
        """Do a job; what it said is in *out* and *err*, and nothing from before."""
        for stream in (self.out, self.err):
            stream.truncate(stream.seek(0))
        work = self.begin(command, **arguments)
        self.domain.settle(work)
        code: int = self.successResultOf(work)
        return code

    def fails(self, command: str, **arguments: Any) -> str:
        work = self.begin(command, **arguments)
        error: PypicloudError = self.failureResultOf(work, PypicloudError).value
        return error.message

    def publish(self) -> None:
        work = started(self.domain.publish(WHEEL, wheel()))
        self.domain.settle(work)
        self.successResultOf(work)


class JobTests(JobCase):
    def test_refresh(self) -> None:
        self.domain.store.add(f"old/{WHEEL}", wheel())
        self.domain.store.add("notes.txt", b"")
        skipped = (
            "skipped 'notes.txt': A distribution file's name must end in .whl or "
            ".tar.gz.\n"
        )
        for dry_run, done in ((True, "would be adopted"), (False, "adopted")):
            self.assertEqual(self.do("refresh", dry_run=dry_run), 0)
            self.assertEqual(
                self.out.getvalue(),
                f"{skipped}1 files {done}, 0 known already, 1 skipped.\n",
            )
            self.assertIn("of 2 files done", self.err.getvalue())

    def test_refresh_leaves_what_is_lost(self) -> None:
        self.publish()
        del self.domain.store.objects[manifest_key(ACME)]
        self.assertEqual(self.do("refresh"), 1)
        self.assertIn("pypicloud rebuild acme", self.err.getvalue())


class RebuildTests(JobCase):
    def test_what_it_tells(self) -> None:
        self.assertEqual(self.do("rebuild"), 0)
        self.assertEqual(self.out.getvalue(), "No manifest is lost.\n")
        self.publish()
        self.assertEqual(self.do("rebuild", project="Acme"), 0)
        self.assertIn("can be read; it stays", self.out.getvalue())
        del self.domain.store.objects[manifest_key(ACME)]
        for dry_run, word in ((True, "would be"), (False, "are")):
            self.assertEqual(self.do("rebuild", dry_run=dry_run), 0)
            self.assertIn(f"acme: 1 files {word} published", self.out.getvalue())
            self.assertIn("who uploaded 1 of them", self.out.getvalue())
        self.assertEqual(self.do("rebuild"), 0)
        self.assertEqual(self.out.getvalue(), "No manifest is lost.\n")

    def test_a_damaged_one_is_written_anew_where_it_is_named(self) -> None:
        self.publish()
        self.domain.store.add(manifest_key(ACME), b"{")
        self.assertEqual(self.do("rebuild"), 0)
        self.assertEqual(self.out.getvalue(), "No manifest is lost.\n")
        self.assertEqual(self.do("rebuild", project="acme"), 0)
        self.assertIn("kept as .index/acme.json.damaged-", self.out.getvalue())

    def test_what_is_left_is_no_success(self) -> None:
        self.publish()
        self.domain.store.add(f"acme/{'1' * 32}/acme-2.0.tar.gz", b"")
        del self.domain.store.objects[manifest_key(ACME)]
        self.assertEqual(self.do("rebuild"), 1)
        self.assertIn("acme without 'acme/1111", self.out.getvalue())


class SweepTests(JobCase):
    def test_what_was_swept(self) -> None:
        orphan = f"acme/{'0' * 32}/{WHEEL}"
        self.publish()
        self.domain.store.add(orphan, b"")
        self.domain.clock.advance(SWEEP_AGE + 1)
        # Five are of what was published, the last told the store's time.
        told = "7 objects seen, 1 orphans, 0 of deleted files, 0 unfinished uploads.\n"
        for dry_run, word in ((True, "would remove"), (False, "removed")):
            self.assertEqual(self.do("sweep", dry_run=dry_run), 0)
            self.assertEqual(self.out.getvalue(), f"{word} {orphan}\n{told}")
        self.assertNotIn(orphan, self.domain.store.objects)

    def test_what_told_of_a_days_work_long_ago(self) -> None:
        self.domain.store.add(".daily/prune/2026-03-01", b"{}")
        self.domain.clock.advance(6 * 86_400)
        self.assertEqual(self.do("sweep"), 0)
        self.assertIn(".daily/prune/2026-03-01", self.domain.store.objects)
        self.domain.clock.advance(2 * 86_400)
        self.assertEqual(self.do("sweep"), 0)
        self.assertIn("removed .daily/prune/2026-03-01\n", self.out.getvalue())

    def test_what_told_of_minted_tokens_long_after_their_end(self) -> None:
        now = datetime.fromtimestamp(self.domain.clock.seconds(), UTC)
        minted = f".access/minted/{now:%Y%m%dT%H}/{'a' * 64}"
        self.domain.store.add(minted, b"{}")
        self.assertEqual(self.do("sweep"), 0)
        self.assertIn(minted, self.domain.store.objects)
        self.domain.clock.advance(26 * 3600)
        self.assertEqual(self.do("sweep"), 0)
        self.assertIn(f"removed {minted}\n", self.out.getvalue())
        self.assertNotIn(minted, self.domain.store.objects)

    def test_no_age_by_which_a_slow_upload_would_be_an_orphan(self) -> None:
        self.assertEqual(self.do("sweep", age=SWEEP_AGE - 1), 1)
        self.assertIn("at least index.sweep_age (86400 s)", self.err.getvalue())
        self.assertEqual(self.do("sweep", age=SWEEP_AGE), 0)

    def test_a_project_that_is_passed_over_is_no_success(self) -> None:
        self.publish()
        self.domain.store.add(manifest_key(ACME), b"{")
        self.domain.clock.advance(SWEEP_AGE + 1)
        self.assertEqual(self.do("sweep"), 1)
        self.assertIn("pypicloud: ", self.err.getvalue())
        self.assertIn("acme", self.err.getvalue())

    def test_a_quarantine_that_was_broken_off_is_finished(self) -> None:
        self.publish()
        former = set(stored_project(self.domain.store).files[0].keys)
        self.domain.store.fail_next("copy", StoreError("It is away."))
        work = started(self.index.acts.set_status(ACME, "quarantined"))
        self.domain.settle(work)
        self.failureResultOf(work, Unavailable)
        self.assertEqual(self.do("sweep", dry_run=True), 0)
        self.domain.store.fail_next("copy", StoreError("It is away."))
        self.assertEqual(self.do("sweep"), 1)
        said = "Objects of acme could not be moved: It is away."
        self.assertIn(said, self.err.getvalue())
        self.assertEqual(self.do("sweep"), 0)
        self.assertIsNone(stored_project(self.domain.store).moving)
        self.assertEqual(former & set(self.domain.store.objects), set())

    def test_a_first_upload_that_was_broken_off_is_named(self) -> None:
        """It is no fault: to upload it again is enough."""
        identity = "0" * 32
        self.domain.store.add(f"acme/{identity}/{WHEEL}", b"")
        self.domain.store.add(f"{PUBLISHING}acme/{identity}", Stage.SWAPPING.value)
        self.domain.clock.advance(SWEEP_AGE + 1)
        self.assertEqual(self.do("sweep"), 0)
        self.assertIn("acme: The first upload", self.err.getvalue())

    def test_uploads_that_cannot_be_listed(self) -> None:
        async def unknown(*_: Any, **__: Any) -> None:
            return None

        self.patch(type(self.domain.store), "abandon_uploads", unknown)
        self.assertEqual(self.do("sweep"), 0)
        self.assertIn("unfinished uploads unknown", self.out.getvalue())
