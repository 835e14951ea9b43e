"""Which form, which coding, and whether to send anything at all.

Pure: header fields' values in, decisions out. Nothing that a client sends is an error
here except that it accepts nothing that there is; malformed parts are passed over.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

from attrs import define, field, frozen

from pypicloud_tw.errors import NotAcceptable
from pypicloud_tw.web.media import Encoding, Form, Variant

#: PEP 691: `latest` is answered with the version that is really sent.
_FORMS = {form.value: form for form in Form} | {
    "application/vnd.pypi.simple.latest+json": Form.JSON,
    "application/vnd.pypi.simple.latest+html": Form.HTML,
}

#: The names under which each form can be asked for.
_NAMES = {form: [n for n, f in _FORMS.items() if f is form] for form in Form}

#: Where a client has no preference. PEP 691, Recommendations: the most expressive form
#: of those it names, text/html last; but one that names none is a browser or a client
#: from before PEP 691, and those read text/html.
_NAMED_ORDER = (Form.JSON, Form.HTML, Form.TEXT)
_UNNAMED_ORDER = (Form.TEXT, Form.JSON, Form.HTML)

#: Smallest first, and cheapest first, as measured (see representation.py).
_ENCODING_ORDER = (Encoding.ZSTD, Encoding.BROTLI, Encoding.GZIP)

_QUALITY = re.compile(r"\d+(\.\d*)?|\.\d+", re.ASCII)
_ENTITY_TAG = re.compile(rb'(W/)?("[^"]*")')

_TIME, _MONTH = rb"[0-9]{2}:[0-9]{2}:[0-9]{2}", rb"[A-Z][a-z]{2}"

# RFC 9110, section 5.6.7: IMF-fixdate, and what came before it. The library reads more
# than that, up to two dates as the first of them.
_HTTP_DATE = re.compile(
    rb"[A-Z][a-z]{2}, [0-9]{2} %(month)b [0-9]{4} %(time)b GMT"
    rb"|[A-Z][a-z]{5,8}, [0-9]{2}-%(month)b-[0-9]{2} %(time)b GMT"
    rb"|[A-Z][a-z]{2} %(month)b [ 0-9][0-9] %(time)b [0-9]{4}"
    % {b"month": _MONTH, b"time": _TIME}
)

#: How many pairs of headers are remembered, and how long each header may be for that;
#: so the memory is bounded, whatever clients send.
REMEMBERED, LONGEST = 1024, 1024


@frozen
class Choice:
    """What a client gets: of a page worth compressing, and of one that is not."""

    large: Variant
    small: Variant


def choose_form(accept: bytes | None, format_parameter: bytes | None = None) -> Form:
    """Choose by Accept, or by ``?format=``, which takes precedence (PEP 691).

    :raises NotAcceptable: nothing that is served is accepted.
    """
    if format_parameter is not None:
        # A query's `+` is a blank by the rules of forms, and clients write it raw.
        wanted = _text(format_parameter).strip().replace(" ", "+").lower()
        if wanted not in _FORMS:
            raise _not_acceptable()
        return _FORMS[wanted]
    ranges = {n: q for n, q in _weights(accept).items() if "/" in n or n == "*"}
    if not ranges:
        return Form.TEXT
    ranked = [(*_form_weight(form, ranges), form) for form in Form]
    best = max((quality, named) for quality, named, _ in ranked)
    if best[0] == 0:
        raise _not_acceptable()
    order = _NAMED_ORDER if best[1] else _UNNAMED_ORDER
    return next(form for form in order if (*best, form) in ranked)


def choose_encoding(
    accept_encoding: bytes | None, *, worthwhile: bool = True
) -> Encoding:
    """Choose a coding (RFC 9110, section 12.5.3).

    :param worthwhile: the body gets smaller by it; otherwise it goes out plain unless
        the client refuses that.
    :raises NotAcceptable: it refuses plain bytes and every coding that there is.
    """
    weights = _weights(accept_encoding)
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


def is_not_modified(
    if_none_match: bytes | None,
    etag: bytes,
    if_modified_since: bytes | None = None,
    modified: datetime | None = None,
) -> bool:
    """Tell whether a GET or HEAD is answered 304 (RFC 9110, section 13.2.2).

    :param etag: of the representation chosen, with its quotes.
    :param modified: its Last-Modified; aware.
    """
    if if_none_match is not None:
        # The date is ignored where there is a tag, even one that does not match.
        return _matches(if_none_match, etag)
    if if_modified_since is None or modified is None:
        return False
    since = parse_http_date(if_modified_since)
    return since is not None and modified.replace(microsecond=0) <= since


def _matches(field_value: bytes, etag: bytes) -> bool:
    if field_value == etag or field_value.strip() == b"*":
        return True
    # Weakly (section 8.8.3.2): proxies that compress make strong tags weak.
    opaque = etag.removeprefix(b"W/")
    return any(tag == opaque for _, tag in _ENTITY_TAG.findall(field_value))


def is_as_required(
    if_match: bytes | None,
    etag: bytes,
    if_unmodified_since: bytes | None = None,
    modified: datetime | None = None,
) -> bool:
    """Tell whether what the client builds upon is still so; if not, that is 412.

    RFC 9110, section 13.2.2: asked before :func:`is_not_modified`.

    :param etag: strong, with its quotes.
    :param modified: its Last-Modified; aware.
    """
    if if_match is not None:
        # Strongly (section 13.1.1), and the date is ignored.
        found = _ENTITY_TAG.findall(if_match)
        return if_match.strip() == b"*" or (b"", etag) in found
    if if_unmodified_since is None or modified is None:
        return True
    since = parse_http_date(if_unmodified_since)
    return since is None or modified.replace(microsecond=0) <= since


def http_date(moment: datetime) -> bytes:
    """Write an instant as HTTP does, in whole seconds (RFC 9110, section 5.6.7)."""
    return format_datetime(moment.astimezone(UTC), usegmt=True).encode()


def parse_http_date(value: bytes) -> datetime | None:
    """Read an instant in any of HTTP's three formats; None if it is none."""
    if _HTTP_DATE.fullmatch(value) is None:
        return None
    try:
        moment = parsedate_to_datetime(_text(value))
        # The formats without a zone are in GMT by definition.
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


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
        """Choose form and coding from the raw values of the fields.

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
    form = choose_form(accept, format_parameter)
    return Choice(
        large=Variant(form, choose_encoding(accept_encoding)),
        small=Variant(form, choose_encoding(accept_encoding, worthwhile=False)),
    )


def _form_weight(form: Form, ranges: dict[str, float]) -> tuple[float, bool]:
    """Give a form's quality, and whether the client named it.

    The most specific range counts (RFC 9110, section 12.5.1).
    """
    named = [ranges[name] for name in _NAMES[form] if name in ranges]
    if named:
        return max(named), True
    kind = form.partition("/")[0]
    for wildcard in (f"{kind}/*", "*/*", "*"):
        if wildcard in ranges:
            return ranges[wildcard], False
    return 0.0, False


def _weights(value: bytes | None) -> dict[str, float]:
    """Read a list of names with qualities; malformed members are left out.

    Parameters other than ``q`` are ignored: no form here has any.
    """
    weights: dict[str, float] = {}
    for member in _text(value or b"").split(","):
        name, *parameters = member.split(";")
        quality = _quality(parameters)
        if name.strip() and quality is not None:
            weights[name.strip().lower()] = quality
    return weights


def _quality(parameters: list[str]) -> float | None:
    """Find the quality among the parameters; None if it is no number."""
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "q":
            number = _QUALITY.fullmatch(value.strip())
            return min(float(number[0]), 1.0) if number else None
    return 1.0


def _text(value: bytes) -> str:
    # Every byte is some character of Latin-1, so this cannot fail.
    return value.decode("latin-1")


def _not_acceptable() -> NotAcceptable:
    return NotAcceptable(
        f"This page is served as {', '.join(_FORMS)}; none of these is accepted by the "
        "request's Accept header or named by its format parameter."
    )
