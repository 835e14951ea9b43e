"""What lock files name, fetched into the cache or a folder."""

from __future__ import annotations

import json
from collections.abc import Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.index.model import Document
from pypicloud_tw.index.names import project_name
from pypicloud_tw.moving.locks.platforms import Wanted
from pypicloud_tw.moving.locks.values import Lock, LockedFile, LockedRelease
from pypicloud_tw.moving.mirror.cache import IntoCache
from pypicloud_tw.moving.mirror.mirror import Destination, Mirror
from pypicloud_tw.moving.mirror.values import Outcome, Report
from pypicloud_tw.moving.mirror.wheelhouse import IntoFolder, write_index
from pypicloud_tw.moving.report import Progress
from pypicloud_tw.store.folder.store import DirectoryStore
from pypicloud_tw.upstream.judgement.entries import RuleEntry
from pypicloud_tw.upstream.judgement.rules import UpstreamRules
from pypicloud_tw.upstream.keeper import StoredPages
from tests.builders import metadata, sdist, wheel
from tests.upstream.doubles import BASE, file, page, project, ranged, status
from tests.web.test_app_fallback import Front

T = TypeVar("T")

ACME = RuleEntry.parse("acme")


def whl(version: str, name: str = "acme") -> str:
    return f"{name}-{version}-py3-none-any.whl"


def locked(name: str, version: str, *files: LockedFile) -> LockedRelease:
    return LockedRelease(project_name(name), version, "uv.lock", files)


def pinned(name: str, version: str, *digests: str) -> LockedRelease:
    return LockedRelease(
        project_name(name), version, "requirements.txt", digests=frozenset(digests)
    )


@define(eq=False)
class Bench:
    """A mirror of a fake upstream."""

    rules: UpstreamRules = field(factory=UpstreamRules)
    folder: Path | None = None
    front: Front = field()
    told: list[Progress] = field(factory=list)
    merge: frozenset[str] = frozenset()
    _pages: dict[str, list[Document]] = field(factory=dict)

    @front.default
    def _make_front(self) -> Front:
        mode = "cache" if self.folder is None else "relay"
        kept = self.folder is None
        return Front(mode, self.rules, judges=True, keeps_pages=kept)

    def has(self, version: str = "1.0", name: str = "acme", **more: Any) -> LockedFile:
        """Have the upstream have a wheel."""
        return self.has_file(whl(version, name), wheel(name, version), name, **more)

    def has_file(
        self, filename: str, data: bytes, name: str = "acme", **more: Any
    ) -> LockedFile:
        beside = metadata(name)
        told = {
            **file(filename, data, uploaded="2020-01-01T00:00:00Z"),
            "core-metadata": {"sha256": sha256(beside).hexdigest()},
            "size": len(data),
            **more,
        }
        self._pages.setdefault(name, []).append(told)
        on = self.front.upstream.on
        on(f"{BASE}{name}/", page(project(name, *self._pages[name])))
        on(told["url"], ranged(data))
        on(f"{told['url']}.metadata", ranged(beside))
        return LockedFile(filename, sha256(data).hexdigest(), len(data))

    def run(
        self,
        *releases: LockedRelease,
        platforms: Iterable[str] = (),
        sdists: bool = False,
        dry_run: bool = False,
    ) -> Report:
        wanted = Wanted.of(list(platforms), [], sdists=sdists)
        index, upstreams = self.front.domain.index, self.front.fallback.upstreams
        to = self.destination(dry_run=dry_run)
        mirror = Mirror(index, upstreams, to, wanted, self.told.append, self.merge)
        return self.wait(mirror.run(Lock(releases), dry_run=dry_run))

    def destination(self, *, dry_run: bool) -> Destination:
        domain, files = self.front.domain, self.front.fallback.files
        if self.folder is None:
            keeper: Any = self.front.fallback.upstreams.keeper
            assert isinstance(keeper, StoredPages)
            return IntoCache(files, keeper)  # type: ignore[arg-type]  # as it was made
        store = DirectoryStore(self.folder, domain.offload)
        if not dry_run:
            self.wait(store.prepare())
        return IntoFolder(
            store,
            domain.store,
            files.client,  # type: ignore[union-attr]  # as it was made
            files,  # type: ignore[arg-type]  # likewise
            domain.publisher.inspect,
            domain.offload,
        )

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        done: list[T] = []
        failed: list[Failure] = []
        Deferred.fromCoroutine(work).addCallbacks(done.append, failed.append)
        for _ in range(200):
            self.front.upstream.flush()
            if done or failed:
                break
            self.front.domain.clock.advance(0.1)
        if failed:
            failed[0].raiseException()
        return done[0]

    @property
    def kept(self) -> list[str]:
        """Names of files, and of their metadata, that the cache has."""
        keys = self.front.domain.store.objects
        kept = [
            key for key in keys if key.startswith(".cache/") and ".pages" not in key
        ]
        return sorted(k.rpartition("/")[2] for k in kept if k.count("/") == 3)


class MirrorTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.bench = Bench()

    def outcomes(self, report: Report) -> list[tuple[str, str]]:
        return sorted((one.name, one.outcome.value) for one in report.done)

    def why(self, report: Report, outcome: Outcome, code: int = 1) -> str:
        (one,) = report.done
        self.assertIs(one.outcome, outcome, one.why)
        self.assertEqual(report.exit_code, code)
        self.assertEqual(self.bench.kept, [])
        return one.why

    def test_files(self) -> None:
        first, other = self.bench.has(), self.bench.has("2.0")
        report = self.bench.run(locked("acme", "1.0", first))
        self.assertEqual(self.outcomes(report), [(whl("1.0"), "fetched")])
        self.assertEqual(self.bench.kept, [whl("1.0"), f"{whl('1.0')}.metadata"])
        self.assertEqual(report.size(Outcome.FETCHED), first.size)
        self.assertNotEqual(first, other)
        self.assertEqual(self.bench.told[-1].done, 1)
        # The page is kept before it ends.
        self.assertIn(".cache/.pages/acme", self.bench.front.domain.store.objects)

    def test_again(self) -> None:
        lock = locked("acme", "1.0", self.bench.has()), locked("beta", "1.0")
        self.bench.run(*lock[:1])
        self.bench.front.asked()
        report = self.bench.run(*lock[:1])
        self.assertEqual(self.outcomes(report), [(whl("1.0"), "there")])
        self.assertEqual(self.bench.front.asked(), [])

    def test_half_of_it(self) -> None:
        """What failed is fetched by the next try, and nothing else is."""
        first, second = self.bench.has("1.0"), self.bench.has("2.0")
        lock = locked("acme", "1.0", first), locked("acme", "2.0", second)
        url = self.bench._pages["acme"][1]["url"]
        self.bench.front.upstream.on(url, status(500))
        report = self.bench.run(*lock)
        self.assertEqual(
            self.outcomes(report), [(whl("1.0"), "fetched"), (whl("2.0"), "failed")]
        )
        self.assertEqual(report.exit_code, 2)
        self.bench.front.upstream.on(url, ranged(wheel("acme", "2.0")))
        self.bench.front.domain.clock.advance(60)  # its breaker closes
        report = self.bench.run(*lock)
        self.assertEqual(
            self.outcomes(report), [(whl("1.0"), "there"), (whl("2.0"), "fetched")]
        )

    def test_by_release(self) -> None:
        first = self.bench.has("1.0")
        self.bench.has("2.0")
        assert first.sha256 is not None
        self.bench.run(pinned("acme", "1.0.0", first.sha256))
        self.assertEqual(self.bench.kept[0], whl("1.0"))

    def test_sources_for_want_of_wheels(self) -> None:
        self.bench.has_file("acme-1.0.tar.gz", sdist("acme", "1.0"))
        name = "acme-1.0-cp312-cp312-win_amd64.whl"
        self.bench.has_file(name, wheel("acme", "1.0"))
        report = self.bench.run(pinned("acme", "1.0"), platforms=["linux"])
        self.assertEqual(self.outcomes(report), [("acme-1.0.tar.gz", "fetched")])

    def test_nothing_fits(self) -> None:
        name = "acme-1.0-cp312-cp312-win_amd64.whl"
        self.bench.has_file(name, wheel("acme", "1.0"))
        report = self.bench.run(pinned("acme", "1.0"), platforms=["linux"])
        told = self.why(report, Outcome.MISSING)
        self.assertIn("No file of acme 1.0 that the lock allows fits", told)

    def test_other_bytes_than_the_lock(self) -> None:
        self.bench.has()
        other = LockedFile(whl("1.0"), "0" * 64)
        report = self.bench.run(locked("acme", "1.0", other))
        told = self.why(report, Outcome.REFUSED)
        self.assertIn("other bytes of that name than the lock: sha256", told)

    def test_other_digests_than_the_lock(self) -> None:
        self.bench.has()
        report = self.bench.run(pinned("acme", "1.0", "0" * 64))
        self.assertIn("None of the files", self.why(report, Outcome.REFUSED))

    def test_other_bytes_than_the_page(self) -> None:
        lock = locked("acme", "1.0", self.bench.has())
        url = self.bench._pages["acme"][0]["url"]
        self.bench.front.upstream.on(url, ranged(wheel("acme", "1.1")))
        report = self.bench.run(lock)
        self.assertIn("is not what its page says", self.why(report, Outcome.FAILED, 2))

    def test_what_is_no_wheel(self) -> None:
        """It is judged as an upload is."""
        lock = locked("acme", "1.0", self.bench.has_file(whl("1.0"), b"no wheel"))
        self.assertIn("zip", self.why(self.bench.run(lock), Outcome.REFUSED))

    def test_missing(self) -> None:
        self.bench.has()
        report = self.bench.run(locked("acme", "3.0", LockedFile(whl("3.0"), "0" * 64)))
        self.assertIn("no such file", self.why(report, Outcome.MISSING))
        report = self.bench.run(pinned("acme", "3.0"))
        self.assertIn("no such release", self.why(report, Outcome.MISSING))
        report = self.bench.run(pinned("beta", "3.0"))
        self.assertIn("There is no beta", self.why(report, Outcome.MISSING))

    def test_what_the_upstream_has_deleted(self) -> None:
        """What is kept is there all the same."""
        lock = locked("acme", "1.0", self.bench.has())
        self.bench.run(lock)
        self.bench._pages["acme"].clear()
        self.bench.has("2.0")
        self.bench.front.domain.clock.advance(700)
        report = self.bench.run(lock)
        self.assertEqual(self.outcomes(report), [(whl("1.0"), "there")])

    def test_rules(self) -> None:
        for rules, word in (
            (UpstreamRules(deny=(RuleEntry.parse("acme<2"),)), "upstream.deny"),
            (UpstreamRules(deny=(ACME,)), "upstream.deny"),
            (UpstreamRules(min_age=10**9), "younger"),
        ):
            self.bench = Bench(rules)
            report = self.bench.run(locked("acme", "1.0", self.bench.has()))
            self.assertIn(word, self.why(report, Outcome.REFUSED))

    def test_private_names(self) -> None:
        self.bench = Bench(UpstreamRules(private=(ACME,)))
        report = self.bench.run(locked("acme", "1.0", self.bench.has()))
        self.assertIn("pypi.private", self.why(report, Outcome.MISSING))
        self.assertEqual(self.bench.front.asked(), [])

    def test_names_of_ours(self) -> None:
        """They are never asked for elsewhere (decision D5)."""
        self.bench.front.web.publish(whl("1.0"), wheel("acme", "1.0"))
        report = self.bench.run(pinned("acme", "1.0"))
        self.assertEqual(self.outcomes(report), [(whl("1.0"), "own")])
        self.assertEqual(self.bench.front.asked(), [])
        self.assertEqual(report.exit_code, 0)

    def test_dry_run(self) -> None:
        first, second = self.bench.has("1.0"), self.bench.has("2.0")
        self.bench.run(locked("acme", "1.0", first))
        lock = locked("acme", "1.0", first), locked("acme", "2.0", second)
        report = self.bench.run(*lock, dry_run=True)
        self.assertEqual(
            self.outcomes(report), [(whl("1.0"), "there"), (whl("2.0"), "planned")]
        )
        self.assertEqual(report.size(Outcome.PLANNED), second.size)
        self.assertEqual(self.bench.kept[0], whl("1.0"))
        self.assertNotIn(whl("2.0"), self.bench.kept)

    def test_rules_hold_for_dry_runs(self) -> None:
        self.bench = Bench(UpstreamRules(min_age=10**9))
        lock = locked("acme", "1.0", self.bench.has())
        self.assertTrue(self.why(self.bench.run(lock, dry_run=True), Outcome.REFUSED))

    def test_merged_projects(self) -> None:
        """Ours come first, whatever the other index has of that name."""
        front = self.bench.front
        front.web.publish(whl("1.0"), wheel("acme", "1.0"))
        theirs = self.bench.has("2.0")
        self.bench.has_file(whl("1.0"), b"other bytes")
        self.bench.merge = frozenset({"acme"})
        report = self.bench.run(pinned("acme", "1.0"), locked("acme", "2.0", theirs))
        self.assertEqual(
            self.outcomes(report), [(whl("1.0"), "own"), (whl("2.0"), "fetched")]
        )

    def test_two_locks_with_the_same_file(self) -> None:
        file = self.bench.has()
        assert file.sha256 is not None
        lock = locked("acme", "1.0", file), pinned("acme", "1.0", file.sha256)
        self.assertEqual(len(self.bench.run(*lock).done), 1)


class FolderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.bench = Bench(folder=self.folder)

    @property
    def names(self) -> list[str]:
        return sorted(p.name for p in self.folder.iterdir() if p.name[0] != ".")

    def page(self, name: str = "acme") -> Any:
        return json.loads((self.folder / "simple" / name / "index.json").read_bytes())

    def test_a_wheelhouse(self) -> None:
        lock = locked("acme", "1.0", self.bench.has(yanked="broken"))
        report = self.bench.run(lock)
        self.assertEqual(report.exit_code, 0, report)
        self.assertEqual(self.names, [whl("1.0"), f"{whl('1.0')}.metadata", "simple"])
        self.assertEqual((self.folder / whl("1.0")).read_bytes(), wheel("acme", "1.0"))
        (told,) = self.page()["files"]
        self.assertEqual(told["url"], f"../../{whl('1.0')}")
        self.assertEqual(told["requires-python"], ">=3.8")
        self.assertEqual(told["yanked"], "broken")
        self.assertEqual(told["hashes"], {"sha256": (lock.files or ())[0].sha256})
        html = (self.folder / "simple" / "acme" / "index.html").read_text()
        self.assertIn(
            f'href="../../{whl("1.0")}#sha256={told["hashes"]["sha256"]}"', html
        )
        self.assertIn("data-core-metadata=", html)
        self.assertIn(">acme<", (self.folder / "simple" / "index.html").read_text())
        # The store is left as it was.
        self.assertEqual(self.bench.front.domain.store.objects, {})

    def test_more(self) -> None:
        """The index has what was there before, and not what is gone."""
        files = [self.bench.has(version) for version in ("1.0", "2.0", "3.0")]
        self.bench.run(locked("acme", "1.0", files[0]), locked("acme", "2.0", files[1]))
        (self.folder / whl("2.0")).unlink()
        report = self.bench.run(locked("acme", "3.0", files[2]))
        self.assertEqual(len(report.of(Outcome.FETCHED)), 1)
        names = [one["filename"] for one in self.page()["files"]]
        self.assertEqual(names, [whl("1.0"), whl("3.0")])

    def test_again(self) -> None:
        lock = locked("acme", "1.0", self.bench.has())
        self.bench.run(lock)
        report = self.bench.run(lock)
        self.assertEqual(len(report.of(Outcome.THERE)), 1)

    def test_what_only_the_file_tells(self) -> None:
        """It is kept when the file is there, and not fetched again."""
        lock = locked("acme", "1.0", self.bench.has())
        self.bench.run(lock)
        (self.folder / f"{whl('1.0')}.metadata").unlink()
        write_index(self.folder, {project_name("acme"): {}})
        (told,) = self.page()["files"]
        self.assertNotIn("core-metadata", told)
        self.assertEqual(told["requires-python"], ">=3.8")
        row = {key: told[key] for key in told if key != "requires-python"}
        write_index(self.folder, {project_name("acme"): {whl("1.0"): row}})
        self.assertEqual(self.page()["files"], [told])

    def test_several_at_once(self) -> None:
        """Commands that add to one folder lose nothing of each other's."""
        self.folder.mkdir()
        names = [whl(f"{number}.0") for number in range(40)]
        for name in names:
            (self.folder / name).write_bytes(b"")

        def add(name: str) -> None:
            row = {"filename": name, "hashes": {"sha256": "a" * 64}}
            write_index(self.folder, {project_name("acme"): {name: row}})

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(add, names))
        self.assertEqual({one["filename"] for one in self.page()["files"]}, {*names})

    def test_an_index_that_is_none(self) -> None:
        """What somebody else has written into it is not believed, and not repeated."""
        lock = locked("acme", "1.0", self.bench.has())
        self.bench.run(lock)
        good = self.page()
        place = self.folder / "simple" / "acme" / "index.json"
        for hostile in (
            "{",
            "[" * 10000,
            "[]",
            '{"files": [5]}',
            '{"files": [{"filename": 5, "hashes": {"sha256": 5}}]}',
            '{"files": [{"filename": "a-1.whl", "hashes": {}}]}',
            json.dumps(
                {
                    "files": [
                        {**good["files"][0], "filename": "../evil.whl"},
                        {**good["files"][0], "url": "javascript:", "yanked": []},
                    ]
                }
            ),
        ):
            place.write_text(hostile)
            self.bench.run(lock)
            self.assertEqual(self.page(), good, hostile[:80])

    def test_dry_run(self) -> None:
        """No folder is made, and none is needed."""
        self.bench.front.web.publish(whl("1.0", "own"), wheel("own", "1.0"))
        releases = locked("acme", "1.0", self.bench.has()), pinned("own", "1.0")
        report = self.bench.run(*releases, dry_run=True)
        self.assertEqual(len(report.of(Outcome.PLANNED)), 2)
        self.assertFalse(self.folder.exists())
        self.bench.run(*releases)
        report = self.bench.run(*releases, dry_run=True)
        self.assertEqual(len(report.of(Outcome.THERE)), 2)

    def test_another_file_of_that_name(self) -> None:
        self.folder.mkdir()
        (self.folder / whl("1.0")).write_bytes(b"something else")
        report = self.bench.run(locked("acme", "1.0", self.bench.has()))
        (one,) = report.done
        self.assertIn("Another file of that name", one.why)
        self.assertEqual(report.exit_code, 1)
        self.assertEqual((self.folder / whl("1.0")).read_bytes(), b"something else")

    def test_files_of_ours(self) -> None:
        self.bench.front.web.publish(whl("1.0"), wheel("acme", "1.0"))
        report = self.bench.run(pinned("acme", "1.0"))
        self.assertEqual(len(report.of(Outcome.FETCHED)), 1)
        self.assertEqual(self.names, [whl("1.0"), f"{whl('1.0')}.metadata", "simple"])
        self.assertEqual(len(self.page()["files"]), 1)
        report = self.bench.run(pinned("acme", "1.0"))
        self.assertEqual(len(report.of(Outcome.THERE)), 1)

    def test_metadata_that_the_upstream_has_not(self) -> None:
        """The wheel has it."""
        untold: Any = {"core-metadata": False}
        file = self.bench.has(**untold)
        self.bench.run(locked("acme", "1.0", file))
        beside = self.folder / f"{whl('1.0')}.metadata"
        self.assertEqual(beside.read_bytes(), metadata("acme", "1.0"))
