"""The extra fields of a zip's entries (APPNOTE.TXT, 4.5 and 4.6.9)."""

from __future__ import annotations

from struct import Struct
from typing import NoReturn

from attrs import frozen

from pypicloud_tw.index.archive.findings import quoted, refuse

_HEAD = Struct("<HH")
_WIDE_SIZES = Struct("<QQ")

#: ZIP64's sizes, and Info-ZIP's second spelling of the name.
_ZIP64, _UNICODE_PATH = 0x0001, 0x7075
#: Size, packed size, place and disk of an entry that only ZIP64's field tells, and the
#: bytes that each has there.
_TOLD_THERE, _WIDTHS = (0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0xFFFF), (8, 8, 8, 4)

_AGAIN = "Build the file again with a current build tool."


@frozen
class Extra:
    """What an entry's extra fields say of its sizes and its place.

    :ivar zip64: the content of that field; None if there is none.
    """

    name: str
    zip64: bytes | None = None

    @classmethod
    def parse(cls, data: bytes, name: str) -> Extra:
        """Read the extra fields of the member *name*.

        :raises BadRequest: they are damaged, or say something twice, or spell another
            name.
        """
        zip64, at = None, 0
        # Fewer bytes than a head has are padding, to all readers.
        while len(data) - at >= _HEAD.size:
            kind, length = _HEAD.unpack_from(data, at)
            at += _HEAD.size + length
            field = data[at - length : at]
            if len(field) != length or (kind == _ZIP64 and zip64 is not None):
                _refuse(name)
            if kind == _ZIP64:
                zip64 = field
            elif kind == _UNICODE_PATH and field[5:] != name.encode():
                _refuse(name)
        return cls(name, zip64)

    def widen(
        self, size: int, packed: int, header: int, disk: int
    ) -> tuple[int, int, int, int]:
        """Put in the fields of the directory's entry that only ZIP64 has room for.

        :raises BadRequest: some are missing, or others contradict the entry.
        """
        plain = (size, packed, header, disk)
        if self.zip64 is None:
            return plain
        wanted = [value == most for value, most in zip(plain, _TOLD_THERE, strict=True)]
        found, at = list(plain), 0
        for place in self._places(wanted):
            stop = at + _WIDTHS[place]
            value, at = int.from_bytes(self.zip64[at:stop], "little"), stop
            if not wanted[place] and value != plain[place]:
                _refuse(self.name)
            found[place] = value
        return found[0], found[1], found[2], found[3]

    def _places(self, wanted: list[bool]) -> list[int]:
        """Tell which of its values the field of a directory's entry holds.

        As the specification says, only what the entry has no room for; or, as some
        tools write, all up to some point.
        """
        needed = [place for place, is_wanted in enumerate(wanted) if is_wanted]
        for places in (needed, *([*range(n)] for n in range(1, 5))):
            length = sum(_WIDTHS[place] for place in places)
            if length == len(self.zip64 or b"") and {*needed} <= {*places}:
                return places
        return _refuse(self.name)

    def agrees(
        self, size: int, packed: int, true_size: int, true_packed: int, *, later: bool
    ) -> bool:
        """Tell whether a local header's sizes are those of the directory.

        :param later: they follow the data, so that they may be left out here.
        """
        true = (true_size, true_packed)
        here = (size, packed)
        wide = _TOLD_THERE[:2]
        none = (0, 0)
        if self.zip64 is None:
            return here == true or (later and here == none)
        if len(self.zip64) != _WIDE_SIZES.size:
            return False
        told = _WIDE_SIZES.unpack(self.zip64)
        return (told == true or (later and told == none)) and (
            here in (true, wide) or (later and here == none)
        )


def _refuse(name: str) -> NoReturn:
    refuse(
        f"The extra fields of the member {quoted(name)} are damaged, or tell other "
        f"sizes or another name than the archive does elsewhere. {_AGAIN}"
    )
