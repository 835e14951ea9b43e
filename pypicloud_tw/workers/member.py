"""What makes a server one of several workers, to the parts that it is assembled of."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from pypicloud_tw.workers.link import Link
from pypicloud_tw.workers.shared_socket import InheritingReactor


@frozen(eq=False)
class Member:
    """A worker.

    :ivar number: of its place, from 1.
    :ivar count: how many workers there are.
    :ivar greets: it says in the log what is served; once is enough.
    :ivar link: to its siblings.
    :ivar listener: the reactor, as endpoints shall see it.
    """

    number: int
    count: int
    greets: bool
    link: Link
    listener: Any

    @classmethod
    def of(
        cls, reactor: Any, link: Link, number: int, count: int, *, greets: bool, fd: int
    ) -> Member:
        """Make one; *fd* is the listening socket."""
        return cls(number, count, greets, link, InheritingReactor(reactor, fd))
