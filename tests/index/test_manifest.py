"""A manifest survives encode and decode, and nothing in a damaged one is trusted."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime
from typing import Any

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import StoreError, Unavailable
from pypicloud_tw.index.manifest import (
    MAX_MANIFEST,
    decode,
    encode,
    in_order,
    manifest_key,
    project_of,
    public_document,
)
from pypicloud_tw.index.model import File, HistoryEntry, Moving, Project, Tombstone
from pypicloud_tw.index.names import project_name
from tests.builders import MORNING, file

ACME = project_name("acme")

_digests = st.text("0123456789abcdef", min_size=64, max_size=64)
_texts = st.text(max_size=20)
_maybe = st.none() | _texts
_times = st.datetimes(
    min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1)
).map(lambda moment: moment.replace(tzinfo=UTC))
_names = st.text(min_size=1, max_size=20).filter(lambda text: "/" not in text)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | _texts,
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(_texts, inner, max_size=2)
    ),
    max_leaves=4,
)
_extra = st.dictionaries(_texts.map("x-{}".format), _json, max_size=2)
_files = st.builds(
    File,
    filename=_names,
    version=_texts,
    key=_texts,
    size=st.integers(0, 2**50),
    sha256=_digests,
    upload_time=_times,
    md5=_maybe,
    blake2b_256=_maybe,
    requires_python=_maybe,
    yanked=_maybe,
    metadata_key=_maybe,
    metadata_sha256=_maybe,
    uploader=_maybe,
    summary=_maybe,
    publisher=st.none() | st.dictionaries(_texts, _texts, max_size=3),
    provenance_key=_maybe,
    extra=_extra,
)
_tombstones = st.builds(
    Tombstone,
    filename=_names,
    sha256=_digests,
    key=_texts,
    deleted=_times,
    purged=st.booleans(),
    metadata_key=_maybe,
    file=st.none() | _files,
    act=_maybe,
    extra=_extra,
)
_entries = st.builds(
    HistoryEntry,
    id=_texts,
    at=_times,
    act=_texts,
    who=_maybe,
    proof=_texts,
    address=_maybe,
    version=_maybe,
    files=st.lists(_names, max_size=2).map(tuple),
    count=st.integers(0, 9),
    reason=_maybe,
    undoes=_maybe,
    before=st.none() | st.dictionaries(_texts, _texts, max_size=2),
    extra=_extra,
)


def projects(most: int = 3) -> st.SearchStrategy[Project]:
    """Any projects of at most so many files and as many tombstones."""
    return st.builds(
        Project,
        name=st.just(ACME),
        display_name=_texts,
        files=st.lists(_files, max_size=most).map(tuple),
        tombstones=st.lists(_tombstones, max_size=most).map(tuple),
        status=st.sampled_from(["active", "archived", "quarantined", "deprecated"]),
        status_reason=_maybe,
        history=st.lists(_entries, max_size=2).map(tuple),
        changes=st.lists(_texts, max_size=3).map(tuple),
        moving=st.none()
        | st.builds(Moving, _maybe, st.lists(_texts, max_size=2).map(tuple)),
        serial=st.integers(0, 9),
        extra=_extra,
    )


class CodecTests(SynchronousTestCase):
    @given(projects())
    def test_any_manifest_survives(self, project: Project) -> None:
        self.assertEqual(decode(ACME, encode(project)), project)

    @given(projects())
    def test_can_be_packed(self, project: Project) -> None:
        """As one is that was read and that nobody asks for, and by a helper process."""
        read = decode(ACME, encode(project))
        self.assertEqual(pickle.loads(pickle.dumps(read)), project)

    @given(projects())
    def test_what_is_served_has_no_private_keys(self, project: Project) -> None:
        document = public_document(project, lambda file: "u")
        text = json.dumps(document)
        self.assertEqual(json.loads(text), document)
        parts = [document, *document["files"]]
        self.assertEqual([k for part in parts for k in part if k.startswith("_")], [])

    def test_unknown_private_keys_are_kept_and_not_served(self) -> None:
        document = json.loads(encode(Project(ACME, "Acme", (file(),))))
        document["_later"] = document["files"][0]["_later"] = {"a": 1}
        # Known of a file, and of nothing else.
        document["hashes"] = {"sha256": "a", "later": "b"}
        again = json.loads(encode(decode(ACME, json.dumps(document).encode())))
        self.assertEqual(again, document)
        served = public_document(decode(ACME, json.dumps(document).encode()), str)
        self.assertNotIn("_later", served)
        self.assertNotIn("_later", served["files"][0])

    def test_what_is_not_known_within_a_value_is_kept_and_served(self) -> None:
        """As a PEP may have it that adds a digest or says more of a status."""
        one = file(metadata_sha256="cd" * 32)
        document = json.loads(encode(Project(ACME, "Acme", (one,))))
        document["project-status"]["until"] = "2030"
        [told] = document["files"]
        told["hashes"]["sha512"] = "ab" * 64
        told["core-metadata"]["sha512"] = "cd" * 64
        read = decode(ACME, json.dumps(document).encode())
        self.assertEqual(json.loads(encode(read)), document)
        served = public_document(read, str)
        self.assertEqual(served["project-status"], document["project-status"])
        self.assertEqual(served["files"][0]["hashes"], told["hashes"])
        # What is known is this version's to say.
        changed = evolve(read, status="archived", status_reason="old")
        self.assertEqual(
            json.loads(encode(changed))["project-status"],
            {"status": "archived", "reason": "old", "until": "2030"},
        )

    def test_there_is_room_for_the_most_files(self) -> None:
        """ddtrace has 46,724 of them, with names of 78 characters at most."""
        one = file(
            "ddtrace-" + "1" * 66 + ".whl",
            md5="0" * 32,
            blake2b_256="0" * 64,
            metadata_key="ddtrace/" + "0" * 120 + ".metadata",
            metadata_sha256="0" * 64,
            requires_python=">=3.9",
            uploader="releases",
            summary="Datadog APM client library",
        )
        few = len(encode(Project(project_name("ddtrace"), "ddtrace", (one,) * 100)))
        self.assertLess(few / 100 * 46_724, MAX_MANIFEST / 5)

    def test_refuses_to_write_a_newer_format(self) -> None:
        project = evolve(Project(ACME, "Acme"), format=3)
        error = self.assertRaises(Unavailable, encode, project)
        self.assertIn("newer server", error.message)

    def test_an_empty_reason_is_yanked_all_the_same(self) -> None:
        project = Project(ACME, "Acme", (file(yanked=""),))
        served = public_document(project, lambda file: "u")
        self.assertIs(served["files"][0]["yanked"], True)


class DamageTests(SynchronousTestCase):
    def damaged(self, data: bytes) -> None:
        error = self.assertRaises(StoreError, decode, ACME, data)
        self.assertIn("damaged", error.message)
        self.assertIn(".index/acme.json", error.message)

    def test_no_json(self) -> None:
        self.damaged(b"<html>")
        self.damaged(b"[" * 100_000)
        self.damaged(b"\xff")

    def test_another_project(self) -> None:
        self.damaged(encode(Project(project_name("other"), "other")))

    def test_each_field(self) -> None:
        good = json.loads(encode(Project(ACME, "Acme", (file(),))))
        for key, bad in {
            "filename": "../../etc/passwd",
            "size": -1,
            "hashes": {"sha256": "abc"},
            "upload-time": "yesterday",
            "_key": None,
            "yanked": 3,
            "_publisher": {"ref": 1},
        }.items():
            document = json.loads(json.dumps(good))
            document["files"][0][key] = bad
            self.damaged(json.dumps(document).encode())

    def test_where_a_file_came_from_is_bounded(self) -> None:
        good = json.loads(encode(Project(ACME, "Acme", (file(),))))
        wrong: tuple[Any, ...] = (
            [],
            "x",
            {"ref": "x" * 1025},
            {"x" * 1025: "y"},
            {str(n): "x" for n in range(33)},
        )
        for bad in wrong:
            good["files"][0]["_publisher"] = bad
            self.damaged(json.dumps(good).encode())

    @given(projects(), st.data())
    def test_any_flipped_value_is_read_or_refused(
        self, project: Project, data: Any
    ) -> None:
        document = json.loads(encode(project))
        key = data.draw(st.sampled_from(sorted(document)))
        document[key] = data.draw(_json)
        try:
            decode(ACME, json.dumps(document).encode())
        except StoreError as e:
            self.assertIn("damaged", e.message)


class OrderTests(SynchronousTestCase):
    def test_by_version_then_name(self) -> None:
        files = [
            file("acme-1.10.tar.gz", version="1.10"),
            file("b-1.9.whl", version="1.9"),
            file("a-1.9.whl", version="1.9"),
            file("odd", version="not a version"),
            file("acme-2.0rc1.whl", version="2.0rc1"),
        ]
        self.assertEqual(
            [f.filename for f in in_order(files)],
            ["odd", "a-1.9.whl", "b-1.9.whl", "acme-1.10.tar.gz", "acme-2.0rc1.whl"],
        )


class KeyTests(SynchronousTestCase):
    def test_round_trip(self) -> None:
        self.assertEqual(project_of(manifest_key(ACME)), ACME)

    def test_what_is_no_manifest(self) -> None:
        for key in (".index/Acme.json", ".index/acme", "acme.json", ".index/a/b.json"):
            self.assertIsNone(project_of(key), key)

    def test_time_has_microseconds_and_z(self) -> None:
        document = json.loads(encode(Project(ACME, "Acme", (file(),))))
        self.assertEqual(
            document["files"][0]["upload-time"], "2026-03-01T09:30:00.000000Z"
        )
        self.assertEqual(
            decode(ACME, encode(Project(ACME, "A", (file(),)))).files[0].upload_time,
            MORNING,
        )
