"""Many short texts as one, so that to look through them takes no loop."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable, Iterator

from attrs import frozen


@frozen(eq=False)
class Lines:
    """Texts of a line each, in UTF-8, joined.

    Not as str: one character beyond the first plane takes four times the memory of all.
    """

    joined: bytes
    _begins: array[int]

    @classmethod
    def of(cls, lines: Iterable[bytes]) -> Lines:
        """Join lines, in which there are no ends of lines."""
        begins, at = array("I"), 0
        ended = []
        for line in lines:
            begins.append(at)
            at += len(line) + 1
            ended.append(line)
        ended.append(b"")
        return cls(b"\n".join(ended), begins)

    def __getitem__(self, number: int) -> bytes:
        """Return a line."""
        begins = self._begins
        end = begins[number + 1] if number + 1 < len(begins) else len(self.joined)
        return self.joined[begins[number] : end - 1]

    def having(self, word: bytes) -> Iterator[int]:
        """Find the lines that have a word, by their numbers, in order."""
        joined, begins = self.joined, self._begins
        at = joined.find(word)
        while at >= 0:
            number = bisect_right(begins, at) - 1
            yield number
            if number + 1 == len(begins):
                return
            at = joined.find(word, begins[number + 1])
