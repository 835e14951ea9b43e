"""What was acknowledged is there after a loss of power, at whatever moment.

A folder's store does uploads; after each call of the operating system, all that a loss
of power might leave is judged (:mod:`tests.power_cuts`).
"""

from __future__ import annotations

import shutil
from collections.abc import Coroutine, Iterator
from hashlib import sha256
from typing import Any, TypeVar, cast

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import ManifestDamaged
from pypicloud_tw.index import marker
from pypicloud_tw.index.first_uploads import PUBLISHING, Stage
from pypicloud_tw.index.manifest import manifest_key
from pypicloud_tw.index.manifest_parts import decode_root
from pypicloud_tw.index.model import File, Project
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.store.folder.store import DirectoryStore
from pypicloud_tw.store.memory import MemoryStore
from pypicloud_tw.store.small import SMALL
from tests.builders import wheel
from tests.doubles import InlineOffload
from tests.power_cuts import LeaveOut, PowerCuts, leave_out_none
from tests.store.folder.test_store import quick_folder
from tests.web.doubles import Domain, new_clock

T = TypeVar("T")


class _Lost(Exception):
    """Something that must be there may be gone."""


class _Power:
    """Uploads into a folder, any of which may be the last thing that is done."""

    def __init__(self, case: PowerCutTests, leave_out: LeaveOut) -> None:
        self.case = case
        path = quick_folder()
        case.addCleanup(shutil.rmtree, path)
        clock = new_clock()
        self.store = DirectoryStore(path, InlineOffload(), clock=clock.seconds)
        case.wait(self.store.prepare())
        self.domain = Domain(clock=clock, store=cast(MemoryStore, self.store))
        self.cuts = PowerCuts(path, self.judge, leave_out)
        self.acknowledged: dict[str, dict[str, str]] = {}
        self.trouble: list[str] = []
        self.judged = 0

    def upload(self) -> None:
        """Do all that is judged: first uploads and others, small ones and large."""
        with self.cuts.recording(self.case.patch):
            self.publish("acme", "1.0")
            self.publish("acme", "1.1")
            self.publish("other", "1.0")
            self.publish("acme", "2.0", large=True)
            self.publish("third", "1.0", large=True)

    def publish(self, name: str, version: str, *, large: bool = False) -> None:
        """Upload a wheel, and note that it was acknowledged."""
        filename = f"{name}-{version}-py3-none-any.whl"
        extra = [(f"{name}.bin", bytes(SMALL + 1))] if large else []
        data = wheel(name, version, extra=extra)
        self.domain.clock.advance(1)
        self.case.wait(self.domain.publish(filename, data))
        self.acknowledged.setdefault(name, {})[filename] = sha256(data).hexdigest()
        self.judge()

    # -- what is judged ----------------------------------------------------------------

    def judge(self) -> None:
        """Note what must be there and could be gone, or be in doubt."""
        self.judged += 1
        try:
            for name in {*self.acknowledged, *self.cuts.names_below("")}:
                if not name.startswith("."):
                    self._judge_project(NormalizedName(name))
        except _Lost as e:
            self.trouble.append(str(e))

    def _judge_project(self, name: NormalizedName) -> None:
        found = self.cuts.contents(manifest_key(name))
        kept = self.acknowledged.get(name, {})
        if None in found:
            if kept:
                raise _Lost(f"The manifest of {name} may be gone.")
            self._judge_notices(name, named=len(found) > 1)
        for data in found - {None}:
            project = self._read(name, data)
            files = {file.filename: file.sha256 for file in project.files}
            if not kept.items() <= files.items():
                raise _Lost(f"The manifest of {name} may be an old one.")
            for file in project.files:
                self._judge_file(file)

    def _read(self, name: NormalizedName, data: bytes | None) -> Project:
        try:
            return decode_root(name, data or b"").project
        except ManifestDamaged:
            raise _Lost(f"The manifest of {name} may be damaged.") from None

    def _judge_file(self, file: File) -> None:
        digests = {file.key: file.sha256}
        if file.metadata_key is not None:
            digests[file.metadata_key] = file.metadata_sha256 or ""
        for key, digest in digests.items():
            for data in self.cuts.contents(key):
                if data is None or sha256(data).hexdigest() != digest:
                    raise _Lost(f"{key} may not be what the manifest names.")

    def _judge_notices(self, name: NormalizedName, *, named: bool) -> None:
        """See that what may lie there without a manifest is known to be unfinished."""
        for identity in self.cuts.names_below(name):
            found = self.cuts.contents(f"{PUBLISHING}{name}/{identity}")
            if None in found:
                raise _Lost(f"An unfinished upload of {name} may seem a lost project.")
            if named and found != {Stage.SWAPPING.value}:
                raise _Lost(f"What may be named of {name} may seem never to have been.")


class PowerCutTests(SynchronousTestCase):
    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        result: T = self.successResultOf(Deferred.fromCoroutine(work))
        return result

    def run_with(self, leave_out: LeaveOut = leave_out_none) -> _Power:
        power = _Power(self, leave_out)
        power.upload()
        return power

    def test_nothing_that_was_acknowledged_is_lost(self) -> None:
        power = self.run_with()
        self.assertEqual(power.trouble, [])
        self.assertEqual(sum(map(len, power.acknowledged.values())), 5)
        self.assertGreater(power.judged, 100)

    def test_no_sync_can_be_left_out(self) -> None:
        """Without any one of them something may be lost, and this would find it out."""
        cuts = self.run_with().cuts
        needed = list(_needed(cuts))
        self.assertGreater(len(needed), 30)
        for number in needed:
            power = self.run_with(_only(number))
            self.assertNotEqual(power.trouble, [], f"{cuts.syncs[number]}, {number}")

    def test_the_folder_itself_has_to_be_synced(self) -> None:
        power = self.run_with(lambda number, path: path == ".")
        self.assertNotEqual(power.trouble, [])


def _only(number: int) -> LeaveOut:
    return lambda n, path: n == number


def _needed(cuts: PowerCuts) -> Iterator[int]:
    """Give the syncs on which files depend.

    Those of the folder itself follow each other closely, so that the next one does for
    the one before. No file depends on the marker, and that a notice was removed may be
    forgotten.
    """
    for number, path in enumerate(cuts.syncs):
        of_marker = cuts.became.get(path) in (marker.KEY, marker.RESERVED_KEY)
        if path != "." and not of_marker and number not in cuts.removals:
            yield number
