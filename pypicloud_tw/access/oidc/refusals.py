"""Why an identity token is not exchanged.

The codes are those of the public index ("Trusted Publishers", "Internals and Technical
Details"); clients show the message to the job.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from pypicloud_tw.errors import PypicloudError, Unavailable


class ExchangeRefused(PypicloudError):
    """An identity token is not exchanged.

    :param findings: more for the operator's log than the job may be told, a sentence
        each; no part of a token but its claims.
    :param claims: of a token whose signature is right.
    """

    status = 422
    code = "invalid-token"

    def __init__(
        self,
        message: str,
        findings: Sequence[str] = (),
        claims: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        super().__init__(message)
        self.findings = tuple(findings)
        self.claims = claims


class InvalidPayload(ExchangeRefused):
    """The request is not what it should be."""

    code = "invalid-payload"


class InvalidToken(ExchangeRefused):
    """The token is malformed, forged, of the wrong time or for somebody else."""


class InvalidPublisher(ExchangeRefused):
    """The token is good, and no publisher trusts its job."""

    code = "invalid-publisher"


class ReusedToken(ExchangeRefused):
    """The token has been exchanged before."""

    code = "invalid-reuse-token"


class NotEnabled(ExchangeRefused):
    """There is no publisher at all."""

    status = 404
    code = "not-enabled"


class IssuerUnavailable(Unavailable):
    """The keys of an issuer cannot be had now, and none are known."""

    code = "issuer-unavailable"
