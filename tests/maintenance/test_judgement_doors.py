"""One file gets one answer, in the same words, through whatever door it comes."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from random import Random
from typing import Any

from attrs import frozen
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.index.admission import UploadRules
from pypicloud_tw.maintenance import jobs
from pypicloud_tw.maintenance.adopt import Adopter
from tests.builders import bare_sdist, member, metadata, sdist, tar_of, wheel
from tests.upstream.doubles import BASE, file, page, project, ranged
from tests.web.doubles import Domain, Web, started, upload_form
from tests.web.test_app_fallback import JSON, Front
from tests.zips import Part, build, described, wheel_parts

WHEEL, SDIST = "acme-1.0-py3-none-any.whl", "acme-1.0.tar.gz"
CODE = Part("acme/x.py", b"good = 1\n" * 9)
EVIL = Part("acme/x.py", b"evil = 1\n" * 9)
INFO = "acme-1.0.dist-info"
NOISE = Part("acme/noise", Random(1).randbytes(3 * 2**20), method=0)

FIT, WARNED, SHORT, REFUSED = "fit", "warned of", "falls short", "refused"


@frozen
class Row:
    """A file as it really occurs, and what is thought of it."""

    verdict: str
    sentence: str
    data: bytes
    filename: str = WHEEL


def made(*parts: Part, **changes: Any) -> bytes:
    return build(wheel_parts(*(parts or (CODE,)), **changes))


def hidden() -> bytes:
    """A wheel with an entry, between others, that its directory does not list."""
    parts = wheel_parts(CODE)
    unlisted = Part("acme/x.py", EVIL.data, is_listed=False)
    return build([parts[0], unlisted, *parts[1:]])


ROWS: dict[str, Row] = {
    "a wheel": Row(FIT, "", wheel()),
    "a large wheel": Row(FIT, "", made(CODE, NOISE)),
    "a source distribution": Row(FIT, "", sdist(), SDIST),
    "a wheel that was streamed": Row(FIT, "", made(described(CODE))),
    "a local version, escaped": Row(
        FIT,
        "",
        made(
            folder="acme-2024.3.13_0873c15.dist-info",
            core_metadata=metadata(version="2024.3.13+0873c15"),
        ),
        "acme-2024.3.13+0873c15-py3-none-any.whl",
    ),
    "an epoch, escaped": Row(
        FIT,
        "",
        made(folder="acme-1_2.0.dist-info", core_metadata=metadata(version="1!2.0")),
        "acme-1!2.0-py3-none-any.whl",
    ),
    "a name that is not normalised": Row(
        WARNED, "The filename is not normalised", wheel(), WHEEL.replace("a", "A", 1)
    ),
    "another version in the folder's name": Row(
        WARNED,
        "names another version than the filename",
        made(folder="acme-1_1.0.dist-info", core_metadata=metadata()),
    ),
    "no RECORD": Row(SHORT, "has no .dist-info/RECORD", made(has_record=False)),
    "a wrong digest": Row(
        SHORT,
        "a digest that is not the one of the bytes of 'acme/x.py'",
        made(EVIL, record_file=wheel_parts(CODE)[-1].data),
    ),
    "no WHEEL": Row(SHORT, "has no .dist-info/WHEEL", made(wheel_file=None)),
    "a WHEEL of tomorrow": Row(
        SHORT, "no Wheel-Version of 1", made(wheel_file=b"Wheel-Version: 2.0\n")
    ),
    "entry points that cannot be read": Row(
        SHORT, "entry_points.txt is not UTF-8", made(entry_points=b"[a]\nb\n")
    ),
    "a requirement that is none": Row(
        SHORT,
        "Requires-Dist '!!!' is not valid",
        wheel(core_metadata=metadata() + b"Requires-Dist: !!!\n"),
    ),
    "two top folders": Row(
        SHORT,
        "exactly one top folder",
        tar_of([(member("acme-1.0/PKG-INFO"), metadata()), (member("b/x"), b"")]),
        SDIST,
    ),
    "a data folder of another name": Row(
        REFUSED, "to different places", made(CODE, Part("b-1.0.data/purelib/x", b""))
    ),
    "a script outside of its folder": Row(
        REFUSED,
        "another folder than that of scripts",
        made(entry_points=b"[console_scripts]\n../sh = acme:main\n"),
    ),
    "metadata of another version": Row(
        REFUSED, "Version is not", made(core_metadata=metadata(version="2.0"))
    ),
    "no PKG-INFO": Row(SHORT, "has a PKG-INFO in its top folder", bare_sdist(), SDIST),
    "an entry that is not listed": Row(REFUSED, "before or behind", hidden()),
    "a second archive": Row(REFUSED, "before or behind", wheel() + wheel()),
    "a header of another path": Row(
        REFUSED,
        "tells another name, size",
        made(Part("acme/x.py", b"x", local={"name": "acme/y.py"})),
    ),
    "two ends": Row(
        REFUSED,
        "two ends, plain and ZIP64, differ",
        build(wheel_parts(CODE), end64={"start": 0}),
    ),
    "two members of one name": Row(
        REFUSED, "two members of one name", made(CODE, EVIL)
    ),
    "LZMA": Row(REFUSED, "by a method that", made(Part("x", b"x", method=14))),
    "another project": Row(
        REFUSED, "names another project", made(folder="other-1.0.dist-info")
    ),
    "a large wheel with a hidden entry": Row(
        REFUSED,
        "before or behind",
        build([NOISE, Part("x", b"", is_listed=False), *wheel_parts(NOISE)[1:]]),
    ),
    "cut short": Row(REFUSED, "cannot be opened", wheel()[:-9]),
    "no archive at all": Row(REFUSED, "cannot be opened", b"junk", SDIST),
    "a path out of it": Row(
        REFUSED, "leads out of it", tar_of([(member("acme-1.0/../../x"), b"")]), SDIST
    ),
}


@frozen
class Answer:
    """What a door said.

    :ivar taken: whether the file can be had afterwards.
    """

    taken: bool
    text: str


def _uploaded(row: Row, rules: UploadRules) -> Answer:
    web = Web(domain=Domain(rules=rules))
    version = row.filename.split("-")[1].removesuffix(".tar.gz")
    response = web.post(upload_form(row.filename, row.data, version=version))
    assert response.status in (200, 400), response
    if response.status == 200:
        assert (response["X-Pypicloud-Warning"] or "") in response.text
    return Answer(response.status == 200, response.text)


def upload(row: Row) -> Answer:
    return _uploaded(row, UploadRules())


def upload_with_legacy_formats(row: Row) -> Answer:
    return _uploaded(row, UploadRules(legacy_formats=True))


def adopt(row: Row) -> Answer:
    domain = Domain()
    domain.store.add(f"old/{row.filename}", row.data)
    work = started(Adopter(domain.store, domain.manifests, domain.publisher).run())
    domain.settle(work)
    progress: Any = work.result
    said = [one.reason for one in progress.skipped]
    said += [sentence for one in progress.warned for sentence in one.warnings]
    return Answer(progress.adopted == 1, " ".join(said))


def refresh(row: Row) -> Answer:
    domain: Any = Domain()
    domain.store.add(f"old/{row.filename}", row.data)
    domain.settle(started(domain.index.secure()))
    out = StringIO()
    work = started(jobs.refresh(domain.index, out, StringIO()))
    domain.settle(work)
    return Answer("1 files adopted" in out.getvalue(), out.getvalue())


def cache(row: Row) -> Answer:
    """Have the upstream offer the file to a server that keeps what it fetches."""
    front = Front("cache", judges=True)
    told = file(row.filename, row.data)
    front.upstream.on(f"{BASE}acme/", page(project("acme", told)))
    front.upstream.on(told["url"], ranged(row.data))
    (link,) = front.web.get("/simple/acme/", JSON).json["files"]
    response = front.get(f"/{link['url'].removeprefix('../../')}")
    assert response.status in (200, 403), response
    kept = any(row.filename in key for key in front.domain.store.objects)
    assert kept == (response.status == 200), row
    if kept:
        assert response.body == row.data, row
        return Answer(True, "")
    return Answer(False, response.text)


class DoorTests(SynchronousTestCase):
    """Every row through every door."""

    def go(
        self, door: Callable[[Row], Answer], *taken: str, silent: bool = False
    ) -> None:
        """Show that the door takes what has one of these verdicts, and says why not.

        :param silent: it is quiet about what it takes.
        """
        for name, row in ROWS.items():
            answer = door(row)
            self.assertEqual(answer.taken, row.verdict in taken, (name, answer))
            if not (silent and answer.taken):
                self.assertIn(row.sentence, answer.text, name)

    def test_upload(self) -> None:
        self.go(upload, FIT, WARNED)

    def test_upload_with_legacy_formats(self) -> None:
        self.go(upload_with_legacy_formats, FIT, WARNED, SHORT)

    def test_adoption(self) -> None:
        self.go(adopt, FIT, WARNED, SHORT)

    def test_refresh(self) -> None:
        self.go(refresh, FIT, WARNED, SHORT)

    def test_cache(self) -> None:
        self.go(cache, FIT, WARNED, SHORT, silent=True)
