"""No line of the access log holds a secret or steers a terminal."""

from __future__ import annotations

import re
from functools import partial
from threading import Thread
from typing import Any, cast
from urllib.parse import quote, unquote_to_bytes

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.logger import (
    ILogObserver,
    LogEvent,
    Logger,
    LogPublisher,
    formatEvent,
    globalLogPublisher,
)
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.tokens.text import UserToken
from pypicloud_tw.redaction import without_secrets
from pypicloud_tw.web.http.access_log import AccessLog
from tests.measures import least_cost, memory_kept

SECRET = b"hunter2"


def add(log: AccessLog, **more: Any) -> None:
    """Write one line, soon."""
    values: dict[str, Any] = {
        "client": b"192.0.2.1",
        "user": None,
        "method": b"GET",
        "target": b"/",
        "version": b"HTTP/1.1",
        "status": 200,
        "length": 1,
        "referrer": None,
        "agent": None,
        "seconds": 0.0,
    }
    log.record(**(values | more))


def record_in(log: AccessLog, **more: Any) -> None:
    """Write one line at once."""
    add(log, **more)
    log.flush()


def record(**more: Any) -> bytes:
    """Write one line and take it."""
    written: list[bytes] = []
    record_in(AccessLog(written.append, Clock()), **more)
    return b"".join(written)


class Secrets(SynchronousTestCase):
    @given(
        st.sampled_from(
            [
                b"X-Amz-Signature",
                b"x-amz-credential",
                b"X-AMZ-SECURITY-TOKEN",
                b"X%2DAmz%2DSignature",
                b"X-Amz-Anything",
                b"token",
                b"access_token",
                b"password",
                b"Signature",
                b"AWSAccessKeyId",
                b"api_key",
                b"s%65cret",
                b"sig",
                b"auth",
            ]
        ),
        st.sampled_from([b"/p?%b", b"/p?a=1&%b", b"/p?%b&b=2", b"/p?a;%b;b", b"?%b"]),
        st.sampled_from(["target", "referrer"]),
    )
    def test_parameters(self, name: bytes, address: bytes, where: str) -> None:
        line = record(**{where: address % (name + b"=" + SECRET)})
        self.assertNotIn(SECRET, line)
        self.assertIn(b"=***", line)

    @settings(max_examples=400, deadline=None)
    @given(
        st.sampled_from(
            ["password", "PassWord", "token", "X-Amz-Signature", "pw", "client_secret"]
        ),
        st.integers(0, 7),
        st.sampled_from(
            [
                "{name}={secret}",
                "a=1&{name}={secret}&b=2",
                "{name}={secret};more",
                "https://h/?{name}={secret}",
                "https://h/?a={nested}&b=1",
                "next={nested}",
                "https://ann:{secret}@h/p",
                "//ann:{secret}@h",
                "u=https://{secret}@h/p?q",
                "proxy=ann:{secret}@h:3128",
            ]
        ),
        st.integers(0, 3),
        st.booleans(),
        st.sampled_from(["/p?{}", "/p?a=1&{}", "/r/{}", "/p?go={}&b=2", "/p?x#{}"]),
        st.sampled_from(["target", "referrer"]),
    )
    def test_encoded(
        self,
        name: str,
        letter: int,
        inner: str,
        levels: int,
        every_letter: bool,
        outer: str,
        where: str,
    ) -> None:
        """However often, and wherever in the address, it is percent-encoded."""
        at = letter % len(name)
        name = f"{name[:at]}%{ord(name[at]):02x}{name[at + 1 :]}" if letter else name
        nested = quote(f"https://h/?{name}=hunter2", safe="")
        address = inner.format(name=name, secret="hunter2", nested=nested)
        for _ in range(levels):
            address = "".join(
                f"%{ord(c):02X}" if every_letter else quote(c, safe="") for c in address
            )
        line = record(**{where: outer.format(address).encode()})
        while (decoded := unquote_to_bytes(line)) != line:
            line = decoded
        self.assertNotIn(SECRET, line)

    def test_work_is_bounded(self) -> None:
        """What was not looked at is not shown."""
        for address in (
            b"/?" + b"a=%3D&" * 2000 + b"token=hunter2",
            b"/?" + b"=" * 15_000 + b"token=hunter2",
            b"/?a=" + b"%253d" * 3000 + b"token%3Dhunter2",
            b"/?a=" + b"x:" * 8000 + b"hunter2@",
            b"//" * 8000 + b"//a:hunter2@",
            b"/@" + b"//a:" * 4000 + b"?token=hunter2",
            b"/" + b"%25" * 5000 + b"?token=hunter2",
        ):
            with self.subTest(address=address[:20]):
                line = record(target=address)
                took = least_cost(partial(record, target=address))
                self.assertLess(took, 0.03)
                self.assertNotIn(SECRET, line)

    def test_value_with_separators(self) -> None:
        for secret in (
            b"a;hunter2",
            b"a#hunter2",
            b"a?hunter2",
            b"a=hunter2",
            b"a/hunter2",
        ):
            line = record(referrer=b"https://h/?password=%b&b=2" % secret)
            self.assertNotIn(SECRET, line)
            self.assertIn(b"/?password=***&b=2", line)

    def test_userinfo(self) -> None:
        line = record(referrer=b"https://ann:hunter2@host/p")
        self.assertNotIn(SECRET, line)
        self.assertIn(b'"https://***@host/p"', line)
        self.assertNotIn(SECRET, record(target=b"/r/https://ann:hunter2@host/p"))
        for password in (b"a/hunter2", b"a?hunter2", b"a@hunter2", b"a hunter2"):
            line = record(referrer=b"https://ann:%b@host/p" % password)
            self.assertNotIn(SECRET, line)
            self.assertIn(b'"https://***@host/p"', line)

    def test_tokens(self) -> None:
        """Somebody took one for its id, or its project's name."""
        token = UserToken.draw("ann").text
        for address in (
            "/api/v1/access/tokens/{}",
            "/api/v1/access/rights-of?user={}&project=x",
            "/simple/{}/",
            "/{}@host/simple/",
            "/?a=%2F{}",
        ):
            for shown in (token, token.replace("_", "-"), token.replace("_", "%5F")):
                line = record(target=address.format(shown).encode())
                self.assertNotIn(token[10:20].encode(), line)
                self.assertIn(b"***", line)

    def test_others_stay(self) -> None:
        for address in (
            b"/simple/pypi-twine-extras/",
            b"/simple/?format=json",
            b"/a@b/?x=1&y",
            b"/?=&=",
            b"/?a",
            b"/packages/a/0/a-1%21.0%2Bb%25-py3-none-any.whl",
            b"/p?a=%2Fb%3Fc%3D1&d=%zz;e#f",
        ):
            self.assertEqual(without_secrets(address), address)


class Lines(SynchronousTestCase):
    @given(st.binary(max_size=60), st.binary(max_size=60), st.binary(max_size=60))
    def test_one_printable_line(self, user: bytes, agent: bytes, ref: bytes) -> None:
        line = record(user=user, agent=agent, referrer=ref, target=b"/" + ref)
        self.assertRegex(line, rb"\A[\x20-\x7e]+\n\Z")
        self.assertEqual(line.count(b'"'), 6)
        self.assertEqual(line.split(b" ")[3], b"[01/Jan/1970:00:00:00")

    def test_much_is_written_at_once(self) -> None:
        written: list[bytes] = []
        clock = Clock()
        log = AccessLog(written.append, clock)
        for _ in range(20):
            log.record(
                client=b"",
                user=None,
                method=b"GET",
                target=b"/" + b"x" * 4000,
                version=b"HTTP/1.1",
                status=200,
                length=0,
                referrer=None,
                agent=None,
                seconds=0.0,
            )
        self.assertEqual(len(written), 1)
        clock.advance(1)
        self.assertEqual(len(written), 2)
        self.assertEqual(b"".join(written).count(b"\n"), 20)

    def test_before_what_other_logs_say(self) -> None:
        """Both may go to one place, in the order in which it happened."""
        output: list[Any] = []
        others = LogPublisher()
        log = AccessLog(output.append, Clock())
        log.go_before(others)
        others.addObserver(
            cast(ILogObserver, lambda event: output.append(event["log_format"]))
        )
        other = Logger(observer=others)
        other.info("first")
        for target in (b"/1", b"/2"):
            add(log, target=target)
        other.info("second")
        add(log, target=b"/3")
        thread = Thread(target=other.info, args=("from elsewhere",))
        thread.start()
        thread.join()
        log.close()
        add(log, target=b"/4")
        other.info("not observed any more")
        marks = [
            line if isinstance(line, str) else re.findall(rb"/[0-9] (?=HTTP)", line)
            for line in output
        ]
        self.assertEqual(
            marks,
            [
                "first",
                [b"/1 ", b"/2 "],
                "second",
                "from elsewhere",
                [b"/3 "],
                "not observed any more",
            ],
        )

    def test_long_agents_are_not_remembered(self) -> None:
        log = AccessLog(len, Clock())

        def many() -> None:
            for number in range(50):
                record_in(log, agent=b"%d" % number + b"\xff" * 15_000)

        self.assertLess(memory_kept(many), 50_000)

    def test_broken_output(self) -> None:
        """It fails no request, and is told once until it works again."""
        working = False
        written: list[bytes] = []

        def write(lines: bytes) -> None:
            if not working:
                raise OSError("No space left on device")
            written.append(lines)

        told: list[LogEvent] = []
        observer = cast(ILogObserver, told.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        log = AccessLog(write, Clock())
        for _ in range(3):
            record_in(log)
        working = True
        record_in(log)
        working = False
        record_in(log)
        self.assertEqual(len(written), 1)
        self.assertEqual(
            [formatEvent(event) for event in told],
            ["The access log cannot be written: No space left on device"] * 2,
        )
