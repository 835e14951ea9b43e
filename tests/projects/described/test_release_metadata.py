"""What a release says of itself, as it is shown."""

from __future__ import annotations

from html import escape
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.projects.described.dependencies import compare, parse_dependency
from pypicloud_tw.projects.described.project_links import is_link, kind_of
from pypicloud_tw.projects.described.release_metadata import read_info, read_metadata
from pypicloud_tw.projects.described.values import (
    ChangedDependency,
    Dependency,
    Person,
    ProjectLink,
    ReleaseMetadata,
)
from tests.projects.described.test_texts import DECEIVING

HEAD = "Metadata-Version: 2.4\nName: acme\nVersion: 1.0\n"
HOSTILE = f'<script>alert("x")</script>{DECEIVING[1:12]}\'"&'


def read(headers: str = "", body: str = "") -> ReleaseMetadata:
    text = f"{HEAD}{headers}\n{body}"
    return read_metadata(text.encode("utf-8", "surrogatepass"), "acme", "1.0")


class FieldTests(SynchronousTestCase):
    def test_all_of_it(self) -> None:
        told = read(
            "Summary: A tool\nRequires-Python: >=3.9\nKeywords: a, b\n"
            "License-Expression: MIT OR Apache-2.0\n"
            "Description-Content-Type: text/markdown\n"
            "Classifier: Topic :: Utilities\nProvides-Extra: S3_fast\n",
            "# Acme\n",
        )
        self.assertEqual((told.name, told.version), ("acme", "1.0"))
        self.assertEqual((told.summary, told.requires_python), ("A tool", ">=3.9"))
        self.assertEqual(told.keywords, ("a", "b"))
        self.assertEqual(told.licence, "MIT OR Apache-2.0")
        self.assertEqual(told.description_type, "text/markdown")
        self.assertEqual(told.description.strip(), "# Acme")
        self.assertEqual(told.classifiers, ("Topic :: Utilities",))
        self.assertEqual(told.extras, ("s3-fast",))
        self.assertEqual(told.source, "metadata")

    def test_nothing_of_it(self) -> None:
        self.assertEqual(read(), ReleaseMetadata("acme", "1.0"))

    def test_licences(self) -> None:
        osi = "Classifier: License :: OSI Approved :: MIT License\n"
        whole = f"License: {'Permission is hereby granted. ' * 40}\n"
        for headers, licence in (
            ("License: BSD\n", "BSD"),
            (f"License: BSD\n{osi}", "BSD"),
            (f"{whole}{osi}", "MIT License"),
            (osi, "MIT License"),
            (f"License: UNKNOWN\n{osi}", "MIT License"),
            (f"License-Expression: MIT\n{osi}", "MIT"),
        ):
            self.assertEqual(read(headers).licence, licence)
        self.assertEqual(len(read(whole).licence), 200)

    def test_people(self) -> None:
        for headers, people in (
            ("Author: Ann\nAuthor-email: a@x.example\n", [("Ann", "a@x.example")]),
            ('Author-email: "Ann, B." <a@x.example>\n', [("Ann, B.", "a@x.example")]),
            (
                "Author-email: Ann <a@x.example>, b@x.example\n",
                [("Ann", "a@x.example"), ("", "b@x.example")],
            ),
            (
                "Author: Ann\nAuthor-email: Bob <b@x.example>\n",
                [("Ann", ""), ("Bob", "b@x.example")],
            ),
            ("Author: UNKNOWN\nAuthor-email: UNKNOWN\n", []),
            ("Author-email: Acme\n", [("Acme", "")]),
        ):
            self.assertEqual(
                read(headers).authors, tuple(Person(*one) for one in people)
            )
        kept = read("Maintainer: Eve\nMaintainer-email: e@x.example\n").maintainers
        self.assertEqual(kept, (Person("Eve", "e@x.example"),))

    def test_every_field_hostile(self) -> None:
        """Nothing deceiving is left; what is markup is for the template to escape."""
        one_line = HOSTILE.replace("\n", " ")
        names = (
            "Summary", "Requires-Python", "License", "License-Expression", "Author",
            "Author-email", "Maintainer", "Maintainer-email", "Keywords", "Classifier",
            "Home-page", "Download-URL", "Requires-Dist", "Provides-Extra",
            "Description-Content-Type",
        )  # fmt: skip
        headers = "".join(f"{name}: {one_line}\n" for name in names)
        told = read(f"{headers}Project-URL: {one_line}, {one_line}\n", HOSTILE)
        shown = repr(told) + told.description + repr(told.dependencies)
        for character in DECEIVING:
            self.assertNotIn(character, shown)
        self.assertEqual(told.links, ())

    def test_a_megabyte_in_every_field(self) -> None:
        long = "x" * 100_000
        told = read(
            f"Summary: {long}\nAuthor: {long}\nKeywords: {long}\nLicense: {long}\n"
            f"Requires-Python: {long}\nClassifier: {long}\nRequires-Dist: {long}\n"
            f"Home-page: https://x.example/{long}\nProvides-Extra: {long}\n",
            long * 10,
        )
        self.assertLess(len(repr(told)), 5_000)
        (one,) = told.dependencies
        self.assertEqual((one.name, len(one.text)), ("", 1_000))
        self.assertEqual(told.links, ())
        self.assertEqual(len(told.description), 1_000_000)

    def test_many_of_everything(self) -> None:
        told = read(
            "".join(f"Classifier: c{n}\nProject-URL: l{n}, http://x.example/{n}\n"
                    for n in range(900))
            + f"Keywords: {','.join(map(str, range(3_000)))}\n"
        )  # fmt: skip
        counts = len(told.classifiers), len(told.links), len(told.keywords)
        self.assertEqual(counts, (200, 64, 100))


class LinkTests(SynchronousTestCase):
    def test_well_known_labels(self) -> None:
        for label, kind in (
            ("Homepage", "homepage"),
            ("Source Code", "source"),
            ("What's New?", "changelog"),
            ("Bug-Tracker", "issues"),
            ("Release notes", "releasenotes"),
            ("Sponsor", "funding"),
            ("Chat", ""),
        ):
            self.assertEqual(kind_of(label), kind)

    def test_links(self) -> None:
        told = read(
            "Home-page: https://acme.example/\n"
            "Project-URL: Chat, https://chat.example\n"
            "Project-URL: github, https://code.example/acme\n"
            "Project-URL: Home, https://acme.example\n"
            "Download-URL: http://acme.example/get\n"
        )
        self.assertEqual(
            told.links,
            (
                ProjectLink("Source", "https://code.example/acme", "source"),
                ProjectLink("Download", "http://acme.example/get", "download"),
                ProjectLink("Chat", "https://chat.example"),
                ProjectLink("Home", "https://acme.example"),
            ),
        )

    def test_what_is_no_link(self) -> None:
        for url in (
            "javascript:alert(1)", "JavaScript:alert(1)", "java\tscript:alert(1)",
            "data:text/html,<script>1</script>", "vbscript:x", "file:///etc/passwd",
            "//acme.example", "/simple/", "acme.example", "ftp://acme.example", "",
            "https://", "https:acme.example", "http://[", "https://a b", "https:\\\\a",
            " https://acme.example", "https://a.example/\u202egpj", "https://a\n.b",
            'https://a.example/"onclick=1', "https://" + "x" * 3_000,
            "mailto:ann@acme.example", "https://?x", "http://\ud800.example",
        ):  # fmt: skip
            self.assertFalse(is_link(url), url)
        for url in ("https://a.example", "HTTP://a.example/?q=1&r#f", "http://[::1]/"):
            self.assertTrue(is_link(url), url)

    def test_what_is_no_link_is_text(self) -> None:
        told = read("Project-URL: evil\u202e, javascript:alert(1)\n")
        self.assertEqual(told.unlinked, (("evil", "javascript:alert(1)"),))

    @given(st.text())
    def test_a_link_needs_little_escaping(self, text: str) -> None:
        url = f"https://a.example/{text}"
        if is_link(url):
            self.assertEqual(
                escape(url).replace("&amp;", "&").replace("&#x27;", "'"), url
            )


class InfoTests(SynchronousTestCase):
    """What the older JSON API of another index tells."""

    def test_as_core_metadata(self) -> None:
        info = {
            "summary": "A tool", "keywords": "a b", "license": "MIT", "yanked": False,
            "project_urls": {"Docs": "https://docs.example"}, "classifiers": ["c"],
            "requires_dist": ["beta>=1"], "provides_extra": None, "description": "hi",
        }  # fmt: skip
        told = read_info(info, "acme", "1.0")
        self.assertEqual((told.summary, told.keywords), ("A tool", ("a", "b")))
        self.assertEqual(told.links[0].label, "Documentation")
        self.assertEqual(told.dependencies[0].name, "beta")
        self.assertEqual((told.description, told.source), ("hi", "upstream"))

    def test_of_other_types(self) -> None:
        info: dict[str, Any] = {
            "summary": 1, "keywords": ["a", 2], "project_urls": {"a": 1}, "author": {},
            "classifiers": "c", "requires_dist": [1], "description": ["x"],
            "home_page": "\ud800",
        }  # fmt: skip
        told = read_info(info, "acme", "1.0")
        self.assertEqual(
            told,
            ReleaseMetadata(
                "acme", "1.0", source="upstream", unlinked=(("homepage", ""),)
            ),
        )


class DependencyTests(SynchronousTestCase):
    def test_parts(self) -> None:
        text = 'Beta_X[s3,Fast] >=1,<2; python_version < "3.11" and extra == "All_it"'
        one = parse_dependency(text)
        self.assertEqual((one.name, one.extras), ("beta-x", ("Fast", "s3")))
        self.assertEqual((one.specifier, one.extra), ("<2,>=1", "all-it"))
        self.assertEqual(one.marker, 'python_version < "3.11" and extra == "all-it"')
        self.assertEqual(one.text, text)

    def test_a_direct_reference_is_text(self) -> None:
        one = parse_dependency("beta @ https://x.example/b.whl")
        self.assertEqual(one.specifier, "https://x.example/b.whl")

    def test_what_is_none(self) -> None:
        for text in ("???", "beta >=", "(" * 900, "beta; " + "(" * 990, ""):
            self.assertEqual(parse_dependency(text), Dependency("", text))


def release(version: str, *needs: str, **more: Any) -> ReleaseMetadata:
    dependencies = tuple(map(parse_dependency, needs))
    return ReleaseMetadata("acme", version, dependencies=dependencies, **more)


class CompareTests(SynchronousTestCase):
    def test_nothing(self) -> None:
        changes = compare(release("1", "b>=1", "c"), release("2", "c", "B >=1"))
        self.assertTrue(changes.nothing)
        self.assertEqual((changes.old_version, changes.new_version), ("1", "2"))

    def test_added_removed_and_changed(self) -> None:
        old, new = release("1", "a", "b>=1", "c[x]"), release("2", "b>=2", "c[y]", "d")
        changes = compare(old, new)
        self.assertFalse(changes.nothing)
        self.assertEqual([one.name for one in changes.added], ["d"])
        self.assertEqual([one.name for one in changes.removed], ["a"])
        told = [(one.old.text, one.new.text) for one in changes.changed]
        self.assertEqual(told, [("b>=1", "b>=2"), ("c[x]", "c[y]")])

    def test_python_and_extras(self) -> None:
        old = release("1", requires_python=">=3.8", extras=("a", "b"))
        new = release("2", requires_python=">=3.9", extras=("b", "c"))
        changes = compare(old, new)
        self.assertEqual(changes.requires_python, (">=3.8", ">=3.9"))
        self.assertEqual(
            (changes.added_extras, changes.removed_extras), (("c",), ("a",))
        )
        self.assertFalse(changes.nothing)

    def test_by_environment(self) -> None:
        old = release("1", 'b<2; python_version < "3"', 'b>=2; python_version >= "3"')
        new = release("2", 'b>=3; python_version >= "3"', 'b<2; python_version < "3"')
        (one,) = compare(old, new).changed
        self.assertEqual((one.old.specifier, one.new.specifier), (">=2", ">=3"))

    def test_of_an_extra_to_all(self) -> None:
        changes = compare(release("1", 'b; extra == "x"'), release("2", "b"))
        self.assertEqual((len(changes.added), len(changes.removed)), (1, 1))
        self.assertEqual(changes.changed, ())

    def test_another_marker(self) -> None:
        old, new = release("1", "b"), release("2", 'b; os_name == "nt"')
        self.assertEqual(
            compare(old, new).changed,
            (ChangedDependency(old.dependencies[0], new.dependencies[0]),),
        )

    def test_what_cannot_be_understood(self) -> None:
        changes = compare(release("1", "???", "!"), release("2", "!", "!!"))
        self.assertEqual([one.text for one in changes.removed], ["???"])
        self.assertEqual([one.text for one in changes.added], ["!!"])
        self.assertEqual(changes.changed, ())

    def test_thousands_of_one_name(self) -> None:
        old = release("1", *(f"b=={n}" for n in range(3_000)))
        new = release("2", *(f"b=={n}" for n in range(3_000, 6_000)))
        self.assertEqual(len(compare(old, new).changed), 3_000)
