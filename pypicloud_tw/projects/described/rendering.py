"""Descriptions as HTML, made in a helper process: they are anybody's input."""

from __future__ import annotations

import warnings
from email.message import Message
from io import StringIO

from attrs import frozen

from pypicloud_tw.offload.limits import limited
from pypicloud_tw.projects.described.limits import DESCRIPTIONS
from pypicloud_tw.projects.described.markup import embed, embed_text
from pypicloud_tw.projects.described.texts import clean_line, clean_text
from pypicloud_tw.projects.described.values import RenderedDescription

#: Characters of a description that are rendered, to show the first 44 kB of it. The
#: longest known has 160,000.
LONGEST = 512 * 1024

MARKDOWN, RST, PLAIN = "text/markdown", "text/x-rst", "text/plain"

#: Why a description is shown as text.
UNKNOWN_TYPE = (
    "Its content type is not one that is rendered; it is shown as plain text."
)
BROKEN = (
    "It is not valid as the {kind} that it says it is; it is shown as plain text. "
    "'twine check' tells its author why."
)
TOO_MUCH = "It takes too much time or memory to be rendered; it is shown as plain text."
BUSY = "It could not be rendered just now; it is shown as plain text."

_NAMES = {MARKDOWN: "Markdown", RST: "reStructuredText"}


@frozen
class ContentType:
    """What a description is written in (core metadata, Description-Content-Type).

    :ivar kind: one of the three, or something that nobody knows.
    :ivar variant: of Markdown: ``GFM`` or ``CommonMark``.
    :ivar told: a type was given; without one it is reStructuredText if it can be.
    """

    kind: str
    variant: str = "GFM"
    told: bool = True

    @classmethod
    def parse(cls, text: str) -> ContentType:
        """Read it; the charset does not matter, for metadata is UTF-8."""
        line = clean_line(text, 200)
        if line in ("", "UNKNOWN"):
            return cls(RST, told=False)
        message = Message()
        message["Content-Type"] = line
        variant = message.get_param("variant", "GFM")
        known = isinstance(variant, str) and variant.lower() == "commonmark"
        return cls(message.get_content_type(), "CommonMark" if known else "GFM")


def plain(text: str, note: str = "") -> RenderedDescription:
    """Show a description as text.

    :param note: why, if it is not text by its own word.
    """
    html, partial = embed_text(text)
    return RenderedDescription(html, "failed" if note else "plain", partial, note)


def plain_by_type(text: str, content_type: str) -> RenderedDescription | None:
    """Show what needs no rendering, by its type; None: it does."""
    kind = ContentType.parse(content_type).kind
    if kind in _NAMES:
        return None
    return plain(text, "" if kind == PLAIN else UNKNOWN_TYPE)


@limited(DESCRIPTIONS)
def render(text: str, content_type: str) -> RenderedDescription:
    """Render a description, or show it as text if it cannot be."""
    shown = plain_by_type(text, content_type)
    if shown is not None:
        return shown
    kind, cut = ContentType.parse(content_type), _cut(clean_text(text))
    try:
        html = _markdown(cut, kind.variant) if kind.kind == MARKDOWN else _rst(cut)
    except MemoryError:
        raise
    except Exception:
        # A mistake of the library's, which somebody's text has found.
        html = None
    if html is None:
        note = BROKEN.format(kind=_NAMES[kind.kind])
        return plain(text, note if kind.told else "")
    embedded, partial = embed(html, _highlighting())
    return RenderedDescription(embedded, "rendered", partial or len(text) > LONGEST)


def _cut(text: str) -> str:
    """Cut at a line's end what is longer than any description."""
    if len(text) <= LONGEST:
        return text
    return text[: text.rfind("\n", 0, LONGEST) + 1] or text[:LONGEST]


def _markdown(text: str, variant: str) -> str | None:
    # Here, for a server that shows no page has no use for it, nor has another helper.
    from readme_renderer import markdown

    rendered: str | None = markdown.render(text, variant=variant)
    return rendered


def _rst(text: str) -> str | None:
    from readme_renderer import rst

    with warnings.catch_warnings():
        # docutils warns developers of what is to change in it.
        warnings.simplefilter("ignore")
        # Files and raw HTML are off in readme-renderer's settings.
        rendered: str | None = rst.render(text, stream=StringIO())
    return rendered


def _highlighting() -> frozenset[str]:
    """Return the classes by which Pygments' stylesheets know the parts of code."""
    from pygments.token import STANDARD_TYPES

    return frozenset(filter(None, STANDARD_TYPES.values()))
