"""Timeouts of the S3 client."""

from __future__ import annotations

from attrs import frozen


@frozen
class Timeouts:
    """How long to wait for S3, in seconds.

    :ivar connect: until there is a connection; the Agent watches over it.
    :ivar first_byte: from the last byte of the request to the answer's headers.
    :ivar silence: between two pieces of a body, while we are ready for the next.
    """

    connect: float = 10.0
    first_byte: float = 30.0
    silence: float = 30.0
