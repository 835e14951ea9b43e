"""All that is looked at of settings, put together; and what the docs say of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import evolve
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.assembly.index import make_index
from pypicloud_tw.client.address import IndexAddress
from pypicloud_tw.config.configuration import Config
from pypicloud_tw.config.load import load
from pypicloud_tw.diagnosis.configured import Examined, examined, front, settings
from pypicloud_tw.diagnosis.outside.asking import Visitor
from pypicloud_tw.diagnosis.outside.front import Front
from pypicloud_tw.diagnosis.outside.pages import Pages
from pypicloud_tw.diagnosis.outside.uploads import Uploads
from pypicloud_tw.diagnosis.outside.visited import Visited
from pypicloud_tw.diagnosis.running import run_checks
from pypicloud_tw.diagnosis.values import Check, Finding, Looked
from pypicloud_tw.errors import ConfigError
from pypicloud_tw.metrics import Metrics
from pypicloud_tw.process import Process
from tests.diagnosis.doubles import FakeMachine, levels
from tests.doubles import InlineOffload
from tests.web.api.doubles import AccessWeb, WebAgent
from tests.web.doubles import started

DOCS = Path(__file__).absolute().parents[2] / "docs" / "guide" / "doctor.rst"

BUCKET = {
    "PYPICLOUD_AWS_BUCKET": "acme",
    "PYPICLOUD_AWS_ACCESS_KEY": "AKID",
    "PYPICLOUD_AWS_SECRET_KEY": "hunter2",
}


def made(environ: Mapping[str, str], folder: str = "") -> Examined:
    """Make what a diagnosis is made of, with nothing of this machine."""
    config = load(None, environ)
    if folder:
        config = evolve(config, storage=evolve(config.storage, dir=Path(folder)))
    reactor = MemoryReactorClock()
    offload: Any = InlineOffload()
    process = Process(reactor, offload, Metrics(reactor))
    index = make_index(config, process, {})
    return examined(
        config, process, index, environ, deep=False, machine=FakeMachine().machine
    )


def visited() -> Visited:
    address = IndexAddress.parse("http://pypi.example:6543", "x")
    visitor = Visitor(address, None, WebAgent(AccessWeb()), Clock())
    return Visited(
        Front(visitor, FakeMachine().machine, InlineOffload()),
        Pages(visitor),
        Uploads(address, None, Clock()),
    )


class ChecksTests(SynchronousTestCase):
    def test_what_is_needed_comes_before(self) -> None:
        """So that no check waits in a circle, and each name is another."""
        for checks in (made({}).checks(), made(BUCKET).checks(), visited().checks()):
            names = [check.name for check in checks]
            self.assertEqual(len(set(names)), len(names))
            for place, check in enumerate(checks):
                if check.needs is not None:
                    self.assertIn(check.needs, names[:place])

    def test_docs(self) -> None:
        """Every check is listed in guide/doctor.rst, in order, and no other."""
        text = DOCS.read_text("utf-8")
        _, listed = text.split("\nOf settings\n", 1)
        inside, outside = listed.split("\nOf a server\n", 1)
        for part, lists in (
            (inside, [made({}).checks(), made(BUCKET).checks()]),
            (outside, [visited().checks()]),
        ):
            told = re.findall(r"^``([a-z-]+)``$", part, re.MULTILINE)
            self.assertEqual(len(told), len(set(told)), "Each is told once.")
            for checks in lists:
                names = [check.name for check in checks]
                self.assertEqual([n for n in told if n in names], names)
            known = {check.name for checks in lists for check in checks}
            self.assertEqual(set(told), known)

    def test_a_folder(self) -> None:
        """All of them are done; nothing but the folder's own is left in it."""
        folder = self.mktemp()
        Path(folder).mkdir()
        environ = {"PYPICLOUD_PYPI_FALLBACK": "none"}
        examined = made(environ, folder)
        found = self.run_checks(examined, examined.checks())
        wrong = [line for line in found if line.level not in ("ok", "note")]
        self.assertEqual(wrong, [])
        left = [path for path in Path(folder).rglob("*") if path.is_file()]
        self.assertEqual([path for path in left if ".probe" in str(path)], [])

    def test_no_folder(self) -> None:
        """It is not made; what is in it is not looked for."""
        folder = self.mktemp()
        examined = made({"PYPICLOUD_PYPI_FALLBACK": "none"}, folder)
        found = {
            line.check: line for line in self.run_checks(examined, examined.checks())
        }
        self.assertIn("There is no folder", found["store"].found)
        self.assertEqual(found["manifests"].level, "unseen")
        self.assertFalse(Path(folder).exists())

    def run_checks(self, examined: Examined, checks: list[Check]) -> list[Looked]:
        running = started(run_checks(checks, Clock()))
        found = self.successResultOf(running)
        closing = started(examined.index.close())
        self.successResultOf(closing)
        return found

    def test_not_usable(self) -> None:
        ca_file = Path(self.mktemp()).absolute()
        ca_file.write_text("none")
        environ = {"PYPICLOUD_OIDC_CA_FILE": str(ca_file)}
        with self.assertRaisesRegex(ConfigError, "oidc.ca_file"):
            made(environ)

    def test_region_of_the_environment(self) -> None:
        for environ, region in (
            ({}, None),
            ({"AWS_DEFAULT_REGION": "eu-west-1"}, "eu-west-1"),
            ({"AWS_REGION": "a-1", "PYPICLOUD_AWS_REGION": "b-1"}, "b-1"),
        ):
            bucket = made({**BUCKET, **environ}).bucket
            assert bucket is not None
            self.assertEqual(bucket.configured, region)


class SettingsTests(SynchronousTestCase):
    def test_notices(self) -> None:
        """What the server says at its start is said here."""
        config = load(None, {})
        found = settings(config)
        self.assertEqual([one.found for one in found[1:]], [*config.notices])
        self.assertEqual(found[0].level, "ok")

    def front(self, **changed: Any) -> list[Finding]:
        config = Config()
        server = {k: changed.pop(k) for k in ("listen",) if k in changed}
        return front(
            evolve(
                config,
                server=evolve(config.server, **server),
                pypi=evolve(config.pypi, **changed),
            )
        )

    def test_front(self) -> None:
        for changed, level in (
            ({}, "ok"),
            ({"listen": "unix:/run/x"}, "ok"),
            ({"listen": "ssl:443:privateKey=x"}, "ok"),
            ({"listen": "tcp:80"}, "note"),
            ({"listen": "tcp:80", "trusted_proxies": ("10.0.0.0/8",)}, "ok"),
            ({"public_url": "https://pypi.example"}, "warning"),
        ):
            self.assertEqual(levels(self.front(**changed)), [level], changed)
