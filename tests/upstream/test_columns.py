"""That files which are checked by columns come out as they would one by one."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.upstream import parse
from pypicloud_tw.upstream.addresses import Links
from pypicloud_tw.upstream.columns import read_files

URL = "https://up.example/simple/acme/"
SHA = "ab" * 32
WHEEL: dict[str, Any] = {
    "filename": "acme-1.0-py3-none-any.whl",
    "url": "https://files.example/acme-1.0-py3-none-any.whl",
    "hashes": {"sha256": SHA},
}
#: As the big index writes them.
FULL: dict[str, Any] = {
    **WHEEL,
    "core-metadata": {"sha256": SHA},
    "data-dist-info-metadata": {"sha256": SHA},
    "provenance": None,
    "requires-python": ">=3.9",
    "size": 7,
    "upload-time": "2024-01-01T00:00:00.123456Z",
    "yanked": False,
}

anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner)
    ),
    max_leaves=4,
)
digests = st.sampled_from(
    [SHA, SHA.upper(), "ab" * 4, "ab" * 64, "a" * 7, "a" * 129, "", "xy" * 32, "٣" * 64]
)
hashes = st.dictionaries(
    st.sampled_from(["sha256", "md5", "SHA256", "", "_x"]), digests, max_size=3
)
links = st.sampled_from(
    [
        "https://files.example/a.whl",
        "https://files.example/b.whl#sha256=00",
        "https://files.example:443/a.whl?x=/y",
        "https://files.example?x/y",
        "https://files.example",
        "https://user@files.example/a.whl",
        "https://files.example:0/a",
        "https://files.example:port/a",
        "http:///a/b",
        "http://[::1]/a",
        "http://[::1/a",
        "http://a/",
        "https://files.example/a b",
        "https://files.example/ä.whl",
        "https://files.example/a\\b",
        "HTTPS://files.example/a",
        "ftp://files.example/a",
        "javascript:alert(1)",
        "../a.whl",
        "a.whl",
        "//files.example/a",
        "",
        "https://files.example/a\n",
        "https://files.example/\x7f",
    ]
)
filenames = st.sampled_from(
    [
        "acme-1.0.tar.gz",
        "a b",
        "ä.whl",
        ".hidden",
        "a/b",
        "a\\b",
        "",
        "a" * 255,
        "a" * 256,
        "a\nb",
        "a\0b",
        "..",
        "/",
        "a.",
    ]
)
metadata = hashes | st.booleans() | st.none()
#: What each key may hold, and what it may not.
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "filename": filenames,
    "url": links,
    "hashes": hashes,
    "core-metadata": metadata,
    "dist-info-metadata": metadata,
    "data-dist-info-metadata": metadata,
    "requires-python": st.sampled_from([">=3.9", "", None]),
    "size": st.sampled_from([0, 7, -1, 2**63 - 1, 2**63, True, 1.0, None]),
    "upload-time": st.sampled_from(["2024-01-01T00:00:00Z", "", "\n", None]),
    "yanked": st.sampled_from([True, False, "", "broken", None, 0]),
    "gpg-sig": st.sampled_from([True, False, None, 1]),
    "provenance": links | st.none(),
    "_private": anything,
    "future": anything,
    "": anything,
}


@st.composite
def files(draw: Callable[[st.SearchStrategy[Any]], Any]) -> list[Any]:
    """Write a page's files, mostly alike, and some with what does not belong there."""
    basis = draw(st.sampled_from([WHEEL, FULL]))
    items: list[Any] = []
    for _ in range(draw(st.integers(0, 4))):
        item = dict(basis)
        for key in draw(st.lists(st.sampled_from(list(VALUES)), max_size=2)):
            item[key] = draw(VALUES[key] | anything)
        for key in draw(st.lists(st.sampled_from(list(FULL)), max_size=1)):
            item.pop(key, None)
        items.append(item)
    if draw(st.integers(0, 9)) == 0:
        items.append(draw(anything))
    return items


def one_by_one(items: list[Any]) -> list[Any]:
    checked = [parse._file(item, Links(URL)) for item in items]
    return [file for file in checked if file is not None]


class ColumnTests(SynchronousTestCase):
    @given(files())
    @example([FULL, {**FULL, "core-metadata": False}])
    @example([{**WHEEL, "dist-info-metadata": True}, FULL])
    def test_both_ways_agree(self, items: list[Any]) -> None:
        expected = one_by_one(deepcopy(items))
        before = deepcopy(items)
        quickly = read_files(items, Links(URL))
        if quickly is None:
            self.assertEqual(items, before)
        else:
            self.assertEqual(quickly, expected)
            self.assertEqual(list(map(_types, quickly)), list(map(_types, expected)))

    @given(st.sampled_from(list(VALUES)), st.data())
    def test_both_ways_agree_on_one_key(self, key: str, data: st.DataObject) -> None:
        item = {**FULL, key: data.draw(VALUES[key])}
        expected = one_by_one([item])
        quickly = read_files([deepcopy(item)], Links(URL))
        self.assertIn(quickly, (None, expected))

    def test_what_the_big_index_writes(self) -> None:
        """Else nothing is gained."""
        others = [
            {**FULL, "yanked": "broken", "requires-python": None},
            {**FULL, "core-metadata": False, "data-dist-info-metadata": False},
            {**FULL, "provenance": "https://up.example/integrity/a/provenance"},
            {**WHEEL, "hashes": {"sha256": SHA, "md5": "ab" * 16}, "gpg-sig": True},
            {**WHEEL, "hashes": {}},
        ]
        items = [FULL, *others]
        expected = one_by_one(items)
        self.assertEqual(read_files(deepcopy(items), Links(URL)), expected)
        self.assertEqual(read_files([], Links(URL)), [])

    def test_keys_without_end(self) -> None:
        """To look at each file for each of them would take hours."""
        items = [{**WHEEL, f"key-{number}": number} for number in range(200)]
        self.assertIsNone(read_files(items, Links(URL)))
        many = {f"sha-{number}": SHA for number in range(200)}
        self.assertIsNone(read_files([{**WHEEL, "hashes": many}], Links(URL)))


def _types(file: Any) -> dict[str, type]:
    return {key: type(value) for key, value in file.items()}


#: What JSON must not have, or what readers of it differ in.
ODD = (
    b"NaN", b"-Infinity", b"1e400", b"-1e400", b"1e-400", b"1e5", b"-0", b"-0.0",
    b"18446744073709551616", b"-9223372036854775809", b"1" * 400, b"1" * 5000,
    b"0.1000000000000000055511151231257827", b"01", b"1.", b".5", b"+1", b"0x1",
    b'"\\ud800"', b'"\\ud83d\\ude00"', b'"\\u0000"', b'"\x00"', b'"\x7f"', b'"\xff"',
    b'"\xed\xa0\x80"', b'"\\x41"', b"'a'", b"[1,]", b'{"a":1,}', b"[1] ", b"[1]x",
    b'{"a":1,"a":2}', b'{"a":1,"\\u0061":2}', b"{1:2}", b"//\n1", b"", b" ", b"nul",
    b"\xef\xbb\xbf[1]", "[1]".encode("utf-16"), "[1]".encode("utf-32-be"),
    b"[" * 100 + b"]" * 100, b"[" * 100_000 + b"]" * 100_000,
    b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
)  # fmt: skip


class LoadTests(SynchronousTestCase):
    """What the quick reader takes, the standard library's takes for the same."""

    def load(self, function: Callable[[bytes], Any], data: bytes) -> Any:
        try:
            return repr(function(data))
        except ValueError:
            return ValueError

    def check(self, data: bytes) -> None:
        expected = self.load(parse._load_any_json, data)
        self.assertEqual(self.load(parse.load_json, data), expected, data[:80])

    def test_odd_values(self) -> None:
        for value in ODD:
            self.check(value)
            self.check(b'{"a": [%b]}' % value)
            self.check(b'{"%b": 1}' % value.strip(b'"'))

    @given(st.binary(max_size=50))
    def test_any_bytes(self, data: bytes) -> None:
        self.check(data)

    @given(anything, st.booleans())
    def test_any_values(self, value: Any, ascii_only: bool) -> None:
        text = json.dumps(value, ensure_ascii=ascii_only)
        self.check(text.encode(errors="surrogatepass"))

    @given(anything, st.integers(0, 200), st.binary(min_size=1, max_size=3))
    def test_damage(self, value: Any, at: int, bytes_: bytes) -> None:
        data = json.dumps({"a": value, "b": [1.5, "x"]}).encode()
        self.check(data[: at % len(data)] + bytes_ + data[at % len(data) :])
