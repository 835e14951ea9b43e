"""A file of htpasswd: what it says, and that it is read again when it changes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.directories import htpasswd
from pypicloud_tw.access.directories.htpasswd import Htpasswd, parse_htpasswd
from pypicloud_tw.access.passwords import HTPASSWD
from pypicloud_tw.access.principal import Credentials
from pypicloud_tw.access.users import PASSWORD, PasswordLogin, Users
from pypicloud_tw.config.ini import read_text
from pypicloud_tw.errors import ConfigError, Unauthorized
from tests.access.test_hashes import SECRET
from tests.access.test_users import HERE, HeldOffload, basic
from tests.doubles import InlineOffload

ONE, OTHER = SECRET["pbkdf2_sha256"], SECRET["pbkdf2_sha512"]
BCRYPT = SECRET["bcrypt"].replace("$2b$", "$2y$")  # as htpasswd writes it


class ParseTests(SynchronousTestCase):
    def problem(self, line: str) -> str:
        (problem,) = parse_htpasswd(line).problems
        self.assertNotIn("hash-itself", problem)
        return problem

    def test_users(self) -> None:
        text = f"# comment\n\nann:{BCRYPT}\r\n  \nbob:{ONE}:ignored\n # more\n"
        reading = parse_htpasswd(text)
        self.assertEqual(reading.hashes, {"ann": BCRYPT, "bob": ONE})
        self.assertEqual(reading.problems, ())

    def test_old_kinds_say_what_to_do(self) -> None:
        for hashed, kind in (("$apr1$salt$hash-itself", "MD5"), ("{SHA}x=", "SHA-1")):
            problem = self.problem(f"ann:{hashed}")
            self.assertIn(f"line 1: the hash of 'ann' is {kind}", problem)
            self.assertIn("htpasswd -B FILE ann", problem)
        self.assertIn("no kind that works", self.problem("ann:hash-itself"))

    def test_who_has_such_a_hash_keeps_the_name(self) -> None:
        self.assertEqual(parse_htpasswd("ann:{SHA}x").hashes, {"ann": None})

    def test_lines_that_are_none(self) -> None:
        self.assertIn("no colon", self.problem("ann"))
        self.assertIn("printable text", self.problem(f":{ONE}"))
        self.assertIn("means a group", self.problem(f"everyone:{ONE}"))
        self.assertEqual(parse_htpasswd(f"everyone:{ONE}").hashes, {})

    def test_only_line_ends_end_lines(self) -> None:
        text = f"x\u2028bob:{ONE}\r\nann:{ONE}\r\namy:{ONE}"
        self.assertEqual(parse_htpasswd(text).hashes, {"ann": ONE, "amy": ONE})

    def test_duplicates(self) -> None:
        reading = parse_htpasswd(f"ann:{ONE}\nann:{OTHER}\nann\n")
        self.assertEqual(reading.hashes, {"ann": ONE})
        self.assertIn("line 2: 'ann' is there twice", reading.problems[0])
        # Not the second for the first either where that makes nobody.
        self.assertEqual(parse_htpasswd(f"a:x\na:{ONE}").hashes, {"a": None})

    @given(st.text())
    def test_any_text(self, text: str) -> None:
        reading = parse_htpasswd(text)
        self.assertLessEqual(len(reading.hashes), len(text.splitlines()))


class FileTests(SynchronousTestCase):
    offload: Any

    def setUp(self) -> None:
        self.clock = Clock()
        self.offload = InlineOffload()
        self.path = Path(self.mktemp())
        self.users = Users({"ini": ONE}, offload=InlineOffload(), clock=self.clock)
        self.write(f"ann:{ONE}\nbob:{ONE}\n")
        self.file = self.make()
        self.file.load()
        self.door = PasswordLogin(self.users, self.file)

    def make(self) -> Htpasswd:
        def update(hashes: Mapping[str, str | None]) -> None:
            self.users.update(HTPASSWD, hashes)

        return Htpasswd(self.path, update, self.offload, self.clock)

    def write(self, text: str) -> None:
        """Replace the file, as editors and htpasswd do."""
        new = self.path.with_suffix(".new")
        new.write_text(text)
        os.replace(new, self.path)

    def begin(self, user: str) -> Deferred[Any]:
        credentials = Credentials(basic(user, "secret"), HERE)
        return Deferred.fromCoroutine(self.door.authenticate(credentials))

    def may(self, user: str) -> bool:
        """Ask as a request does."""
        principal = self.door.recall(Credentials(basic(user, "secret"), HERE))
        if principal is not None:
            self.assertEqual(principal.proof, PASSWORD)
            return True
        result = self.begin(user)
        result.addErrback(lambda failure: failure.trap(Unauthorized) and None)
        return self.successResultOf(result) is not None

    def test_users(self) -> None:
        for user in ("ini", "ann", "bob"):
            self.assertTrue(self.may(user))
        self.assertFalse(self.may("cid"))

    def test_change(self) -> None:
        self.assertTrue(self.may("ann"))
        self.assertTrue(self.may("bob"))
        self.write(f"ann:{ONE}\ncid:{ONE}\n")
        self.assertTrue(self.may("bob"))
        self.clock.advance(1)
        self.assertFalse(self.may("bob"))
        self.assertTrue(self.may("cid"))
        # Who has not changed is remembered still.
        self.assertIsNotNone(self.users.remembered(basic("ann", "secret"), HERE))

    def test_looked_at_once_a_second(self) -> None:
        for _ in range(10):
            self.may("ann")
        self.assertEqual(len(self.offload.threaded), 1)
        self.clock.advance(1)
        for _ in range(10):
            self.may("ann")
        self.assertEqual(len(self.offload.threaded), 2)

    def test_broken_file_leaves_the_users_of_before(self) -> None:
        self.may("ann")
        for step in (lambda: self.path.write_bytes(b"\xff\xfe\0"), self.path.unlink):
            step()
            with capturedLogs() as logs:
                for _ in range(3):
                    self.clock.advance(1)
                    self.assertTrue(self.may("ann"))
            (event,) = logs
            self.assertIn("The users of before stay", formatEvent(event) or "")
        self.write(f"cid:{ONE}\n")
        self.clock.advance(1)
        self.assertFalse(self.may("ann"))
        self.assertTrue(self.may("cid"))

    def test_half_of_a_change_is_not_read(self) -> None:
        """``htpasswd`` writes over the file, so that users are missing meanwhile."""
        whole = self.path.read_text()
        reads = []

        def read(path: Path, limit: int) -> str:
            text = read_text(path, limit)
            reads.append(text)
            if len(reads) == 1:
                self.path.write_text(whole)
            return text

        self.path.write_text(whole[:50])
        self.clock.advance(1)
        self.patch(htpasswd, "read_text", read)
        self.assertTrue(self.may("bob"))
        self.assertEqual([len(text) for text in reads], [50, len(whole)])

    def test_file_that_never_rests_leaves_the_users_of_before(self) -> None:
        def read(path: Path, limit: int) -> str:
            path.write_text(f"cid:{ONE}\n{'#' * len(reads)}")
            reads.append(None)
            return read_text(path, limit)

        reads: list[None] = []
        self.write(f"cid:{ONE}\n")
        self.clock.advance(1)
        self.patch(htpasswd, "read_text", read)
        with capturedLogs() as logs:
            self.assertTrue(self.may("bob"))
        self.assertIn("changes while it is read", formatEvent(logs[0]) or "")

    def test_problems_are_told_once_for_each_reading(self) -> None:
        self.write(f"ann:{ONE}\neve:$apr1$x$hash-itself\n")
        with capturedLogs() as logs:
            for _ in range(3):
                self.clock.advance(1)
                self.may("ann")
        told = [formatEvent(event) or "" for event in logs]
        self.assertEqual(len([t for t in told if "line 2" in t]), 1)
        self.assertNotIn("hash-itself", " ".join(told))

    def test_many_problems(self) -> None:
        self.write("x\n" * 500)
        with capturedLogs() as logs:
            self.clock.advance(1)
            self.may("ann")
        self.assertLess(len(logs), 30)

    def test_cannot_be_read_at_the_start(self) -> None:
        self.path.write_bytes(b"x" * (2**20 + 1))
        with self.assertRaises(ConfigError) as caught:
            self.make().load()
        self.assertIn("is it the right file", caught.exception.problems[0])

    def test_hangup_reads_it_again(self) -> None:
        self.may("ann")
        state = os.stat(self.path)
        self.path.write_text(self.path.read_text().replace("bob", "cid"))
        os.utime(self.path, ns=(state.st_atime_ns, state.st_mtime_ns))
        self.file.reload()
        self.assertTrue(self.may("cid"))

    def test_file_that_hangs_keeps_nobody_waiting_for_long(self) -> None:
        self.offload = HeldOffload()
        self.file = self.make()
        self.file.load()
        self.door = PasswordLogin(self.users, self.file)
        result = self.begin("ann")
        self.assertNoResult(result)
        with capturedLogs() as logs:
            self.clock.advance(5)
        self.successResultOf(result)
        self.assertIn("not read within 5 s", formatEvent(logs[0]) or "")
        # Others do not wait at all, and no other thread is lost.
        self.clock.advance(10)
        self.assertTrue(self.may("bob"))
        self.assertEqual(len(self.offload.calls), 1)
        self.offload.answer(None)
        self.clock.advance(1)
        self.begin("ann")
        self.assertEqual(len(self.offload.calls), 1)
