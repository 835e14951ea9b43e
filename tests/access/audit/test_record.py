"""A record is one line of ASCII, bounded, and holds no secret."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.audit.record import (
    MAX_LINE,
    Download,
    decode,
    encode_act,
    encode_download,
)
from pypicloud_tw.index.audit import SERVER, Act, Actor, Proof

ANN = Actor(
    "ann",
    Proof("token", {"id": "k7", "description": "CI"}),
    "192.0.2.7",
    "twine/7.0.0",
)

#: 2026-11-27, 12:00:00.
NOON = 1795780800.0


def fields(line: bytes) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(line)
    return made


class RecordTests(SynchronousTestCase):
    def test_every_field(self) -> None:
        act = Act(ANN, "published", "acme", "1.0", "acme-1.0.tar.gz", "ab12", "why")
        self.assertEqual(
            fields(encode_act(act, NOON + 0.25)),
            {
                "time": "2026-11-27T12:00:00.250000Z",
                "act": "published",
                "outcome": "done",
                "principal": "ann",
                "proof": {"kind": "token", "id": "k7", "description": "CI"},
                "address": "192.0.2.7",
                "user_agent": "twine/7.0.0",
                "project": "acme",
                "version": "1.0",
                "file": "acme-1.0.tar.gz",
                "sha256": "ab12",
                "reason": "why",
            },
        )

    def test_what_is_not_there_is_left_out(self) -> None:
        self.assertEqual(
            fields(encode_act(Act(SERVER, "swept"), NOON)),
            {
                "time": "2026-11-27T12:00:00.000000Z",
                "act": "swept",
                "outcome": "done",
                "proof": {"kind": "none"},
            },
        )

    def test_a_detail_cannot_pass_for_the_kind(self) -> None:
        actor = Actor("ann", Proof("token", {"kind": "password"}))
        [proof] = [fields(encode_act(Act(actor, "x"), NOON))["proof"]]
        self.assertEqual(proof, {"kind": "token"})

    def test_download(self) -> None:
        download = Download(
            ANN, "acme", "1.0", "acme-1.0.tar.gz", "ab12", "streamed", 206, 9, "bytes=1"
        )
        told = fields(encode_download(download, NOON))
        self.assertEqual(
            [told[name] for name in ("principal", "how", "status", "sent", "range")],
            ["ann", "streamed", 206, 9, "bytes=1"],
        )

    @given(
        st.text(),
        st.dictionaries(st.text(), st.text()),
        st.text(),
        st.floats(0, 4e9),
    )
    @settings(max_examples=40)
    def test_one_line(
        self, text: str, details: dict[str, str], other: str, at: float
    ) -> None:
        actor = Actor(text, Proof("publisher", details), other, text * 50)
        line = encode_act(Act(actor, "published", reason=other * 50), at)
        self.assertRegex(line, rb"\A[\x20-\x7e]+\n\Z")
        self.assertLess(len(line), MAX_LINE)
        self.assertEqual(decode(line)["act"], "published")

    def test_the_largest_can_be_read(self) -> None:
        long = "\U0001f600" * 5000
        details = {f"{n}{long}": long for n in range(99)}
        actor = Actor(long, Proof("publisher", details), long, long)
        line = encode_act(Act(actor, "x", long, long, long, long, long), NOON)
        self.assertEqual(decode(line)["act"], "x")

    def test_what_is_no_record(self) -> None:
        lines = (b"", b"{", b"[]", b'"x"', b"{}", b'{"time": 3}', b"\xff", b"[" * 99999)
        for line in lines:
            self.assertRaises(ValueError, decode, line)
