"""What a server says when it starts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import evolve
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.document import AccessDocument
from pypicloud_tw.access.logins import Logins
from pypicloud_tw.access.policy import Policy
from pypicloud_tw.access.settings import AccessSettings
from pypicloud_tw.access.users import Users
from pypicloud_tw.assembly.greeting import greeting, who_may_upload
from pypicloud_tw.config.configuration import Config
from pypicloud_tw.config.load import load_settings
from tests.doubles import InlineOffload

#: What the image sets.
IMAGE = {"PYPICLOUD_IMAGE": "1", "PYPICLOUD_STORAGE_DIR": "/data/packages"}

ADD = "pypicloud user add NAME --admin"


class FirstUserTests(SynchronousTestCase):
    """How to have one, in the words of the place where the server runs."""

    program = "/opt/pypicloud/bin/pypicloud"

    def told(
        self, environ: Mapping[str, str], *files: str, ini: str | None = None
    ) -> str:
        """Return what is said of who may upload where nobody may."""
        config = configured(ini)
        offload: Any = InlineOffload()
        logins = Logins(Users({}, offload=offload, clock=Clock()))
        policy = Policy(AccessSettings.of(config), AccessDocument())
        (said,) = who_may_upload(
            config, policy, logins, environ, files.__contains__, self.program
        )
        return said

    def how(
        self, environ: Mapping[str, str], *files: str, ini: str | None = None
    ) -> str:
        """Return the command that adds a user."""
        reason, _, command = self.told(environ, *files, ini=ini).partition("Add one: ")
        self.assertEqual(
            reason, "There is no user yet: anyone may read, nobody may upload. "
        )
        return command

    def test_without_an_ini(self) -> None:
        """It can be typed in any folder."""
        told = f"PYPICLOUD_STORAGE_DIR=/packages {ADD}"
        # Somebody in a container who starts it at a shell types the plain command.
        environ = {"container": "podman", "HOSTNAME": "toolbox"}
        for somewhere in ({}, environ):
            self.assertEqual(self.how(somewhere), told)

    def test_not_installed(self) -> None:
        """Whoever started it by ``uvx`` finds no ``pypicloud``."""
        self.program = "/home/ann/.cache/uv/archive-v0/x/bin/pypicloud-tw"
        self.assertEqual(
            self.how({}),
            "PYPICLOUD_STORAGE_DIR=/packages uvx pypicloud-tw user add NAME --admin",
        )

    def test_settings_of_the_environment(self) -> None:
        environ = {"PYPICLOUD_AWS_BUCKET": "acme"}
        self.assertEqual(self.how(environ), f"{ADD}, in the environment of the server")

    def test_ini(self) -> None:
        self.assertEqual(self.how({}, ini="/x.ini"), f"{ADD} --config=/x.ini")
        self.assertEqual(self.how({}, ini="/x y.ini"), f"{ADD} --config='/x y.ini'")
        environ = {"PYPICLOUD_CONFIG": "/x.ini"}
        self.assertEqual(self.how(environ, ini="/x.ini"), ADD)

    def test_docker(self) -> None:
        """The container's number is its host's name, unless it was given one."""
        environ = {**IMAGE, "HOSTNAME": "3f2a9c1e7b5d"}
        self.assertEqual(self.how(environ), f"docker exec -it 3f2a9c1e7b5d {ADD}")

    def test_podman(self) -> None:
        environ = {**IMAGE, "HOSTNAME": "3f2a9c1e7b5d"}
        told = f"podman exec -it 3f2a9c1e7b5d {ADD}"
        self.assertEqual(self.how(environ, "/run/.containerenv"), told)
        self.assertEqual(self.how({**environ, "container": "podman"}), told)

    def test_kubernetes(self) -> None:
        environ = {
            **IMAGE,
            "HOSTNAME": "pypicloud-0",
            "KUBERNETES_SERVICE_HOST": "10.0.0.1",
        }
        self.assertEqual(self.how(environ), f"kubectl exec -it pypicloud-0 -- {ADD}")

    def test_ini_in_a_container(self) -> None:
        """It is named in the command, unless the environment names it."""
        told = f"docker exec -it CONTAINER {ADD}"
        self.assertEqual(self.how(IMAGE, ini="/x.ini"), f"{told} --config=/x.ini")
        environ = {**IMAGE, "PYPICLOUD_CONFIG": "/x.ini"}
        self.assertEqual(self.how(environ, ini="/x.ini"), told)
        self.assertEqual(self.how(environ, ini="/y.ini"), f"{told} --config=/y.ini")

    def test_container_whose_environment_names_no_store(self) -> None:
        environ = {"PYPICLOUD_IMAGE": "1"}
        self.assertEqual(
            self.how(environ),
            f"docker exec -it CONTAINER env PYPICLOUD_STORAGE_DIR=/packages {ADD}",
        )


class PlaceTests(SynchronousTestCase):
    """What is served, and where."""

    def test_where_it_is(self) -> None:
        served, how = greeting(configured())
        self.assertEqual(served, "Serving /packages at tcp:6543:interface=127.0.0.1.")
        base = "http://127.0.0.1:6543"
        self.assertIn(f"pip install --index-url {base}/simple/ PROJECT", how)
        self.assertIn(f" {base}/ ", how)

    def test_where_nobody_knows(self) -> None:
        """It listens at every address, and is called what nobody has said."""
        said = greeting(configured(host="*"))
        self.assertEqual(len([*said]), 1)


def configured(ini: str | None = None, host: str = "127.0.0.1") -> Config:
    config = load_settings({"server.host": host}, {}, Path("/"))
    return evolve(config, ini=None if ini is None else Path(ini))
