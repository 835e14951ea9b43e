"""``contrib/nginx.conf`` as it is, but for its addresses, in front of a real server."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from ssl import _create_unverified_context as unverified
from time import sleep
from typing import IO, ClassVar
from urllib.parse import urljoin

from OpenSSL.crypto import FILETYPE_PEM

from pypicloud_tw.access.hashes import hash_password
from tests.certificates import certificate
from tests.integration import apart
from tests.integration.debian import find
from tests.integration.dists import make_wheel
from tests.integration.rig import (
    CHECKOUT,
    PATIENCE,
    USER,
    Answer,
    IntegrationTestCase,
    basic,
    form,
    free_port,
    script,
    wait_until,
)

MAIN = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""

#: The servers of the example, and what stands in front of their paths.
_SITES = (("pypi.example.com", ""), ("www.example.com", "/python"))


def run_nginx(folder: Path, log: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start nginx with the configuration that lies in a folder.

    :raises SkipTest: it cannot be had.
    """
    program = find("nginx", "nginx")
    return subprocess.Popen(
        [program.path, "-p", folder, "-c", folder / "nginx.conf"],
        env=program.environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
    )


class NginxTestCase(IntegrationTestCase):
    """nginx with the example in front of ``self.upstream``.

    :cvar settings: more of the ini's keys.
    """

    settings: ClassVar[Mapping[str, str]] = {}

    def setUp(self) -> None:
        super().setUp()
        find("nginx", "nginx")  # before anything is started
        self.port, self.plain_port = free_port(), free_port()
        self.upstream = self.server(
            settings={
                "pypi.trusted_proxies": "127.0.0.1",
                "metrics.read": "everyone",
                "publisher.tool.issuer": "https://ci.example",
                "publisher.tool.claims": "sub:tool",
                "publisher.tool.projects": "acme",
                **self.settings,
            },
            start=False,
        )
        place = self.start_upstream()
        folder = self.make_folder()
        # nginx's workers are another user's, if root runs these tests.
        folder.chmod(0o755)
        self.write_site(folder, place)
        (folder / "nginx.conf").write_text(MAIN.format(folder=folder))
        with (folder / "log").open("wb") as log:
            process = run_nginx(folder, log)
        self.addCleanup(process.wait, PATIENCE)
        self.addCleanup(process.terminate)
        wait_until(self.answers, (folder / "log").read_text)

    def start_upstream(self) -> str:
        """Start the server; tell where nginx finds it."""
        self.upstream.start()
        return f"127.0.0.1:{self.upstream.port}"

    def write_site(self, folder: Path, place: str) -> None:
        made = certificate()
        pem = made.dumpPEM() + made.privateKey.dump(FILETYPE_PEM)
        (folder / "both.pem").write_bytes(pem)
        text = (CHECKOUT / "contrib" / "nginx.conf").read_text()
        for pattern, instead, times in (
            (r"listen 80;", f"listen 127.0.0.1:{self.plain_port};", 1),
            (r"listen \[::\]:\d+(?: ssl)?;", "", 3),
            (r"listen 443 ssl;", f"listen 127.0.0.1:{self.port} ssl;", 2),
            (r"/etc/ssl/\S+\.(?:pem|key);", f"{folder}/both.pem;", 4),
            (r"server 127\.0\.0\.1:6543;", f"server {place};", 1),
            (r"/run/pypicloud-nginx", f"{folder}/cache", 1),
        ):
            text, count = re.subn(pattern, instead, text)
            self.assertEqual(count, times, pattern)
        (folder / "site.conf").write_text(text)

    def answers(self) -> bool:
        try:
            return self.ask("pypi.example.com", "GET", "/health").status == 200
        except OSError:
            return False

    def ask(
        self, host: str, method: str, path: str, body: bytes = b"", **headers: str
    ) -> Answer:
        connection = HTTPSConnection(
            "127.0.0.1", self.port, timeout=PATIENCE, context=unverified()
        )
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, body, {"Host": host, **named})
            response = connection.getresponse()
            told = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, response.reason, told, response.read())
        finally:
            connection.close()


class NginxTests(NginxTestCase):
    def test_publish_and_read(self) -> None:
        """As large as nginx would refuse if it were not told not to (1 MiB)."""
        big = {"acme/data": bytes(range(256)) * 20_000}
        for version, (host, prefix) in enumerate(_SITES):
            wheel = make_wheel(self.folder, "acme", f"{version}.0", files=big)
            fields = {
                ":action": "file_upload",
                "name": "acme",
                "version": f"{version}.0",
            }
            body, content_type = form(fields, wheel.name, wheel.read_bytes())
            path = f"{prefix}/legacy/"
            for authorization, status in ((basic(password="no"), 401), (basic(), 200)):
                answer = self.ask(
                    *(host, "POST", path, body),
                    Authorization=authorization,
                    Content_Type=content_type,
                )
                self.assertEqual(answer.status, status, answer)
            page = self.ask(host, "GET", f"{prefix}/simple/acme/").text
            (link,) = re.findall(rf'href="\.\./\.\./([^"#]*/{wheel.name})#', page)
            file = self.ask(host, "GET", f"{prefix}/{link}")
            self.assertEqual(file.body, wheel.read_bytes())

    def test_addresses(self) -> None:
        """Nothing that a client claims of the addresses is passed on."""
        claims = {
            "X_Forwarded_Prefix": "/evil",
            "X_Script_Name": "/evil",
            "X_Forwarded_Host": "evil.example",
            "X_Forwarded_Port": "666",
        }
        for host, prefix in _SITES:
            base = f"https://{host}{prefix}"
            home = self.ask(host, "GET", f"{prefix}/", b"", **claims).text
            self.assertIn(f"{base}/simple/", home)
            self.assertNotIn("evil", home)
            moved = self.ask(host, "GET", f"{prefix}/simple/Acme")
            self.assertEqual(moved.status, 301)
            there = urljoin(f"{base}/simple/Acme", moved.headers["location"])
            self.assertEqual(there, f"{base}/simple/acme/")

    def test_jobs_ask_at_the_root(self) -> None:
        """Also where the index is below a path."""
        for host, prefix in _SITES:
            audience = self.ask(host, "GET", "/_/oidc/audience")
            self.assertEqual(audience.json(), {"audience": "pypicloud"})
            refused = self.ask(host, "POST", "/_/oidc/mint-token", b'{"token": "x"}')
            self.assertEqual(refused.json()["errors"][0]["code"], "invalid-token")
            legacy = f"{prefix}/legacy/"
            found = self.ask(host, "GET", f"/.well-known/pytp?discover={legacy}")
            self.assertEqual(
                found.json()["token-mint-endpoint"],
                f"https://{host}/_/oidc/mint-token",
            )
            other = self.ask(host, "GET", "/.well-known/pytp?discover=/other/")
            self.assertEqual(other.status, 404)

    def test_metrics_are_not_for_the_world(self) -> None:
        self.assertEqual(self.upstream.get("/metrics").status, 200)
        for host, prefix in _SITES:
            self.assertEqual(self.ask(host, "GET", f"{prefix}/metrics").status, 404)

    def test_plain_http_is_sent_to_https(self) -> None:
        connection = HTTPConnection("127.0.0.1", self.plain_port, timeout=PATIENCE)
        self.addCleanup(connection.close)
        connection.request("GET", "/simple/acme/?x", headers={"Host": _SITES[0][0]})
        response = connection.getresponse()
        self.assertEqual(response.status, 301)
        there = f"https://{_SITES[0][0]}/simple/acme/?x"
        self.assertEqual(response.headers["Location"], there)

    def test_errors_show_the_way(self) -> None:
        for host, prefix in _SITES:
            page = self.ask(host, "GET", f"{prefix}/nothing", Accept="text/html")
            self.assertEqual(page.status, 404)
            self.assertIn(f"at {prefix}/simple/.", page.text)
            self.assertIn(f'href="{prefix}/"', page.text)


class CacheTests(NginxTestCase):
    """Pages that everyone may read, kept by nginx for a second."""

    settings: ClassVar = {
        "pypi.default_write": "authenticated",
        "server.cors_origins": "https://app.example.com",
        "user.ann": hash_password("ann's"),
        "user.bob": hash_password("bob's"),
        "package.secret.group.everyone": "",
        f"package.secret.user.{USER}": "rw",
        "package.secret.user.ann": "r",
        "package.secret.user.bob": "r",
    }

    def setUp(self) -> None:
        super().setUp()
        # As many files as make it worth while to compress a page.
        for name, version in (("secret", 0), *(("acme", n) for n in range(6))):
            wheel = make_wheel(self.folder, name, f"1.{version}")
            self.assertEqual(self.upstream.upload(wheel).status, 200)

    def page(self, name: str, method: str = "GET", **headers: str) -> Answer:
        """Ask by the first site."""
        return self.ask(_SITES[0][0], method, f"/simple/{name}/", b"", **headers)

    def kept(self, name: str, method: str = "GET", **headers: str) -> Answer:
        """Ask until an answer comes out of the cache.

        A second passes quickly; the answer that fills the cache is checked to be equal.
        """
        for _ in range(100):
            filling = self.page(name, method, **headers)
            answer = self.page(name, method, **headers)
            self.assertEqual(answer.body, filling.body)
            self.assertEqual(answer.status, filling.status)
            if answer.headers.get("x-cache-status") == "HIT":
                return answer
        raise AssertionError(f"never kept: {answer}")

    def test_public_pages(self) -> None:
        for host, prefix in _SITES:
            path = f"{prefix}/simple/acme/"
            wait_until(
                lambda host=host, path=path: (  # type: ignore[misc]  # defaults
                    self.ask(host, "GET", path).headers["x-cache-status"] == "HIT"
                ),
                lambda: self.upstream.log,
            )
        answer = self.kept("acme")
        self.assertEqual(answer.headers["cache-control"], "no-cache, public")
        self.assertEqual(answer.body, self.upstream.get("/simple/acme/").body)

    def test_forms_and_codings_never_mix(self) -> None:
        """Each is what the server itself gives for the same fields."""
        json_form = "application/vnd.pypi.simple.v1+json"
        fields = [
            {"Accept": accept, "Accept-Encoding": coding}
            for accept in ("text/html", json_form, f"{json_form}, text/html;q=0.1")
            for coding in ("identity", "gzip", "zstd, br, gzip")
        ]
        for _ in range(2):  # filled by others, too
            for one in fields:
                named = {name.replace("-", "_"): v for name, v in one.items()}
                answer = self.kept("acme", **named)
                straight = self.upstream.get("/simple/acme/", **one)
                self.assertEqual(answer.body, straight.body, one)
                for name in ("content-type", "content-encoding", "etag", "vary"):
                    self.assertEqual(
                        answer.headers.get(name), straight.headers.get(name), one
                    )
        path = f"/simple/acme/?format={json_form}"
        for _ in range(2):
            asked = self.ask(_SITES[0][0], "GET", path, Accept="text/html")
            self.assertEqual(asked.headers["content-type"], json_form)

    def test_a_field_that_comes_twice(self) -> None:
        """The key may have the first alone: it must not bring another's form in.

        It has both from nginx 1.23 on.
        """
        json_form = "application/vnd.pypi.simple.v1+json"
        for _ in range(8):
            both = self.twice("/simple/acme/", "text/html;q=0.5", json_form)
            self.assertIn(both, ("text/html; charset=utf-8", json_form))
            first = self.page("acme", Accept="text/html;q=0.5")
            self.assertEqual(first.headers["content-type"], "text/html; charset=utf-8")

    def twice(self, path: str, *accept: str) -> str:
        """Send a field for each of *accept*; tell what is answered."""
        connection = HTTPSConnection(
            "127.0.0.1", self.port, timeout=PATIENCE, context=unverified()
        )
        self.addCleanup(connection.close)
        connection.putrequest("GET", path, skip_host=True)
        for name, value in (
            ("Host", _SITES[0][0]),
            *(("Accept", one) for one in accept),
        ):
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        response.read()
        return response.headers["Content-Type"]

    def test_scripts_of_other_sites(self) -> None:
        """What is said to one site's script is not said to another's."""
        mine = "https://app.example.com"
        for origin in (mine, "https://other.example", None, mine) * 2:
            fields = {"Origin": origin} if origin else {}
            answer = self.page("acme", **fields)
            self.assertEqual(answer.status, 200)
            allowed = answer.headers.get("access-control-allow-origin")
            self.assertEqual(allowed, mine if origin == mine else None)

    def test_conditions_and_heads(self) -> None:
        whole = self.kept("acme", Accept_Encoding="gzip")
        known = self.kept(
            "acme", Accept_Encoding="gzip", If_None_Match=whole.headers["etag"]
        )
        self.assertEqual((known.status, known.body), (304, b""))
        self.assertEqual(known.headers["etag"], whole.headers["etag"])
        plain = self.kept("acme", If_None_Match=whole.headers["etag"])
        self.assertEqual(plain.status, 200)
        head = self.kept("acme", "HEAD", Accept_Encoding="gzip")
        self.assertEqual(head.body, b"")
        for name in ("etag", "content-length", "content-type", "content-encoding"):
            self.assertEqual(head.headers[name], whole.headers[name])

    def test_private_pages_are_never_kept(self) -> None:
        """Neither for whoever may read them, nor for others."""
        for _ in range(3):
            for user in ("ann", "bob"):
                authorization = basic(user, f"{user}'s")
                answer = self.page("secret", Authorization=authorization)
                self.assertEqual(answer.status, 200)
                self.assertEqual(answer.headers["cache-control"], "no-cache, private")
                self.assertNotIn("x-cache-status", answer.headers)
                again = self.page(
                    "secret",
                    Authorization=authorization,
                    If_None_Match=answer.headers["etag"],
                )
                self.assertEqual(again.status, 304)
            refused = self.page("secret")
            self.assertEqual(refused.status, 401)
            self.assertEqual(refused.headers["x-cache-status"], "MISS")
            # What is listed depends on who asks.
            listed = self.ask(_SITES[0][0], "GET", "/simple/")
            self.assertEqual(listed.headers["x-cache-status"], "MISS")

    def test_whoever_logs_in_or_has_a_cookie_is_not_answered_from_it(self) -> None:
        self.kept("acme")
        for fields in ({"Authorization": basic()}, {"Cookie": "a=b"}):
            answer = self.page("acme", **fields)
            self.assertEqual(answer.status, 200)
            self.assertNotIn("x-cache-status", answer.headers)
            straight = self.upstream.get("/simple/acme/", **fields)
            self.assertEqual(answer.body, straight.body)

    def test_changes_are_seen_when_the_second_is_over(self) -> None:
        """By all who ask at once after a pause, too: nobody gets an older page.

        nginx counts whole seconds: what it keeps for one is kept for two at most.
        """
        self.kept("acme")
        wheel = make_wheel(self.folder, "acme", "2.0")
        self.assertEqual(self.upstream.upload(wheel).status, 200)
        sleep(2.1)
        with ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda _: self.page("acme"), range(64)))
        for answer in answers:
            self.assertIn(wheel.name, answer.text)


class SocketTests(NginxTestCase):
    """The example's other way: a unix socket, by ``pypicloud serve --listen``."""

    def start_upstream(self) -> str:
        path = self.upstream.folder / "socket"
        # nginx's workers are another user's, if root runs these tests.
        self.upstream.folder.chmod(0o755)
        self.upstream.launcher, self.upstream.command = (
            (script("pypicloud"),),
            ("serve",),
        )
        self.upstream.options = [f"--listen=unix:{path}"]
        self.upstream.start(ready=False)
        wait_until(path.exists, lambda: self.upstream.log)
        return f"unix:{path}"

    def test_publish_and_read(self) -> None:
        host = _SITES[0][0]
        wait_until(
            lambda: self.ask(host, "GET", "/ready").status == 200,
            lambda: self.upstream.log,
        )
        wheel = make_wheel(self.folder, "acme", "1.0")
        fields = {":action": "file_upload", "name": "acme", "version": "1.0"}
        body, content_type = form(fields, wheel.name, wheel.read_bytes())
        answer = self.ask(
            *(host, "POST", "/legacy/", body),
            Authorization=basic(),
            Content_Type=content_type,
        )
        self.assertEqual(answer.status, 200, answer)
        self.assertIn(wheel.name, self.ask(host, "GET", "/simple/acme/").text)
        self.assertIn(f"https://{host}/simple/", self.ask(host, "GET", "/").text)


test_suite = apart(__name__)
