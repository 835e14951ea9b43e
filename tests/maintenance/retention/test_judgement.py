"""Which releases a rule lets go: examples, and what holds of all."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.concurrency.steps import at_once
from pypicloud_tw.config.retention import Keeping
from pypicloud_tw.index.model import File, Project, ProjectStatus
from pypicloud_tw.index.names import project_name
from pypicloud_tw.maintenance.retention.judgement import Fetched, due_releases
from pypicloud_tw.maintenance.retention.plan import PlannedRelease
from tests.builders import MORNING, file

DAY = 86400
NOW = MORNING + timedelta(days=100)
ACME = project_name("acme")


def release(version: str, days: float = 50, *, yanked: bool = False) -> File:
    """The one file of a release, of so many days ago."""
    return file(
        f"acme-{version}-py3-none-any.whl",
        version=version,
        upload_time=NOW - timedelta(days=days),
        yanked="bad" if yanked else None,
    )


def project(*files: File) -> Project:
    return Project(ACME, "acme", files)


def due(
    of: Project, keep: Keeping, fetched: Fetched | None = None, now: datetime = NOW
) -> tuple[PlannedRelease, ...]:
    return at_once(due_releases(of, keep, now, fetched))


def versions(
    of: Project, keep: Keeping, fetched: Fetched | None = None
) -> Sequence[str]:
    return [one.version for one in due(of, keep, fetched)]


class JudgementTests(SynchronousTestCase):
    def test_the_newest_are_kept_by_version(self) -> None:
        acme = project(release("1.10", 90), release("1.9", 1), release("1.2"))
        self.assertEqual(versions(acme, Keeping(releases=1)), ["1.2", "1.9"])
        self.assertEqual(versions(acme, Keeping(releases=2)), ["1.2"])
        self.assertEqual(versions(acme, Keeping(releases=3)), [])

    def test_the_young_are_kept_whatever_their_number(self) -> None:
        acme = project(*(release(f"1.{n}", n) for n in range(1, 10)))
        keep = Keeping(releases=1, younger=5 * DAY)
        self.assertEqual(versions(acme, keep), ["1.5", "1.6", "1.7", "1.8"])

    def test_by_age_alone_the_last_one_stays(self) -> None:
        acme = project(release("1.0", 90), release("2.0", 80))
        self.assertEqual(versions(acme, Keeping(younger=DAY)), ["1.0"])

    def test_the_age_is_that_of_the_newest_file(self) -> None:
        late = evolve(release("1.0", 1), filename="acme-1.0.tar.gz")
        acme = project(release("1.0", 90), late, release("2.0", 80))
        self.assertEqual(versions(acme, Keeping(younger=5 * DAY)), [])

    def test_kinds_are_judged_apart(self) -> None:
        names = ("1.0", "2.0a1", "2.0rc1", "2.0rc1.dev1", "2.0.dev1", "2.0.post1.dev2")
        acme = project(*map(release, (*names, "0.9.post1")))
        # What no key speaks of is kept for ever.
        self.assertEqual(versions(acme, Keeping(releases=1)), ["0.9.post1"])
        self.assertEqual(versions(acme, Keeping(prereleases=1)), ["2.0a1"])
        self.assertEqual(versions(acme, Keeping(prereleases=0)), ["2.0a1", "2.0rc1"])
        self.assertEqual(versions(acme, Keeping(dev=1)), ["2.0.dev1", "2.0rc1.dev1"])
        self.assertEqual(versions(acme, Keeping(dev=0, dev_younger=60 * DAY)), [])
        self.assertEqual(versions(acme, Keeping(fetched=DAY)), [])

    def test_yanked_ones_are_the_first_to_go(self) -> None:
        acme = project(release("1.0"), release("2.0", yanked=True), release("1.5"))
        self.assertEqual(versions(acme, Keeping(releases=3)), [])
        self.assertEqual(versions(acme, Keeping(releases=2)), ["2.0"])
        self.assertEqual(versions(acme, Keeping(releases=1)), ["1.0", "2.0"])
        (gone,) = due(acme, Keeping(releases=2, younger=DAY))
        self.assertEqual(
            gone.reason, "yanked, not among the newest 2 final releases, older than 1d"
        )

    def test_what_installers_choose_stays(self) -> None:
        acme = project(release("1.0", 90), release("2.0", 80, yanked=True))
        self.assertEqual(versions(acme, Keeping(releases=1, younger=DAY)), ["2.0"])
        # Not even the pre-releases that stay make up for the last final one.
        acme = project(release("1.0", 90), release("2.0rc1"))
        self.assertEqual(versions(acme, Keeping(younger=DAY)), [])
        acme = project(release("1.0.dev1", 90), release("1.0.dev2", 90))
        self.assertEqual(versions(acme, Keeping(dev=0)), ["1.0.dev1"])
        acme = project(release("1.0", 90, yanked=True), release("1.0.dev2", 90))
        self.assertEqual(versions(acme, Keeping(younger=DAY, dev=0)), ["1.0"])

    def test_what_has_no_version_stays(self) -> None:
        acme = project(*map(release, ("1.0", "2.0", "2004-dunno", "x")))
        self.assertEqual(versions(acme, Keeping(releases=1)), ["1.0"])

    def test_two_spellings_are_one_release(self) -> None:
        acme = project(*map(release, ("1.0", "1.0.0", "2.0")))
        (gone,) = due(acme, Keeping(releases=1))
        self.assertEqual((gone.version, len(gone.files)), ("1.0", 2))

    def test_of_a_quarantined_project_nothing_goes(self) -> None:
        acme = project(*map(release, ("1.0", "2.0")))
        expectations: dict[ProjectStatus, list[str]] = {
            "archived": ["1.0"],
            "deprecated": ["1.0"],
            "quarantined": [],
        }
        for status, expected in expectations.items():
            of = evolve(acme, status=status)
            self.assertEqual(versions(of, Keeping(releases=1)), expected, status)

    def test_what_was_fetched_lately_stays(self) -> None:
        acme = project(*map(release, ("1.0", "1.1", "1.2", "2.0")))
        keep = Keeping(releases=1, fetched=10 * DAY)
        last = {
            "1.0": NOW - timedelta(days=11),
            "1.1": NOW - timedelta(days=9),
        }
        known = Fetched(NOW - timedelta(days=10), last)
        self.assertEqual(versions(acme, keep, known), ["1.0", "1.2"])

    def test_while_it_is_not_known_what_was_fetched_nothing_goes(self) -> None:
        acme = project(*map(release, ("1.0", "2.0")))
        keep = Keeping(releases=1, fetched=10 * DAY)
        self.assertEqual(versions(acme, keep), [])
        too_short = Fetched(NOW - timedelta(days=9), {})
        self.assertEqual(versions(acme, keep, too_short), [])


#: Versions of every kind, some spelled in two ways, some none by PEP 440.
VERSIONS = st.sampled_from(
    [
        f"{major}.{minor}{end}"
        for major in range(3)
        for minor in range(3)
        for end in ("", ".0", "a1", "rc1", ".dev1", ".post1", "rc1.dev2", "+local")
    ]
    + ["nightly", "2004b-x"]
)
RELEASES = st.builds(
    lambda version, days, yanked: release(version, days, yanked=yanked),
    VERSIONS,
    st.floats(0, 200),
    st.booleans(),
)
PROJECTS = st.lists(RELEASES, max_size=30, unique_by=lambda one: one.version).map(
    lambda files: project(*files)
)
COUNTS = st.none() | st.integers(0, 10)
AGES = st.none() | st.integers(1, 200 * DAY)
KEEPING = st.builds(
    Keeping, st.none() | st.integers(1, 10), AGES, COUNTS, AGES, COUNTS, AGES
)


class PropertyTests(SynchronousTestCase):
    @given(PROJECTS, KEEPING)
    def test_what_installers_choose_is_never_among_them(
        self, of: Project, keep: Keeping
    ) -> None:
        going = {name for one in due(of, keep) for name in _filenames(one)}
        left = [one for one in of.files if one.filename not in going]
        self.assertEqual(_chosen(of.files), _chosen(left))
        self.assertEqual(bool(left), bool(of.files))

    @given(PROJECTS, KEEPING, st.integers(0, 5), st.integers(0, 50 * DAY))
    def test_who_keeps_more_lets_no_more_go(
        self, of: Project, keep: Keeping, more: int, longer: int
    ) -> None:
        wider = Keeping(
            *(
                None if value is None else value + (more if n % 2 == 0 else longer)
                for n, value in enumerate(
                    (
                        keep.releases,
                        keep.younger,
                        keep.prereleases,
                        keep.prereleases_younger,
                        keep.dev,
                        keep.dev_younger,
                    )
                )
            )
        )
        self.assertLessEqual({*versions(of, wider)}, {*versions(of, keep)})

    @given(PROJECTS, KEEPING)
    def test_what_is_left_is_kept_by_the_same_rule(
        self, of: Project, keep: Keeping
    ) -> None:
        going = {name for one in due(of, keep) for name in _filenames(one)}
        left = project(*(one for one in of.files if one.filename not in going))
        self.assertEqual(due(left, keep), ())

    @given(PROJECTS, KEEPING)
    def test_releases_go_whole(self, of: Project, keep: Keeping) -> None:
        going = {name for one in due(of, keep) for name in _filenames(one)}
        gone = {_version(one) for one in of.files if one.filename in going}
        left = {_version(one) for one in of.files if one.filename not in going}
        self.assertFalse(gone & left)
        self.assertNotIn(None, gone)


def _filenames(one: PlannedRelease) -> list[str]:
    return [planned.filename for planned in one.files]


def _version(one: File) -> Version | None:
    try:
        return Version(one.version)
    except ValueError:
        return None


def _chosen(files: Sequence[File]) -> Version | None:
    """The version that pip installs if nothing else is said."""
    whole: dict[Version, bool] = {}
    for one in files:
        if (version := _version(one)) is not None:
            whole[version] = whole.get(version, True) and one.yanked is not None
    if not whole:
        return None
    good = [version for version, yanked in whole.items() if not yanked]
    final = [version for version in good if not version.is_prerelease]
    if not good:
        final = [version for version in whole if not version.is_prerelease]
    return max(final or good or whole)
