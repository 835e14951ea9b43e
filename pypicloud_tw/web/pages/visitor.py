"""Who looks at a page, and what it offers them therefore."""

from __future__ import annotations

from typing import Literal

from attrs import frozen

from pypicloud_tw.access.principal import ANONYMOUS, Principal

#: What somebody needs to read: nothing; nothing for a part of what there is; a log-in.
Reading = Literal["open", "part", "log-in"]

#: What somebody needs to upload: nothing, a log-in, or what they do not have.
Uploads = Literal["open", "log-in"] | None


@frozen
class Visitor:
    """Who looks at a page.

    :ivar base: this server's address as the visitor knows it, with the path prefix if
        there is one and without a slash at its end.
    :ivar root: the path of its root, with a slash at both ends: links begin with it.
    :ivar reading: whether reading takes a log-in.
    :ivar uploads: whether uploading does, or None if the visitor cannot.
    :ivar read_only: why nothing can be changed now; None: it can.
    :ivar manages: whether there is any project that the visitor manages.
    :ivar administers: whether the visitor administers the index.
    :ivar can_log_in: whether there is a log-in for people.
    """

    base: str
    root: str
    principal: Principal = ANONYMOUS
    reading: Reading = "open"
    uploads: Uploads = None
    read_only: str | None = None
    manages: bool = False
    administers: bool = False
    can_log_in: bool = False

    @property
    def name(self) -> str | None:
        """What the visitor is called; None: it is nobody in particular."""
        return self.principal.label
