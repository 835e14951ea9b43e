"""Each kind of value: what it takes, and what it says of the rest."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from ipaddress import ip_network
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.endpoints import TCP4ServerEndpoint, serverFromString
from twisted.internet.testing import MemoryReactor
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.config import addresses, names, values
from pypicloud_tw.config.key import Key
from pypicloud_tw.config.keys import document_keys
from pypicloud_tw.config.values import BadValueError

ALL_KEYS = document_keys()


class KindTestCase(SynchronousTestCase):
    def refused(self, kind: Callable[[str], object], text: str) -> str:
        return str(self.assertRaises(BadValueError, kind, text))


class ScalarTests(KindTestCase):
    def test_flag(self) -> None:
        for text in ("true", "True", "YES", "on", "1", "y"):
            self.assertIs(values.flag(text), True)
        for text in ("false", "False", "NO", "off", "0", "n"):
            self.assertIs(values.flag(text), False)
        self.assertIn("neither true nor false", self.refused(values.flag, "maybe"))

    def test_one_of(self) -> None:
        kind = values.one_of("AES256", "aws:kms")
        self.assertEqual(kind("aes256"), "AES256")
        self.assertIn("write AES256 or aws:kms", self.refused(kind, "rot13"))

    def test_whole(self) -> None:
        kind = values.whole(0, 65535)
        self.assertEqual(kind("0"), 0)
        self.assertEqual(kind("65535"), 65535)
        for text in ("65536", "-1", "1.0", "1e3", "٣", "0x10", "9" * 5000, ""):
            self.assertIn("from 0 to 65535", self.refused(kind, text))

    def test_sizes(self) -> None:
        kind = values.size()
        for text, expected in {
            "1": 1,
            "6GiB": 6 * 2**30,
            "100MB": 10**8,
            "64 MiB": 2**26,
            "1.5KiB": 1536,
            "10b": 10,
            "1tib": 2**40,
        }.items():
            self.assertEqual(kind(text), expected, text)
        for text in ("6G", "lots", "-1", "1e9", "", "MiB", "9" * 30):
            self.assertIn("6GiB, 100MB", self.refused(kind, text))
        self.assertIn("1 bytes or more", self.refused(kind, "0"))

    def test_durations(self) -> None:
        kind = values.seconds()
        for text, expected in {
            "300": 300,
            "0": 0,
            "0.5": 0.5,
            "250ms": 0.25,
            "5m": 300,
            "1h30m": 5400,
            "7d": 604800,
            "1w": 604800,
        }.items():
            self.assertEqual(kind(text), expected, text)
        for text in ("7 days", "5M", "-1", "1h30", "inf", "nan", "m", "", "1e3"):
            self.assertIn("5m, 1h30m or 7d", self.refused(kind, text))

    def test_bounds_of_durations(self) -> None:
        kind = values.whole_seconds(1, 604800)
        self.assertEqual(kind("604800"), 604800)
        self.assertIn("604800 seconds or less", self.refused(kind, "604801"))
        self.assertIn("7 days", self.refused(kind, "8d"))
        self.assertIn("too short", self.refused(kind, "0"))
        self.assertIn("fraction", self.refused(kind, "1.5"))

    @given(st.integers(0, 10**6))
    def test_whole_durations_round_trip(self, n: int) -> None:
        self.assertEqual(values.seconds()(str(n)), n)
        self.assertEqual(values.seconds()(f"{n}s{n}ms"), n + n / 1000)

    def test_moments(self) -> None:
        end_of_day = datetime(2026, 1, 31, 23, 59, 59, 999999, tzinfo=UTC)
        self.assertEqual(values.moment("2026-01-31"), end_of_day)
        noon = datetime(2026, 1, 31, 12, tzinfo=UTC)
        self.assertEqual(values.moment("2026-01-31T12:00:00Z"), noon)
        self.assertEqual(values.moment("2026-01-31T12:00"), noon)
        east = timezone(timedelta(hours=2))
        self.assertEqual(
            values.moment("2026-01-31 14:00+02:00"),
            datetime(2026, 1, 31, 14, tzinfo=east),
        )
        self.assertIn("2026-01-31", self.refused(values.moment, "31.1.2026"))

    def test_paths(self) -> None:
        self.assertEqual(values.path("a/b"), Path("a/b"))
        self.assertIn("'~'", self.refused(values.path, "~/packages"))
        self.assertIn("cannot be seen", self.refused(values.path, "a\nb"))

    def test_words_of_s3(self) -> None:
        for text in ("acme", "my.bucket-1", "Old_Bucket", "a" * 255):
            self.assertEqual(values.bucket(text), text)
        for text in ("<<AWS bucket>>", "s3://acme", "acme/pkg", "ab", "-ab", "a" * 256):
            self.assertIn("not a bucket's name", self.refused(values.bucket, text))
        self.assertIn("one word", self.refused(values.token, "a b"))
        self.assertIn("one word", self.refused(values.token, "a\nb"))
        self.assertEqual(values.key_prefix("päckages/"), "päckages/")
        self.assertIn("512", self.refused(values.key_prefix, "ä" * 257))
        self.assertIn("printable", self.refused(values.key_prefix, "a\nb"))


class NameTests(KindTestCase):
    def test_lists(self) -> None:
        kind = values.words(names.pattern)
        self.assertEqual(
            kind("Acme_*, corp\n  foo.bar corp"), ("acme-*", "corp", "foo-bar")
        )
        self.assertEqual(kind(""), ())
        self.assertIn("neither a name", self.refused(kind, "corp, -x"))
        self.assertIn("neither a name", self.refused(kind, "a==1"))

    def test_projects(self) -> None:
        self.assertEqual(values.words(names.project)("A.b, a-B"), ("a-b",))
        self.assertIn("project's name", self.refused(names.project, "acme-*"))

    def test_rules(self) -> None:
        found = names.rules("Requests, acme-*, django >= 4, <5\nnumpy==1.* x!=1,~=2.0")
        self.assertEqual(
            found, ("requests", "acme-*", "django<5,>=4", "numpy==1.*", "x!=1,~=2.0")
        )

    def test_bad_rules(self) -> None:
        for text in ("django>=x", "django=1", "foo[extra]", ">=1", "a @ http://x/"):
            self.refused(names.rules, text)
        self.assertIn("version specifier", self.refused(names.rules, "django=>4"))


class NetworkTests(KindTestCase):
    def test_networks(self) -> None:
        self.assertEqual(
            values.words(addresses.network)("127.0.0.1, 10.0.0.0/8 fd00::/8"),
            tuple(map(ip_network, ("127.0.0.1/32", "10.0.0.0/8", "fd00::/8"))),
        )
        self.assertIn("10.0.0.0/8", self.refused(addresses.network, "10.0.0.1/8"))
        for text in ("*", "localhost", "10.0.0.0/33", "1"):
            self.assertIn(
                "no address or network", self.refused(addresses.network, text)
            )

    def test_readers(self) -> None:
        self.assertEqual(addresses.readers("Everyone"), "everyone")
        self.assertEqual(addresses.readers("::1"), (ip_network("::1"),))
        self.assertIn(
            "everyone, authenticated", self.refused(addresses.readers, "nobody")
        )

    def test_hosts(self) -> None:
        for text, expected in {
            "*": "0.0.0.0",
            "0.0.0.0": "0.0.0.0",
            "[::1]": "::1",
            "::": "::",
            "LocalHost": "localhost",
        }.items():
            self.assertEqual(addresses.host(text), expected)
        for text in ("300.1.1.1", "a:80", "http://x", "a b", "6543", "-x"):
            self.assertIn("without a port", self.refused(addresses.host, text))

    def test_private_hosts(self) -> None:
        kind = values.words(addresses.private_host)
        self.assertEqual(
            kind("Devpi.corp., 10.0.0.1 fd00::/8"),
            ("devpi.corp", "10.0.0.1/32", "fd00::/8"),
        )
        self.assertIn("no host's name", self.refused(kind, "10.0.0.1/8"))
        self.assertEqual(
            kind("Files.corp:8080 10.0.0.0/8:81 [FD00::1]:82 [fd00::/8]:83 [::1] ::2"),
            (
                "files.corp:8080",
                "10.0.0.0/8:81",
                "[fd00::1/128]:82",
                "[fd00::/8]:83",
                "::1/128",
                "::2/128",
            ),
        )
        for text in (
            "a:0",
            "a:65536",
            "a:",
            "a:x",
            "[::1]:0",
            "10.0.0.1:-1",
            "http://a",
        ):
            self.assertIn("a port that is not from", self.refused(kind, text))
        for text in ("[a", "a]:1", "[]:1", "a:1:2", ":80"):
            self.assertIn("no host's name", self.refused(kind, text), text)

    def test_absent_statuses(self) -> None:
        kind = values.words(values.absent_status)
        self.assertEqual(kind("404, 403"), (404, 403))
        for text in ("200", "500", "399", "4O4", "404.0"):
            self.assertIn("from 400 to 499", self.refused(kind, text))
        for text in ("407", "408", "425", "429"):
            self.assertIn("says nothing of what is there", self.refused(kind, text))

    def test_endpoints(self) -> None:
        reactor = MemoryReactor()
        for host in ("127.0.0.1", "::1", "localhost"):
            text = addresses.tcp_endpoint(host, 80)
            self.assertEqual(addresses.endpoint(text), text)
            made = serverFromString(reactor, text)
            self.assertIsInstance(made, TCP4ServerEndpoint)
            self.successResultOf(made.listen(None))
            self.assertEqual(reactor.tcpServers[-1][3], host)
        for text in ("6543", "127.0.0.1:80", "unix", ""):
            self.assertIn("Twisted endpoint", self.refused(addresses.endpoint, text))


class UrlTests(KindTestCase):
    def test_service(self) -> None:
        kind = addresses.service_url
        self.assertEqual(kind("https://h:9000/root/"), "https://h:9000/root")
        self.assertEqual(kind("http://[::1]:9000"), "http://[::1]:9000")
        self.assertIn("user or password", self.refused(kind, "https://u:p@h/"))
        self.assertIn("query", self.refused(kind, "https://h/?x"))

    def test_index(self) -> None:
        kind = values.words(addresses.index_url)
        self.assertEqual(
            kind("https://u:p@h/simple, http://pypi.python.org/simple/"),
            ("https://u:p@h/simple/", "http://pypi.python.org/simple/"),
        )
        for text in ("h/simple", "ftp://h/", "https:///x", "file:///x", "https://h:0/"):
            self.assertIn("https://host/path/", self.refused(kind, text))
        for text in ("https://h:x/", "https://h:99999/", "https://[::1/"):
            self.assertIn("bad host or port", self.refused(kind, text))
        self.assertIn("IPv6", self.refused(kind, "http://[::1]:3141/root/"))

    def test_hosts_that_cannot_be_asked(self) -> None:
        """Twisted takes "http:" for the name of a host, and fails at every request."""
        for url in ("https://http://h:1", "https://h:/x", "https://a b/", "https://-h"):
            self.assertIn(
                "https://host/path/", self.refused(addresses.service_url, url)
            )
        for url in ("https://127.0.0.1:1", "http://[::1]:9", "https://s3_a.b"):
            self.assertEqual(addresses.service_url(url), url)


class AnyTextTests(SynchronousTestCase):
    """Whatever stands in the file: a value, or a sentence that does not repeat it."""

    @given(st.sampled_from(ALL_KEYS), st.text(min_size=1))
    def test_any(self, key: Key, text: str) -> None:
        self._check(key, text)

    @given(st.sampled_from(ALL_KEYS), st.text("0159.:/-*,=<>@ ahttps[]%", min_size=1))
    def test_near(self, key: Key, text: str) -> None:
        self._check(key, text)

    @given(
        st.sampled_from([key for key in ALL_KEYS if key.secret]),
        st.sampled_from(
            ["https://u:{}@h:x/", "{}@h", "http://{}:u@", "https://a/ b:{}@h/?q"]
        ),
    )
    def test_secrets(self, key: Key, form: str) -> None:
        text = form.format("hunter2")
        self.assertNotIn("hunter2", key.show(text))
        try:
            key.parse(text)
        except BadValueError as e:
            self.assertNotIn("hunter2", str(e))

    def _check(self, key: Key, text: str) -> None:
        try:
            key.parse(text)
        except BadValueError as e:
            self.assertTrue(str(e).isprintable())
            self.assertTrue(str(e).endswith("."))
