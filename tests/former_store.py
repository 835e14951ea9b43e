"""A store with one of every kind of object, written by a release and kept from then on.

``python -m tests.former_store`` writes ``tests/former_stores/VERSION.tar.xz`` with the
code that is here, for the release that it is about to be. tests/test_former_stores.py
reads each of them with the code of its day, and goes on writing to it. CONTRIBUTING.rst
("Release") says when.

What secrets there are in it open nothing else: they were drawn for it.
"""

from __future__ import annotations

import io
import json
import tarfile
import tomllib
from collections.abc import Coroutine, Mapping
from datetime import UTC, datetime
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from pypicloud_tw.access.administration.authority import Operator
from pypicloud_tw.access.audit.stored import StoredRecords
from pypicloud_tw.access.audit.trail import Trail
from pypicloud_tw.advisories.service import Advisories, AdvisorySettings
from pypicloud_tw.config.signers import Signer
from pypicloud_tw.errors import StoreError, Unavailable
from pypicloud_tw.index.attestations.service import Attestations
from pypicloud_tw.index.audit import Actor, Proof
from pypicloud_tw.index.first_uploads import FirstUpload, Stage
from pypicloud_tw.index.lease import Lease
from pypicloud_tw.index.model import Selection
from pypicloud_tw.index.names import project_name
from pypicloud_tw.index.standing import Standing
from pypicloud_tw.index.unserved import Unserved
from pypicloud_tw.maintenance.daily import Daily, DailyJob
from pypicloud_tw.maintenance.reports.reporter import Reporter
from pypicloud_tw.maintenance.reports.stored import StoredReports
from pypicloud_tw.maintenance.reports.values import Findings, ReportItem
from pypicloud_tw.moving.bundle.arrived import StoredArrived
from pypicloud_tw.moving.bundle.identity import identity
from pypicloud_tw.moving.bundle.values import BundleIndex, OwnProject
from pypicloud_tw.projects.pinning import NewPin, StoredPins
from pypicloud_tw.statistics.downloads import CountedDownloads
from pypicloud_tw.store.interfaces import IfAbsent
from pypicloud_tw.store.memory import MemoryStore
from pypicloud_tw.upstream.provenance.pins import Pins
from pypicloud_tw.upstream.provenance.proofs import Proofs, ProvedFile
from tests.access.oidc.doubles import publisher
from tests.access.sessions.doubles import ANN, SessionServer
from tests.advisories.test_service import FakeSource
from tests.builders import sdist, wheel
from tests.doubles import InlineOffload
from tests.index.attestations.doubles import SIGNER, Verifier, attestation
from tests.upstream.doubles import BASE, START, page
from tests.upstream.doubles import JSON as JSON_TYPE
from tests.upstream.names.test_refresh import NamesBench, listing
from tests.upstream.test_kept_judged import QUARANTINED
from tests.upstream.test_kept_judged import Server as CachingServer
from tests.upstream.test_pages import ACME_NAME, moment
from tests.upstream.test_relay import DIGEST, NAME, Sink
from tests.upstream.test_relay import wheel as upstream_wheel
from tests.web.api.doubles import AccessWeb
from tests.web.doubles import FORM_TYPE, Domain, Web, basic, started, upload_form

T = TypeVar("T")

FOLDER = Path(__file__).parent / "former_stores"
DAY = 86_400.0

ACME, BUSY, LARGE = map(project_name, ("acme", "busy", "large"))
STUCK, BEGUN = map(project_name, ("stuck", "begun"))

#: Files of a project that is too large for one object.
MANY = 258
#: Acts of one whose oldest are in an object of their own.
ACTS = 104

#: Who publishes a project of the upstream.
PIN = "github:acme/tool:release.yml"

PASSWORD = "a good word"

#: What a page says of a file that no other version may say otherwise.
TOLD_OF_FILES = (
    "filename", "hashes", "size", "upload-time", "requires-python", "yanked", "url",
    "core-metadata", "provenance",
)  # fmt: skip

JSON = {"Accept": "application/vnd.pypi.simple.v1+json"}


@frozen
class FormerStore:
    """What a release wrote.

    :ivar objects: by their keys.
    :ivar facts: what must be read of them: pages as they were served, and secrets that
        open something.
    """

    version: str
    objects: Mapping[str, bytes]
    facts: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> FormerStore:
        """Read it from its archive."""
        with tarfile.open(path) as archive:
            members = {m.name: archive.extractfile(m) for m in archive.getmembers()}
            found = {name: file.read() for name, file in members.items() if file}
        facts = json.loads(found.pop("facts.json"))
        objects = {name.removeprefix("store/"): data for name, data in found.items()}
        return cls(path.name.removesuffix(".tar.xz"), objects, facts)

    def write(self, path: Path) -> None:
        """Write it as an archive."""
        facts = json.dumps(self.facts, indent=1, sort_keys=True).encode()
        members = {f"store/{key}": data for key, data in sorted(self.objects.items())}
        with tarfile.open(path, "w:xz", preset=9) as archive:
            for name, data in {"facts.json": facts, **members}.items():
                member = tarfile.TarInfo(name)
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))

    def load(self, store: MemoryStore) -> None:
        """Put what it has into a store."""
        for key, data in self.objects.items():
            done(store.put(key, data, condition=IfAbsent()))


def version() -> str:
    """Read which release this is, or is about to be."""
    text = (FOLDER.parents[1] / "pyproject.toml").read_text("utf-8")
    return str(tomllib.loads(text)["project"]["version"])


def done(work: Coroutine[Any, Any, T]) -> T:
    """Return what comes of work that waits for nothing."""
    results: list[Any] = []
    Deferred.fromCoroutine(work).addBoth(results.append)
    [result] = results
    if isinstance(result, Failure):
        result.raiseException()
    return result  # type: ignore[no-any-return]  # of that work


def web_over(store: MemoryStore | None = None, now: float = 0.0) -> AccessWeb:
    """Make a server whose administrator is ann, and that believes attestations.

    :param store: what it serves; None: nothing yet.
    :param now: what its clock then shows.
    """
    attestations = Attestations(Verifier(), lambda project: (SIGNER,))
    domain = Domain(attestations=attestations)
    if store is not None:
        # What it draws was drawn by nobody before.
        domain = Domain(attestations=attestations, store=store, seeds=count(1000))
        domain.clock.advance(now - domain.clock.seconds())
    web = AccessWeb(
        domain=domain,
        publishers={"ci": publisher("ci", projects="acme", acts="upload")},
    )
    web.store.clock = domain.clock.seconds
    return web


def pages_of(web: Web, name: str) -> Any:
    """Read what installers are told of a project."""
    page = web.get(f"/simple/{name}/", JSON | basic()).json
    files = [{key: file.get(key) for key in TOLD_OF_FILES} for file in page["files"]]
    return {"status": page["project-status"], "files": files}


class _OneMatter:
    """Has something for the daily report."""

    name, title = "one", "Ones"

    async def findings(self, remembered: frozenset[str]) -> Findings:
        """Find it."""
        return Findings((ReportItem("It is so.", ACME),), frozenset({"1"}))


class _Maker:
    """Writes each kind of object by what writes it in a server."""

    def __init__(self) -> None:
        self.web = web_over()
        self.domain = self.web.domain
        self.store, self.clock = self.web.store, self.domain.clock
        self.offload = InlineOffload()
        self.facts: dict[str, Any] = {}
        self.records = StoredRecords(self.clock, "0123456789abcdef")
        self.trail = Trail(self.clock, self.web.metrics, stored=self.records)
        self.trail.start(self.store)
        self.domain.publisher.audit = self.trail

    def make(self) -> FormerStore:
        """Make all of it."""
        for write in (
            self.statistics,
            self.projects,
            self.large_project,
            self.older_history,
            self.moving,
            self.access,
            self.secrets,
            self.daily,
            self.advisories,
            self.upstream,
            self.others,
        ):
            write()
        self.web.describe()
        self.web.wait(self.trail.close())
        self.facts["now"] = self.clock.seconds()
        self.facts["pages"] = {
            name: pages_of(self.web, name) for name in (ACME, BUSY, LARGE)
        }
        objects = {key: one.data for key, one in self.store.objects.items()}
        return FormerStore(version(), objects, self.facts)

    def statistics(self) -> None:
        """Count days that are over and summed up, and one that is not."""
        for day in range(4):
            counted = CountedDownloads(self.store, self.offload, self.clock, keep=30)
            counted.count(ACME, "acme-1.0-py3-none-any.whl", b"pip/26.2 {}")
            self.web.wait(counted.stop())
            if day < 3:
                self.clock.advance(DAY)
                self.web.wait(counted.sum_up())

    def projects(self) -> None:
        """Publish, yank, delete, restore, undo; a signed file, one of a CI job."""
        name = "acme-1.0-py3-none-any.whl"
        data = wheel("acme", "1.0")
        signed = [attestation(name, sha256(data).hexdigest())]
        self.upload(name, data, attestations=json.dumps(signed))
        for version in ("1.1", "1.2", "2.0"):
            self.upload(f"acme-{version}-py3-none-any.whl", wheel("acme", version))
        self.upload("acme-2.0.tar.gz", sdist("acme", "2.0"), login=self.minted())
        acts, ann = self.domain.index.acts, Actor("ann", Proof("password"))
        self.web.wait(acts.yank(ACME, Selection("1.0"), "broken", actor=ann))
        self.web.wait(acts.delete(ACME, Selection("1.1"), actor=ann))
        self.web.wait(acts.delete(ACME, Selection("1.2"), actor=ann))
        self.web.wait(acts.restore(ACME, Selection("1.2"), actor=ann))
        self.web.wait(acts.set_status(ACME, "deprecated", "use other", actor=ann))

    def upload(
        self,
        filename: str,
        data: bytes,
        login: dict[str, str] | None = None,
        **more: str,
    ) -> None:
        name, version = filename.removesuffix(".tar.gz").split("-")[:2]
        form = upload_form(filename, data, name=name, version=version, **more)
        response = self.web.post(form, "/legacy/", FORM_TYPE | (login or basic()))
        assert response.status == 200, response.text

    def minted(self) -> dict[str, str]:
        """Exchange a CI job's identity token."""
        body = json.dumps({"token": self.web.issuer.token()}).encode()
        response = self.web.request("POST", "/_/oidc/mint-token", body=body)
        assert response.status == 200, response.text
        self.facts["minted_token"] = response.json["token"]
        return basic("__token__", response.json["token"])

    def large_project(self) -> None:
        """Publish equal files, of which only the names differ: they pack well."""
        data = wheel("large", "1.0")
        for build in range(1, MANY + 1):
            self.web.publish(f"large-1.0-{build}-py3-none-any.whl", data)

    def older_history(self) -> None:
        """Yank and un-yank until the first acts are moved out of the manifest."""
        self.web.publish("busy-1.0-py3-none-any.whl", wheel("busy", "1.0"))
        acts = self.domain.index.acts
        for number in range(ACTS // 2):
            self.web.wait(acts.yank(BUSY, Selection("1.0"), f"reason {number}"))
            self.web.wait(acts.unyank(BUSY, Selection("1.0")))

    def moving(self) -> None:
        """Break off what brings a project into quarantine."""
        self.web.publish("stuck-1.0-py3-none-any.whl", wheel("stuck", "1.0"))
        self.store.fail_next("copy", StoreError("It is away."))
        work = started(self.domain.index.acts.set_status(STUCK, "quarantined"))
        work.addErrback(lambda failure: failure.trap(Unavailable))
        self.domain.settle(work)

    def access(self) -> None:
        """Set users, groups, rights, a publisher and an exemption."""
        for method, path, value in (
            ("PUT", "users/bob", {"password": PASSWORD}),
            ("PUT", "groups/dev", {"members": ["bob"]}),
            ("PUT", "rights/acme/group/dev", {"actions": ["read", "upload"]}),
            (
                "PUT",
                "publishers/nightly",
                {
                    "issuer": "https://ci.example",
                    "claims": {"sub": "nightly"},
                    "projects": ["acme"],
                },
            ),
            (
                "POST",
                "exemptions",
                {
                    "project": "urllib3",
                    "until": "2026-12-31T00:00:00Z",
                    "reason": "a fix",
                },
            ),
        ):
            response = self.web.ask(method, path, value)
            assert response.status in (200, 201), response.text

    def secrets(self) -> None:
        """Make a token, use it, and log somebody in."""
        tokens = self.web.tokens
        new = self.web.wait(tokens.make("ann", Actor("ann"), "releases"))
        self.facts["token"] = new.text
        revoked = self.web.wait(tokens.make("ann", Actor("ann"), "leaked"))
        self.web.wait(tokens.revoke("ann", revoked.record.id, Actor("ann")))
        self.facts["revoked_token"] = revoked.text
        used = self.web.get("/simple/", basic("__token__", new.text))
        assert used.status == 200, used.text
        self.web.wait(tokens.uses.stop())
        sessions = SessionServer(self.store, self.clock)
        user = sessions.accounts.by_password(ANN)
        self.facts["session"] = self.web.wait(sessions.sessions.begin(user)).text.text

    def daily(self) -> None:
        """Do the work of a day, and report."""

        async def nothing() -> str:
            return "all is well"

        job = DailyJob("prune", lambda: True, nothing)
        work = Daily(self.store, Standing(), self.clock, [job])
        running = started(work.run())
        running.addErrback(lambda failure: None)
        self.clock.pump([300.0] * 20)
        running.cancel()
        reporter = Reporter(StoredReports(self.store), self.clock, (_OneMatter(),))
        self.web.wait(reporter.make())

    def advisories(self) -> None:
        service = Advisories(
            "osv",
            FakeSource(),
            self.store,
            self.offload,
            self.clock,
            AdvisorySettings(),
        )
        service.look()

    def upstream(self) -> None:
        """Keep a file, its page and the names of an upstream, and judge a project."""
        server = CachingServer(upstream_wheel(uploaded=moment(START - 30 * DAY)))
        server.get(Sink())
        server.ask()
        server.say(**QUARANTINED)
        started(server.recheck.recheck(ACME_NAME))
        server.recheck.start()
        server.clock.pump([60.0] * 60)
        server.recheck.stop()
        names = NamesBench()
        names.upstream.on(BASE, page(listing("Acme_Utils", "other"), JSON_TYPE))
        started(names.reader.refresh())
        for store in (server.store, names.store):
            for key, one in store.objects.items():
                done(self.store.put(key, one.data))
        proved = ProvedFile("acme", DIGEST, NAME)
        done(Proofs(self.clock, self.store).put(proved, (Signer.parse(PIN),)))
        pins = Pins(self.store, self.clock, Standing())
        doer = StoredPins(pins, self.trail, Actor("ann"), Operator())
        done(doer.set_pin("urllib3", NewPin(PIN)))

    def others(self) -> None:
        """Leave what a server leaves that was killed, and what few stores have."""
        upload = FirstUpload(self.store, f"{BEGUN}/{'0123456789abcdef' * 2}")
        done(upload.reach(Stage.SWAPPING))
        done(self.store.put(f"{upload.folder}/begun-1.0.tar.gz", b"half"))
        check = self.domain.manifests.check_open
        unserved = Unserved(self.store, self.clock, check)
        self.web.wait(unserved.tell({project_name("hidden"): "It is in the way."}))
        done(Lease(self.store, self.clock).look())
        taken = OwnProject("carried", "carried", 1)
        index = BundleIndex(datetime(2026, 1, 1, tzinfo=UTC), 1, own=(taken,)).named()
        found = done(StoredArrived.read(self.store, "0123456789abcdef" * 2))
        done(found.write(found.arrived.with_projects(index.own).with_bundle(index)))
        done(identity(self.store))


def main() -> None:
    """Make it and write it down."""
    path = FOLDER / f"{version()}.tar.xz"
    _Maker().make().write(path)
    print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
