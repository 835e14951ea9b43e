"""What pages load: one stylesheet, one script and an icon, from this server alone."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from importlib.resources import files

from attrs import frozen

from pypicloud_tw.errors import NotFound

#: Their names in the package, and what they are.
_KINDS = {
    "style.css": b"text/css; charset=utf-8",
    "script.js": b"text/javascript; charset=utf-8",
    "icon.svg": b"image/svg+xml",
}

#: Hexadecimal digits of an asset's SHA-256 in its address.
_DIGITS = 12


@frozen
class Asset:
    """A file that a page loads.

    :ivar name: in its address; it changes with the bytes, so that they never do.
    """

    name: str
    kind: bytes
    data: bytes


def _read(filename: str, kind: bytes) -> Asset:
    data = files("pypicloud_tw.web.pages").joinpath("static", filename).read_bytes()
    stem, _, ending = filename.partition(".")
    digest = sha256(data).hexdigest()[:_DIGITS]
    return Asset(f"{stem}.{digest}.{ending}", kind, data)


@frozen
class Assets:
    """Every asset.

    :ivar names: their names in addresses, by what templates call them.
    """

    names: Mapping[str, str]
    _assets: Mapping[str, Asset]

    @classmethod
    def load(cls) -> Assets:
        """Read them, all of them small."""
        found = {name: _read(name, kind) for name, kind in _KINDS.items()}
        names = {name.partition(".")[0]: asset.name for name, asset in found.items()}
        return cls(names, {asset.name: asset for asset in found.values()})

    def find(self, name: str) -> Asset:
        """Return what has this name in an address.

        :raises NotFound: nothing has, or no longer.
        """
        asset = self._assets.get(name)
        if asset is None:
            raise NotFound("There is no such file: load the page again.")
        return asset
