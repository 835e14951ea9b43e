"""Where a server of this machine is asked how it is, and what is made of its answer."""

from __future__ import annotations

import socket
from errno import ECONNREFUSED
from itertools import count
from pathlib import Path

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.client.liveness import Connect, Place, Question
from pypicloud_tw.config.load import load_settings
from pypicloud_tw.errors import ConfigError, Unavailable

PLACE = Place("127.0.0.1", 6543)


class PlaceTests(SynchronousTestCase):
    def test_where_a_server_listens(self) -> None:
        for listen, place in {
            "tcp:6543:interface=127.0.0.1": PLACE,
            "tcp:6543": PLACE,
            "tcp:port=6543:interface=0.0.0.0": PLACE,
            "tcp:6543:10.0.0.7:backlog=10": Place("10.0.0.7", 6543),
            "tcp:80:interface=pypi.internal": Place("pypi.internal", 80),
            "tcp6:80": Place("::1", 80),
            r"tcp:80:interface=\:\:": Place("::1", 80),
            r"tcp:80:interface=fe80\:\:1": Place("fe80::1", 80),
            "ssl:443:privateKey=key.pem:certKey=chain.pem": Place(
                "127.0.0.1", 443, tls=True
            ),
            "unix:/run/pypicloud/socket:mode=660": Place("/run/pypicloud/socket"),
            "unix:address=/run/x": Place("/run/x"),
        }.items():
            self.assertEqual(Place.of(listen), place, listen)

    def test_where_it_is_not_told(self) -> None:
        for listen in (
            *("systemd:domain=INET:index=0", "haproxy:tcp:80", "tcp:0", "tcp:http"),
            *("tcp:interface=127.0.0.1", "tcp:65536", "quic:443"),
        ):
            error = self.assertRaises(ConfigError, Place.of, listen)
            self.assertIn(f"server.listen = {listen!r} does not say", error.message)
            self.assertIn("--listen", error.message)

    def test_hosts_of_the_ini(self) -> None:
        """What the keys for host and port make is understood."""
        for host, asked in {
            "*": "127.0.0.1",
            "::": "::1",
            "::1": "::1",
            "localhost": "localhost",
        }.items():
            settings = {"server.host": host, "server.port": "80"}
            listen = load_settings(settings, {}, Path("/")).server.listen
            self.assertEqual(Place.of(listen), Place(asked, 80))

    def test_shown(self) -> None:
        self.assertEqual(str(PLACE), "http://127.0.0.1:6543")
        self.assertEqual(str(Place("::1", 443, tls=True)), "https://[::1]:443")
        self.assertEqual(str(Place("/run/x")), "the socket /run/x")


class QuestionTests(SynchronousTestCase):
    def question(self, connect: Connect, path: str = "/health") -> Question:
        return Question(PLACE, path, 0.05, connect=connect)

    def answering(self, answer: bytes) -> Connect:
        """Connect to somebody who has sent this, and nothing after it."""

        def connect(place: Place, timeout: float) -> socket.socket:
            ours, self.theirs = socket.socketpair()
            self.addCleanup(self.theirs.close)
            ours.settimeout(timeout)
            self.theirs.sendall(answer)
            return ours

        return connect

    def failure(self, connect: Connect, path: str = "/health") -> str:
        error = self.assertRaises(Unavailable, self.question(connect, path).ask)
        return str(error.message)

    def test_well(self) -> None:
        connect = self.answering(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n")
        self.assertEqual(self.question(connect).ask(), "ok")
        sent = self.theirs.recv(4096)
        self.assertTrue(sent.startswith(b"GET /health HTTP/1.1\r\nHost: localhost\r\n"))

    def test_not_well(self) -> None:
        """The server's own sentence is told."""
        why = b"The store does not answer."
        answer = b"HTTP/1.1 503 Away\r\nContent-Length: %d\r\n\r\n" % len(why) + why
        self.assertEqual(
            self.failure(self.answering(answer), "/ready"),
            "/ready of http://127.0.0.1:6543: 503: The store does not answer.",
        )

    def test_silent(self) -> None:
        for begun in (b"", b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\no"):
            self.assertIn(
                "no answer within 0.05 s.", self.failure(self.answering(begun))
            )

    def test_slow(self) -> None:
        """Each piece comes in time, and the whole does not."""
        ticks = count(step=0.02)
        answer = b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 60_000
        question = evolve(
            self.question(self.answering(answer)), now=lambda: next(ticks)
        )
        error = self.assertRaises(Unavailable, question.ask)
        self.assertIn("no answer within 0.05 s.", error.message)

    def test_somebody_else(self) -> None:
        """What listens there speaks something else."""
        for answer, why in {
            b"SSH-2.0-OpenSSH_9.2\r\n": "it answers with something that is not HTTP",
            b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 100_000: "it does not answer as this "
            "program's server does",
            b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n": "it answers 302",
            b"HTTP/1.1 500 No\r\nContent-Length: 4\r\n\r\n\x1b[1m": "500: ?[1m",
        }.items():
            self.assertEqual(
                self.failure(self.answering(answer)),
                f"/health of http://127.0.0.1:6543: {why}.",
            )

    def test_no_certificate(self) -> None:
        path = Path(self.mktemp())
        place = Place("127.0.0.1", 443, tls=True)
        for why in ("No such file or directory", "it has no certificate with its key"):
            question = evolve(
                self.question(self.answering(b"")), place=place, certificate=str(path)
            )
            error = self.assertRaises(Unavailable, question.ask)
            self.assertIn(f"{path}: {why}", error.message)
            path.write_text("nonsense")

    def test_no_tls(self) -> None:
        place = Place("127.0.0.1", 443, tls=True)
        question = evolve(self.question(self.answering(b"HTTP/1.1 400")), place=place)
        error = self.assertRaises(Unavailable, question.ask)
        self.assertIn(": it does not speak TLS.", error.message)

    def test_nobody(self) -> None:
        def connect(place: Place, timeout: float) -> socket.socket:
            raise ConnectionRefusedError(ECONNREFUSED, "Connection refused")

        self.assertEqual(
            self.failure(connect),
            "/health of http://127.0.0.1:6543: Connection refused.",
        )
