"""What former releases wrote is read, listed and written to by the code of today.

tests/former_store.py says how such a store is made, and when.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urljoin

from attrs import define
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.audit.reading import Reader, Wanted
from pypicloud_tw.access.principal import Credentials
from pypicloud_tw.advisories.service import Advisories, AdvisorySettings
from pypicloud_tw.errors import RefusedByRule
from pypicloud_tw.index.audit import Actor
from pypicloud_tw.index.lease import Lease
from pypicloud_tw.index.model import HistoryEntry, Selection
from pypicloud_tw.index.names import NormalizedName, project_name
from pypicloud_tw.index.standing import Standing
from pypicloud_tw.index.unserved import Unserved
from pypicloud_tw.maintenance.reports.stored import StoredReports
from pypicloud_tw.startup import start
from pypicloud_tw.statistics.downloads import CountedDownloads
from pypicloud_tw.store.memory import MemoryStore
from pypicloud_tw.upstream.names.listed import NamesElsewhere
from pypicloud_tw.upstream.provenance.pins import Pins
from pypicloud_tw.upstream.provenance.proofs import Proofs, ProvedFile
from tests.access.sessions.doubles import SessionServer
from tests.access.tokens.doubles import CLIENT
from tests.advisories.test_service import FakeSource
from tests.builders import wheel
from tests.doubles import InlineOffload
from tests.former_store import (
    ACME,
    ACTS,
    BEGUN,
    BUSY,
    DAY,
    FOLDER,
    LARGE,
    MANY,
    PASSWORD,
    PIN,
    STUCK,
    FormerStore,
    pages_of,
    version,
    web_over,
)
from tests.test_docs import page as document
from tests.upstream.doubles import BASE, HOST, clock
from tests.upstream.test_kept_judged import Server as CachingServer
from tests.upstream.test_relay import DIGEST, NAME, Sink
from tests.web.api.doubles import AccessWeb
from tests.web.doubles import (
    FORM_TYPE,
    basic,
    damage,
    started,
    stored_project,
    upload_form,
)

T = TypeVar("T")

FORMER = sorted(FOLDER.glob("*.tar.xz"))

#: Kinds of objects of which no store has one to keep, and why.
NOT_KEPT = {
    ".tmp/": "a folder's alone, while something is written",
    ".locks/": "a folder's alone",
    ".lease-clock": "asks for the time",
    ".probe/ID/...": "there while a doctor tries what may be written",
}


async def _no_warm_up() -> None:
    """Prepare for nobody."""


async def _all(items: AsyncIterator[T]) -> list[T]:
    return [item async for item in items]


@define
class Opened:
    """A former store that today's code has open."""

    former: FormerStore
    store: MemoryStore
    web: AccessWeb


def opened() -> Iterator[Opened]:
    """Open each of them, as it was."""
    for path in FORMER:
        former = FormerStore.read(path)
        now = float(former.facts["now"])
        store = MemoryStore(InlineOffload(), clock=partial(float, now))
        former.load(store)
        yield Opened(former, store, web_over(store, now))


class KeptTests(SynchronousTestCase):
    """Which stores there are."""

    def test_this_release(self) -> None:
        """Each release leaves one, so that the next is tried on it."""
        why = "python -m tests.former_store writes it; see CONTRIBUTING.rst"
        self.assertIn(f"{version()}.tar.xz", [path.name for path in FORMER], why)

    def test_small(self) -> None:
        for path in FORMER:
            self.assertLess(path.stat().st_size, 60_000, path.name)

    def test_every_kind(self) -> None:
        """The newest has an object of each kind that architecture/formats.rst has."""
        table = document("architecture/formats.rst").partition("\n\nAny other")[0]
        rows = re.findall(r"^``.*?(?=  )", table, re.MULTILINE)
        kinds = re.findall(r"``(.+?)``", "\n".join(rows))
        self.assertGreater(len(kinds), 30)
        keys = FormerStore.read(FOLDER / f"{version()}.tar.xz").objects
        for kind in kinds:
            pattern = re.escape(kind).replace(re.escape("..."), ".+")
            pattern = re.sub(r"(?<![a-z])[A-Z][A-Z0-9]*", "[^/]+", pattern)
            found = any(re.fullmatch(pattern, key) for key in keys)
            self.assertEqual(found, kind not in NOT_KEPT, kind)


class ProjectTests(SynchronousTestCase):
    """What is served, and changed."""

    def test_pages(self) -> None:
        """Installers are told what they were told, byte for byte where it matters."""
        for one in opened():
            for name, told in one.former.facts["pages"].items():
                self.assertEqual(pages_of(one.web, name), told, name)
            projects = one.web.get("/simple/").text
            for name in (BUSY, LARGE):
                self.assertIn(f">{name}<", projects)
            self.assertEqual(damage(one.store), [])

    def test_files(self) -> None:
        for one in opened():
            [file] = one.former.facts["pages"][BUSY]["files"]
            address = urljoin("/simple/busy/", file["url"])
            answer = one.web.get(address)
            self.assertEqual((answer.status, len(answer.body)), (200, file["size"]))

    def test_provenance(self) -> None:
        for one in opened():
            path = "/integrity/acme/1.0/acme-1.0-py3-none-any.whl/provenance"
            accept = {"Accept": "application/vnd.pypi.integrity.v1+json"}
            answer = one.web.get(path, accept | basic())
            self.assertEqual(answer.status, 200, answer.text)

    def test_history(self) -> None:
        """Of what was moved out of the manifest, too; and it can be undone."""
        for one in opened():
            project = stored_project(one.store, BUSY)
            self.assertIsNotNone(project.older_history)
            self.assertEqual(len(self.history(one, BUSY)), ACTS + 1)

    def history(self, one: Opened, name: NormalizedName) -> list[HistoryEntry]:
        entries: list[HistoryEntry] = []
        cursor = None
        while not entries or cursor is not None:
            part = one.web.wait(one.web.domain.index.acts.history(name, cursor))
            entries += part.entries
            cursor = part.cursor
        return entries

    def test_changes(self) -> None:
        """Restore what was deleted, undo, yank; nothing else of the project changes."""
        for one in opened():
            acts, ann = one.web.domain.index.acts, Actor("ann")
            wait = one.web.wait
            wait(acts.restore(ACME, Selection("1.1"), actor=ann))
            wait(acts.unyank(ACME, Selection("1.0"), actor=ann))
            wait(acts.delete(ACME, Selection("2.0"), actor=ann))
            [*_, deleted] = stored_project(one.store).history
            wait(acts.undo(ACME, deleted.id, actor=ann))
            wait(acts.set_status(ACME, "active", actor=ann))
            files = {file.filename: file for file in stored_project(one.store).files}
            self.assertEqual(len(files), 5)
            self.assertIsNone(files["acme-1.0-py3-none-any.whl"].yanked)
            job = files["acme-2.0.tar.gz"].publisher
            assert job is not None
            self.assertEqual(job["repository"], "acme/tool")
            self.assertEqual(damage(one.store), [])

    def test_uploads(self) -> None:
        """To a project of one object, of several, and one that broke off."""
        for one in opened():
            before = {
                name: {file.filename for file in stored_project(one.store, name).files}
                for name in (ACME, LARGE)
            }
            for name in (ACME, LARGE, BEGUN):
                self.upload(one, name)
            for name in (ACME, LARGE):
                now = {file.filename for file in stored_project(one.store, name).files}
                self.assertEqual(now - before[name], {f"{name}-9.0-py3-none-any.whl"})
                self.assertLess(before[name], now)
            self.assertEqual(len(stored_project(one.store, LARGE).files), MANY + 1)
            self.assertEqual(damage(one.store), [])

    def upload(self, one: Opened, name: str) -> None:
        filename = f"{name}-9.0-py3-none-any.whl"
        form = upload_form(filename, wheel(name, "9.0"), name=name, version="9.0")
        answer = one.web.post(form, "/legacy/", FORM_TYPE | basic())
        self.assertEqual(answer.status, 200, answer.text)

    def test_start(self) -> None:
        """What broke off is finished: a move into quarantine."""
        for one in opened():
            self.assertIsNotNone(stored_project(one.store, STUCK).moving)
            access: Any = one.web.application.access
            work = started(start(one.web.domain.index, access, _no_warm_up))
            one.web.domain.settle(work)
            self.successResultOf(work)
            stuck = stored_project(one.store, STUCK)
            self.assertEqual((stuck.status, stuck.moving), ("quarantined", None))
            self.assertEqual(damage(one.store), [])


class AccessTests(SynchronousTestCase):
    """Who may do what, and how they prove who they are."""

    def test_rights(self) -> None:
        for one in opened():
            for login, status in (
                ({}, 401),
                (basic("bob", PASSWORD), 200),
                (basic("bob", "a bad word"), 401),
                (basic("__token__", one.former.facts["token"]), 200),
                (basic("__token__", one.former.facts["revoked_token"]), 401),
            ):
                answer = one.web.get("/simple/acme/", login)
                self.assertEqual(answer.status, status, answer.text)
            shown = one.web.ask("GET", "exemptions").text
            self.assertIn("urllib3", shown)
            self.assertIn("nightly", one.web.ask("GET", "publishers").text)

    def test_changes(self) -> None:
        """Another user is added, and a token revoked; the others stay."""
        for one in opened():
            self.assertEqual(
                one.web.ask("PUT", "users/carol", {"password": PASSWORD}).status, 201
            )
            self.assertEqual(
                one.web.get("/simple/acme/", basic("bob", PASSWORD)).status, 200
            )
            users = one.web.ask("GET", "users").text
            for name in ("bob", "carol"):
                self.assertIn(name, users)
            token = one.former.facts["token"]
            told = one.web.tokens.revoke_shown(token, Actor("ann"), "leaked")
            self.assertTrue(one.web.wait(told))
            answer = one.web.get("/simple/acme/", basic("__token__", token))
            self.assertEqual(answer.status, 401)

    def test_session(self) -> None:
        for one in opened():
            server = SessionServer(one.store, one.web.domain.clock)
            session = one.former.facts["session"].encode()
            shown = Credentials(None, CLIENT, session=session)
            principal = one.web.wait(server.login.authenticate(shown))
            self.assertEqual(principal.name, "ann")

    def test_last_uses(self) -> None:
        for one in opened():
            uses = one.web.wait(one.web.tokens.uses.read_all())
            self.assertEqual(len(uses), 1)

    def test_audit(self) -> None:
        for one in opened():
            now, broken = one.former.facts["now"], list[str]()
            reader = Reader(one.store, broken.append)
            records = one.web.wait(_all(reader.read(Wanted(now - DAY, now + DAY))))
            acts = [str(record.fields["act"]) for record in records]
            self.assertEqual(broken, [])
            self.assertLess({"published", "yanked", "status"}, set(acts))


class DerivedTests(SynchronousTestCase):
    """What servers count, report, and know of others."""

    def test_statistics(self) -> None:
        for one in opened():
            server = CountedDownloads(
                one.store, InlineOffload(), one.web.domain.clock, keep=30
            )
            one.web.wait(server.read())
            self.assertEqual(sum(n for _, _, n in server.files(ACME, 30)), 4)
            one.web.domain.clock.advance(3 * DAY)
            one.web.wait(server.sum_up())
            one.web.wait(server.read())
            self.assertEqual(one.web.wait(server.versions(ACME, 30)), {"1.0": 4})

    def test_reports(self) -> None:
        for one in opened():
            report = one.web.wait(StoredReports(one.store).read()).report
            [section] = report.sections
            self.assertEqual([item.sentence for item in section.items], ["It is so."])

    def test_search(self) -> None:
        """No project has to be described anew for that."""
        for one in opened():
            found = one.web.get("/search?q=busy", {"Accept": "text/html"})
            self.assertIn('href="/project/busy/', found.text)

    def test_advisories(self) -> None:
        for one in opened():
            source = FakeSource()
            source.away = True
            service = Advisories(
                "osv",
                source,
                one.store,
                InlineOffload(),
                one.web.domain.clock,
                AdvisorySettings(),
            )
            service.look()
            self.assertEqual(service.of("evil").malware_of("1.0", None), "MAL-1")

    def test_upstream(self) -> None:
        """A kept file of a project that is in quarantine there."""
        for one in opened():
            server = CachingServer(store=one.store)
            server.upstream.refuses.add(HOST)
            waiting = server.get(Sink())
            refused = self.failureResultOf(waiting, RefusedByRule).value
            self.assertEqual(refused.rule, "quarantined")
            proofs = Proofs(clock(), one.store)
            known = one.web.wait(proofs.recall(ProvedFile("acme", DIGEST, NAME)))
            assert known is not None
            self.assertEqual([signer.line for signer in known], [PIN])
            pins = Pins(one.store, clock(), Standing())
            pin = one.web.wait(pins.find(project_name("urllib3")))
            self.assertIn(PIN, str(pin))

    def test_names(self) -> None:
        for one in opened():
            names = NamesElsewhere(one.store, InlineOffload(), clock(), (BASE,))
            told = one.web.wait(names.warnings_of_new(project_name("acme-utils")))
            self.assertEqual(len(told), 1)

    def test_others(self) -> None:
        for one in opened():
            domain = one.web.domain
            unserved = Unserved(one.store, domain.clock, domain.manifests.check_open)
            one.web.wait(unserved.learn())
            self.assertTrue(unserved.holds("hidden"))
            lease = Lease(one.store, domain.clock)
            one.web.wait(lease.look())
            self.assertTrue(lease.rival, "It was renewed just now.")
