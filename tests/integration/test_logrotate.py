"""contrib/logrotate.conf, but for its places, run by logrotate beside a real server."""

from __future__ import annotations

import getpass
import grp
import gzip
import json
import os
import re
from collections import Counter
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.parse import urljoin

from tests.integration import apart
from tests.integration.debian import find
from tests.integration.dists import make_wheel
from tests.integration.rig import (
    CHECKOUT,
    PATIENCE,
    IntegrationTestCase,
    Server,
    script,
    wait_until,
)

CONTRIB = CHECKOUT / "contrib"

ROTATIONS = 4


class RotationTests(IntegrationTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.program = find("logrotate", "logrotate")
        self.logs = self.folder / "log"
        self.logs.mkdir(mode=0o750)

    def write(self, server: Server) -> Path:
        """Write the example for this server, its user and its folder."""
        assert server.process is not None
        pid = server.process.pid  # type: ignore[attr-defined]  # a Popen has it
        text = (CONTRIB / "logrotate.conf").read_text()
        user, group = getpass.getuser(), grp.getgrgid(os.getgid()).gr_name
        for pattern, instead in (
            (r"/var/log/pypicloud/\*\.log", f"{self.logs}/*.log"),
            (r"su pypicloud pypicloud", f"su {user} {group}"),
            (r"systemctl reload pypicloud", f"kill -HUP {pid}"),
            # So often as here, it would find the name of the day taken.
            (r"dateext", "nodateext"),
        ):
            text, count = re.subn(rf"(?m)^((?!#).*){pattern}", rf"\g<1>{instead}", text)
            self.assertEqual(count, 1, pattern)
        path = self.folder / "logrotate.conf"
        path.write_text(text)
        return path

    def rotate(self, config: Path, *options: str) -> str:
        return self.run_client(
            self.program.path,
            f"--state={self.folder}/state",
            *options,
            config,
            **self.program.environment,
        )

    def lines(self, name: str) -> list[Any]:
        found = []
        for path in self.logs.glob(f"{name}*"):
            opened = gzip.open if path.suffix == ".gz" else open
            with opened(path, "rt") as file:
                found += [json.loads(line) for line in file]
        return found

    def both_go_on(self) -> bool:
        """Whether something is in each of the files that are written to."""
        paths = (self.logs / name for name in ("audit.log", "downloads.log"))
        return all(path.exists() and path.stat().st_size for path in paths)

    def reopened(self, server: Server, times: int) -> bool:
        """Whether so many have been told, each time; they open their logs before."""
        return server.log.count("were read again") == times

    def test_understood(self) -> None:
        """As it stands, but for a user who is here."""
        server = self.server(start=False)
        text = (CONTRIB / "logrotate.conf").read_text()
        user, group = getpass.getuser(), grp.getgrgid(os.getgid()).gr_name
        path = server.folder / "logrotate.conf"
        path.write_text(text.replace("su pypicloud pypicloud", f"su {user} {group}"))
        said = self.rotate(path, "--debug")
        self.assertIn("rotating pattern: /var/log/pypicloud/*.log  weekly", said)
        self.assertNotIn("error:", said)

    def test_no_line_is_lost(self) -> None:
        for workers in ("1", "2"):
            self.logs = self.folder / f"log{workers}"
            self.logs.mkdir(mode=0o750)
            self.rotate_under_load(workers)

    def rotate_under_load(self, workers: str) -> None:
        server = self.server(
            settings={
                "audit.log": str(self.logs / "audit.log"),
                "downloads.log": str(self.logs / "downloads.log"),
                "server.workers": workers,
            },
            launcher=(script("pypicloud"),),
            command=("serve",),
        )
        config = self.write(server)
        names: list[str] = []
        fetched: Counter[str] = Counter()
        over = Event()

        def work() -> None:
            while not over.is_set():
                wheel = make_wheel(self.folder, "acme", f"{len(names)}.0")
                assert server.upload(wheel).status == 200
                names.append(wheel.name)
                [link] = [
                    file["url"]
                    for file in server.document("acme")["files"]
                    if file["filename"] == wheel.name
                ]
                assert server.get(urljoin("/simple/acme/", link)).status == 200
                fetched[wheel.name] += 1

        working = Thread(target=work)
        working.start()
        try:
            for number in range(ROTATIONS):
                # An empty file is not rotated, nor one that is written to after that.
                wait_until(self.both_go_on, lambda: server.log)
                self.rotate(config, "--force")
                told = partial(self.reopened, server, int(workers) * (number + 1))
                wait_until(told, lambda: server.log)
        finally:
            over.set()
            working.join(PATIENCE)
        server.stop()
        published = [
            record["file"]
            for record in self.lines("audit.log")
            if record["act"] == "published"
        ]
        self.assertEqual(Counter(published), Counter(names))
        downloads = Counter(record["file"] for record in self.lines("downloads.log"))
        self.assertEqual(downloads, fetched)
        kept = sorted(path.name for path in self.logs.glob("audit.log*"))
        self.assertEqual(len(kept), ROTATIONS + 1, kept)
        self.assertIn("audit.log.2.gz", kept)


test_suite = apart(__name__)
