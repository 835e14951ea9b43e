"""The lines are of the forms that programs read."""

from __future__ import annotations

import tomllib
from configparser import RawConfigParser
from pathlib import Path
from textwrap import indent

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.installers.setup import Setup, toml_table

DOCS = Path(__file__).absolute().parents[2] / "docs"

BASE = "https://pypi.example.com/py"


class SetupTests(SynchronousTestCase):
    def test_pip_conf(self) -> None:
        parser = RawConfigParser()
        parser.read_string(Setup("http://pypi.example:80").pip_conf)
        self.assertEqual(
            dict(parser["global"]),
            {
                "index-url": "http://pypi.example:80/simple/",
                "trusted-host": "pypi.example",
            },
        )

    def test_pypirc(self) -> None:
        parser = RawConfigParser()
        parser.read_string(Setup(BASE, user="ann").pypirc(log_in=True))
        self.assertEqual(parser["distutils"]["index-servers"].split(), ["private"])
        self.assertEqual(
            dict(parser["private"]),
            {"repository": f"{BASE}/legacy/", "username": "ann"},
        )

    def test_uv_index(self) -> None:
        found = tomllib.loads(Setup(BASE, name="acme").uv_index(uploads=True))
        self.assertEqual(
            found["tool"]["uv"]["index"],
            [
                {
                    "name": "acme",
                    "url": f"{BASE}/simple/",
                    "publish-url": f"{BASE}/legacy/",
                    "default": True,
                }
            ],
        )

    def test_who_logs_in(self) -> None:
        self.assertEqual(Setup(BASE).simple, f"{BASE}/simple/")
        placeholders = "https://USER:PASSWORD@pypi.example.com/py/simple/"
        self.assertEqual(Setup(BASE, log_in=True).simple, placeholders)
        named = Setup(BASE, log_in=True, user="a@b").simple
        self.assertEqual(named, "https://a%40b@pypi.example.com/py/simple/")

    def test_the_guide(self) -> None:
        """It has the same lines."""
        text = (DOCS / "guide" / "clients.rst").read_text("utf-8")
        setup = Setup("http://127.0.0.1:6543", user="alice")
        for lines in (
            setup.pip_conf,
            setup.uv_index(uploads=True),
            setup.pypirc(log_in=True),
            *setup.poetry_publish.split("\n"),
            setup.uv_install("PROJECT"),
        ):
            self.assertIn(indent(lines, "    "), text)

    @given(st.text(st.characters(codec="utf-8", exclude_characters="\x7f")))
    def test_any_text(self, text: str) -> None:
        found = tomllib.loads(toml_table("[a]", {"b": text, "c": True}))
        self.assertEqual(found, {"a": {"b": text, "c": True}})
