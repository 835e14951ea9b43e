"""Which format of a page, and which coding.

Pure: header fields' values in, decisions out. Nothing that a client sends is an error
here except that it accepts nothing that there is; malformed parts are ignored.
"""

from __future__ import annotations

from attrs import define, field, frozen

from pypicloud_tw.errors import NotAcceptable
from pypicloud_tw.web.http.accept import media_quality, parse_accept
from pypicloud_tw.web.media import Encoding, Format, Variant

#: PEP 691: `latest` is answered with the version that is really sent.
_FORMATS = {format.value: format for format in Format} | {
    "application/vnd.pypi.simple.latest+json": Format.JSON,
    "application/vnd.pypi.simple.latest+html": Format.HTML,
}

#: The names under which each format can be asked for.
_NAMES = {format: [n for n, f in _FORMATS.items() if f is format] for format in Format}

#: Where a client has no preference. PEP 691, Recommendations: of the formats it names
#: the most expressive, text/html last; but one that names none is a browser or a client
#: from before PEP 691, and those read text/html.
_NAMED_ORDER = (Format.JSON, Format.HTML, Format.TEXT)
_UNNAMED_ORDER = (Format.TEXT, Format.JSON, Format.HTML)

#: Smallest first, and cheapest first, as measured (see representation.py).
_ENCODING_ORDER = (Encoding.ZSTD, Encoding.BROTLI, Encoding.GZIP)

#: How many pairs of headers are remembered, and how long each header may be for that;
#: so the memory is bounded, whatever clients send.
REMEMBERED, LONGEST = 1024, 1024


@frozen
class Choice:
    """What a client gets: of a page worth compressing, and of one that is not."""

    large: Variant
    small: Variant


def choose_format(
    accept: bytes | None, format_parameter: bytes | None = None
) -> Format:
    """Choose by Accept, or by ``?format=``, which takes precedence (PEP 691).

    :raises NotAcceptable: nothing that is served is accepted.
    """
    if format_parameter is not None:
        # A query's `+` is a blank by the rules of forms, and clients write it raw.
        wanted = format_parameter.decode("latin-1").strip().replace(" ", "+").lower()
        if wanted not in _FORMATS:
            raise _not_acceptable()
        return _FORMATS[wanted]
    ranges = {n: q for n, q in parse_accept(accept).items() if "/" in n or n == "*"}
    if not ranges:
        return Format.TEXT
    ranked = [(*media_quality(_NAMES[format], ranges), format) for format in Format]
    best = max((quality, named) for quality, named, _ in ranked)
    if best[0] == 0:
        raise _not_acceptable()
    order = _NAMED_ORDER if best[1] else _UNNAMED_ORDER
    return next(format for format in order if (*best, format) in ranked)


def choose_encoding(
    accept_encoding: bytes | None, *, worthwhile: bool = True
) -> Encoding:
    """Choose a coding (RFC 9110, section 12.5.3).

    :param worthwhile: the body gets smaller by it; otherwise it goes out plain unless
        the client refuses that.
    :raises NotAcceptable: it refuses plain bytes and every coding that there is.
    """
    weights = parse_accept(accept_encoding)
    if "x-gzip" in weights:  # the same thing: RFC 9110, section 8.4.1.3
        weights.setdefault("gzip", weights["x-gzip"])
    other = weights.get("*")
    plain = weights.get("identity", 1.0 if other is None else other) > 0
    if plain and not worthwhile:
        return Encoding.IDENTITY

    def rank(encoding: Encoding) -> tuple[float, bool]:
        # Whoever says only `*` knows gzip for certain, the others less so.
        named = encoding in weights or encoding is Encoding.GZIP
        return weights.get(encoding, other or 0.0), named

    best = max(_ENCODING_ORDER, key=rank)
    quality, _ = rank(best)
    if quality > 0 and quality >= weights.get("identity", 0.0):
        return best
    if plain:
        return Encoding.IDENTITY
    raise NotAcceptable(
        "The Accept-Encoding header refuses every coding that is served here: "
        "identity, gzip, br and zstd."
    )


@define
class Negotiator:
    """Remembers what was chosen: the few clients there are send the same headers."""

    _known: dict[tuple[bytes | None, bytes | None], Choice] = field(factory=dict)

    def choose(
        self,
        accept: bytes | None,
        accept_encoding: bytes | None,
        format_parameter: bytes | None = None,
    ) -> Choice:
        """Choose format and coding from the raw values of the fields.

        :param accept: several fields' values joined by commas; None if absent.
        :raises NotAcceptable: nothing that is served is accepted.
        """
        if format_parameter is not None:
            return _choose(accept, accept_encoding, format_parameter)
        key = accept, accept_encoding
        known = self._known.get(key)
        if known is None:
            known = _choose(accept, accept_encoding, None)
            self._remember(key, known)
        return known

    def _remember(self, key: tuple[bytes | None, bytes | None], known: Choice) -> None:
        if any(len(value or b"") > LONGEST for value in key):
            return
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        self._known[key] = known


def _choose(
    accept: bytes | None, accept_encoding: bytes | None, format_parameter: bytes | None
) -> Choice:
    format = choose_format(accept, format_parameter)
    return Choice(
        large=Variant(format, choose_encoding(accept_encoding)),
        small=Variant(format, choose_encoding(accept_encoding, worthwhile=False)),
    )


def _not_acceptable() -> NotAcceptable:
    return NotAcceptable(
        f"This page is served as {', '.join(_FORMATS)}; none of these is accepted by "
        "the request's Accept header or named by its format parameter."
    )
