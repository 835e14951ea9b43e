"""How long a client is waited for."""

from __future__ import annotations

from attrs import frozen


@frozen
class ConnectionLimits:
    """How long we wait for a client, in seconds, and how much we read in vain.

    :ivar idle: between two requests on one connection.
    :ivar head: for the whole of a request's head, from its first byte.
    :ivar body: for more of a body while its handler waits for it.
    :ivar send: for the client to read something of what we have written.
    :ivar linger: for the rest of a body that was refused, in all.
    :ivar linger_bytes: of such a rest that are read in vain.
    """

    idle: float = 75.0
    head: float = 30.0
    body: float = 60.0
    send: float = 120.0
    linger: float = 30.0
    linger_bytes: int = 256 * 2**20
