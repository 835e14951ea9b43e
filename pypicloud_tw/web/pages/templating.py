"""Templates: every text of the pages is in them, and what they show is escaped."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from attrs import define, field
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from pypicloud_tw.web.pages.assets import Assets
from pypicloud_tw.web.pages.compiled import CompiledTemplates
from pypicloud_tw.web.pages.visitor import Visitor

#: The Content-Security-Policy field's value for these pages: what this server has
#: itself, and no style or script that stands in a page. Forms lead here alone.
POLICY = (
    b"default-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'; "
    b"style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'"
)

# Controls do not belong into a page, and what turns the direction of a text makes it
# look like another (Unicode Technical Report 36, section 2.10.2).
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]"
)


def plain(value: object) -> object:
    """Show what cannot be seen in a text, or turns it around, as U+FFFD."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", value)
    return value


@define
class Templates:
    """Renders them.

    :ivar version: of this program.
    """

    version: str
    assets: Assets = field(factory=Assets.load, repr=False)
    _environment: Environment = field(init=False, repr=False)

    @_environment.default
    def _make_environment(self) -> Environment:
        environment = Environment(
            loader=PackageLoader("pypicloud_tw.web.pages"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=plain,
            bytecode_cache=CompiledTemplates.of(__file__),
        )
        environment.filters.update(
            bytes=in_bytes,
            day=day,
            moment=moment,
            number=number,
            counted=counted,
            figure=figure,
            duration=duration,
        )
        environment.globals["assets"] = self.assets.names
        return environment

    def load(self) -> None:
        """Load every template; for a thread.

        Compiling takes some 20 ms each, and is done once: see
        :class:`~.compiled.CompiledTemplates`.
        """
        for name in self._environment.list_templates(extensions=["html"]):
            self._environment.get_template(name)

    def render(self, name: str, visitor: Visitor, /, **values: object) -> bytes:
        """Render a page for somebody.

        :param name: of the template, without its ending.
        """
        template = self._environment.get_template(f"{name}.html")
        page = template.render(visitor=visitor, version=self.version, **values)
        # Half a surrogate pair is no character.
        return page.encode(errors="replace")


def in_bytes(size: object) -> str:
    """Write a number of bytes as people do; nothing if it is none."""
    if not isinstance(size, int | float) or isinstance(size, bool):
        return ""
    if size < 1000:
        return f"{size} B"
    for unit in ("kB", "MB"):
        size /= 1000
        if size < 999.95:
            return f"{size:.1f} {unit}"
    return f"{size / 1000:.1f} GB"


def number(value: int) -> str:
    """Write a number with its thousands apart."""
    return f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def counted(value: int, singular: str, plural: str | None = None) -> str:
    """Write how many of something there are: ``1 file``, ``2 files``."""
    return f"{number(value)} {singular if value == 1 else plural or singular + 's'}"


def figure(value: float) -> str:
    """Write a number that may have a fraction."""
    value = float(value)
    return number(int(value)) if value.is_integer() else f"{value:.3g}"


_UNITS = (("day", 86400), ("hour", 3600), ("minute", 60))


def duration(seconds: float) -> str:
    """Write a duration in its largest unit: ``3 days``, ``0.5 seconds``."""
    for unit, length in _UNITS:
        if seconds >= length:
            return counted(int(seconds // length), unit)
    return "1 second" if seconds == 1 else f"{figure(round(seconds, 1))} seconds"


def day(at: datetime) -> Markup:
    """Write the day of a moment, in UTC."""
    return _time(at, f"{at:%Y-%m-%d}")


def moment(at: datetime) -> Markup:
    """Write a moment to the minute, in UTC."""
    return _time(at, f"{at:%Y-%m-%d %H:%M} UTC")


def _time(at: datetime, text: str) -> Markup:
    stamp: Any = escape(f"{at:%Y-%m-%dT%H:%M:%SZ}")
    return Markup('<time datetime="{}">{}</time>').format(stamp, text)
