"""``twistd pypicloud``, assembled over a folder, on a reactor that is not real."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import LogEvent, capturedLogs, formatEvent
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw import __version__
from pypicloud_tw.access.document import AccessDocument, StoredUser
from pypicloud_tw.access.document_format import Contents, encode
from pypicloud_tw.access.metrics_readers import metrics_reader
from pypicloud_tw.access.principal import ANONYMOUS, Principal
from pypicloud_tw.assembly.server import assemble
from pypicloud_tw.concurrency.slices import Slices
from pypicloud_tw.config.addresses import readers
from pypicloud_tw.errors import StoreError, Unauthorized
from pypicloud_tw.index.catalog import Catalog
from pypicloud_tw.index.index import Index
from pypicloud_tw.index.manifests import Manifests
from pypicloud_tw.index.publish import Publisher
from pypicloud_tw.index.survey import Survey
from pypicloud_tw.index.unserved import PATIENCE
from pypicloud_tw.maintenance.adopt import Adopter
from pypicloud_tw.maintenance.progress import Progress, Skipped, Warned
from pypicloud_tw.metrics import Metrics
from pypicloud_tw.server import Server
from pypicloud_tw.startup import AdoptionLog
from pypicloud_tw.tap import Options
from tests.builders import sdist, wheel
from tests.doubles import InlineOffload
from tests.web.doubles import (
    FORM_TYPE,
    HASH,
    Connection,
    Response,
    basic,
    request_bytes,
    upload_form,
)

WHEEL, SDIST = "acme-1.0-py3-none-any.whl", "acme-1.0.tar.gz"


class OffloadService(InlineOffload):
    """Runs everything at once, and can be started and stopped."""

    def __init__(self) -> None:
        super().__init__()
        self.slices = Slices(Clock())

    def register(self, metrics: Metrics) -> None:
        """Have nothing to show."""

    def startService(self) -> None:
        """Do nothing."""

    def stopService(self) -> Deferred[None]:
        """Do nothing."""
        return succeed(None)


class TapCase(SynchronousTestCase):
    def setUp(self) -> None:
        before = signal.getsignal(signal.SIGHUP)
        self.addCleanup(signal.signal, signal.SIGHUP, before)
        self.reactor = MemoryReactorClock()
        self.reactor.advance(1_772_357_400.0)
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.ini = self.folder / "x.ini"
        self.packages = self.folder / "packages"

    def write(self, *lines: str) -> None:
        """Write the ini."""
        always = [
            "[pypicloud]",
            "storage.dir = packages",
            "server.access_log = false",
            "pypi.use_fallback = false",
        ]
        self.ini.write_text("\n".join([*always, *lines, ""]))

    def options(self, *arguments: str) -> Options:
        return parsed(list(arguments) or [f"--config={self.ini}"])

    def make(self, *arguments: str) -> Server:
        with capturedLogs() as logs:
            self.server = self.assemble(self.options(*arguments))
        self.made = told(logs)
        return self.server

    def assemble(self, options: Options, **parts: Any) -> Server:
        offload: Any = OffloadService()
        return assemble(
            options.settings,
            self.reactor,
            options.environ,
            read=options.read,
            offload=offload,
            **parts,
        )

    def start(self, *lines: str) -> str:
        """Start a server with that in its ini; tell what it logs."""
        self.write(*lines)
        self.make()
        with capturedLogs() as logs:
            self.server.startService()
        return told(logs)

    def stop(self) -> None:
        self.successResultOf(self.server.stopService())

    def request(
        self,
        method: str,
        path: str,
        headers: dict[str, str] | None = None,
        body: bytes = b"",
    ) -> Response:
        connection = Connection(self.server.site)
        connection.send(request_bytes(method, path, headers, body))
        response = connection.response(method)
        if response is None:
            # It waits until it is known what lies in the store.
            self.reactor.advance(PATIENCE)
            response = connection.response(method)
        connection.leave()
        assert response is not None
        return response

    def status(self, path: str, headers: dict[str, str] | None = None) -> int:
        return self.request("GET", path, headers).status

    def upload(self, headers: dict[str, str]) -> Response:
        form = upload_form(WHEEL, wheel())
        return self.request("POST", "/legacy/", {**FORM_TYPE, **headers}, form)

    def hang_up(self) -> str:
        """Have the server read its ini again; tell what it logs."""
        with capturedLogs() as logs:
            os.kill(os.getpid(), signal.SIGHUP)
            self.reactor.advance(0)
        return told(logs)


def parsed(arguments: list[str], environ: Mapping[str, str] | None = None) -> Options:
    options = Options(environ or {})
    options.parseOptions(arguments)  # type: ignore[no-untyped-call]  # Twisted's
    return options


def told(logs: Sequence[LogEvent]) -> str:
    return "\n".join(formatEvent(event) for event in logs)


class OptionsTests(TapCase):
    def test_workers(self) -> None:
        """Those of the command line come before those of the ini, also at a reload."""
        self.write("server.workers = 3")
        options = self.options(f"--config={self.ini}")
        self.assertEqual(options.settings.server.workers, 3)
        options = self.options(f"--config={self.ini}", "--workers=2")
        self.assertEqual(options.settings.server.workers, 2)
        self.assertEqual(options.read().server.workers, 2)
        self.write("server.workers = 65")
        text = self.wrong(f"--config={self.ini}", "--workers=some")
        self.assertIn("--workers 'some' is not a whole number from 1 to 64.", text)
        self.assertIn("server.workers = '65' is not a whole number", text)

    def test_ini_of_the_environment(self) -> None:
        """Where no option names one."""
        self.write("server.workers = 3")
        environ = {"PYPICLOUD_CONFIG": str(self.ini)}
        self.assertEqual(parsed([], environ).settings.ini, self.ini.absolute())
        other = self.folder / "other.ini"
        other.write_text("[pypicloud]\n")
        options = parsed([f"--config={other}"], environ)
        self.assertEqual(options.settings.ini, other.absolute())

    def wrong(self, *arguments: str) -> str:
        with self.assertRaises(UsageError) as caught:
            self.options(*arguments)
        return str(caught.exception)

    def test_every_mistake_is_told_at_once_and_is_no_traceback(self) -> None:
        self.write(
            "pypi.max_uplod = 1GiB",
            "pypi.default_read = nobody",
            "user.ann = secret-password",
        )
        text = self.wrong(f"--config={self.ini}")
        for part in ("pypi.max_uplod", "pypi.max_upload", "default_read", "user.ann"):
            self.assertIn(part, text)
        self.assertNotIn("secret-password", text)
        self.assertEqual(len(text.splitlines()), 3)

    def test_no_such_file(self) -> None:
        self.assertIn("nowhere.ini", self.wrong("--config=nowhere.ini"))

    def test_unknown_options(self) -> None:
        self.assertIn("colour", self.wrong("--colour=red"))

    def test_without_an_ini_everything_has_its_default(self) -> None:
        options = parsed([])
        self.assertEqual(options.settings.server.port, 6543)
        self.assertEqual(options.settings.storage.dir, Path.cwd() / "packages")

    def test_where_to_listen_is_looked_at_as_far_as_can_be(self) -> None:
        text = self.wrong("--listen=what is this")
        self.assertIn("--listen", text)
        self.assertIn("is not a Twisted endpoint", text)

    def test_an_endpoint_that_cannot_be_made_is_a_sentence(self) -> None:
        self.write()
        for listen, why in (
            ("pigeon:6543", "Unknown endpoint type: 'pigeon'"),
            ("tcp:port", "'port'"),
            ("ssl:6543:privateKey=missing.pem", "missing.pem"),
            ("tcp:6543:colour=red", "red': got an unexpected keyword"),
            ("systemd:domain=INET:index=0", "systemd has given no such socket"),
            ("systemd:domain=INET:name=x", "systemd has given no such socket"),
        ):
            options = self.options(f"--config={self.ini}", f"--listen={listen}")
            with capturedLogs(), self.assertRaises(SystemExit) as caught:
                self.assemble(options)
            sentence = str(caught.exception)
            self.assertTrue(sentence.startswith("pypicloud: "), sentence)
            self.assertIn(listen, sentence)
            self.assertIn(why, sentence)


class AssemblyTests(TapCase):
    def test_from_nothing_to_a_download(self) -> None:
        logs = self.start(f"user.ann = {HASH}")
        self.assertIn("The store is ready", logs)
        ((port, factory, _, interface),) = self.reactor.tcpServers
        self.assertEqual((port, interface), (6543, "127.0.0.1"))
        self.assertIs(factory, self.server.site)
        self.assertEqual(self.status("/ready"), 200)
        self.assertEqual(self.upload(basic()).status, 200)
        page = self.request("GET", "/simple/acme/").text
        address = page.partition('href="../..')[2].partition("#")[0]
        self.assertEqual(self.request("GET", address).body, wheel())
        self.assertTrue(any(self.packages.rglob(WHEEL)))
        self.stop()
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        self.assertEqual(list((self.packages / ".tmp").glob("*")), [])

    def test_says_what_it_serves_and_that_nobody_may_write(self) -> None:
        logs = self.start()
        self.assertIn(f"Serving {self.packages.absolute()} at tcp:6543", self.made)
        self.assertIn("anyone may read, nobody may upload", logs)
        self.assertIn("user add NAME --admin", logs)
        self.assertEqual(self.upload({}).status, 403)

    def test_an_access_document_that_is_damaged_is_told_at_the_start(self) -> None:
        folder = self.packages / ".access"
        folder.mkdir(parents=True)
        (folder / "document.json").write_text("{")
        logs = self.start(f"user.ann = {HASH}")
        self.assertIn("Reading the access document fails", logs)
        self.assertIn("restore .access/document.json from a backup", logs)
        for path in ("/ready", "/simple/"):
            self.assertEqual(self.status(path), 503)

    def test_says_nothing_of_that_where_there_are_users(self) -> None:
        logs = self.start(f"user.ann = {HASH}")
        self.assertNotIn("nobody may", self.made + logs)
        self.assertNotIn(HASH, self.made + logs)
        self.stop()

    def test_says_nothing_of_that_where_the_store_has_users(self) -> None:
        folder = self.packages / ".access"
        folder.mkdir(parents=True)
        users = {"ann": StoredUser(HASH, administrator=True, id="1")}
        contents = Contents(AccessDocument(users))
        (folder / "document.json").write_bytes(encode(contents))
        logs = self.start()
        self.assertNotIn("There is no user", self.made + logs)
        self.assertEqual(logs.count("Only those may write"), 1)
        self.stop()

    def test_says_that_nobody_may_read_either(self) -> None:
        logs = self.start("pypi.default_read = authenticated")
        self.assertIn("nobody may read, nobody may upload.", logs)
        self.assertEqual(self.status("/simple/"), 403)

    def test_says_whether_rights_were_given(self) -> None:
        logs = self.start(f"user.ann = {HASH}")
        self.assertIn("every user may upload and delete", logs)
        self.stop()
        logs = self.start(f"user.ann = {HASH}", "pypi.default_write = dev")
        self.assertNotIn("every user may", logs)
        self.assertIn("No line group.NAME says who is in dev", self.made)
        self.stop()

    def test_uploads_of_everyone(self) -> None:
        logs = self.start("pypi.default_write = everyone")
        self.assertNotIn("There is no user yet", logs)
        self.assertEqual(self.upload({}).status, 200)
        self.stop()

    def test_tells_what_an_old_ini_has_that_is_not_needed(self) -> None:
        self.ini.write_text(
            "[app:main]\nuse = egg:pypicloud\nstorage.dir = packages\n"
            "sqlalchemy.url = sqlite:///x\n"
        )
        self.make()
        self.assertIn("no database is needed", self.made)

    def test_listens_where_the_option_says(self) -> None:
        self.write()
        self.make(f"--config={self.ini}", "--listen=tcp:7000:interface=192.0.2.1")
        with capturedLogs():
            self.server.startService()
        ((port, _, _, interface),) = self.reactor.tcpServers
        self.assertEqual((port, interface), (7000, "192.0.2.1"))
        self.stop()

    def test_limits_and_rules_of_the_ini_are_in_force(self) -> None:
        self.start(f"user.ann = {HASH}", "pypi.max_upload = 100")
        self.assertEqual(self.upload(basic()).status, 413)
        self.stop()

    def test_requests_and_the_store_are_counted(self) -> None:
        self.start("metrics.read = everyone", f"user.ann = {HASH}")
        self.status("/simple/")
        text = self.request("GET", "/metrics").text
        self.assertIn("pypicloud_uploads_total 0.0", text)
        self.assertEqual(self.upload(basic()).status, 200)
        self.assertIn(
            "pypicloud_uploads_total 1.0", self.request("GET", "/metrics").text
        )
        self.assertIn('pypicloud_requests_total{method="GET",status="200"} 1.0', text)
        self.assertIn('pypicloud_store_calls_total{operation="prepare"', text)
        self.assertIn("pypicloud_page_hits_total", text)
        self.stop()

    def test_how_it_stands(self) -> None:
        lines = ("metrics.read = everyone", "pypi.read_only = It moves.")
        self.start(*lines)
        self.request("GET", "/metrics")
        text = self.request("GET", "/metrics").text
        for line in (
            "pypicloud_ready 1.0",
            "pypicloud_read_only 1.0",
            "pypicloud_unserved_projects 0.0",
            f'pypicloud_build_info{{version="{__version__}"}} 1.0',
        ):
            self.assertIn(f"\n{line}\n", text)
        for name in ("storage", "temp"):
            self.assertRegex(text, rf"\npypicloud_{name}_free_bytes \d")
        self.stop()
        text = self.request("GET", "/metrics").text
        self.assertIn("\npypicloud_ready 0.0\n", text)

    def test_checkpoints_reach_the_publisher_and_the_store(self) -> None:
        self.write(f"user.ann = {HASH}")
        points: list[str] = []
        with capturedLogs():
            self.server = self.assemble(self.options(), checkpoint=points.append)
            self.server.startService()
        self.upload(basic())
        # What told of the project's first upload goes last.
        self.assertEqual(points[-2:], ["publish:told", "object:unlinked"])
        self.upload(basic())
        self.assertEqual(points[-1], "publish:told")
        self.assertGreater(len(set(points)), 4)
        self.stop()


class DownloadTests(TapCase):
    """What is handed out is counted, from one start to the next."""

    def downloads(self) -> int:
        """Tell how often the project was fetched, as the server says."""
        count: int = self.request("GET", "/api/v1/stats/projects/acme").json["fetches"]
        return count

    def download(self) -> None:
        """Fetch the file."""
        where = f"/api/v1/projects/acme/files/{WHEEL}"
        url = self.request("GET", where).json["url"]
        self.assertEqual(self.status(f"/{url.lstrip('/')}"), 200)

    def test_they_are_counted(self) -> None:
        self.start(f"user.ann = {HASH}")
        self.upload(basic())
        self.assertEqual(self.downloads(), 0)
        self.download()
        self.assertEqual(self.downloads(), 1)
        self.stop()
        self.start(f"user.ann = {HASH}")
        self.assertEqual(self.downloads(), 1)
        self.stop()

    def test_or_not(self) -> None:
        self.start(f"user.ann = {HASH}", "statistics.downloads = false")
        self.upload(basic())
        self.download()
        self.assertEqual(self.status("/api/v1/stats/projects/acme"), 404)
        self.stop()
        self.assertFalse((self.packages / ".stats").exists())


class ListingTests(TapCase):
    """The projects are known before anybody asks."""

    def test_at_the_start(self) -> None:
        self.start()
        self.patch(Manifests, "names", None)
        self.assertEqual(self.status("/simple/"), 200)
        self.stop()

    def test_a_failure_is_told_and_the_server_goes_on(self) -> None:
        async def names(catalog: Catalog[Any]) -> None:
            raise StoreError("The store is away.")

        self.patch(Catalog, "names", names)
        logs = self.start()
        self.assertIn("could not be listed: The store is away.", logs)
        self.assertEqual(self.status("/ready"), 200)
        self.stop()


class AdoptionTests(TapCase):
    def test_files_that_lie_there_are_adopted_at_the_start(self) -> None:
        (self.packages / "sub").mkdir(parents=True)
        (self.packages / WHEEL).write_bytes(wheel())
        (self.packages / "sub" / SDIST).write_bytes(sdist())
        (self.packages / "sub" / "README").write_bytes(b"")
        logs = self.start()
        self.assertIn("Adopted 2 files, 0 were known, 1 skipped.", logs)
        self.assertIn("Skipped 'sub/README': ", logs)
        page = self.request("GET", "/simple/acme/").text
        self.assertIn(WHEEL, page)
        self.assertIn(SDIST, page)
        self.assertEqual((self.packages / WHEEL).read_bytes(), wheel())
        self.stop()

    def test_what_waits_there_is_not_absent(self) -> None:
        """Of a 404 a client with two indexes concludes that it may ask the other."""
        self.packages.mkdir()
        (self.packages / SDIST).write_bytes(sdist())
        paths = ("/simple/acme/", f"/packages/acme/0/{SDIST}", "/pypi/acme/json")
        held: list[list[int]] = []
        run = Adopter.run

        async def slow_run(adopter: Adopter) -> Progress:
            held.append([self.status(path) for path in (*paths, "/simple/other/")])
            return await run(adopter)

        self.patch(Adopter, "run", slow_run)
        self.start()
        self.assertEqual(held, [[503, 503, 503, 404]])
        self.assertEqual(self.status("/simple/acme/"), 200)
        self.stop()

    def test_nobody_else_is_asked_for_what_waits_there(self) -> None:
        """Another's project of that name must not be taken for ours meanwhile."""
        self.packages.mkdir()
        (self.packages / SDIST).write_bytes(sdist())
        (self.packages / "broken-1.0.tar.gz").write_bytes(b"")
        held: list[tuple[str, int]] = []

        def look(step: str) -> None:
            for name in ("acme", "broken", "public"):
                path = f"/simple/{name}/"
                held.append((f"{step}: {name}", self.status(path)))

        self.write("pypi.use_fallback = true", "pypi.fallback = redirect")
        text = self.ini.read_text().replace("pypi.use_fallback = false\n", "")
        self.ini.write_text(text)
        run, secure = Adopter.run, Index.secure

        async def slow_secure(index: Index) -> None:
            look("start")
            await secure(index)

        async def slow_run(adopter: Adopter) -> Progress:
            look("before")
            inspect = adopter.publisher.inspect

            async def slow_inspect(*args: Any) -> Any:
                if len(held) == 6:
                    look("while")
                return await inspect(*args)

            self.patch(Publisher, "inspect", lambda _, *args: slow_inspect(*args))
            return await run(adopter)

        self.patch(Index, "secure", slow_secure)
        self.patch(Adopter, "run", slow_run)
        self.make()
        self.server.startService()
        look("after")
        self.assertEqual(
            held,
            [
                *(("start: acme", 503), ("start: broken", 503), ("start: public", 503)),
                *(("before: acme", 503), ("before: broken", 503)),
                ("before: public", 302),
                *(("while: acme", 503), ("while: broken", 503), ("while: public", 302)),
                *(("after: acme", 200), ("after: broken", 503), ("after: public", 302)),
            ],
        )
        self.stop()

    def test_links_never_lead_out_of_the_folder(self) -> None:
        self.packages.mkdir()
        outside = self.folder / "outside"
        outside.mkdir()
        (outside / SDIST).write_bytes(sdist())
        (self.packages / "link").symlink_to(outside)
        (self.packages / SDIST).symlink_to(outside / SDIST)
        self.start()
        # They make the names ours, as whatever lies there does.
        for name in ("acme", "link"):
            answer = self.request("GET", f"/simple/{name}/")
            self.assertEqual(answer.status, 503)
            self.assertIn("symbolic link", answer.text)
            self.assertNotIn(SDIST, answer.text)
        self.stop()

    def test_a_failure_is_told_and_the_server_goes_on(self) -> None:
        self.packages.mkdir()
        (self.packages / SDIST).write_bytes(sdist())

        async def read(manifests: Manifests, name: str) -> None:
            raise StoreError("The store is away.")

        self.patch(Manifests, "read", read)
        logs = self.start()
        self.assertIn("Adopting files broke off: The store is away. Run pypi", logs)
        self.assertEqual(self.status("/ready"), 200)
        self.stop()

    def test_the_log_tells_now_and_then(self) -> None:
        log = AdoptionLog()
        with capturedLogs() as logs:
            for done in range(251):
                log.report(Progress(found=250, known=done))
        self.assertEqual(
            told(logs).splitlines(),
            ["Adopting: 100 of 250 files.", "Adopting: 200 of 250 files."],
        )

    def test_what_repeats_is_one_line(self) -> None:
        skipped = [Skipped(f"{n}.txt", "It is none.") for n in range(3)]
        with capturedLogs() as logs:
            AdoptionLog().summary(Progress(found=3, skipped=skipped))
        self.assertEqual(
            told(logs).splitlines()[1:], ["Skipped '0.txt' and 2 more: It is none."]
        )

    def test_what_pypicloud_1_left_is_passed_over(self) -> None:
        for version in ("1.0", "2.0"):
            folder = self.packages / "acme" / version
            folder.mkdir(parents=True)
            (folder / "metadata.json").write_text("{}")
            (folder / f"acme-{version}.tar.gz").write_bytes(sdist(version=version))
        (self.packages / ".Trash-0").mkdir()
        (self.packages / ".Trash-0" / "x-1.0.tar.gz").write_bytes(b"")
        logs = self.start()
        self.assertIn("Adopted 2 files, 0 were known, 0 skipped.", logs)
        self.assertNotIn("Skipped", logs)
        self.assertNotIn("cannot be served", logs)
        self.assertEqual(self.status("/simple/x/"), 404)
        self.stop()

    def test_what_cannot_be_served_is_named(self) -> None:
        self.packages.mkdir()
        (self.packages / "acme-1.0-1.noarch.rpm").write_bytes(b"")
        logs = self.start()
        self.assertIn(
            "2 project(s) in the store cannot be served, and are not asked for "
            "elsewhere: acme (What lies in the store for this project was not taken",
            logs,
        )
        ready = self.request("GET", "/ready")
        self.assertEqual(ready.status, 200)
        self.assertIn("2 project(s)", ready.text)
        self.assertEqual(self.status("/simple/acme/"), 503)
        self.assertEqual(self.status("/api/package/acme/acme-1.0-1.noarch.rpm"), 503)
        self.stop()

    def test_a_store_that_cannot_be_listed_is_looked_at_again(self) -> None:
        self.packages.mkdir()
        (self.packages / SDIST).write_bytes(sdist())
        look = Adopter.look
        failures = [StoreError("The store is away.")]

        async def failing(adopter: Adopter) -> Survey:
            if failures:
                raise failures.pop()
            return await look(adopter)

        self.patch(Adopter, "look", failing)
        self.assertIn("could not be listed, next try in 10 s", self.start())
        self.assertEqual(self.status("/simple/other/"), 503)
        with capturedLogs():
            self.reactor.advance(10)
        self.assertEqual(self.status("/simple/acme/"), 200)
        self.assertEqual(self.status("/simple/other/"), 404)
        self.stop()

    def test_the_log_is_quiet_where_nothing_is_new(self) -> None:
        with capturedLogs() as logs:
            AdoptionLog().summary(Progress(found=3, known=3))
        self.assertEqual(logs, [])
        with capturedLogs() as logs:
            skipped = Skipped("a{b}\n", "It is {broken}.")
            AdoptionLog().summary(Progress(found=1, skipped=[skipped]))
        # Names of files are anybody's: nothing in them is formatted, or ends a line.
        self.assertIn("Skipped 'a{b}\\n': It is {broken}.", told(logs))

    def test_the_log_names_what_an_upload_would_be_refused_for(self) -> None:
        with capturedLogs() as logs:
            warned = Warned("a{b}\n", ("It is {odd}.", "It is old."))
            AdoptionLog().summary(Progress(found=1, adopted=1, warned=[warned]))
        self.assertIn("Adopted 'a{b}\\n': It is {odd}. It is old.", told(logs))


class ReloadTests(TapCase):
    def test_users_and_access_settings(self) -> None:
        self.start()
        self.assertEqual(self.upload(basic()).status, 403)
        self.assertEqual(self.status("/simple/"), 200)
        self.write(f"user.ann = {HASH}", "pypi.default_read = authenticated")
        self.assertIn("were read again: 1 users", self.hang_up())
        self.assertEqual(self.upload({}).status, 401)
        self.assertEqual(self.upload(basic()).status, 200)
        self.assertEqual(self.status("/simple/"), 401)
        self.assertEqual(self.status("/simple/", basic()), 200)
        self.stop()

    def test_a_user_who_is_gone_is_not_remembered(self) -> None:
        self.start(
            f"user.ann = {HASH}",
            f"user.bob = {HASH}",
            "pypi.default_read = authenticated",
        )
        self.upload(basic())
        for _ in range(2):
            self.assertEqual(self.status("/simple/acme/", basic()), 200)
        self.write(f"user.bob = {HASH}", "pypi.default_read = authenticated")
        self.hang_up()
        self.assertEqual(self.status("/simple/acme/", basic()), 401)
        self.assertEqual(self.status("/simple/acme/", basic("bob")), 200)
        self.stop()

    def test_rights(self) -> None:
        users = f"user.ann = {HASH}"
        self.start(users)
        self.assertEqual(self.upload(basic()).status, 200)
        self.write(users, "pypi.default_write = dev", "group.dev = bob")
        self.hang_up()
        refused = self.upload(basic())
        self.assertEqual(refused.status, 403)
        self.assertIn("You may not upload to", refused.text)
        self.write(users, "pypi.default_write = dev", "group.dev = ann")
        self.hang_up()
        self.assertEqual(self.upload(basic()).status, 200)
        self.write(users, "pypi.default_write = dev", "package.acme.user.bob = r")
        self.hang_up()
        self.assertEqual(self.status("/simple/acme/"), 401)
        self.assertEqual(self.status("/simple/acme/", basic()), 404)
        self.write(users)
        self.hang_up()
        self.assertEqual(self.status("/simple/acme/"), 200)
        self.stop()

    def test_exemptions(self) -> None:
        self.start()
        self.write("upstream.exempt = acme==1 until 2999-12-24 a fix")
        self.assertNotIn("needs a restart", self.hang_up())
        self.write("upstream.exempt = acme==1 until soon a fix")
        self.assertIn("neither a day", self.hang_up())
        self.stop()

    def test_publishers(self) -> None:
        tool = (
            "publisher.tool.issuer = https://ci.example",
            "publisher.tool.claims = sub:tool",
            "publisher.tool.projects = acme",
        )
        self.start()
        self.assertEqual(self.status("/_/oidc/audience"), 404)
        self.write(*tool, "oidc.token_lifetime = 1h", "oidc.private_hosts = keys.corp")
        self.assertNotIn("needs a restart", self.hang_up())
        self.assertEqual(self.status("/_/oidc/audience"), 200)
        self.write("oidc.ca_file = %(here)s/x.ini")
        self.assertIn("holds no certificate", self.hang_up())
        self.assertEqual(self.status("/_/oidc/audience"), 200)
        self.write()
        self.hang_up()
        self.assertEqual(self.status("/_/oidc/audience"), 404)
        self.stop()

    def test_retention(self) -> None:
        users = f"user.ann = {HASH}"
        self.start(users)
        self.upload(basic())
        rule = ("retention.old.projects = ac*", "retention.old.keep_releases = 3")
        self.assertEqual(self.looked_at(), 0)
        self.write(users, *rule)
        self.assertNotIn("needs a restart", self.hang_up())
        self.assertEqual(self.looked_at(), 1)
        self.write(users, *rule, "retention.old.keep_dev = few")
        self.assertIn("retention.old.keep_dev = 'few' is not", self.hang_up())
        self.assertEqual(self.looked_at(), 1)
        self.write(users)
        self.hang_up()
        self.assertEqual(self.looked_at(), 0)
        self.stop()

    def test_publishers_of_upstreams(self) -> None:
        users = f"user.ann = {HASH}", "auth.admins = ann"
        self.start(*users)
        self.assertEqual(self.unpin(), 200)
        self.write(*users, "upstream.publisher.acme = github:acme/tool")
        self.assertNotIn("needs a restart", self.hang_up())
        # What the ini says is changed in the ini.
        self.assertEqual(self.unpin(), 409)
        self.write(*users, "upstream.publisher.acme = somebody")
        self.assertIn("'somebody' is no publisher as", self.hang_up())
        self.assertEqual(self.unpin(), 409)
        self.stop()

    def unpin(self) -> int:
        return self.request("DELETE", "/api/v1/pins/acme", basic()).status

    def looked_at(self) -> int:
        """Ask how many projects have a rule of the ini."""
        headers = {**basic(), "Content-Type": "application/json"}
        answer = self.request("POST", "/api/v1/prune/plan", headers, b"{}")
        self.assertEqual(answer.status, 200, answer.text)
        count: int = answer.json["looked_at"]
        return count

    def test_read_only_for_a_while(self) -> None:
        users = f"user.ann = {HASH}"
        self.start(users)
        self.write(users, "pypi.read_only = We move until noon.")
        self.hang_up()
        refused = self.upload(basic())
        self.assertEqual(refused.status, 403)
        self.assertIn("We move until noon.", refused.text)
        self.assertEqual(self.status("/simple/"), 200)
        self.write(users)
        self.hang_up()
        self.assertEqual(self.upload(basic()).status, 200)
        self.stop()

    def test_pages_become_private(self) -> None:
        self.start(f"user.ann = {HASH}")
        self.upload(basic())
        page = self.request("GET", "/simple/acme/")
        self.assertEqual(page["Cache-Control"], "no-cache, public")
        self.write(f"user.ann = {HASH}", "pypi.default_read = authenticated")
        self.hang_up()
        self.assertEqual(self.status("/simple/acme/"), 401)
        page = self.request("GET", "/simple/acme/", basic())
        self.assertEqual(page["Cache-Control"], "no-cache, private")
        self.stop()

    def test_a_broken_file_leaves_the_old_settings_in_force(self) -> None:
        lines = f"user.ann = {HASH}", "pypi.default_read = authenticated"
        self.start(*lines)
        for breaking in (
            lambda: self.write("pypi.default_read = nobody"),
            lambda: self.write("pypi.default_read = everyone", "user.x = y"),
            lambda: self.ini.write_bytes(b"\xff\xfe\x00"),
            lambda: self.ini.write_text("no section"),
            self.ini.unlink,
            self.ini.mkdir,
        ):
            cast(Any, breaking)()
            self.assertIn("Not reloaded: ", self.hang_up())
            self.assertEqual(self.status("/simple/"), 401)
            self.assertEqual(self.status("/simple/", basic()), 200)
        self.ini.rmdir()
        self.write(*lines, "metrics.read = everyone")
        self.assertIn("were read again", self.hang_up())
        self.assertEqual(self.flushLoggedErrors(), [])
        self.stop()

    def test_what_needs_a_restart_is_told(self) -> None:
        """So that nobody takes it for done."""
        self.start(f"user.ann = {HASH}")
        self.write(
            *("auth.cache_time = 7", "metrics.read = everyone"),
            *("pypi.default_read = authenticated", "aws.secret_key = hunter2"),
            *("aws.access_key = AKIA", "pypi.max_upload = 5"),
        )
        logs = self.hang_up().splitlines()
        self.assertEqual(
            logs[1:],
            [
                "Changed, and needs a restart: aws.access_key, aws.secret_key, "
                "pypi.max_upload."
            ],
        )
        self.write(f"user.ann = {HASH}")
        self.assertEqual(len(self.hang_up().splitlines()), 1)
        self.stop()

    def test_no_request_is_dropped(self) -> None:
        self.start(f"user.ann = {HASH}")
        connection = Connection(self.server.site)
        form = upload_form(WHEEL, wheel())
        request = request_bytes("POST", "/", {**FORM_TYPE, **basic()}, form)
        connection.send(request[:-50])
        self.write(f"user.ann = {HASH}", "pypi.default_read = authenticated")
        self.hang_up()
        connection.send(request[-50:])
        response = connection.response()
        assert response is not None
        self.assertEqual(response.status, 200)
        connection.leave()
        self.stop()

    def test_wherever_the_process_has_gone(self) -> None:
        # As twistd does for --rundir, after the options were read.
        here = os.getcwd()
        self.addCleanup(os.chdir, here)
        self.write(f"user.ann = {HASH}")
        os.chdir(self.folder)
        self.make("--config=x.ini")
        os.chdir("/")
        with capturedLogs():
            self.server.startService()
        self.assertIn("were read again: 1 users", self.hang_up())
        self.assertEqual(self.status("/ready"), 200)
        os.chdir(here)
        self.stop()


class MetricsReaderTests(SynchronousTestCase):
    def may(self, allowed: Any, principal: Principal, client: str) -> bool:
        return metrics_reader(allowed)(principal, client)

    def test_who_may_read(self) -> None:
        ann = Principal("ann")
        for principal in (ANONYMOUS, ann):
            self.assertTrue(self.may("everyone", principal, ""))
        self.assertTrue(self.may("authenticated", ann, ""))
        # A browser asks for the password only after the challenge of a 401.
        with self.assertRaises(Unauthorized):
            self.may("authenticated", ANONYMOUS, "")
        allowed = readers("192.0.2.0/24 2001:db8::/32")
        for client, may in (
            ("192.0.2.7", True),
            ("198.51.100.1", False),
            ("2001:db8::1", True),
            ("", False),  # a Unix socket's peer
            ("nonsense", False),
        ):
            self.assertIs(self.may(allowed, ann, client), may, client)


class AccessLogTests(TapCase):
    def test_lines_go_to_standard_output(self) -> None:
        self.ini.write_text("[pypicloud]\nstorage.dir = packages\n")
        read, write = os.pipe()
        kept = os.dup(1)
        self.addCleanup(os.close, kept)
        self.make()
        os.dup2(write, 1)
        try:
            self.status("/health")
            self.reactor.advance(1)
        finally:
            os.dup2(kept, 1)
            os.close(write)
        line = os.read(read, 1000)
        os.close(read)
        self.assertIn(b'"GET /health HTTP/1.1" 200', line)
        self.assertEqual(self.server.site.access_log is None, False)

    def test_nobody_who_reads_it_is_no_reason_to_fail(self) -> None:
        self.ini.write_text("[pypicloud]\nstorage.dir = packages\n")
        read, write = os.pipe()
        kept = os.dup(1)
        self.addCleanup(os.close, kept)
        self.make()
        os.dup2(write, 1)
        os.close(read)
        try:
            with capturedLogs() as logs:
                for _ in range(3):
                    self.assertEqual(self.status("/health"), 200)
                    self.reactor.advance(1)
        finally:
            os.dup2(kept, 1)
            os.close(write)
        self.assertEqual(told(logs).count("access log cannot be written"), 1)
        self.assertEqual(self.flushLoggedErrors(), [])
