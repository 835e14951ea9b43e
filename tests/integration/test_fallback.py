"""Projects that are not ours, as pip and uv get them through a server of ours."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import rmtree

from tests.integration import apart
from tests.integration.clients.environments import PIPS, environment
from tests.integration.dists import make_wheel
from tests.integration.fake_upstream import FakeUpstream
from tests.integration.rig import (
    PASSWORD,
    USER,
    IntegrationTestCase,
    Server,
    basic,
    free_port,
    script,
    wait_until,
)

#: What the tool of these tests needs, one needing the next.
CHAIN = [f"acme_dep{number}" for number in range(12)]

#: What lies there when the tool is installed whole.
LAST = CHAIN[-1], "1.0"


class FallbackTestCase(IntegrationTestCase):
    """A fake upstream, servers in front of it, and clients that know only these."""

    def setUp(self) -> None:
        super().setUp()
        self.dist = self.folder / "dist"
        self.dist.mkdir()
        self.target = self.folder / "target"
        self.upstream = FakeUpstream()
        self.upstream.start()
        self.addCleanup(lambda: self.upstream.stop())

    def front(self, mode: str = "proxy", **settings: str) -> Server:
        """Start a server that asks the fake upstream."""
        return self.server(settings=self.settings(mode, **settings))

    def settings(self, mode: str, **settings: str) -> dict[str, str]:
        return {
            "pypi.use_fallback": "true",
            "pypi.fallback": mode,
            "pypi.fallback_url": self.upstream.simple,
            **settings,
        }

    def have_upstream(self, name: str, *versions: str) -> None:
        for version in versions:
            self.upstream.publish(make_wheel(self.dist, name, version))

    def have_tool_upstream(self) -> None:
        """A tool with a dozen dependencies."""
        needs = [name.replace("_", "-") for name in CHAIN]
        tool = make_wheel(self.dist, "acme_tool", "1.0", requires=needs[:1])
        self.upstream.publish(tool)
        for number, name in enumerate(CHAIN):
            need = needs[number + 1 : number + 2]
            self.upstream.publish(make_wheel(self.dist, name, "1.0", requires=need))

    def publish(self, server: Server, *files: Path) -> None:
        for file in files:
            answer = server.upload(file)
            self.assertEqual(answer.status, 200, answer)

    def pip(self, server: Server, *what: str, python: str | None = None) -> list[str]:
        """Give a command that installs into the target folder."""
        return [
            *(python or environment(PIPS[0]), "-m", "pip", "install", "--retries=0"),
            *("--no-cache-dir", "--upgrade", "--target", str(self.target)),
            *("-i", server.simple, *what),
        ]

    def uv(self, server: Server, *what: str) -> list[str]:
        """Give a command that installs into the target folder."""
        return [
            *(script("uv"), "pip", "install", "--no-cache", "--upgrade"),
            *("--python", sys.executable, "--target", str(self.target)),
            *("--index-url", server.simple, *what),
        ]

    def both(self, server: Server, *what: str) -> list[list[str]]:
        return [self.pip(server, *what), self.uv(server, *what)]

    def both_install(
        self, server: Server, name: str, version: str, *what: str, **options: Path
    ) -> None:
        """Assert what pip and uv make of a requirement."""
        for command in self.both(server, *what or [name]):
            self.emptied()
            self.run_client(*command, UV_HTTP_RETRIES="0", **options)
            self.installed(name, version)

    def uv_installs(self, server: Server, name: str, version: str, *what: str) -> None:
        """Assert what uv, the faster of the two, makes of a requirement."""
        self.emptied()
        self.run_client(*self.uv(server, *what or [name]), UV_HTTP_RETRIES="0")
        self.installed(name, version)

    def emptied(self) -> None:
        """Have the clients find nothing that is installed."""
        rmtree(self.target, ignore_errors=True)

    def both_refuse(self, server: Server, *what: str) -> tuple[str, str]:
        """Give what pip and uv say when they cannot install, in one line each."""
        self.emptied()
        pip = self.run_failing(*self.pip(server, *what))
        return " ".join(pip.split()), self.uv_refuses(server, *what)

    def uv_refuses(self, server: Server, *what: str) -> str:
        """Give what uv says when it cannot install, in one line."""
        self.emptied()
        output = self.run_failing(*self.uv(server, *what), UV_HTTP_RETRIES="0")
        return " ".join(output.split())

    def old_pip_installs(self, server: Server, name: str = CHAIN[-1]) -> None:
        """Assert that the oldest pip, which reads HTML only, gets along."""
        python = environment(PIPS[-1])
        self.run_client(*self.pip(server, name.replace("_", "-"), python=python))
        self.installed(name, "1.0")

    def installed(self, name: str, version: str) -> None:
        text = (self.target / name / "__init__.py").read_text()
        self.assertEqual(text, f"version = {version!r}\n")

    def refuses(self, server: Server, *what: str) -> list[str]:
        """Give what pip and uv say when they cannot install, in one line each."""
        said = []
        for command in self.both(server, *what):
            output = self.run_failing(*command, UV_HTTP_RETRIES="0")
            said.append(" ".join(output.split()))
        return said


class ModeTests(FallbackTestCase):
    """Who asks whom, in each mode."""

    def test_proxy(self) -> None:
        """Pages come from us, files by the upstream's own addresses."""
        self.have_tool_upstream()
        server = self.front()
        self.both_install(server, *LAST, "Acme.tool")
        self.old_pip_installs(server)
        self.assertEqual(self.upstream.paths_asked("/simple/", by_us=False), [])
        self.assertEqual(self.upstream.paths_asked("/files/", by_us=True), [])
        # Each page was asked once, by how many clients ever.
        pages = self.upstream.paths_asked("/simple/", by_us=True)
        self.assertEqual(len(pages), len(set(pages)))
        self.assertEqual(len(pages), 1 + len(CHAIN))

    def test_redirect(self) -> None:
        """As pypicloud 1.x did it: the client asks there, by the right name."""
        self.have_upstream("acme_lib", "1.0")
        server = self.front("redirect")
        self.both_install(server, "acme_lib", "1.0", "Acme.Lib")
        self.old_pip_installs(server, "acme_lib")
        answer = server.get("/simple/acme-lib/")
        self.assertEqual(answer.status, 302)
        self.assertEqual(answer.headers["location"], f"{self.upstream.simple}acme-lib/")
        self.assertEqual(self.upstream.paths_asked("/", by_us=True), [])

    def test_relay(self) -> None:
        """For clients without a way out, everything comes from us."""
        self.have_tool_upstream()
        server = self.front(**{"pypi.fallback_files": "relay"})
        self.both_install(server, *LAST, "acme-tool")
        self.old_pip_installs(server)
        self.assertEqual(self.upstream.paths_asked("/", by_us=False), [])
        self.assertFalse((server.store / ".cache").exists())

    def test_index_of_our_own_for_upstream(self) -> None:
        """A server of ours is an upstream like any other; JSON says what it said."""
        self.upstream.stop()
        back = self.server()
        self.publish(
            back,
            make_wheel(self.dist, "acme_app", "1.0", requires=["acme-lib"]),
            make_wheel(self.dist, "acme_lib", "1.0"),
        )
        address = {"pypi.fallback_url": f"{back.url_with_password}/simple/"}
        relay = self.front(**address, **{"pypi.fallback_files": "relay"})
        server = self.front(**address)
        self.both_install(server, "acme_lib", "1.0", "acme-app")
        self.both_install(relay, "acme_app", "1.0", "acme-app")
        theirs, ours = back.document("acme-lib"), server.document("acme-lib")
        for file in theirs["files"]:
            file["url"] = f"{back.url}/{file['url'].removeprefix('../../')}"
        self.assertEqual(theirs, ours)
        # Its password is not shown, to clients and in the log.
        server.stop()
        self.assertNotIn(PASSWORD.replace(" ", "%20"), server.log)


class CacheTests(FallbackTestCase):
    """What was installed once can be installed when nobody else is there."""

    def test_upstream_cut_off(self) -> None:
        self.have_tool_upstream()
        server = self.front("cache")
        lock = self.lock(server)
        project = self.lock_project(server)
        self.both_install(server, *LAST, "--require-hashes", "-r", str(lock))
        self.assertEqual(self.upstream.paths_asked("/", by_us=False), [])
        self.kept(server, len(CHAIN) + 1)
        files = self.upstream.paths_asked("/files/", by_us=True)
        self.assertEqual(len(files), len(set(files)), "a file was fetched twice")
        listed = server.get("/simple/").text
        self.assertIn("acme-dep11", listed)

        server.stop()
        self.upstream.stop()
        server.start()
        before = len(self.upstream.asked)
        self.both_install(server, *LAST, "--require-hashes", "-r", str(lock))
        # Without a lock, too: the pages are kept.
        self.both_install(server, *LAST, "acme-tool")
        sync = (script("uv"), "sync", "--locked", "--no-cache")
        self.run_client(*sync, "--python", sys.executable, cwd=project)
        self.assertEqual(len(self.upstream.asked), before)
        self.assertNotIn("Traceback", server.log)

    def test_several_clients_at_once(self) -> None:
        """One fetch, however many ask."""
        big = {"acme/data": bytes(range(256)) * 100_000}
        wheel = make_wheel(self.dist, "acme", "1.0", files=big)
        self.upstream.publish(wheel)
        server = self.front("cache")
        (file,) = server.document("acme")["files"]
        path = "/" + file["url"].removeprefix("../../")
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(server.get, [path] * 8))
        for answer in answers:
            self.assertEqual(answer.body, wheel.read_bytes())
        fetched = self.upstream.paths_asked("/files/", by_us=True)
        self.assertEqual(fetched, ["/files/acme/acme-1.0-py3-none-any.whl"])

    def test_names_stay_public(self) -> None:
        """What the cache keeps makes no name ours: a new release is seen."""
        self.upstream.cache_control = "no-cache"
        self.have_upstream("acme_lib", "1.0")
        server = self.front("cache")
        self.uv_installs(server, "acme_lib", "1.0", "acme-lib")
        self.kept(server, 1)
        self.have_upstream("acme_lib", "1.1")
        self.uv_installs(server, "acme_lib", "1.1", "acme-lib")
        self.assertEqual(list((server.store / ".index").glob("*")), [])

    def lock(self, server: Server) -> Path:
        lock = self.folder / "requirements.txt"
        wanted = self.folder / "requirements.in"
        wanted.write_text("acme-tool\n")
        self.run_client(
            *(script("uv"), "pip", "compile", "--generate-hashes", "--no-cache"),
            *("--python", sys.executable, "--index-url", server.simple),
            *("-o", lock, wanted),
        )
        self.assertEqual(lock.read_text().count("--hash=sha256:"), len(CHAIN) + 1)
        return lock

    def lock_project(self, server: Server) -> Path:
        project = self.folder / "project"
        project.mkdir()
        (project / "pyproject.toml").write_text(
            '[project]\nname = "user-project"\nversion = "1"\n'
            'requires-python = ">=3.11"\ndependencies = ["acme-tool"]\n'
            f'[[tool.uv.index]]\nname = "ours"\nurl = "{server.simple}"\n'
            "default = true\n"
        )
        self.run_client(
            *(script("uv"), "lock", "--no-cache", "--python", sys.executable),
            cwd=project,
        )
        self.assertIn(f"{server.url}/packages/", (project / "uv.lock").read_text())
        return project

    def kept(self, server: Server, count: int) -> None:
        """Wait until so many files and pages are in the store."""

        def done() -> bool:
            cache = server.store / ".cache"
            pages = list((cache / ".pages").glob("*")) if cache.exists() else []
            return len(list(cache.rglob("*.whl"))) == count == len(pages)

        wait_until(done, lambda: server.log)


class PrivateTests(FallbackTestCase):
    """Nothing private leaks, nothing public shadows (decision D5)."""

    def test_own_project(self) -> None:
        """Not even after its only release was removed: the name stays ours."""
        self.have_upstream("acme", "9.0")
        for mode in ("proxy", "redirect"):
            server = self.front(mode)
            self.publish(server, make_wheel(self.folder, "acme", "1.0"))
            self.uv_installs(server, "acme", "1.0")
            self.remove(server, "acme", "1.0")
            self.uv_refuses(server, "acme")
            self.assertEqual(server.get("/pypi/acme/json").status, 404)
            server.stop()
            server.start()
            self.both_refuse(server, "acme")
        self.assertEqual(self.upstream.asked, [])

    def remove(self, server: Server, project: str, version: str) -> None:
        """Remove a release beside the server that runs, and wait until it has seen."""
        command = (script("pypicloud"), "remove", server.config, project, version)
        self.run_client(*command)
        wait_until(lambda: not server.document(project)["files"], lambda: server.log)

    def test_published_a_moment_ago(self) -> None:
        """On another server on the same store, which need not have heard of it yet."""
        self.upstream.cache_control = "no-cache"
        self.have_upstream("acme", "9.0")
        for mode in ("proxy", "redirect"):
            one = self.front(mode)
            settings = {"storage.dir": str(one.store), "index.fresh_for": "1m"}
            two = self.front(mode, **settings)
            self.assertIn(two.get("/simple/acme/").status, (200, 302))
            asked = len(self.upstream.asked)
            self.publish(one, make_wheel(self.folder, "acme", "1.0"))
            self.uv_installs(two, "acme", "1.0")
            self.assertEqual(two.get("/pypi/acme/json").status, 200)
            self.assertEqual(len(self.upstream.asked), asked)

    def test_reserved_names(self) -> None:
        """404, so that no client goes elsewhere by mistake, and the reason."""
        self.have_upstream("corp_secret", "9.0")
        self.have_upstream("corp", "9.0")
        for mode in ("proxy", "redirect"):
            server = self.front(mode, **{"pypi.private": "corp-*, Corp"})
            self.both_refuse(server, "Corp_Secret", "corp")
            answer = server.get("/simple/corp-secret/")
            self.assertEqual(answer.status, 404)
            self.assertIn("pypi.private", answer.text)
            self.assertEqual(server.get("/pypi/corp/json").status, 404)
        self.assertEqual(self.upstream.asked, [])

    def test_log_in_first(self) -> None:
        """Who may not read triggers nothing."""
        self.have_upstream("acme", "1.0")
        for mode in ("cache", "redirect"):
            server = self.front(mode, **{"pypi.default_read": "authenticated"})
            self.uv_refuses(server, "acme")
            for path in (
                "/simple/acme/",
                "/pypi/acme/json",
                "/pypi/acme/1.0/json",
                "/packages/acme/0123456789abcdef/acme-1.0-py3-none-any.whl",
                "/packages/acme/0123456789abcdef/acme-1.0-py3-none-any.whl.metadata",
            ):
                self.assertEqual(server.get(path).status, 401, path)
                wrong = basic(password="wrong")
                self.assertEqual(server.get(path, Authorization=wrong).status, 401)
        self.assertEqual(self.upstream.asked, [])

    def test_passwords(self) -> None:
        """The client's is for us alone; the one in the ini is for the upstream."""
        self.have_upstream("acme", "1.0")
        password = {"UV_INDEX_URL": ""}
        theirs = f"http://corp:up-pass@127.0.0.1:{self.upstream.port}/simple/"
        for mode, files in (("proxy", "relay"), ("cache", "upstream")):
            server = self.front(
                mode,
                **{
                    "pypi.fallback_files": files,
                    "pypi.default_read": "authenticated",
                    "pypi.fallback_url": theirs,
                },
            )
            with_password = f"{server.url_with_password}/simple/"
            for command in self.both(server, "acme"):
                words = [with_password if w == server.simple else w for w in command]
                self.run_client(*words, **password)
            server.stop()
            self.assertNotIn("up-pass", server.log)
        sent = {asked.headers.get("authorization") for asked in self.upstream.asked}
        self.assertEqual(sent, {basic("corp", "up-pass")})
        self.assertTrue(any(a.path.startswith("/files/") for a in self.upstream.asked))
        for asked in self.upstream.asked:
            self.assertNotIn(USER, str(asked.headers))
            self.assertNotIn("cookie", asked.headers)


class FailureTests(FallbackTestCase):
    """An upstream that is away is not an upstream that has nothing."""

    def test_absent(self) -> None:
        server = self.front()
        self.assertEqual(server.get("/simple/no-such/").status, 404)
        self.assertEqual(server.get("/simple/no-such/").status, 404)
        self.assertEqual(len(self.upstream.asked), 1, "404 is remembered briefly")
        for said in self.both_refuse(server, "no-such"):
            self.assertIn("no-such", said)

    def test_away(self) -> None:
        """502 with a sentence: a 404 would tell the client to look elsewhere."""
        self.have_upstream("acme", "1.0")
        server = self.front()
        for failing in (500, 403, None):
            self.upstream.failing = failing
            if failing is None:
                self.upstream.stop()
            # Each time another name: nothing is remembered of it.
            answer = server.get(f"/simple/acme-{failing or 0}/")
            self.assertEqual(answer.status, 502, answer)
            self.assertIn("127.0.0.1", answer.text)
        self.assertIn("502", self.uv_refuses(server, "acme"))

    def test_own_projects_meanwhile(self) -> None:
        self.upstream.stop()
        server = self.front()
        self.publish(server, make_wheel(self.folder, "acme", "1.0"))
        self.assertEqual(server.get("/simple/other/").status, 502)
        self.uv_installs(server, "acme", "1.0")

    def test_last_known_page(self) -> None:
        """With a Warning, and its age; what is in the cache installs."""
        self.upstream.cache_control = "no-cache"
        self.have_upstream("acme", "1.0")
        server = self.front("cache")
        self.both_install(server, "acme", "1.0")
        answer = server.get("/simple/acme/")
        self.assertNotIn("warning", answer.headers)
        for failing in (500, None):
            self.upstream.failing = failing
            if failing is None:
                self.upstream.stop()
            stale = server.get("/simple/acme/")
            self.assertEqual(stale.status, 200)
            self.assertEqual(stale.body, answer.body)
            # RFC 7234, section 5.5.2: 111, Revalidation Failed.
            self.assertTrue(stale.headers["warning"].startswith("111 "), stale.headers)
            self.uv_installs(server, "acme", "1.0")
        self.upstream.start()
        wait_until(
            lambda: "warning" not in server.get("/simple/acme/").headers,
            lambda: server.log,
        )

    def test_stale_for(self) -> None:
        """After that time it is 502."""
        self.upstream.cache_control = "no-cache"
        self.have_upstream("acme", "1.0")
        server = self.front(**{"upstream.stale_for": "1s"})
        self.assertEqual(server.get("/simple/acme/").status, 200)
        self.upstream.stop()
        wait_until(lambda: server.get("/simple/acme/").status == 502, lambda: "stale")

    def test_several_upstreams(self) -> None:
        """Asked in order; while the first is away the second is not taken instead."""
        self.have_upstream("acme", "1.0")
        port = free_port()
        first = FakeUpstream(port)
        first.start()
        self.addCleanup(lambda: first.stop())
        urls = f"{first.simple} {self.upstream.simple}"
        server = self.front(**{"pypi.fallback_url": urls, "upstream.absent_for": "1s"})
        self.uv_installs(server, "acme", "1.0")
        first.stop()
        self.have_upstream("other", "1.0")
        self.assertEqual(server.get("/simple/other/").status, 502)


class RuleTests(FallbackTestCase):
    """What the operator lets through, as clients are told."""

    def test_denied(self) -> None:
        """403, which stops uv from asking the next index; and a sentence."""
        self.have_upstream("leftpad", "1.0")
        sentence = "Ask security at extension 12 about it."
        server = self.front(
            **{"upstream.deny": "leftpad", "upstream.denied_message": sentence}
        )
        answer = server.get("/simple/leftpad/")
        said = f"The project leftpad is denied here (upstream.deny). {sentence}"
        self.assertEqual((answer.status, answer.reason), (403, said))
        self.assertEqual(answer.headers["x-pypicloud-refused"], "deny")
        # Of a page that cannot be had, pip tells the reason to who asks for it, and uv
        # the status alone.
        pip, uv = self.both_refuse(server, "leftpad", "-vv")
        self.assertIn(f"403 Client Error: {said}", pip)
        self.assertIn(f"{server.simple}) returned a 403 Forbidden error", uv)
        self.assertEqual(self.upstream.asked, [])

    def test_denied_versions(self) -> None:
        """They do not exist, in pages and by their addresses."""
        self.have_upstream("acme", "1.0", "2.0", "3.0")
        server = self.front("cache", **{"upstream.deny": "acme>=3, acme==2.0"})
        self.uv_installs(server, "acme", "1.0")
        open_to_all = self.front("cache")
        for file in open_to_all.document("acme")["files"]:
            path = "/" + file["url"].removeprefix("../../")
            expected = 200 if "-1.0-" in path else 403
            self.assertEqual(server.get(path).status, expected, path)
            self.assertEqual(server.get(f"{path}.metadata").status, expected, path)

    def test_allowed(self) -> None:
        self.have_upstream("acme", "1.0", "2.0")
        self.have_upstream("other", "1.0")
        server = self.front(**{"upstream.allow": "acme<2"})
        self.uv_installs(server, "acme", "1.0")
        self.uv_refuses(server, "other")
        self.assertEqual(self.upstream.projects_asked(), {"acme"})

    def test_min_age(self) -> None:
        """Too young, and of no known age: not there, at download neither.

        By its address it is 403 with the reason: a 404 would look like a lost file.
        """
        names = ("acme", "exempt")
        for name in names:
            self.have_upstream(name, "1.0")
            for version, days in (("2.0", 6), ("3.0", 0)):
                uploaded = datetime.now(UTC) - timedelta(days=days)
                self.upstream.publish(
                    make_wheel(self.dist, name, version), uploaded=uploaded.isoformat()
                )
            self.upstream.publish(make_wheel(self.dist, name, "4.0"), uploaded=None)
        rules = {"upstream.min_age": "7d", "upstream.min_age.exempt": "exempt"}
        server = self.front("cache", **rules)
        self.both_install(server, "acme", "1.0")
        self.uv_installs(server, "exempt", "4.0")
        self.uv_refuses(server, "acme==2.0")
        self.assertEqual(server.document("acme")["versions"], ["1.0"])
        open_to_all = self.front("cache")
        for file in open_to_all.document("acme")["files"]:
            path = "/" + file["url"].removeprefix("../../")
            expected = 200 if "-1.0-" in path else 403
            self.assertEqual(server.get(path).status, expected, path)

    def test_newest_of_the_past(self) -> None:
        """``upstream.not_after``, and a client's own limit on what we give it."""
        self.have_upstream("acme", "1.0")
        wheel = make_wheel(self.dist, "acme", "2.0")
        self.upstream.publish(wheel, uploaded="2024-06-01T00:00:00Z")
        server = self.front(**{"upstream.not_after": "2024-05-31"})
        self.uv_installs(server, "acme", "1.0")
        later = self.front()
        self.run_client(*self.uv(later, "--exclude-newer", "2024-05-31", "acme"))
        self.installed("acme", "1.0")
        self.uv_installs(later, "acme", "2.0")

    def test_merge(self) -> None:
        """Both are there, for who patches a public package; ours shadow theirs."""
        self.have_upstream("acme", "1.0", "1.1")
        for mode in ("proxy", "cache"):
            server = self.front(mode, **{"upstream.merge": "acme"})
            self.publish(
                server,
                make_wheel(self.folder, "acme", "1.1+corp.1"),
                make_wheel(self.folder, "acme", "1.0", files={"acme/ours.py": b""}),
            )
            self.both_install(server, "acme", "1.1+corp.1")
            self.uv_installs(server, "acme", "1.0", "acme<1.1")
            self.assertTrue((self.target / "acme" / "ours.py").exists())
            self.assertEqual(
                [file["filename"] for file in server.document("acme")["files"]],
                [
                    f"acme-{version}-py3-none-any.whl"
                    for version in ("1.1", "1.0", "1.1+corp.1")
                ],
            )
            self.uv_installs(server, "acme", "1.1", "acme===1.1")


test_suite = apart(__name__)
