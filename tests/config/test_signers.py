"""Signers in the ini: what is read, and every mistake in a sentence."""

from __future__ import annotations

from pypicloud_tw.config.signers import KINDS, SETTINGS, Signer, TrustedSigner
from tests.config.test_load import ConfigTestCase

GOOD = {
    "projects": "Acme_Tool, acme-*",
    "kind": "github",
    "repository": "acme/tool",
    "workflow": "release.yml",
}


class SignerTests(ConfigTestCase):
    def one(self, changes: dict[str, str], name: str = "tool") -> str:
        settings = {**GOOD, **changes}
        lines = (f"attestation.{name}.{k} = {v}" for k, v in settings.items() if v)
        return "\n".join(("[pypicloud]", *lines)) + "\n"

    def test_read(self) -> None:
        told = {"repository": "acme/tool", "workflow": "release.yml"}
        config = self.load(self.one({}, "a.b"))
        self.assertEqual(
            config.signers,
            (TrustedSigner("a.b", ("acme-tool", "acme-*"), Signer("github", told)),),
        )
        self.assertEqual(config.notices, ())
        self.assertEqual(self.load().signers, ())

    def test_each_kind(self) -> None:
        for kind, (required, optional) in KINDS.items():
            self.assertLessEqual({*required, *optional}, {*SETTINGS})
            told = dict.fromkeys((*required, *optional), "x")
            bare = {"repository": "", "workflow": ""}
            (made,) = self.load(self.one({**bare, **told, "kind": kind})).signers
            self.assertEqual(made.signer, Signer(kind, told))

    def test_mistakes(self) -> None:
        changes: tuple[tuple[dict[str, str], str], ...] = (
            ({"projects": ""}, "attestation.tool.projects is missing"),
            ({"projects": "a b!"}, "attestation.tool.projects"),
            ({"kind": ""}, "attestation.tool.kind must be one of github, gitlab"),
            ({"kind": "gitea"}, "kind = 'gitea' must be one of"),
            ({"workflow": ""}, "workflow is missing; the kind github needs it"),
            ({"email": "x@y"}, "email is nothing that the kind github has"),
            ({"workflow": "x" * 501}, "workflow is no printable text of at most 500"),
        )
        for changed, sentence in changes:
            self.assertIn(sentence, self.problem(self.one(changed)))

    def test_no_setting_of_one(self) -> None:
        for key in ("attestation.tool", "attestation.tool.workflows"):
            problem = self.problem(f"[pypicloud]\n{key} = x\n")
            self.assertIn(f"{key} is not attestation.NAME and one of", problem)

    def test_the_trust_root_is_a_file(self) -> None:
        text = "[pypicloud]\nattestations.trust_root = nowhere.json\n"
        self.assertIn("there is no such file", self.problem(text))
