"""README.rst, docs and contrib: every command, key, address and example is true."""

from __future__ import annotations

import json
import re
import tomllib
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest import SkipTest

import botocore.session
from botocore.validate import ParamValidator
from klein import Klein
from twisted.python.reflect import namedAny
from twisted.trial.unittest import SynchronousTestCase
from werkzeug.exceptions import MethodNotAllowed, NotFound

from pypicloud_tw.access.hashes import hash_password
from pypicloud_tw.cli.main import main
from pypicloud_tw.config.configuration import Config
from pypicloud_tw.config.keys import FILE_KEYS, KEYS, SECTIONS
from pypicloud_tw.config.load import load
from pypicloud_tw.config.sections.storage import AwsSection
from pypicloud_tw.config.sources import (
    FAMILIES,
    IGNORED,
    IMAGE_VARIABLE,
    NO_SETTINGS,
)
from pypicloud_tw.index import marker
from pypicloud_tw.index.manifest import INDEX
from pypicloud_tw.store.s3.endpoint import find_endpoint
from pypicloud_tw.store.s3.explain import iam_policy
from pypicloud_tw.web.app import Application

CHECKOUT = Path(__file__).absolute().parents[1]
README = (CHECKOUT / "README.rst").read_text("utf-8")

#: What an operator reads and copies from.
DOCUMENTS = {
    str(path.relative_to(CHECKOUT)): path.read_text("utf-8")
    for path in (
        *CHECKOUT.glob("*.rst"),
        *(CHECKOUT / "docs").rglob("*.rst"),
        *(path for path in (CHECKOUT / "contrib").iterdir() if path.is_file()),
    )
}

#: What users read: the README, and the pages that it leads to.
PROSE = "\n".join(
    [README, *(text for name, text in DOCUMENTS.items() if name.startswith("docs/"))]
)

RUN = "python3 -m venv venv && venv/bin/pip install . && venv/bin/pypicloud serve"
#: How the addresses begin that are no addresses of the server, but paths.
FOLDERS = ("/var", "/etc", "/run", "/data")

TEST = (
    "python3 -m venv venv && venv/bin/pip install -e '.[test]'"
    " && venv/bin/trial -j2 tests"
)


def _without_stop(text: str) -> str:
    """Take the end of a sentence off a key."""
    return text.rstrip(".")


def project() -> Any:
    """Read what pyproject.toml says of the project."""
    return tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]


class CommandTests(SynchronousTestCase):
    """What is to be typed."""

    def test_two_commands(self) -> None:
        """It opens with them, in this order, and with no other."""
        opening = re.split(r"^\S.*\n-+$", README, maxsplit=1, flags=re.MULTILINE)[0]
        indented = re.findall(r"^ {4}(\S.*)$", opening, re.MULTILINE)
        self.assertEqual(indented, [RUN, TEST])

    def test_extras(self) -> None:
        extras = set(project()["optional-dependencies"])
        for name, text in DOCUMENTS.items():
            for found in re.findall(r"'\.\[([a-z,]+)\]'", text):
                self.assertLessEqual(set(found.split(",")), extras, name)

    def test_scripts(self) -> None:
        """Every ``pypicloud-*`` and ``pypicloud COMMAND`` is there."""
        scripts = set(project()["scripts"])
        # Names of other things: the distribution and the plugin's file.
        named = r"(?<![/\w-])(pypicloud-(?!tw\b)[a-z]+(?:-[a-z]+)*)"
        command = r"(?:^ +|``)(?:/\S*/)?pypicloud ([a-z][a-z-]+)"
        for name, text in DOCUMENTS.items():
            self.assertEqual(set(re.findall(named, text)) - scripts, set(), name)
            called = set(re.findall(command, text, re.MULTILINE))
            self.assertEqual(called - set(main.commands), set(), name)
        called = set(re.findall(command, PROSE, re.MULTILINE))
        self.assertIn("check", called, "The pattern finds what there is.")

    def test_tests(self) -> None:
        """Every test and module that is to be run is there."""
        for name, text in DOCUMENTS.items():
            for found in re.findall(r"\btrial (tests[\w.]*)", text):
                self.assertTrue(namedAny(found.rstrip(".")), name)
            # Not imported: what they need, the extra ``test`` does not bring.
            for found in re.findall(r"\bpython -m ((?:tests|benchmarks)\.\w+)", text):
                self.assertIsNotNone(find_spec(found), f"{name}: {found}")

    def test_pidfile(self) -> None:
        """What kill -9 leaves behind must not keep anybody's server from starting."""
        for name, text in DOCUMENTS.items():
            for line in re.findall(r"^.*\btwistd\b.*\bpypicloud\b.*$", text, re.M):
                if "-n" in line.split():
                    self.assertIn("--pidfile=", line, name)


class KeyTests(SynchronousTestCase):
    """The settings."""

    def test_no_other_key(self) -> None:
        """Whatever looks like a key, anywhere, is one; or a family of keys."""
        sections = "|".join(SECTIONS)
        likeness = re.compile(rf"(?<![\w./-])(?:{sections})\.[a-z][a-z0-9_.]*\*?")
        known = {*KEYS, *FILE_KEYS, *IGNORED, *FAMILIES}
        families = tuple(f"{family}." for family in FAMILIES)
        for name, text in DOCUMENTS.items():
            for found in map(_without_stop, likeness.findall(text)):
                if found.endswith("*"):
                    family = [key for key in known if key.startswith(found[:-1])]
                    self.assertNotEqual(family, [], f"{name}: {found}")
                elif not found.endswith(".example.com") and not found.startswith(
                    families
                ):
                    self.assertIn(found, known, name)

    def test_variables(self) -> None:
        """Every variable that is named sets what it is said to set."""
        environ = {
            "PYPICLOUD_AWS_BUCKET": "acme-pypi",
            "PYPICLOUD_STORAGE_DIR": "/data/packages",
            "PYPICLOUD_USER_ALICE": hash_password("secret"),
            "PYPICLOUD_GROUP_DEV": "alice",
            "PYPICLOUD_HOST": "::1",
            "PYPICLOUD_PORT": "8080",
            "PYPICLOUD_ADVISORIES_SOURCE": "https://mirror.example/all.zip",
            # These are of commands that ask a server; a server ignores them.
            **dict.fromkeys(NO_SETTINGS - {IMAGE_VARIABLE}, "x"),
        }
        named = set(re.findall(r"``(PYPICLOUD_[A-Z]\w+)``", PROSE))
        self.assertEqual(named, set(environ))
        config = load(None, environ)
        self.assertEqual(config.aws.bucket, "acme-pypi")
        self.assertEqual(config.storage.dir, Path("/data/packages"))
        self.assertEqual(list(config.users), ["alice"])
        source = environ["PYPICLOUD_ADVISORIES_SOURCE"]
        self.assertEqual(config.advisories.source, source)
        self.assertEqual(dict(config.groups), {"dev": frozenset({"alice"})})
        self.assertEqual((config.server.host, config.server.port), ("::1", 8080))


class ExampleTests(SynchronousTestCase):
    """The ini files that stand in them."""

    def examples(self) -> list[str]:
        """Take them out of the text."""
        pattern = r"^\.\. code-block:: ini\n\n((?:(?: {4}.*)?\n)+)"
        blocks = re.findall(pattern, PROSE, re.MULTILINE)
        return [re.sub(r"^ {4}", "", block, flags=re.MULTILINE) for block in blocks]

    def load(self, text: str) -> Config:
        """Read an ini as the server does."""
        folder = Path(self.mktemp())
        folder.mkdir()
        # The file that an example names.
        (folder / "aws_secret_key").write_text("secret")
        path = folder / "pypicloud.ini"
        path.write_text(text, "utf-8")
        return load(path, {})

    def aws(self) -> AwsSection:
        """Give the settings of the first example that has a bucket and a prefix."""
        sections = (self.load(text).aws for text in self.examples())
        return next(aws for aws in sections if aws.bucket and aws.prefix)

    def test_load(self) -> None:
        """Each loads, and nothing in it is passed over or of no use."""
        examples = self.examples()
        self.assertGreaterEqual(len(examples), 2)
        for text in examples:
            self.assertEqual(self.load(text).notices, (), text)

    def test_all_are_marked(self) -> None:
        """No ini hides from the test in a block of another kind."""
        marked = "".join(self.examples())
        for header in ("[pypicloud]", "[app:main]", "[server:main]"):
            self.assertEqual(
                len(re.findall(rf"^ {{4}}{re.escape(header)}$", PROSE, re.M)),
                marked.count(header),
            )

    def test_policy(self) -> None:
        """What S3 has to allow is what the program says itself."""
        pattern = r"^ {4}(\{\n(?: {4}.*\n)+ {4}\})$"
        shown = re.findall(pattern, PROSE, re.MULTILINE)
        self.assertNotEqual(shown, [], "There is a policy.")
        aws = self.aws()
        policy = iam_policy(find_endpoint(aws, None), aws.prefix)
        for text in shown:
            self.assertEqual(json.loads(text), json.loads(policy))

    def test_lifecycle(self) -> None:
        """Its rules are S3's, and are for what is written, below the same prefix."""
        rules = json.loads(DOCUMENTS["contrib/lifecycle.json"])
        model = botocore.session.get_session().get_service_model("s3")
        shape = model.shape_for("BucketLifecycleConfiguration")
        self.assertEqual(ParamValidator().validate(rules, shape).generate_report(), "")
        prefixes = [rule["Filter"]["Prefix"] for rule in rules["Rules"]]
        prefix = self.aws().prefix
        keys = ("", marker.KEY, INDEX)
        self.assertEqual(set(prefixes), {f"{prefix}{key}" for key in keys})

    def test_listen(self) -> None:
        """Every endpoint that is shown is one."""
        shown = re.findall(
            r"``(?:server\.listen = )?((?:tcp|ssl|unix|systemd):\S+)``", PROSE
        )
        self.assertGreaterEqual(len(shown), 4)
        for text in shown:
            config = self.load(f"[pypicloud]\nserver.listen = {text}\n")
            self.assertEqual(config.server.listen, text)


class AddressTests(SynchronousTestCase):
    """The addresses that are told."""

    def test_routes(self) -> None:
        """Each is answered, by something other than "there is nothing here"."""
        router: Klein = Application.router
        routes = router.url_map.bind("localhost")
        told = set(re.findall(r"``(/[a-zA-Z/]*)``", PROSE))
        told = {address for address in told if not address.startswith(FOLDERS)}
        self.assertLessEqual({"/health", "/ready", "/metrics", "/legacy/"}, told)
        for address in told:
            try:
                routes.match(address)
            except MethodNotAllowed:
                pass  # it takes another: POST
            except NotFound:
                self.fail(f"They tell of {address}, where nothing is")


class FormTests(SynchronousTestCase):
    """The documents as such."""

    def test_restructured_text(self) -> None:
        """No document has a mistake that docutils finds; Sphinx looks at the pages."""
        try:
            core = import_module("docutils.core")
        except ImportError:
            raise SkipTest("docutils is missing; twine brings it.") from None
        for name, text in DOCUMENTS.items():
            if name.endswith(".rst") and not name.startswith("docs/"):
                settings = {"halt_level": 2, "report_level": 2}
                core.publish_string(text, source_path=name, settings_overrides=settings)

    def test_words(self) -> None:
        """What people search for is there in their own words."""
        words = " ".join(PROSE.lower().split())
        for sought in (
            *("pypicloud 1.x", "proxy pypi", "docker", "reports every error"),
            *("is ignored", "maintenance", "disk space", "htpasswd", "txaws"),
        ):
            self.assertIn(sought, words)
        for coined in ("first program", "passed over", "errand to"):
            self.assertNotIn(coined, words)

    def test_each_sentence_once(self) -> None:
        """What is said in two places soon differs between them."""
        # Examples, tables of words, and the modules that a walk passes.
        lists = r"^( {4}.*|[*`].*`` : .*|#\. ``.*``)$"
        text = re.sub(lists, "", PROSE, flags=re.MULTILINE)
        sentences = re.split(r"(?<=[.:])\s+", " ".join(text.split()))
        long = [sentence for sentence in sentences if len(sentence) > 40]
        self.assertEqual([s for s in long if long.count(s) > 1], [])

    def test_files(self) -> None:
        """Every file of this repository that they name is there."""
        folders = "contrib|tests|benchmarks|docs|pypicloud_tw"
        for name, text in DOCUMENTS.items():
            for found in re.findall(rf"``((?:{folders})/[\w./-]+)``", text):
                self.assertTrue((CHECKOUT / found).exists(), f"{name}: {found}")
