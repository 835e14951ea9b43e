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
from pypicloud_tw.assembly.greeting import greeting
from pypicloud_tw.config.load import load_settings
from tests.doubles import InlineOffload

#: What the image sets.
IMAGE = {"PYPICLOUD_IMAGE": "1", "PYPICLOUD_STORAGE_DIR": "/data/packages"}

ADD = "pypicloud user add NAME --admin"


class FirstUserTests(SynchronousTestCase):
    """How to have one, in the words of the place where the server runs."""

    def how(
        self, environ: Mapping[str, str], *files: str, ini: str | None = None
    ) -> str:
        """Return the line that tells it, from what follows the reason."""
        config = evolve(
            load_settings({}, {}, Path("/")), ini=None if ini is None else Path(ini)
        )
        offload: Any = InlineOffload()
        logins = Logins(Users({}, offload=offload, clock=Clock()))
        policy = Policy(AccessSettings.of(config), AccessDocument())
        said = [*greeting(config, policy, logins, environ, files.__contains__)]
        self.assertEqual(len(said), 3, said)
        reason = "anyone may read, nobody may upload, unless the store has users. "
        return said[1].partition(reason)[2]

    def test_elsewhere(self) -> None:
        """Somebody in a container who starts it at a shell types the plain command."""
        environ = {"container": "podman", "HOSTNAME": "toolbox"}
        self.assertIn("Run pypicloud-make-config", self.how(environ))
        self.assertIn("Run pypicloud-make-config", self.how({}))
        self.assertIn(
            f"Add one by {ADD} --config=/x.ini, or", self.how({}, ini="/x.ini")
        )

    def test_docker(self) -> None:
        """The container's number is its host's name, unless it was given one."""
        environ = {**IMAGE, "HOSTNAME": "3f2a9c1e7b5d"}
        told = f"Add one: docker exec -it 3f2a9c1e7b5d {ADD}"
        self.assertEqual(self.how(environ), told)

    def test_podman(self) -> None:
        environ = {**IMAGE, "HOSTNAME": "3f2a9c1e7b5d"}
        told = f"Add one: podman exec -it 3f2a9c1e7b5d {ADD}"
        self.assertEqual(self.how(environ, "/run/.containerenv"), told)
        self.assertEqual(self.how({**environ, "container": "podman"}), told)

    def test_kubernetes(self) -> None:
        environ = {
            **IMAGE,
            "HOSTNAME": "pypicloud-0",
            "KUBERNETES_SERVICE_HOST": "10.0.0.1",
        }
        self.assertEqual(
            self.how(environ), f"Add one: kubectl exec -it pypicloud-0 -- {ADD}"
        )

    def test_ini_in_a_container(self) -> None:
        """It is named in the command, unless the environment names it."""
        told = f"Add one: docker exec -it CONTAINER {ADD}"
        self.assertEqual(self.how(IMAGE, ini="/x.ini"), f"{told} --config=/x.ini")
        environ = {**IMAGE, "PYPICLOUD_CONFIG": "/x.ini"}
        self.assertEqual(self.how(environ, ini="/x.ini"), told)
        self.assertEqual(self.how(environ, ini="/y.ini"), f"{told} --config=/y.ini")

    def test_container_whose_store_no_command_finds(self) -> None:
        """Neither the environment nor an ini says where it is."""
        self.assertIn("Run pypicloud-make-config", self.how({"PYPICLOUD_IMAGE": "1"}))
