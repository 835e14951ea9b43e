"""``pypicloud doctor`` on a real bucket, and in front of a real nginx."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pypicloud_tw import __version__
from tests.integration import apart
from tests.integration.debian import find
from tests.integration.dists import make_wheel
from tests.integration.rig import (
    PASSWORD,
    PATIENCE,
    USER,
    IntegrationTestCase,
    Server,
    free_port,
    run,
    script,
    wait_until,
)
from tests.integration.s3_rig import S3TestCase
from tests.integration.test_nginx import MAIN, run_nginx

#: What a beginner writes, and nothing of what contrib/nginx.conf says.
SITE = """\
server {{
    listen 127.0.0.1:{port};
    location / {{
        proxy_pass http://127.0.0.1:{upstream};
    }}
}}
"""

#: With its two worst mistakes put right.
BETTER = """\
server {{
    listen 127.0.0.1:{port};
    client_max_body_size 0;
    location / {{
        proxy_pass http://127.0.0.1:{upstream};
        proxy_http_version 1.1;
        proxy_request_buffering off;
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }}
}}
"""


class DoctorCase(IntegrationTestCase):
    """Runs the command."""

    def doctor(
        self, *arguments: object, code: int, **environment: Any
    ) -> Mapping[str, list[Any]]:
        """Run it; give what it found, by check."""
        command = [script("pypicloud"), "doctor", "--json", *map(str, arguments)]
        outcome = run(command, home=self.folder, **environment)
        self.assertEqual(outcome.code, code, outcome.output)
        self.assertNotIn(PASSWORD, outcome.output)
        found: dict[str, list[Any]] = {}
        for line in json.loads(outcome.output)["looked"]:
            found.setdefault(line["check"], []).append(line)
        return found


class BucketTests(DoctorCase, S3TestCase):
    def ready(self, **settings: str) -> Server:
        """Write an ini; who may read it is looked at, too."""
        common = {
            "pypi.fallback": "none",
            "aws.region": "us-east-1",
            "aws.prefix": "packages/",
        }
        served = self.s3_server({**common, **settings}, start=False)
        served.config.chmod(0o600)
        return served

    def test_bucket(self) -> None:
        """Beside a server that runs; nothing is left of what was tried."""
        served = self.ready()
        served.start()
        wheel = make_wheel(self.dist, "acme", "1.0")
        self.assertEqual(served.upload(wheel).status, 200)
        found = self.doctor(served.config, "--deep", code=0)
        wrong = [
            line
            for lines in found.values()
            for line in lines
            if line["level"] not in ("ok", "note")
        ]
        self.assertEqual(wrong, [])
        actions = [line["subject"] for line in found["permissions"]]
        self.assertIn("s3:AbortMultipartUpload", actions)
        self.assertIn("All 1 can be read", found["manifests"][0]["found"])
        self.assertEqual(self.bucket.sizes("packages/.probe/"), {})
        self.assertEqual(self.bucket.uploads(), [])

    def test_wrong_credentials(self) -> None:
        """One fault, and not one for each thing that follows of it."""
        served = self.ready(**{"aws.secret_key": "wrong"})
        found = self.doctor(served.config, code=1)
        self.assertIn("does not accept the credentials", found["store"][0]["found"])
        self.assertEqual(found["manifests"][0]["level"], "unseen")


class NginxTests(DoctorCase):
    def test_nginx(self) -> None:
        """By its defaults it refuses wheels of more than 1 MiB."""
        find("nginx", "nginx")  # before anything is started
        settings = {
            "pypi.fallback": "none",
            "pypi.trusted_proxies": "127.0.0.1",
            "auth.admins": USER,
        }
        self.served = self.server(settings=settings)
        wheel = make_wheel(self.folder, "acme", "1.0")
        self.assertEqual(self.served.upload(wheel).status, 200)
        url = f"http://127.0.0.1:{self.run_nginx(SITE)}"
        found = self.doctor("--index", url, code=1)
        self.assertIn("refuses an upload of 2 MiB (413", found["uploads"][0]["found"])
        (line,) = found["addresses"]
        self.assertIn("clients have", line["found"])
        self.assertIn("Host or X-Forwarded-Host", line["advice"])
        self.assertEqual(found["pages"][0]["level"], "ok")
        better = f"http://127.0.0.1:{self.run_nginx(BETTER)}"
        found = self.doctor(
            *("--index", better, "--deep"),
            code=0,
            PYPICLOUD_USERNAME=USER,
            PYPICLOUD_PASSWORD=PASSWORD,
        )
        self.assertIn(__version__, found["version"][0]["found"])
        self.assertIn("lets 6000 MiB through", found["uploads"][0]["found"])
        self.assertIn("refused at once", found["uploads"][1]["found"])
        for line in found["files"]:
            self.assertEqual(line["level"], "ok", line)

    def run_nginx(self, site: str) -> int:
        """Start it in front of the server; tell its port."""
        port, folder = free_port(), self.make_folder()
        # nginx's workers are another user's, if root runs these tests.
        folder.chmod(0o755)
        text = site.format(port=port, upstream=self.served.port)
        (folder / "site.conf").write_text(text)
        (folder / "nginx.conf").write_text(MAIN.format(folder=folder))
        with (folder / "log").open("wb") as log:
            process = run_nginx(folder, log)
        self.addCleanup(process.wait, PATIENCE)
        self.addCleanup(process.terminate)

        there = Server(folder, port=port)

        def answers() -> bool:
            try:
                return there.get("/health").status == 200
            except OSError:
                return False

        wait_until(answers, (folder / "log").read_text)
        return port


test_suite = apart(__name__)
