"""What clients say of themselves, and what is kept of it."""

from __future__ import annotations

import json
import re

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.statistics.agents import LONGEST, OTHER, Client, client_of

PIP = (
    b'pip/26.2 {"ci":null,"cpu":"x86_64","distro":{"id":"trixie","name":"Debian '
    b'GNU/Linux","version":"13"},"implementation":{"name":"CPython","version":"3.12.1"},'
    b'"installer":{"name":"pip","version":"26.2"},"openssl_version":"OpenSSL 3.5.1",'
    b'"python":"3.12.1","setuptools_version":"80.9.0","system":{"name":"Linux",'
    b'"release":"6.12.0"},"user_data":"ann@example.com"}'
)
UV = (
    b'uv/0.9.1 {"installer":{"name":"uv","version":"0.9.1","subcommand":["pip"]},'
    b'"python":"3.13.2","implementation":{"name":"CPython","version":"3.13.2"},'
    b'"distro":null,"system":{"name":"Darwin","release":"24.0"},"cpu":"arm64","ci":true}'
)
CHROME = (
    b"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    b"Chrome/140.0.0.0 Safari/537.36"
)
TOLD = re.compile(r"[A-Za-z]{2,14}/([0-9]+[0-9.]*)?/([0-9]\.[0-9]+)?/[A-Za-z]{0,8}")


class AgentTests(SynchronousTestCase):
    def test_known(self) -> None:
        for agent, key in (
            (PIP, "pip/26.2/3.12/Linux"),
            (UV, "uv/0.9.1/3.13/macOS"),
            (b"poetry/2.1.3 CPython/3.11.9 Linux/6.8.0-31", "poetry/2.1.3/3.11/Linux"),
            (b"pdm/2.20.1 CPython/3.12.3 Windows/11", "pdm/2.20.1/3.12/Windows"),
            (b"pip/1.5.6 CPython/2.7.9 Linux/3.16", "pip/1.5.6/2.7/Linux"),
            (
                b"twine/6.1.0 keyring/25.6.0 requests/2.32.3 CPython/3.13.1",
                "twine/6.1.0/3.13/",
            ),
            (
                b"bandersnatch/6.6.0 (cpython 3.12.4-final0, Linux 6.1.0 x86_64) "
                b"(aiohttp 3.10)",
                "bandersnatch/6.6.0/3.12/Linux",
            ),
            (b"devpi-server/6.14.0 (py3.11.4; linux)", "devpi/6.14.0/3.11/Linux"),
            (b"server/6.2.0 (py3.8.10; linux)", "devpi/6.2.0/3.8/Linux"),
            (
                b"conda/25.1.1 requests/2.32 CPython/3.12.8 Linux/5.15 ubuntu/22.04",
                "conda/25.1.1/3.12/Linux",
            ),
            (b"python-requests/2.32.3", "requests/2.32.3//"),
            (b"python-httpx/0.28.1", "httpx/0.28.1//"),
            (b"Python-urllib/3.12", "urllib//3.12/"),
            (b"Python/3.12 aiohttp/3.11.7", "aiohttp/3.11.7/3.12/"),
            (b"setuptools/69.5.1 Python-urllib/3.12", "setuptools/69.5.1/3.12/"),
            (b"Artifactory/7.90.5 79005900", "artifactory/7.90.5//"),
            (b"curl/8.14.1", "curl/8.14.1//"),
            (b"Wget/1.25.0 (linux-gnu)", "wget/1.25.0//Linux"),
            (CHROME, "browser///Windows"),
            (
                b"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X)",
                "browser///iOS",
            ),
            (b"Mozilla/5.0 (X11; Linux x86_64; rv:140.0)", "browser///Linux"),
            (b"Mozilla/5.0 (Linux; Android 15)", "browser///Linux"),
        ):
            self.assertEqual(client_of(agent).key, key, agent)

    def test_what_is_not_known_leaves_no_text(self) -> None:
        for agent in (None, b"", b"ann/1.0", b"10.0.0.1", b"Ann's laptop", b"\xff\x00"):
            self.assertEqual(client_of(agent), OTHER, agent)

    def test_no_more_of_a_version_than_three_numbers(self) -> None:
        self.assertEqual(client_of(b"pip/10.0.0.123").version, "10.0.0")
        self.assertEqual(client_of(b"pip/26.0.dev7+ann.example").version, "26.0")
        self.assertEqual(client_of(b"pip/ann").version, "")

    def test_json_that_is_none(self) -> None:
        for rest in (b"{", b'{"python": 3, "system": []}', b"{" * 900, b'{"a":' * 200):
            self.assertEqual(client_of(b"pip/26.2 " + rest).key, "pip/26.2//")
        other = {"python": "3.12x", "system": {"name": "ann.example.com"}}
        agent = b"pip/26.2 " + json.dumps(other).encode()
        self.assertEqual(client_of(agent).key, "pip/26.2/3.12/")

    @given(st.binary(max_size=2 * LONGEST))
    @example(b"pip/" + b"9" * 5000)
    def test_anything(self, agent: bytes) -> None:
        for sent in (
            agent,
            b"pip/1 " + agent,
            b"uv/1 {" + agent,
            b"Mozilla/5 " + agent,
        ):
            client = client_of(sent)
            self.assertRegex(client.key, TOLD)
            self.assertLess(len(client.key), 60)
            self.assertEqual(Client.of_key(client.key), client)

    @given(st.text(max_size=60))
    @example("pip/1/3.12/ann")
    @example("pip/10.0.0.1/3.12/Linux")
    @example("ann/1/3.12/Linux")
    def test_keys_of_others(self, key: str) -> None:
        """The store may have been written by anybody."""
        self.assertIn(Client.of_key(key).key, (key, OTHER.key))
