"""Who makes a request."""

from __future__ import annotations

from attrs import frozen


@frozen
class Principal:
    """Somebody whose password was checked, or nobody in particular.

    :ivar name: as in the ini's ``user.NAME``; None for anonymous requests.
    """

    name: str | None


#: Whoever sends no Authorization header.
ANONYMOUS = Principal(None)
