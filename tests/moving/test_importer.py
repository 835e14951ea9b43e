"""Taking what a source has: what is kept, refused, gone on with, and left alone."""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import md5
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import Forbidden, NotFound
from pypicloud_tw.index.acts import Acts
from pypicloud_tw.index.admission import UploadRules
from pypicloud_tw.index.model import Selection
from pypicloud_tw.index.names import project_name
from pypicloud_tw.moving.destination import StoreDestination
from pypicloud_tw.moving.http import ATTEMPTS
from pypicloud_tw.moving.importer import ATTEMPTS as TIMES
from pypicloud_tw.moving.importer import MOST_FAILURES, attestations_of
from pypicloud_tw.moving.source import DamagedSource, SourceFile, SourceProject
from pypicloud_tw.moving.sources.simple import SimpleSource
from tests import builders
from tests.moving.doubles import ACTOR, Bench, Site, listed, whl, whys
from tests.upstream.doubles import (
    BASE,
    FILES,
    page,
    redirect,
    silent,
    stalled,
    status,
    truncated,
)
from tests.web.doubles import Domain

LAST_YEAR = "2022-05-01T12:00:00Z"
ACME = project_name("acme")


class TakingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.bench = Bench()
        self.site = self.bench.site

    def test_what_is_kept_of_a_file(self) -> None:
        data = self.site.has(uploaded=LAST_YEAR, yanked="broken")
        report = self.bench.take()
        (file,) = self.bench.project().files
        self.assertEqual(file.size, len(data))
        self.assertEqual(file.upload_time, datetime(2022, 5, 1, 12, tzinfo=UTC))
        self.assertEqual(file.yanked, "broken")
        self.assertIsNone(file.uploader)
        self.assertIsNotNone(file.metadata_key)
        self.assertEqual((report.total("taken"), report.exit_code), (1, 0))
        self.assertEqual(report.total("size"), len(data))

    def test_it_is_recorded_as_an_import(self) -> None:
        self.site.has("1.0")
        self.site.has("1.1")
        self.bench.take(jobs=1)
        self.assertEqual({act.act for act in self.bench.acts}, {"imported"})
        self.assertIn(f"from a simple index at {BASE}", self.bench.acts[0].sentence)
        # All files of one run are one entry.
        (entry,) = self.bench.project().history
        self.assertEqual((entry.act, entry.count), ("imported", 2))
        self.assertEqual(entry.reason, f"from a simple index at {BASE}")

    def test_who_uploaded_it(self) -> None:
        data = builders.wheel()
        self.site.has(data=data)
        bench = self.bench

        class Told:
            description = "somewhere"

            async def names(self) -> list[str]:
                return ["acme"]

            async def project(self, name: str) -> SourceProject:
                file = SourceFile(whl("1.0"), f"{FILES}/{whl('1.0')}", uploader="ann")
                return SourceProject(name, (file,))

            def __getattr__(self, name: str) -> Any:
                return getattr(bench.site.source(), name)

        bench.take(source=Told())
        self.assertEqual(bench.project().files[0].uploader, "ann")
        self.assertIn("uploaded there by ann", bench.acts[0].sentence)

    def test_last_modified_stands_for_a_time_that_is_not_told(self) -> None:
        data = self.site.has()
        self.site.upstream.on(
            f"{FILES}/{whl('1.0')}",
            page(data, headers={"last-modified": "Sun, 01 May 2022 12:00:00 GMT"}),
        )
        self.bench.take()
        (file,) = self.bench.project().files
        self.assertEqual(file.upload_time, datetime(2022, 5, 1, 12, tzinfo=UTC))

    def test_nothing_is_uploaded_in_the_future(self) -> None:
        self.site.has(uploaded="2999-01-01T00:00:00Z")
        self.bench.take()
        (file,) = self.bench.project().files
        now = datetime.fromtimestamp(self.site.clock.seconds(), UTC)
        self.assertLessEqual(file.upload_time, now)

    def test_a_status(self) -> None:
        self.site.has()
        self.site.publish(
            "acme", **{"project-status": {"status": "archived", "reason": "old"}}
        )
        report = self.bench.take()
        project = self.bench.project()
        self.assertEqual((project.status, project.status_reason), ("archived", "old"))
        self.assertEqual(report.projects[0].status, "archived")

    def test_patterns(self) -> None:
        for name in ("acme", "other"):
            self.site.has(name=name)
        self.bench.take("acm*")
        self.assertTrue(self.bench.has("acme"))
        self.assertFalse(self.bench.has("other"))

    def test_names_need_no_list(self) -> None:
        self.site.has()
        self.site.upstream.on(BASE, status(404))
        self.assertEqual(self.bench.take("Acme").total("taken"), 1)
        with self.assertRaisesRegex(NotFound, "name the projects: --project NAME"):
            self.bench.take()

    def test_a_name_that_is_not_there(self) -> None:
        report = self.bench.take("acme")
        self.assertEqual((report.exit_code, report.total("refused")), (1, 1))

    def test_how_far_it_is(self) -> None:
        self.site.has()
        self.bench.take()
        last = self.bench.told[-1]
        self.assertEqual((last.projects, last.done, last.files), (1, 1, 1))
        self.assertEqual(self.bench.told[0].done, 0)

    def test_a_warning_is_told(self) -> None:
        async def warns(name: str) -> tuple[str, ...]:
            return (f"{name} is at another index, too.",)

        self.bench.domain.publisher.warnings_of_new = warns
        self.site.has("1.0")
        self.site.has("1.1")
        report = self.bench.take()
        self.assertEqual(
            [one.why for one in report.remarks], ["acme is at another index, too."]
        )
        self.assertEqual(report.exit_code, 0)


class AgainTests(SynchronousTestCase):
    """A second run takes what is new, and changes nothing else."""

    def setUp(self) -> None:
        self.bench = Bench()
        self.site = self.bench.site
        self.site.has()
        self.bench.take()
        self.site.upstream.asked.clear()

    def downloads(self) -> list[str]:
        return [url for url in self.site.upstream.urls() if url.startswith(FILES)]

    def test_what_is_there_is_not_fetched(self) -> None:
        before = self.bench.project()
        report = self.bench.take()
        self.assertEqual((report.total("there"), report.total("taken")), (1, 0))
        self.assertEqual(self.downloads(), [])
        self.assertEqual(self.bench.project(), before)
        self.assertEqual(report.exit_code, 0)

    def test_what_is_new_is_taken(self) -> None:
        self.site.has("2.0")
        report = self.bench.take()
        self.assertEqual((report.total("there"), report.total("taken")), (1, 1))
        self.assertEqual(self.downloads(), [f"{FILES}/{whl('2.0')}"])

    def test_what_was_yanked_since(self) -> None:
        self.site.files["acme"][0]["yanked"] = "broken\x1b[31m"
        self.site.publish("acme")
        report = self.bench.take()
        self.assertEqual(self.bench.project().files[0].yanked, "broken[31m")
        self.assertEqual(report.total("yanked"), 1)
        self.assertEqual(self.bench.take().total("yanked"), 0)

    def test_what_was_yanked_here_stays_so(self) -> None:
        acts = Acts(self.bench.domain.publisher)
        what = Selection(file=whl("1.0"))
        self.bench.finish(acts.yank(ACME, what, "ours", actor=ACTOR))
        for yanked in (False, "theirs"):
            self.site.files["acme"][0]["yanked"] = yanked
            self.site.publish("acme")
            self.bench.take()
            self.assertEqual(self.bench.project().files[0].yanked, "ours")

    def test_a_status_only_becomes_stricter(self) -> None:
        for there, expected in (
            ("deprecated", "deprecated"),
            ("active", "deprecated"),
            ("quarantined", "quarantined"),
            ("archived", "quarantined"),
            ("unheard-of", "quarantined"),
        ):
            self.site.publish("acme", **{"project-status": {"status": there}})
            self.bench.take()
            self.assertEqual(self.bench.project().status, expected, there)

    def test_a_closed_project_takes_no_files(self) -> None:
        acts = Acts(self.bench.domain.publisher)
        self.bench.finish(acts.set_status(ACME, "archived", actor=ACTOR))
        self.site.has("2.0")
        report = self.bench.take()
        self.assertIn("archived here", whys(report)[whl("2.0")])
        self.assertEqual((self.downloads(), report.exit_code), ([], 1))

    def test_what_was_deleted_does_not_come_back(self) -> None:
        acts = Acts(self.bench.domain.publisher)
        what = Selection(file=whl("1.0"))
        self.bench.finish(acts.delete(ACME, what, actor=ACTOR))
        report = self.bench.take()
        self.assertIn("deleted here", whys(report)[whl("1.0")])
        self.assertEqual((self.downloads(), self.bench.project().files), ([], ()))

    def test_nor_when_it_cannot_be_restored_any_more(self) -> None:
        acts = Acts(self.bench.domain.publisher, restore_for=0)
        what = Selection(file=whl("1.0"))
        self.bench.finish(acts.delete(ACME, what, actor=ACTOR))
        destination = self.bench.destination()
        files = destination.projects.files

        async def none_deleted(name: str) -> Any:
            found = await files(name)
            return type(found)(found.name, found.status, found.files)

        class Projects:
            def __getattr__(self, name: str) -> Any:
                wanted = none_deleted if name == "files" else None
                return wanted or getattr(destination.projects, name)

        into = type(destination)(
            "",
            Projects(),
            destination.publisher,
            ACTOR,
            destination.screen,
            destination.limit,
        )
        report = self.bench.take(into=into)
        self.assertIn("not brought back", whys(report)[whl("1.0")])
        self.assertEqual(self.bench.project().files, ())

    def test_other_bytes_under_the_name(self) -> None:
        before = self.bench.project()
        self.site.files["acme"].clear()
        self.site.has(data=builders.wheel(extra=[("more.py", b"")]))
        report = self.bench.take()
        self.assertIn("other bytes is here already", whys(report)[whl("1.0")])
        self.assertEqual((self.downloads(), report.exit_code), ([], 1))
        self.assertEqual(self.bench.project(), before)

    def test_a_source_without_digests_is_read_again(self) -> None:
        self.site.files["acme"][0]["hashes"] = {}
        self.site.publish("acme")
        report = self.bench.take()
        self.assertEqual((report.total("there"), report.total("taken")), (1, 0))
        self.assertEqual(len(self.downloads()), 1)

    def test_another_size_is_another_file(self) -> None:
        told = self.site.files["acme"][0]
        told["hashes"], told["size"] = {}, told["size"] + 1
        self.site.publish("acme")
        report = self.bench.take()
        self.assertIn("other bytes", whys(report)[whl("1.0")])
        self.assertEqual(self.downloads(), [])


class RefusedTests(SynchronousTestCase):
    """Nothing half, nothing wrong, and the others all the same."""

    def setUp(self) -> None:
        self.bench = Bench()
        self.site = self.bench.site
        self.site.has("2.0")

    def refused(self, filename: str = whl("1.0"), **more: Any) -> str:
        report = self.bench.take(**more)
        self.assertEqual([f.version for f in self.bench.project().files], ["2.0"])
        self.assertEqual(report.exit_code, 1)
        return whys(report)[filename]

    def test_a_digest_that_is_wrong(self) -> None:
        lengths = {"sha256": 64, "md5": 32, "sha512": 128, "blake2b_256": 64}
        for algorithm, length in {**lengths, "sha-1": 40}.items():
            self.site.files["acme"] = self.site.files["acme"][:1]
            self.site.has(hashes={algorithm: "0" * length})
            why = self.refused()
            self.assertIn("is not the one that the source says", why)

    def test_a_digest_that_is_none(self) -> None:
        for hashes in ({"sha256": "0" * 63}, {"sha256": "zz"}, {"md5": "0" * 64}):
            self.site.files["acme"] = self.site.files["acme"][:1]
            self.site.has(hashes=hashes)
            self.assertIn("digest is none, so that nobody can check", self.refused())
            self.assertNotIn(f"{FILES}/{whl('1.0')}", self.site.upstream.urls())

    def test_a_size_that_is_none(self) -> None:
        for size in (-1, "12", 10**30):
            self.site.files["acme"] = self.site.files["acme"][:1]
            self.site.has(size=size)
            self.assertIn("size is none, so that nobody can check", self.refused())

    def test_a_name_that_the_source_has_twice(self) -> None:
        self.site.has("1.0")
        first = self.site.files["acme"][-1]
        self.site.files["acme"].append(dict(first))
        self.site.publish("acme")
        report = self.bench.take(dry_run=True)
        self.assertEqual((report.total("taken"), report.remarks), (2, []))
        self.site.files["acme"].append({**first, "hashes": {"sha256": "1" * 64}})
        self.site.publish("acme")
        report = self.bench.take()
        self.assertEqual((report.total("taken"), report.exit_code), (2, 1))
        self.assertIn("a second time", whys(report)[whl("1.0")])

    def test_what_no_other_run_would_get_is_no_failure(self) -> None:
        self.site.has("1.0")
        for to in ("ftp://x.example/a.whl", "http://x.example/a.whl"):
            self.site.upstream.on(f"{FILES}/{whl('1.0')}", redirect(to))
            self.assertIn("redirects", self.refused())

    def test_digests_of_unknown_kinds(self) -> None:
        self.site.files.clear()
        self.site.has("2.0", hashes={"shake_128": "0" * 32})
        report = self.bench.take()
        self.assertIn("taken unchecked", whys(report)[whl("2.0")])
        self.assertIn("shake_128", whys(report)[whl("2.0")])
        self.assertEqual(report.exit_code, 0)

    def test_names_of_a_list_that_are_none(self) -> None:
        self.site.upstream.on(BASE, listed("acme", "../x"))
        report = self.bench.take()
        (remark,) = report.remarks
        self.assertEqual((remark.project, remark.trouble), ("../x", "refused"))
        self.assertEqual((report.total("refused"), report.exit_code), (1, 1))

    def test_all_digests_are_checked(self) -> None:
        data = builders.wheel()
        self.site.has(
            hashes={
                "sha256": "0" * 64,
                "md5": md5(data, usedforsecurity=False).hexdigest(),
            }
        )
        self.assertIn("The sha256 digest", self.refused())

    def test_an_algorithm_that_nobody_knows(self) -> None:
        self.site.has(hashes={"rot13": "0" * 64})
        self.assertEqual(self.bench.take().exit_code, 0)

    def test_a_wrong_length(self) -> None:
        for wrong, why in ((-1, "is longer than"), (+1, "the source says that it has")):
            self.site.files["acme"] = self.site.files["acme"][:1]
            data = builders.wheel()
            self.site.has(size=len(data) + wrong)
            self.assertIn(why, self.refused())

    def test_too_large(self) -> None:
        large = builders.wheel(extra=[("more.bin", bytes(range(256)) * 200)])
        self.site.has(data=large)
        into = self.bench.destination(limit=len(large) - 1)
        self.assertIn("are not taken here", self.refused(into=into))

    def test_no_distribution(self) -> None:
        self.site.has(data=b"PK no wheel")
        self.assertTrue(self.refused().startswith("refused: "))

    def test_names(self) -> None:
        for filename in (
            "acme.exe",
            "other-1.0-py3-none-any.whl",
            "acme-1.0.egg",
            "acme-1.0-py3-none-any.whl.asc",
        ):
            self.site.files["acme"] = self.site.files["acme"][:1]
            self.site.has(filename=filename)
            self.refused(filename)

    def test_older_formats_where_they_are_taken(self) -> None:
        domain = Domain(clock=self.site.clock, rules=UploadRules(legacy_formats=True))
        bench = Bench(self.site, domain)
        self.site.has(filename="acme-1.0.zip", data=builders.sdist())
        why = whys(bench.take())["acme-1.0.zip"]
        self.assertNotIn("are not taken here", why)

    def test_malware(self) -> None:
        def screen(name: str, version: str, sha256: str) -> None:
            if version == "1.0":
                raise Forbidden("It is malware.")

        self.bench.screen = screen
        self.site.has()
        self.assertIn("malware", self.refused())
        self.assertNotIn(f"{FILES}/{whl('1.0')}", self.site.upstream.urls())
        # Of what has no digest it is known when it has come.
        self.site.files["acme"][-1]["hashes"] = {}
        self.site.publish("acme")
        self.assertIn("malware", self.refused())

    def test_a_file_that_is_gone(self) -> None:
        self.site.has()
        self.site.upstream.on(f"{FILES}/{whl('1.0')}", status(404))
        self.assertIn("has no such thing", self.refused())

    def test_a_name_that_is_none(self) -> None:
        self.site.upstream.on(
            BASE, page({"projects": [{"name": "-"}, {"name": "acme"}]})
        )
        self.assertEqual(self.bench.take().total("taken"), 1)


class FailingTests(SynchronousTestCase):
    """What may be different another time."""

    def setUp(self) -> None:
        self.bench = Bench()
        self.site = self.bench.site
        self.data = self.site.has()
        self.url = f"{FILES}/{whl('1.0')}"

    def test_it_is_tried_again(self) -> None:
        good = page(self.data)
        for bad in (
            status(500),
            status(429, retry_after="7"),
            status(503, retry_after="1"),
            truncated(self.data[:50], "application/octet-stream"),
            stalled(self.data[:50], len(self.data)),
        ):
            bench = Bench(self.site)
            self.site.upstream.on(self.url, bad, good)
            report = bench.take()
            self.assertEqual((report.total("taken"), report.remarks), (1, []))

    def test_an_answer_that_never_comes(self) -> None:
        self.site.upstream.on(self.url, silent, page(self.data))
        self.assertEqual(self.bench.take().total("taken"), 1)

    def test_it_is_given_up(self) -> None:
        for bad, most in (
            (truncated(self.data[:50], "application/zip"), TIMES),
            (status(500), ATTEMPTS),
        ):
            self.site.upstream.on(self.url, bad)
            self.site.upstream.asked.clear()
            report = self.bench.take()
            self.assertLessEqual(self.site.upstream.urls().count(self.url), most)
            self.assertEqual((report.total("failed"), report.exit_code), (1, 2))
            self.assertFalse(self.bench.has())
            # Nothing of it is left in the store.
            self.assertEqual(self.objects(), [])

    def objects(self) -> list[str]:
        objects = self.bench.domain.store.objects
        return [key for key in objects if not key.startswith(".")]

    def test_a_page_that_fails(self) -> None:
        self.site.upstream.on(f"{BASE}acme/", status(500))
        self.site.has(name="other")
        report = self.bench.take()
        self.assertEqual((report.total("taken"), report.total("failed")), (1, 1))

    def test_a_damaged_page(self) -> None:
        self.site.upstream.on(f"{BASE}acme/", page(b"{", "application/json"))
        report = self.bench.take()
        self.assertIn("damaged JSON", whys(report)[None])
        self.assertEqual(report.exit_code, 2)

    def test_many_in_a_row_end_it(self) -> None:
        names = [f"gone-{n:02d}" for n in range(MOST_FAILURES + 30)]
        self.site.upstream.on(
            BASE, page({"projects": [{"name": name} for name in names]})
        )
        for name in names:
            self.site.upstream.on(f"{BASE}{name}/", page(b"{", "application/json"))
        report = self.bench.take(jobs=1)
        self.assertEqual(len(report.projects), MOST_FAILURES)
        self.assertIn("in a row failed", report.stopped or "")

    def test_a_log_in_that_is_not_taken_ends_it(self) -> None:
        self.site.has(name="other")
        self.site.upstream.on(f"{BASE}acme/", status(401))
        report = self.bench.take(jobs=1)
        self.assertIn("wants a log-in", report.stopped or "")
        self.assertEqual(report.exit_code, 2)


class DryRunTests(SynchronousTestCase):
    def test_nothing_is_fetched_or_changed(self) -> None:
        bench = Bench()
        data = bench.site.has("1.0")
        bench.site.has("1.1", size=None)
        bench.site.has("1.2", filename="acme.exe")
        report = bench.take(dry_run=True)
        (one,) = report.projects
        self.assertEqual((one.taken, one.refused), (2, 1))
        self.assertEqual((one.size, one.untold), (len(data), 1))
        self.assertFalse(bench.has())
        self.assertEqual(bench.acts, [])
        self.assertEqual(
            [url for url in bench.site.upstream.urls() if url.startswith(FILES)], []
        )


class BoundedTests(SynchronousTestCase):
    def test_as_many_at_a_time_as_it_is_told(self) -> None:
        bench = Bench()
        for number in range(9):
            bench.site.has(f"1.{number}")
            url = f"{FILES}/{whl(f'1.{number}')}"
            bench.site.upstream.on(url, silent)
        Deferred.fromCoroutine(bench.importer(jobs=3).run())
        asked = [url for url in bench.site.upstream.urls() if url.startswith(FILES)]
        self.assertEqual(len(asked), 3)


class EndedAnywhereTests(SynchronousTestCase):
    """Wherever it is ended, a second run comes to the same."""

    @settings(max_examples=15, deadline=None)
    @given(st.sets(st.integers(0, 4)), st.booleans())
    def test_a_second_run_completes_it(self, broken: set[int], dies: bool) -> None:
        site = Site()
        files = {f"1.{n}": site.has(f"1.{n}") for n in range(5)}
        bench = Bench(site)
        for number in broken:
            data = files[f"1.{number}"]
            bad = status(404) if dies else truncated(data[:9], "application/zip")
            site.upstream.on(f"{FILES}/{whl(f'1.{number}')}", bad)
        bench.take()
        for version, data in files.items():
            site.upstream.on(f"{FILES}/{whl(version)}", page(data))
        report = bench.take()
        self.assertEqual(report.total("taken"), len(broken))
        self.assertEqual(
            [file.version for file in bench.project().files], sorted(files)
        )


class AttestationTests(SynchronousTestCase):
    def test_those_of_the_first_publisher(self) -> None:
        provenance = b'{"version": 1, "attestation_bundles": [{"attestations": [{}]}]}'
        self.assertEqual(attestations_of(provenance), "[{}]")

    def test_they_are_not_kept_where_nobody_counts(self) -> None:
        bench = Bench()
        bench.site.has(provenance="https://files.example/provenance")
        bench.site.has("1.1", provenance="https://files.example/provenance")
        report = bench.take()
        self.assertEqual(report.total("taken"), 2)
        (remark,) = report.remarks
        self.assertIn("Attestations are not kept", remark.why)

    def test_they_are_not_left_out_where_the_source_is_damaged(self) -> None:
        """The file comes with them when the source is whole."""
        bench = Bench()
        bench.site.has(provenance="https://files.example/provenance")
        self.patch(StoreDestination, "why_no_attestations", lambda *_: None)

        async def fails(*_: object) -> bytes:
            raise DamagedSource("Its bytes are others.")

        self.patch(SimpleSource, "provenance", fails)
        report = bench.take()
        self.assertEqual((report.damaged, report.exit_code), (True, 2))
        self.assertEqual(report.total("taken"), 0)
