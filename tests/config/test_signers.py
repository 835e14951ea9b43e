"""Signers in the ini: what is read, and every mistake in a sentence."""

from __future__ import annotations

from pypicloud_tw.config.signers import KINDS, SETTINGS, Signer, TrustedSigner
from pypicloud_tw.config.values import BadValueError
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


class LineTests(ConfigTestCase):
    """Publishers of upstream projects, each in a line."""

    LINES = (
        "github:acme/tool:release.yml",
        "github:acme/tool",
        "gitlab:group/sub/tool:ci/release.yml",
        "google:bot@project.iam.gserviceaccount.com",
        "circleci:1-2:3-4",
    )

    def test_read_and_written(self) -> None:
        for line in self.LINES:
            self.assertEqual(Signer.parse(line).line, line)
        self.assertEqual(
            Signer.parse("GitHub:acme/tool:a:b.yml"),
            Signer("github", {"repository": "acme/tool", "workflow": "a:b.yml"}),
        )

    def test_mistakes(self) -> None:
        for line in (
            "",
            "github",
            "github:",
            "github:acme",
            "github:acme/",
            "github:acme/tool:",
            "identity:x:y",
            "google:a:b",
            "circleci:1",
            "github:acme/tool:" + "x" * 500,
            "github:acme/to\nol",
        ):
            error = self.assertRaises(BadValueError, Signer.parse, line)
            self.assertIn("github:OWNER/REPOSITORY:WORKFLOW", str(error))

    def test_includes(self) -> None:
        one = Signer.parse("github:acme/tool:release.yml")
        for line, includes in (
            ("github:acme/tool:release.yml", True),
            ("github:ACME/Tool", True),
            ("github:acme/tool:Release.yml", False),
            ("github:acme/tools", False),
            ("gitlab:acme/tool:release.yml", False),
        ):
            self.assertIs(Signer.parse(line).includes(one), includes, line)
        self.assertFalse(one.includes(Signer.parse("github:acme/tool")))

    def test_in_the_ini(self) -> None:
        config = self.load(
            "[pypicloud]\nupstream.publisher.Acme_Tool = github:acme/tool\n"
        )
        signer = Signer.parse("github:acme/tool")
        self.assertEqual(dict(config.upstream_publishers), {"acme-tool": signer})
        self.assertEqual(self.load().upstream_publishers, {})

    def test_mistakes_in_the_ini(self) -> None:
        for lines, sentence in (
            ("acme = tool", "upstream.publisher.acme = 'tool' is no publisher as"),
            ("-x = github:a/b", "upstream.publisher.-x has something that is not"),
            (
                "a-b = github:a/b\nupstream.publisher.a.b = github:a/b",
                "upstream.publisher.a.b is given twice, in two spellings.",
            ),
        ):
            problem = self.problem(f"[pypicloud]\nupstream.publisher.{lines}\n")
            self.assertIn(sentence, problem)


class ProvenanceModeTests(ConfigTestCase):
    """Where clients ask the upstream for files, nobody can judge these."""

    RULE = "[pypicloud]\nupstream.require_provenance = acme, sigstore-*\n"

    def test_modes_that_give_files(self) -> None:
        for mode in (
            "pypi.fallback = cache\n",
            "pypi.fallback = proxy\npypi.fallback_files = relay\n",
            "pypi.fallback = none\n",
        ):
            upstream = self.load(self.RULE + mode).upstream
            self.assertEqual(upstream.require_provenance, ("acme", "sigstore-*"))

    def test_modes_that_do_not(self) -> None:
        for mode in ("proxy", "redirect"):
            problem = self.problem(f"{self.RULE}pypi.fallback = {mode}\n")
            self.assertIn(f"with pypi.fallback = {mode} clients ask", problem)
            self.assertIn("Set pypi.fallback = cache, or proxy with", problem)
