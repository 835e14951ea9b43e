"""``pypicloud contrib``: the files beside the server, listed, printed and copied."""

from __future__ import annotations

import tomllib
from pathlib import Path

from pypicloud_tw.cli.contrib import FILES
from tests.cli.administration import AdministrationCase

CHECKOUT = Path(__file__).absolute().parents[2]
FOLDER = CHECKOUT / "contrib"


class ContribCase(AdministrationCase):
    def target(self) -> tuple[str, ...]:
        return ()


class ListTests(ContribCase):
    def test_list(self) -> None:
        lines = self.do("contrib").splitlines()
        self.assertEqual([line.split()[0] for line in lines], ["name", *FILES])

    def test_what_is_released(self) -> None:
        """It names all that the wheel has, and nothing else."""
        project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))
        left_out = project["tool"]["hatch"]["build"]["targets"]["wheel"]["exclude"]
        there = {f"/contrib/{path.name}" for path in FOLDER.iterdir()}
        self.assertEqual({f"/contrib/{name}" for name in FILES}, there - {*left_out})

    def test_folder(self) -> None:
        said = self.do("contrib prometheus/").splitlines()
        names = sorted(path.name for path in (FOLDER / "prometheus").iterdir())
        self.assertEqual(said, [f"prometheus/{name}" for name in names])

    def test_completed(self) -> None:
        env = {
            "_PYPICLOUD_COMPLETE": "bash_complete",
            "COMP_WORDS": "pypicloud\ncontrib\nprometheus/al",
            "COMP_CWORD": "2",
        }
        said = self.invoke(env=env).stdout.split()
        self.assertEqual(
            said,
            ["plain,prometheus/alerts.yml", "plain,prometheus/alerts_test.yml"],
        )


class PrintTests(ContribCase):
    def test_as_it_is(self) -> None:
        for name in ("nginx.conf", "grafana/pypicloud.json"):
            printed = self.invoke("contrib", name).stdout_bytes
            self.assertEqual(printed, (FOLDER / name).read_bytes(), name)

    def test_no_such(self) -> None:
        for name in ("apache.conf", "../README.rst", "", "image"):
            said = self.invoke("contrib", name)
            self.assertEqual(said.exit_code, 2, name)
            self.assertIn(f"there is no {name!r}; there are pypicloud", said.stderr)


class CopyTests(ContribCase):
    def test_into_a_folder(self) -> None:
        said = self.do(f"contrib nginx.conf {self.home}")
        copy = self.home / "nginx.conf"
        self.assertEqual(said, f"{copy} is written.\n")
        self.assertEqual(copy.read_bytes(), (FOLDER / "nginx.conf").read_bytes())

    def test_under_a_name(self) -> None:
        self.do(f"contrib logrotate.conf {self.home}/etc/pypicloud")
        copy = self.home / "etc" / "pypicloud"
        self.assertEqual(copy.read_bytes(), (FOLDER / "logrotate.conf").read_bytes())

    def test_a_folder(self) -> None:
        """All that is in it, at its place, in a new folder or one that is there."""
        self.do(f"contrib kubernetes {self.home}/k8s")
        self.do(f"contrib kubernetes {self.home}")
        original = _files(FOLDER / "kubernetes")
        self.assertEqual(_files(self.home / "k8s"), original)
        self.assertEqual(_files(self.home / "kubernetes"), original)

    def test_what_is_there(self) -> None:
        """It is kept, unless one insists."""
        for name in ("lifecycle.json", "terraform"):
            self.do(f"contrib {name} {self.home}")
            mine = self.home / name
            changed = mine if mine.is_file() else mine / "role.tf"
            changed.write_text("mine")
            said = self.fail_with(1, f"contrib {name} {self.home}")
            self.assertEqual(said, f"{mine} is there already; --force replaces it.\n")
            self.assertEqual(changed.read_text(), "mine")
            self.do(f"contrib {name} {self.home} --force")
            self.assertNotEqual(changed.read_text(), "mine")

    def test_where_nothing_can_be_written(self) -> None:
        (self.home / "file").write_text("")
        said = self.fail_with(2, f"contrib kubernetes {self.home}/file/x")
        self.assertIn("file", said)


def _files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}
