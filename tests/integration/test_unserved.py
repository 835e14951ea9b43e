"""Names that lie in the store are never asked of others, whatever state they are in.

A folder has what an operator may find there, and a public index has all its names, of
version 99.0: whoever gets one of those has been deceived (dependency confusion).
"""

from __future__ import annotations

import os
from pathlib import Path

from tests.integration import apart
from tests.integration.dists import make_wheel
from tests.integration.rig import Server, run, script, wait_until
from tests.integration.test_fallback import FallbackTestCase

NAMES = ("acme", "beta", "gamma", "delta", "linked", "truth")


class UnservedTests(FallbackTestCase):
    def setUp(self) -> None:
        super().setUp()
        for name in (*NAMES, "public", "half"):
            self.have_upstream(name, "99.0")

    def fill(self, store: Path) -> None:
        """Put there what cannot be served, and what can."""
        store.mkdir(parents=True, exist_ok=True)
        wheel = make_wheel(self.dist, "acme", "1.0").read_bytes()
        (store / "acme-1.0-py3-none-any.whl").write_bytes(wheel[: len(wheel) // 2])
        (store / "beta").mkdir()
        (store / "beta" / "beta-1.0-py3-none-any.whl.part").write_bytes(b"PK")
        (store / "gamma-1.0-1.noarch.rpm").write_bytes(b"\xed\xab\xee\xdb")
        (store / "delta" / "1.0").mkdir(parents=True)
        (store / "delta" / "1.0" / "metadata.json").write_text("{}")
        (store / "linked").symlink_to(self.dist)
        half = make_wheel(self.dist, "half", "1.0").read_bytes()
        (store / "half-1.0-py3-none-any.whl").write_bytes(half)
        (store / "half-2.0-py3-none-any.whl").write_bytes(half[:100])

    def command(self, server: Server, *what: str) -> tuple[int, str]:
        done = run(
            [script("pypicloud"), what[0], f"--config={server.config}", *what[1:]],
            home=self.home,
        )
        return done.code, done.output

    def held(self, server: Server, *names: str) -> None:
        """Nobody is asked for these, at any address."""
        self.upstream.asked.clear()
        for name in names:
            for path in (
                f"/simple/{name}/",
                f"/pypi/{name}/json",
                f"/packages/{name}/0123456789abcdef/{name}-99.0-py3-none-any.whl",
                f"/api/package/{name}/{name}-99.0-py3-none-any.whl",
            ):
                answer = server.get(path)
                self.assertEqual((path, answer.status), (path, 503), answer)
        self.assertEqual(self.upstream.projects_asked() & set(names), set())

    def settled(self, server: Server) -> None:
        """Wait until everything there was looked at."""
        wait_until(
            lambda: "cannot be served, and are not asked for" in server.log,
            lambda: server.log,
        )

    def test_what_cannot_be_served_stays_ours(self) -> None:
        for mode in ("proxy", "redirect"):
            server = self.server(start=False, settings=self.settings(mode))
            self.fill(server.store)
            self.publish_and_lose(server)
            server.start()
            self.held(server, "acme")  # from the first answer on
            self.settled(server)
            self.held(server, *NAMES)
            # What else is good is served, and what is not ours is asked for.
            self.assertIn("half-1.0-py3", server.get("/simple/half/").text)
            self.assertNotIn("99.0", server.get("/simple/half/").text)
            self.assertIn(server.get("/simple/public/").status, (200, 302))
            again = Server(server.folder, dict(server.settings))
            again.configure()
            self.addCleanup(again.kill)
            again.start()
            self.held(again, *NAMES)
            server.stop()
            server.configure()
            server.start()
            self.held(server, *NAMES)

    def test_a_manifest_that_is_lost_while_servers_run(self) -> None:
        """Also one that has never been asked for the project."""
        server = self.front("proxy")
        other = Server(server.folder, dict(server.settings))
        other.configure()
        self.addCleanup(other.kill)
        other.start()
        self.publish(server, make_wheel(self.dist, "truth", "1.0"))
        (server.store / ".index" / "truth.json").unlink()
        self.held(other, "truth")
        self.assertIn("rebuild truth", other.get("/simple/truth/").text)
        # What one has known for long it goes on to serve; nothing of it is changed.
        for wheel in ("1.0", "2.0"):
            refused = server.upload(make_wheel(self.dist, "truth", wheel))
            self.assertEqual(refused.status, 503, refused)
        for command in ("yank", "remove"):
            done = run(
                [script("pypicloud"), command, str(server.config), "truth", "1.0"],
                home=self.home,
            )
            self.assertEqual(done.code, 2, done)
            self.assertIn("rebuild truth", done.output)
        code, said = self.command(server, "rebuild")
        self.assertEqual(code, 0, said)
        wait_until(lambda: other.get("/simple/truth/").status == 200, lambda: other.log)

    def publish_and_lose(self, server: Server) -> None:
        server.start()
        self.publish(server, make_wheel(self.dist, "truth", "1.0"))
        server.stop()
        (server.store / ".index" / "truth.json").unlink()

    def test_a_manifest_that_was_lost_is_rebuilt(self) -> None:
        server = self.server(start=False, settings=self.settings("proxy"))
        self.publish_and_lose(server)
        # Not before: the server refuses uploads that take half of it.
        server.configure(**{"index.sweep_age": "2s"})
        code, said = self.command(server, "verify")
        self.assertEqual(code, 1, said)
        self.assertIn("pypicloud rebuild truth", said)
        server.start()
        self.settled(server)
        self.assertIn("rebuild truth", server.get("/simple/truth/").text)
        self.assertIn("truth: ", server.get("/ready").text)
        # It is not begun anew, nor swept.
        refused = server.upload(make_wheel(self.dist, "truth", "2.0"))
        self.assertEqual(refused.status, 503, refused)
        for file in (server.store / "truth").glob("*/*"):
            os.utime(file, (0, 0))
        code, said = self.command(server, "sweep", "--age=60s")
        self.assertEqual(code, 1, said)
        self.assertIn("0 orphans", said)
        self.assertIn("would be published", self.rebuild(server, "--dry-run"))
        self.assertEqual(server.get("/simple/truth/").status, 503)
        self.assertIn("truth: 1 files are published", self.rebuild(server))
        self.assertIn("No manifest is lost", self.rebuild(server))
        wait_until(
            lambda: server.get("/simple/truth/").status == 200, lambda: server.log
        )
        self.assertIn("truth-1.0", server.get("/simple/truth/").text)
        self.assertEqual(server.get("/ready").text, "ready\n")
        self.assertEqual(self.command(server, "verify")[0], 0)

    def rebuild(self, server: Server, *options: str) -> str:
        code, said = self.command(server, "rebuild", *options)
        self.assertEqual(code, 0, said)
        return said

    def test_a_command_finds_more_while_a_server_runs(self) -> None:
        server = self.front("proxy", **{"index.verify_every": "2s"})
        self.assertEqual(server.get("/simple/acme/").status, 200)
        self.fill(server.store)
        code, said = self.command(server, "refresh")
        self.assertEqual(code, 0, said)
        wait_until(
            lambda: server.get("/simple/acme/").status == 503, lambda: server.log
        )
        self.held(server, *NAMES[:-1])

    def test_what_may_not_be_read(self) -> None:
        if os.geteuid() != 0:
            self.skipTest("only root may give up to read everything")
        without = "-dac_override,-dac_read_search"
        server = self.server(
            start=False,
            launcher=(
                *("setpriv", f"--bounding-set={without}", f"--inh-caps={without}"),
                *(script("twistd"), "-n", "--pidfile="),
            ),
            settings=self.settings("proxy"),
        )
        self.fill(server.store)
        good = make_wheel(self.dist, "good", "1.0").read_bytes()
        (server.store / "good-1.0-py3-none-any.whl").write_bytes(good)
        for folder in (".Trash-0", "truth"):
            (server.store / folder).mkdir()
            (server.store / folder).chmod(0)
        secret = server.store / "public-1.0-py3-none-any.whl"
        secret.write_bytes(good)
        secret.chmod(0)
        server.start()
        self.settled(server)
        self.assertEqual(server.get("/simple/good/").status, 200)
        self.held(server, "public", *NAMES)
        self.assertNotIn(".Trash", server.log)
        self.assertIn("truth (A folder of this project", server.log)


test_suite = apart(__name__)
