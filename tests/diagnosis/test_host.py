"""The machine: disks, limits, secrets, libraries."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw import __version__
from pypicloud_tw.config.configuration import Config
from pypicloud_tw.config.load import load
from pypicloud_tw.diagnosis import host, installed
from pypicloud_tw.diagnosis.host import Place, PrivateFile
from pypicloud_tw.diagnosis.machine import Machine, look_at_disk
from pypicloud_tw.diagnosis.values import Finding
from tests.diagnosis.doubles import GIB, ROOMY, FakeMachine, levels, the


class DiskTests(SynchronousTestCase):
    def look(self, machine: FakeMachine, place: Place | None = None) -> list[Finding]:
        place = place or Place("storage.dir", Path("/p"), once=GIB)
        return list(host.disks([place], machine.machine))

    def test_right(self) -> None:
        (found,) = self.look(FakeMachine())
        self.assertEqual(found.level, "ok")
        self.assertEqual(found.subject, "storage.dir = /p")
        self.assertEqual(found.found, "50.0 GiB of 100.0 GiB are free.")

    def test_what_is_wrong(self) -> None:
        for change, level, words in (
            ({"read_only": True}, "fault", "mounted read-only"),
            ({"kind": "tmpfs"}, "fault", "lost when the machine starts again"),
            ({"kind": "overlay"}, "warning", "inside of the container"),
            ({"free": 1 * GIB}, "fault", "Only 1.0 GiB of 100.0 GiB"),
            ({"free": 5 * GIB}, "warning", "Only 5.0 GiB of 100.0 GiB"),
            ({"inodes_free": 50}, "warning", "50 of 1000 inodes"),
            ({"inodes_free": 5}, "fault", "5 of 1000 inodes"),
        ):
            disk = evolve(ROOMY, **change)
            (found,) = self.look(FakeMachine(disk=disk))
            self.assertEqual(found.level, level, change)
            self.assertIn(words, found.found)
            self.assertNotEqual(found.advice, "")

    def test_much_is_enough(self) -> None:
        """Whatever part of a large disk it is; and some file systems tell nothing."""
        disk = evolve(ROOMY, free=30 * GIB, size=10_000 * GIB, inodes=0, inodes_free=0)
        self.assertEqual(levels(self.look(FakeMachine(disk=disk))), ["ok"])

    def test_large_uploads(self) -> None:
        found = self.look(FakeMachine(), Place("TMPDIR", Path("/t"), once=60 * GIB))
        self.assertIn("An upload may have 60.0 GiB", the("note", found).found)

    def test_temporary_files_in_memory(self) -> None:
        """Nothing is lost, but memory is taken."""
        place = Place("TMPDIR", Path("/t"), lasting=False)
        machine = FakeMachine(disk=evolve(ROOMY, kind="tmpfs"))
        self.assertEqual(levels(self.look(machine, place)), ["note", "ok"])

    def test_not_there_or_not_writable(self) -> None:
        gone = FakeMachine(disk=FileNotFoundError(2, "No such file or directory"))
        self.assertIn("No such file", the("fault", self.look(gone)).found)
        kept = FakeMachine(writable=False)
        self.assertIn("may not write", the("fault", self.look(kept)).found)

    def test_places(self) -> None:
        environ = {
            "PYPICLOUD_STORAGE_DIR": "/p",
            "PYPICLOUD_AUDIT_LOG": "/var/log/a.json",
            "PYPICLOUD_DOWNLOADS_LOG": "-",
        }
        places = list(host.places_of(load(None, environ), "/t"))
        self.assertEqual(
            [(one.key, str(one.path)) for one in places],
            [("storage.dir", "/p"), ("TMPDIR", "/t"), ("audit.log", "/var/log")],
        )
        environ = {"PYPICLOUD_AWS_BUCKET": "acme", "PYPICLOUD_STORAGE_TEMP_DIR": "/"}
        places = list(host.places_of(load(None, environ), "/t"))
        self.assertEqual(
            [(one.key, str(one.path)) for one in places], [("storage.temp_dir", "/")]
        )

    def test_this_machine(self) -> None:
        disk = look_at_disk(Path("/"))
        self.assertGreater(disk.size, 0)
        if Path("/proc/self/mounts").exists():
            self.assertNotEqual(disk.kind, "")


class LimitTests(SynchronousTestCase):
    def test_open_files(self) -> None:
        for soft, level in (
            (-1, "ok"),
            (65536, "ok"),
            (1024, "note"),
            (100, "fault"),
        ):
            (found,) = host.limits(FakeMachine(files=(soft, 65536)).machine)
            self.assertEqual(found.level, level, soft)
            if level != "ok":
                self.assertIn("LimitNOFILE", found.advice)


class SecretTests(SynchronousTestCase):
    def test_modes(self) -> None:
        file = PrivateFile("the ini", Path("/etc/x.ini"))
        for mode, level in (
            (0o100600, "ok"),
            (0o100640, "ok"),
            (0o100660, "warning"),
            (0o100644, "fault"),
        ):
            machine = FakeMachine(mode=mode).machine
            (found,) = host.readable_secrets([file], machine)
            self.assertEqual(found.level, level, oct(mode))
            self.assertIn("/etc/x.ini", found.subject)
        (none,) = host.readable_secrets([], FakeMachine().machine)
        self.assertEqual(none.level, "ok")

    def test_a_secret_that_is_not_there(self) -> None:
        """The others are looked at all the same."""
        there = Path(self.mktemp())
        there.write_text("x")
        there.chmod(0o600)
        named = [PrivateFile("a", there.with_suffix(".no")), PrivateFile("b", there)]
        found = list(host.readable_secrets(named, Machine()))
        self.assertEqual(levels(found), ["unseen", "ok"])
        self.assertIn("No such file or directory", found[0].found)

    def files(self, text: str, **environ: str) -> list[str]:
        ini = Path(self.mktemp()).absolute()
        ini.write_text(f"[pypicloud]\n{text}")
        for name in ("secret", "users", "other"):
            (ini.parent / name).write_text("x")
        config = load(ini, environ)
        found = host.private_files(config, environ)
        return [f"{one.key} {one.path.name}" for one in found]

    def test_which_files(self) -> None:
        bucket = "aws.bucket = acme\naws.access_key = A\n"
        self.assertEqual(self.files("storage.dir = p\n"), [])
        self.assertEqual(
            [name.split()[0:2] for name in self.files(f"{bucket}aws.secret_key = x\n")],
            [["the", "ini"]],
        )
        self.assertIn(
            "aws.secret_key_file secret",
            self.files(f"{bucket}aws.secret_key_file = secret\n"),
        )
        self.assertEqual(self.files("auth.htpasswd = users\n"), ["auth.htpasswd users"])
        self.assertEqual(
            self.files("server.listen = ssl:443:privateKey=/etc/own.key\n"),
            ["the key of server.listen own.key"],
        )

    def test_those_of_the_environment(self) -> None:
        secret = Path(self.mktemp()).absolute()
        secret.write_text("x")
        environ = {
            "PYPICLOUD_AWS_BUCKET": "acme",
            "PYPICLOUD_AWS_ACCESS_KEY": "A",
            "PYPICLOUD_AWS_SECRET_KEY_FILE": str(secret),
        }
        config = load(None, environ)
        (found,) = host.private_files(config, environ)
        self.assertEqual(found, PrivateFile("aws.secret_key_file", secret))


class InstalledTests(SynchronousTestCase):
    def test_libraries(self) -> None:
        required = (
            "twisted[tls]<26.11,>=26.4",
            "klein>=24.8",
            'ldaptor<22,>=21.2; extra == "ldap"',
            'sigstore<5; extra == "attestations"',
        )
        right = {"pypicloud-tw": __version__, "twisted": "26.5.0", "klein": "24.8"}
        for changed, expected in (
            ({}, ["ok"]),
            ({"twisted": "26.11.0"}, ["fault"]),
            ({"klein": ""}, ["fault"]),
            ({"ldaptor": "20.0"}, ["note"]),
            ({"pypicloud-tw": "0.9"}, ["ok", "note"]),
        ):
            there = {k: v for k, v in {**right, **changed}.items() if v}
            machine = FakeMachine(required=required, installed=there).machine
            found = list(installed.libraries(machine))
            self.assertEqual(levels(found), expected, changed)
        machine = FakeMachine(required=None).machine
        self.assertEqual(levels(installed.libraries(machine)), ["unseen"])

    def test_those_here(self) -> None:
        """What these tests run with is as it is declared, if it is installed at all."""
        for one in installed.libraries(Machine()):
            self.assertIn(one.level, ("ok", "note", "unseen"), one)

    def test_python(self) -> None:
        for version, today, level in (
            ("3.11.7", date(2026, 11, 28), "ok"),
            ("3.11.7", date(2027, 9, 1), "note"),
            ("3.11.7", date(2027, 11, 1), "warning"),
            ("3.99.0", date(2027, 11, 1), "ok"),
        ):
            machine = FakeMachine(python=version).machine
            told = levels(installed.python(machine, today))
            self.assertEqual(told, [level, "ok"], version)
        old = FakeMachine(openssl="OpenSSL 1.1.1w  11 Sep 2023").machine
        found = list(installed.python(old, date(2026, 11, 28)))
        self.assertEqual(the("warning", found).subject, "OpenSSL")

    def test_extras(self) -> None:
        plain = load(None, {})
        self.assertEqual(levels(installed.extras(plain, FakeMachine().machine)), ["ok"])
        config = self.with_ldap(plain)
        (missing,) = installed.extras(config, FakeMachine().machine)
        self.assertEqual(missing.level, "fault")
        self.assertIn("pypicloud-tw[ldap]", missing.advice)
        there = FakeMachine(modules=frozenset({"ldaptor"})).machine
        self.assertEqual(levels(installed.extras(config, there)), ["ok"])

    def with_ldap(self, config: Config) -> Config:
        return evolve(config, ldap=evolve(config.ldap, url=("ldaps://d:636",)))
