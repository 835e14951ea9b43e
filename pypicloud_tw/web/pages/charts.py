"""Pictures of numbers, drawn on the server; a table beside them has the numbers."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

#: The size of a picture in its own units; it is stretched to its place.
WIDTH, HEIGHT = 640, 120

#: Part of its place that a bar takes.
_FULL = 0.8


@frozen
class Bar:
    """A bar, from its upper left corner."""

    x: float
    y: float
    width: float
    height: float


@frozen
class Chart:
    """Bars side by side.

    :ivar top: the number that the upper edge stands for.
    """

    bars: tuple[Bar, ...]
    top: int
    width: int = WIDTH
    height: int = HEIGHT


def bars(numbers: Sequence[int]) -> Chart:
    """Draw numbers, none of which is negative, from left to right."""
    top = _round_up(max(numbers, default=0))
    place = WIDTH / max(1, len(numbers))
    drawn = []
    for at, number in enumerate(numbers):
        tall = round(HEIGHT * number / top, 1)
        x = round(at * place + place * (1 - _FULL) / 2, 1)
        y = round(HEIGHT - tall, 1)
        drawn.append(Bar(x, y, round(place * _FULL, 1), tall))
    return Chart(tuple(drawn), top)


def _round_up(number: int) -> int:
    """Return the next of 1, 2, 5, 10, 20, 50 and so on that is no smaller."""
    power = 1
    while True:
        for digit in (1, 2, 5):
            if number <= digit * power:
                return digit * power
        power *= 10
