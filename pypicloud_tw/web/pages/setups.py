"""What a visitor's installers and upload clients are told."""

from __future__ import annotations

from pypicloud_tw.installers.setup import Setup
from pypicloud_tw.web.pages.visitor import Visitor


def setup_for(visitor: Visitor, *, open_to_all: bool | None = None) -> Setup:
    """Make it for a visitor.

    :param open_to_all: what is installed can be read without a log-in; None: so can all
        that the visitor can read.
    """
    if open_to_all is None:
        open_to_all = visitor.reading != "log-in"
    return Setup(visitor.base, not open_to_all)
