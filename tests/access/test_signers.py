"""Whose attestations count for a project."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.signers import TrustedSigners
from pypicloud_tw.config.signers import Signer, TrustedSigner
from pypicloud_tw.index.names import project_name


class TrustedSignersTests(SynchronousTestCase):
    def test_by_name_and_pattern(self) -> None:
        one = Signer("google", {"email": "one@example.org"})
        two = Signer("google", {"email": "two@example.org"})
        signers = TrustedSigners(
            (
                TrustedSigner("one", ("acme", "beta-*"), one),
                TrustedSigner("two", ("acme*",), two),
            )
        )
        for name, found in (
            ("acme", (one, two)),
            ("acme-tool", (two,)),
            ("beta-tool", (one,)),
            ("other", ()),
        ):
            self.assertEqual(signers.find(project_name(name)), found)
        signers.obey(())
        self.assertEqual(signers.find(project_name("acme")), ())
