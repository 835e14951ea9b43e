"""The access document's form: what is written is read again, and nothing is guessed."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Literal

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.document import AccessDocument, StoredUser
from pypicloud_tw.access.document_format import (
    MAX_DOCUMENT,
    TITLE,
    Contents,
    decode,
    encode,
    publisher_source,
)
from pypicloud_tw.config.exemptions import LIFTABLE, Exemption, Rule
from pypicloud_tw.config.rights import (
    GRANTABLE,
    Action,
    RightLine,
    TrustedPublisher,
)
from pypicloud_tw.config.sources import user_name_problem
from pypicloud_tw.errors import AccessUnusable, InsufficientStorage

SECRET = "$argon2id$v=19$secret"

FULL = AccessDocument(
    users={"ann": StoredUser(SECRET, True, "1a"), "bot": StoredUser()},
    groups={"dev": frozenset({"ann", "bob"})},
    rights=(
        RightLine(
            "acme-*",
            "group",
            "dev",
            frozenset({Action.READ, Action.UPLOAD}),
            "the access document",
        ),
    ),
    publishers={
        "ci": TrustedPublisher(
            "ci",
            "https://issuer.example",
            "pypicloud",
            (("repository", "acme/tool"),),
            ("acme-tool",),
            frozenset({Action.UPLOAD}),
            "the access document, publisher ci",
        )
    },
    exemptions={
        "0f": Exemption(
            "urllib3",
            datetime(2026, 12, 25, tzinfo=UTC),
            "CVE fix",
            "==2.5.1",
            source="ann",
            id="0f",
        )
    },
)

names = st.text(min_size=1, max_size=8).filter(lambda n: user_name_problem(n) is None)
actions = st.frozensets(st.sampled_from(GRANTABLE))
projects = st.sampled_from(["acme", "acme-*", "*", "a?b"])

#: When exemptions end.
FIRST, LAST = datetime(2000, 1, 1), datetime(2100, 1, 1)


@st.composite
def documents(draw: st.DrawFn) -> AccessDocument:
    users = st.builds(StoredUser, st.none() | st.text(), st.booleans(), st.text())
    kinds: list[Literal["user", "group"]] = ["user", "group"]
    kind = st.sampled_from(kinds)
    keys = draw(st.sets(st.tuples(projects, kind, names), max_size=5))
    publishers = [
        TrustedPublisher(
            name,
            draw(st.text()),
            draw(st.text()),
            tuple(draw(st.lists(st.tuples(st.text(), st.text()), max_size=2))),
            tuple(draw(st.lists(projects, max_size=2))),
            draw(actions),
            publisher_source(name),
        )
        for name in draw(st.sets(names, max_size=2))
    ]
    return AccessDocument(
        draw(st.dictionaries(names, users, max_size=5)),
        draw(st.dictionaries(names, st.frozensets(names, max_size=3), max_size=5)),
        tuple(
            RightLine(project, kind, name, draw(actions), TITLE)
            for project, kind, name in sorted(keys)
        ),
        {publisher.name: publisher for publisher in publishers},
        {
            id: Exemption(
                "acme",
                draw(st.datetimes(FIRST, LAST, timezones=st.just(UTC))),
                "why",
                draw(st.sampled_from(["", "==1.0", "<2,>=1"])),
                draw(st.sampled_from(["", "a" * 64])),
                draw(st.sampled_from(sorted(LIFTABLE - {Rule.MALWARE}))),
                draw(names),
                id,
            )
            for id in draw(st.sets(st.sampled_from(["0", "1", "2"])))
        },
    )


class RoundTripTests(SynchronousTestCase):
    @given(documents())
    def test_whatever_is_written_is_read_again(self, document: AccessDocument) -> None:
        contents = Contents(document, ("1", "2"))
        self.assertEqual(decode(encode(contents)), contents)

    def test_what_it_looks_like(self) -> None:
        self.assertEqual(
            json.loads(encode(Contents(FULL, ("5f",)))),
            {
                "_format": 1,
                "users": {
                    "ann": {"password": SECRET, "administrator": True, "id": "1a"},
                    "bot": {"administrator": False, "id": ""},
                },
                "groups": {"dev": ["ann", "bob"]},
                "rights": [
                    {
                        "project": "acme-*",
                        "group": "dev",
                        "actions": ["read", "upload"],
                    }
                ],
                "publishers": {
                    "ci": {
                        "issuer": "https://issuer.example",
                        "audience": "pypicloud",
                        "claims": [["repository", "acme/tool"]],
                        "projects": ["acme-tool"],
                        "actions": ["upload"],
                    }
                },
                "exemptions": {
                    "0f": {
                        "project": "urllib3",
                        "versions": "==2.5.1",
                        "sha256": "",
                        "rule": "min-age",
                        "until": "2026-12-25T00:00:00+00:00",
                        "reason": "CVE fix",
                        "by": "ann",
                    }
                },
                "_changes": ["5f"],
            },
        )

    def test_one_from_before_there_were_exemptions(self) -> None:
        """Nor are they written where there are none: older servers read it, too."""
        found = json.loads(encode(Contents()))
        self.assertNotIn("exemptions", found)
        self.assertEqual(decode(json.dumps(found).encode()).document.exemptions, {})

    def test_unknown_keys_are_kept_with_what_has_them(self) -> None:
        found = json.loads(encode(Contents(FULL)))
        for one in (
            found,
            found["users"]["ann"],
            found["rights"][0],
            found["publishers"]["ci"],
            found["exemptions"]["0f"],
        ):
            one["later"] = {"any": [1]}
        again = encode(decode(json.dumps(found).encode()))
        self.assertEqual(json.loads(again), found)

    def test_text_that_is_no_unicode_is_kept(self) -> None:
        contents = decode(b'{"later":"\\ud800",' + encode(Contents())[1:])
        self.assertEqual(decode(encode(contents)), contents)

    def test_names_are_normalised(self) -> None:
        found = json.loads(encode(Contents(FULL)))
        found["rights"][0]["project"] = "Acme_*"
        (line,) = decode(json.dumps(found).encode()).document.rights
        self.assertEqual(line.project, "acme-*")

    def test_one_that_would_be_too_large_is_not_written(self) -> None:
        user = StoredUser("x" * (MAX_DOCUMENT // 4))
        document = AccessDocument({f"user{n}": user for n in range(4)})
        with self.assertRaisesRegex(InsufficientStorage, "at most 16 MiB"):
            encode(Contents(document))


class DamageTests(SynchronousTestCase):
    def refused(self, data: bytes) -> str:
        with self.assertRaises(AccessUnusable) as caught:
            decode(data)
        error: AccessUnusable = caught.exception
        self.assertNotIn("secret", error.whole)
        # Anybody may be told the message.
        self.assertNotIn("acme", error.message)
        return error.whole

    def spoiled(self, path: list[Any], value: Any) -> str:
        """What is said where one value is another."""
        found = place = json.loads(encode(Contents(FULL)))
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value
        return self.refused(json.dumps(found).encode())

    def test_a_newer_format(self) -> None:
        self.assertIn("upgrade this one", self.refused(b'{"_format": 2}'))

    def test_no_document_at_all(self) -> None:
        for data in (b"", b"{}", b"[]", b"null", b"\xff", b"[" * 10**5):
            self.assertIn("is damaged", self.refused(data))

    def test_anything_wrong_makes_all_of_it_unusable(self) -> None:
        line = {"project": "acme", "user": "ann", "actions": []}
        for path, value, why in (
            (["_format"], True, "_format"),
            (["_format"], 0, "_format"),
            (["users"], [], "users is no object"),
            (["users", "ann"], "secret", "AttributeError"),
            (["users", "ann", "password"], ["secret"], "user ann"),
            (["users", "ann", "administrator"], 1, "user ann"),
            (["users", "a:b"], {"administrator": True}, "'a:b' is no user's name"),
            (["users", "everyone"], {"administrator": True}, "'everyone' is no user"),
            (["groups", "dev"], "ann", "a str stands where a list belongs"),
            (["groups", "dev"], [1], "a int stands where a text belongs"),
            (["groups", ""], [], "'' is no name"),
            (["rights"], {}, "rights is no list"),
            (["rights"], [line, line], "of user ann is twice"),
            (["rights"], [{**line, "group": "dev"}], "not of one user or group"),
            (["rights"], [{"project": "acme", "actions": []}], "not of one user"),
            (["rights", 0, "project"], "a/b", "'a/b' is no project"),
            (["rights", 0, "actions"], ["sing"], "there is no act 'sing'"),
            (["rights", 0, "actions"], ["delete"], "there is no act 'delete'"),
            (["rights", 0, "actions"], "read", "a str stands where a list belongs"),
            (["publishers", "ci", "claims"], ["x"], "ValueError"),
            (["publishers", "ci", "issuer"], None, "a NoneType stands"),
            (["exemptions"], [], "exemptions is no object"),
            (["exemptions", "0f", "rule"], "deny", "the exemption 0f has a rule"),
            (["exemptions", "0f", "until"], "x", "the exemption 0f has an end"),
            (["exemptions", "0f", "by"], None, "a NoneType stands"),
            (["_changes"], None, "a NoneType stands where a list belongs"),
        ):
            self.assertIn(why, self.spoiled(path, value), (path, value))
