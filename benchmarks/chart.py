"""A chart of a run, as SVG: bars for each row, as parts of the best server's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

from attrs import frozen

#: The rows that say most; the table has all of them.
CHARTED = frozenset(
    {"page-20", "gzip-1000", "304", "basic", "token", "302", "upload-1", "upload-8"}
)

#: What servers are called in a picture that stands by itself.
_CALLED = {"ours": "pypicloud-tw", "ours+nginx": "... with nginx"}

_WIDTH, _LEFT, _RIGHT = 760, 120, 90
_BAR, _GAP, _HEAD = 16, 4, 26

#: Readable on white and on near-black alike; the text takes the reader's scheme.
_COLOURS = (
    *("#2f7ed8", "#8a8f98", "#d9722e", "#4b9a5b", "#a05fc4"),
    *("#b8902b", "#c2496b", "#2a9d9d", "#7a6a5a", "#6f7be0"),
)

_STYLE = """\
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.title { font-weight: 600; }
.note { font-size: 12px; fill: #57606a; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .note { fill: #9aa4af; }
}
"""


@frozen
class Bar:
    """One server in one row.

    :ivar share: its length, from 0 to 1.
    """

    name: str
    share: float
    label: str


@frozen
class Group:
    """One row."""

    title: str
    bars: Sequence[Bar]

    @property
    def height(self) -> int:
        """In pixels."""
        return _HEAD + len(self.bars) * (_BAR + _GAP) + 10


def draw(document: Mapping[str, Any]) -> str:
    """Draw those of :data:`CHARTED` that a run has measured."""
    groups = list(_groups([row for row in document["rows"] if row["row"] in CHARTED]))
    names = list(dict.fromkeys(bar.name for group in groups for bar in group.bars))
    colours = {
        name: _COLOURS[number % len(_COLOURS)] for number, name in enumerate(names)
    }
    body: list[str] = []
    top = 0
    for group in groups:
        body += _draw_group(group, top, colours)
        top += group.height
    machine = document["machine"]
    about = (
        f"{machine['processor']}, {machine['cores']} cores, Python "
        f"{machine['python']}; {document['date'][:10]}, {document['commit']}"
    )
    body.append(_text(0, top + 14, about, "note"))
    height = top + 22
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
            f'width="{_WIDTH}" height="{height}" role="img">',
            "<title>Servers of packages, side by side</title>",
            f"<style>{_STYLE}</style>",
            *body,
            "</svg>",
            "",
        ]
    )


def _groups(rows: Sequence[Mapping[str, Any]]) -> Iterator[Group]:
    for row in rows:
        values = {
            _CALLED.get(name, name): float(told["median"])
            for name, told in row["servers"].items()
            if "median" in told
        }
        if values:
            longest = max(values.values()) or 1.0
            less = ", less is better" if row["lower_is_better"] else ""
            yield Group(
                f"{row['title']} ({row['unit']}{less})",
                [
                    Bar(name, value / longest, _number(value))
                    for name, value in values.items()
                ],
            )


def _draw_group(group: Group, top: int, colours: Mapping[str, str]) -> Iterator[str]:
    yield _text(0, top + 17, group.title, "title")
    for number, bar in enumerate(group.bars):
        y = top + _HEAD + number * (_BAR + _GAP)
        length = max(1.0, bar.share * (_WIDTH - _LEFT - _RIGHT))
        yield _text(_LEFT - 8, y + 13, bar.name, anchor="end")
        yield (
            f'<rect x="{_LEFT}" y="{y}" width="{length:.1f}" height="{_BAR}" '
            f'rx="2" fill="{colours[bar.name]}"/>'
        )
        yield _text(_LEFT + length + 6, y + 13, bar.label)


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    named = f' class="{kind}"' if kind else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{named}>'
        f"{escape(text)}</text>"
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
