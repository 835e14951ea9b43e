"""The image of the Dockerfile: built, started, asked, and started again."""

from __future__ import annotations

import os
import re
import stat
import sys
from typing import ClassVar

from tests.integration import apart
from tests.integration.buildah import Image, built
from tests.integration.container import Container, command_of
from tests.integration.dists import make_wheel
from tests.integration.rig import PASSWORD, IntegrationTestCase

#: What the image may have more than its base, in bytes as an engine counts them.
LIMIT = 60_000_000

INDEX = "http://127.0.0.1:6543"


class ImageTestCase(IntegrationTestCase):
    image: ClassVar[Image]

    def setUp(self) -> None:
        type(self).image = built()
        super().setUp()

    def container(self, **options: object) -> Container:
        """Make a container with an empty volume, which has what the image has of it."""
        data = self.folder / "data"
        if not data.exists():
            data.mkdir()
            like = (self.image.root / "data").stat()
            os.chown(data, like.st_uid, like.st_gid)
            data.chmod(stat.S_IMODE(like.st_mode))
        made = Container(self.image, data, self.folder / "log", **options)  # type: ignore[arg-type]
        self.addCleanup(made.kill)
        return made

    def upload(self, container: Container, version: str, password: str) -> str:
        """Upload with twine, as alice."""
        wheel = make_wheel(self.folder, "acme", version)
        outcome = container.beside(
            *(sys.executable, "-m", "twine", "upload", "--non-interactive"),
            *("--disable-progress-bar", "--repository-url", f"{INDEX}/legacy/"),
            *("--username", "alice", "--password", password, wheel),
            home=self.home,
        )
        return "" if outcome.code == 0 else outcome.output

    def download(self, container: Container, version: str) -> None:
        outcome = container.beside(
            *(sys.executable, "-m", "pip", "download", "--no-deps", "--no-cache-dir"),
            *("--index-url", f"{INDEX}/simple/", "--dest", self.make_folder()),
            f"acme=={version}",
            home=self.home,
        )
        self.assertEqual(outcome.code, 0, outcome.output)


class DescriptionTests(ImageTestCase):
    """What the image says of itself."""

    def test_config(self) -> None:
        config = self.image.config
        self.assertEqual(config["User"], "6543:6543")
        self.assertEqual(config["Volumes"], {"/data": {}})
        self.assertEqual(config["ExposedPorts"], {"6543/tcp": {}})
        self.assertEqual(config["StopSignal"], "SIGTERM")
        self.assertEqual(
            config["Healthcheck"]["Test"], ["CMD", "pypicloud", "healthcheck"]
        )
        labels = {
            name.removeprefix("org.opencontainers.image."): value
            for name, value in config["Labels"].items()
        }
        self.assertEqual((labels["version"], labels["revision"]), ("1.2.3", "0123abc"))

    def test_size(self) -> None:
        added = self.image.added
        print(f"The image has {added / 1e6:.1f} MB more than its base.")
        self.assertLess(added, LIMIT)

    def test_nothing_of_pip_is_left(self) -> None:
        site = self.image.root / "opt/pypicloud"
        self.assertEqual([*site.rglob("pip"), *site.rglob("setuptools")], [])


class RunTests(ImageTestCase):
    def test_first_start(self) -> None:
        """Without a setting it serves, nobody may write, and the log says who might."""
        container = self.container()
        container.start()
        container.wait_until_ready()
        health = self.image.config["Healthcheck"]["Test"][1:]
        outcome = container.exec(*health)
        self.assertEqual(outcome, type(outcome)(0, f"{INDEX}: ok\n"))
        self.assertIn("403", self.upload(container, "1.0", "any"))

        command = [
            {"NAME": "alice"}.get(part, part) for part in command_of(container.log)
        ]
        made = container.exec_with_terminal(*command, answers=[PASSWORD, PASSWORD])
        self.assertEqual(made.code, 0, made.output)
        self.assertNotIn(PASSWORD, made.output)
        self.assertEqual(self.upload(container, "1.0", PASSWORD), "")
        self.download(container, "1.0")
        self.assertIn(container.stop(), (0, 128 + 15))
        self.assertIn("Main loop terminated.", container.log)

        container.start()
        container.wait_until_ready()
        self.download(container, "1.0")
        self.assertEqual(self.upload(container, "2.0", PASSWORD), "")
        container.stop()
        self.assertNotIn("Traceback", container.log)
        owners = {path.lstat().st_uid for path in container.data.rglob("*")}
        self.assertEqual(owners, {6543})

    def test_any_user(self) -> None:
        """As on OpenShift: a number that is nobody's, of the group 0."""
        container = self.container(user=(1_000_650_000, 0))
        container.start()
        container.wait_until_ready()
        made = container.exec(
            *("pypicloud", "user", "add", "alice", "--admin", "--password-stdin"),
            stdin=f"{PASSWORD}\n",
        )
        self.assertEqual(made.code, 0, made.output)
        self.assertEqual(self.upload(container, "1.0", PASSWORD), "")
        self.download(container, "1.0")
        container.stop()
        self.assertNotIn("Traceback", container.log)

    def test_unhealthy(self) -> None:
        """A container in which nobody serves."""
        container = self.container()
        container.start("healthcheck")
        self.assertEqual(container.wait(), 1)
        said = f"/health of {INDEX}: Connection refused."
        self.assertEqual(container.log, f"{said}\n")

    def test_credentials_of_botocore(self) -> None:
        """The services that give some out are still described in it."""
        code = (
            "from botocore.session import Session; s = Session(); "
            "[s.create_client(n, region_name='eu-central-1', aws_access_key_id='a', "
            "aws_secret_access_key='b') for n in ('sts', 'sso', 'sso-oidc')]; "
            "print(s.get_available_partitions())"
        )
        container = self.container()
        container.image = Image(
            self.image.root,
            {**self.image.config, "Entrypoint": ["/opt/pypicloud/bin/python"]},
            self.image.base,
        )
        container.start("-c", code)
        self.assertEqual(container.wait(), 0, container.log)
        self.assertRegex(container.log, re.compile(r"'aws', 'aws-cn'"))


test_suite = apart(__name__)
