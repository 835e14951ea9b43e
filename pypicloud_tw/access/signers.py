"""Whose attestations count for which projects, by the ini as it was read last."""

from __future__ import annotations

from attrs import define

from pypicloud_tw.access.patterns import matches
from pypicloud_tw.config.signers import Signer, TrustedSigner
from pypicloud_tw.index.names import NormalizedName


@define
class TrustedSigners:
    """The signers of the ini.

    :ivar signers: in force now.
    """

    signers: tuple[TrustedSigner, ...] = ()

    def obey(self, signers: tuple[TrustedSigner, ...]) -> None:
        """Put others into force."""
        self.signers = signers

    def find(self, project: NormalizedName) -> tuple[Signer, ...]:
        """Return who may sign for a project's files."""
        return tuple(
            one.signer
            for one in self.signers
            if any(matches(pattern, project) for pattern in one.projects)
        )
