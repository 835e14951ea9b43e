"""The pages of docs that list something: all of it is listed, and nothing else.

What every document has in common is in tests/test_readme.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from attrs import fields_dict
from klein import Klein
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw import errors
from pypicloud_tw.access.administration.values import (
    Grant,
    Members,
    NewToken,
    NewUser,
    PublisherTerms,
    UserChange,
)
from pypicloud_tw.config.keys import KEYS
from pypicloud_tw.errors import PypicloudError
from pypicloud_tw.maintenance.retention.plan import Applied
from pypicloud_tw.projects.pruning import PlanQuestion, PruneOrder
from pypicloud_tw.web.api.former import FormerApi
from pypicloud_tw.web.api.v1 import ApiParts
from pypicloud_tw.web.app import Application
from tests.all_metrics import every_metric
from tests.readme_keys import REFERENCE, keys_text, replaced
from tests.walks import WALKS
from tests.web.rights_table import PAGES

DOCS = Path(__file__).absolute().parents[1] / "docs"

#: Answers that no error of ours makes: the router's.
ROUTERS = {("405", "method-not-allowed")}

#: What the addresses in the pages call the parts that vary.
PARTS = {
    "<name>": "PROJECT",
    "<version>": "VERSION",
    "<digest>": "DIGEST",
    "<filename>": "FILENAME",
    "<space>": "NAMESPACE",
    "<kind>": "KIND",
    "<first>": "LETTER",
    "<user>": "USER",
    "<group>": "GROUP",
    "<publisher>": "PUBLISHER",
    "<string(length=32):id>": "ID",
    "<string(length=16):id>": "ID",
}

#: Each store has modules of its own; the walks are taken over the one in memory.
STORES = "pypicloud_tw/store/"


def page(name: str) -> str:
    """Read a page."""
    return (DOCS / name).read_text("utf-8")


def api_parts() -> Iterator[tuple[str, Klein]]:
    """Give each part of the API: where it is mounted, and its router."""
    return ((part.base, part.router) for part in ApiParts.declared)


class KeyTests(SynchronousTestCase):
    """reference/keys.rst."""

    def test_generated(self) -> None:
        """What stands there is what would be written now."""
        text = REFERENCE.read_text("utf-8")
        self.assertEqual(
            text,
            replaced(text),
            "Keys have changed: python -m tests.readme_keys",
        )

    def test_every_key(self) -> None:
        """Each with its default, and no other; whatever the generator does."""
        pattern = r"^\.\. confval:: (\S+)\n   :default: (.+)$"
        written = re.findall(pattern, page("reference/keys.rst"), re.MULTILINE)
        shown = {None: "not set", "": "empty"}
        self.assertEqual(
            written,
            [
                (name, shown.get(key.default, f"``{key.default}``"))
                for name, key in KEYS.items()
            ],
        )

    def test_docs(self) -> None:
        """Every word of what a key is for is there, stars and all."""
        words = " ".join(keys_text().replace("``", "").split())
        for key in KEYS.values():
            self.assertIn(" ".join(key.doc.split()), words)


class AddressTests(SynchronousTestCase):
    """reference/addresses.rst."""

    def test_every_route(self) -> None:
        """Each with its method, and no other."""
        told = re.findall(r"``(GET|POST) (/\S*)``", page("reference/addresses.rst"))
        self.assertEqual(len(told), len(set(told)), "Each is told once.")
        ours = (("", Application.router), *PAGES)
        routes = {route for part in ours for route in self.routes(*part)}
        # Those of the API stand in reference/api.rst; some are told here as well.
        parts = (("/api", FormerApi.router), *api_parts())
        others = {route for part in parts for route in self.routes(*part)}
        self.assertEqual(set(told) - others, routes)

    def routes(self, base: str, router: Klein) -> Iterator[tuple[str, str]]:
        for rule in router.url_map.iter_rules():
            address = base + rule.rule
            for part, name in PARTS.items():
                address = address.replace(part, name)
            for method in (rule.methods or set()) - {"HEAD"}:
                yield method, address


class ApiTests(SynchronousTestCase):
    """reference/api.rst."""

    def test_every_route(self) -> None:
        """Each with its method, and no other."""
        text = page("reference/api.rst")
        told = re.findall(r"``(GET|PUT|PATCH|POST|DELETE) (/\S*)``", text)
        self.assertEqual(len(told), len(set(told)), "Each is told once.")
        self.assertEqual(set(told), set(self.routes()))

    def routes(self) -> Iterator[tuple[str, str]]:
        for base, router in (("/api", FormerApi.router), *api_parts()):
            for rule in router.url_map.iter_rules():
                for kind in ("user", "group"):
                    address = rule.rule.replace("<any(user, group):kind>", kind)
                    address = re.sub(
                        r"<(?:[^:>]*:)?(\w+)>", lambda m: m[1].upper(), address
                    )
                    for method in (rule.methods or set()) - {"HEAD"}:
                        yield method, f"{base}{address}"

    def test_every_field(self) -> None:
        """Requests and answers are told with the fields that they have."""
        text = page("reference/api.rst")
        requests = (NewUser, UserChange, Grant, NewToken, PublisherTerms, Members)
        for kind in (*requests, PlanQuestion, PruneOrder, Applied):
            for name in fields_dict(kind):
                self.assertIn(f'"{name}"', text, kind)


class ErrorTests(SynchronousTestCase):
    """reference/errors.rst."""

    def test_every_error(self) -> None:
        """Each status and code, with the classes that have them, and no other."""
        pattern = r"^``(\d{3}) ([a-z-]+)``(?: : (.+))?$"
        text = page("reference/errors.rst")
        told = {
            (status, code): set(filter(None, classes.split(", ")))
            for status, code, classes in re.findall(pattern, text, re.MULTILINE)
        }
        known: dict[tuple[str, str], set[str]] = {answer: set() for answer in ROUTERS}
        for kind in self.kinds():
            known.setdefault((str(kind.status), kind.code), set()).add(kind.__name__)
        self.assertEqual(told, known)

    def kinds(self) -> Iterator[type[PypicloudError]]:
        public = (v for name, v in vars(errors).items() if name[0] != "_")
        for value in public:
            if isinstance(value, type) and issubclass(value, PypicloudError):
                yield value

    def test_each_says_something(self) -> None:
        """No entry is empty."""
        text = page("reference/errors.rst")
        entries = re.findall(r"^``\d{3} .+\n(.*)$", text, re.MULTILINE)
        self.assertNotEqual(entries, [])
        for entry in entries:
            self.assertRegex(entry, r"^    \S")


class MetricTests(SynchronousTestCase):
    """reference/metrics.rst."""

    def test_every_metric(self) -> None:
        """Each by its name, and no other."""
        text = page("reference/metrics.rst")
        told = re.findall(r"``((?:pypicloud|process)_\w+)``", text)
        self.assertEqual(len(told), len(set(told)), "Each is told once.")
        self.assertEqual(set(told), self.names())

    def names(self) -> set[str]:
        shown = every_metric(Path(self.mktemp()))
        names = re.findall(r"^# TYPE (\w+)", shown, re.MULTILINE)
        # The library adds to each when it was made.
        return {name for name in names if not name.endswith("_created")}


class WalkTests(SynchronousTestCase):
    """architecture/walks.rst."""

    def test_walks(self) -> None:
        """Each module is passed, in this order; stores differ, and only must exist."""
        sections = dict(self.sections())
        self.assertEqual(set(sections), set(WALKS))
        for title, walk in WALKS.items():
            told = [m for m in sections[title] if not m.startswith(STORES)]
            passed = walk()
            self.assertEqual(
                told,
                [module for module in passed if module in told],
                f"{title}; python -m tests.walks prints what is passed",
            )

    def sections(self) -> Iterator[tuple[str, list[str]]]:
        """Give each walk's heading, and the modules that its steps begin with."""
        text = page("architecture/walks.rst")
        for part in re.split(r"^(?=\S.*\n-+$)", text, flags=re.MULTILINE)[1:]:
            title = part.partition("\n")[0]
            yield title, re.findall(r"^#\. ``(\S+\.py)``", part, re.MULTILINE)
