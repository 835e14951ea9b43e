"""Whose attestations count, and what is read before anything is verified."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.config.signers import Signer
from pypicloud_tw.errors import BadRequest
from pypicloud_tw.index.attestations.question import (
    PREDICATES,
    Question,
    read_attestations,
)
from pypicloud_tw.index.attestations.service import Attestations, signer_of
from pypicloud_tw.index.attestations.stored import is_about
from pypicloud_tw.index.attestations.verification import ATTESTATIONS, verify
from pypicloud_tw.index.audit import Actor, Proof
from pypicloud_tw.index.names import Filename, project_name
from pypicloud_tw.offload.limits import limits_of
from tests.access.oidc.doubles import JOB
from tests.index.attestations.doubles import SIGNER, Verifier, attestation

GITHUB_JOB = {**JOB, "iss": "https://token.actions.githubusercontent.com"}
GITLAB_JOB = {
    "iss": "https://gitlab.com",
    "project_path": "acme/group/tool",
    "ci_config_ref_uri": "gitlab.com/acme/group/tool//ci/release.yml@refs/heads/main",
    "ref": "main",
    "sha": "1234",
}
GOOGLE_JOB = {
    "iss": "https://accounts.google.com",
    "email": "build@acme.iam.gserviceaccount.com",
    "email_verified": "true",
}
CIRCLECI_JOB = {
    "iss": "https://oidc.circleci.com/org/0a1b",
    "oidc.circleci.com/project-id": "p-1",
    "oidc.circleci.com/pipeline-definition-id": "d-1",
    "oidc.circleci.com/vcs-origin": "github.com/acme/tool",
}
WHEEL = "acme-1.0-py3-none-any.whl"
DIGEST = "0a" * 32
ANN = Actor("ann", Proof("password"))
ACME = project_name("acme")


def job(claims: Mapping[str, str]) -> Actor:
    return Actor("publisher tool", Proof("publisher", claims))


class SignerTests(SynchronousTestCase):
    """A job signs by what its issuer says of it."""

    def test_github(self) -> None:
        told = {"repository": "acme/tool", "workflow": "release.yml"}
        kept = {"environment": "pypi", "ref": JOB["ref"], "sha": JOB["sha"]}
        self.assertEqual(signer_of(GITHUB_JOB), Signer("github", told, kept))

    def test_gitlab(self) -> None:
        told = {"repository": "acme/group/tool", "workflow": "ci/release.yml"}
        kept = {"ref": "main", "sha": "1234"}
        self.assertEqual(signer_of(GITLAB_JOB), Signer("gitlab", told, kept))

    def test_google(self) -> None:
        told = {"email": "build@acme.iam.gserviceaccount.com"}
        self.assertEqual(signer_of(GOOGLE_JOB), Signer("google", told))
        for verified in ("false", ""):
            self.assertIsNone(signer_of({**GOOGLE_JOB, "email_verified": verified}))

    def test_circleci(self) -> None:
        told = {
            "project_id": "p-1",
            "pipeline_definition_id": "d-1",
            "vcs_origin": "github.com/acme/tool",
        }
        self.assertEqual(signer_of(CIRCLECI_JOB), Signer("circleci", told))

    def test_incomplete(self) -> None:
        for claims in (GITHUB_JOB, GITLAB_JOB, GOOGLE_JOB, CIRCLECI_JOB):
            optional = {"ref", "sha", "environment", "oidc.circleci.com/vcs-origin"}
            used = {*claims} - optional - ({*JOB} - {"repository", "workflow_ref"})
            for name in used:
                less = {key: text for key, text in claims.items() if key != name}
                self.assertIsNone(signer_of(less), name)

    def test_a_workflow_of_another_repository(self) -> None:
        for changed in (
            {**GITHUB_JOB, "workflow_ref": "evil/tool/.github/workflows/x.yml@main"},
            {**GITHUB_JOB, "workflow_ref": "acme/tool/.github/workflows/release.yml"},
            {**GITHUB_JOB, "workflow_ref": "acme/tool/.github/workflows/@main"},
            {**GITLAB_JOB, "ci_config_ref_uri": "gitlab.com/evil/x//ci.yml@main"},
        ):
            self.assertIsNone(signer_of(changed))

    def test_issuers_that_nobody_knows(self) -> None:
        for issuer in (
            "",
            "https://ghes.example/_services/token",
            "https://token.actions.githubusercontent.com.evil.example",
            "https://gitlab.com/",
            "https://oidc.circleci.com.evil.example/org/x",
        ):
            for claims in (GITHUB_JOB, GITLAB_JOB, GOOGLE_JOB, CIRCLECI_JOB):
                self.assertIsNone(signer_of({**claims, "iss": issuer}))


class ServiceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.verifier = Verifier()
        self.attestations = Attestations(
            self.verifier, lambda name: (SIGNER,) if name == ACME else (), Path("/r")
        )

    def refusal(self, attestations: Attestations, actor: Actor) -> str:
        error = self.assertRaises(
            BadRequest, attestations.signers, project_name("other"), actor
        )
        return str(error)

    def test_without_the_extra(self) -> None:
        sentence = self.refusal(Attestations(), job(GITHUB_JOB))
        self.assertIn("cannot verify attestations", sentence)
        self.assertIn("uv publish --no-attestations", sentence)
        self.assertIn("twine upload without --attestations", sentence)
        self.assertIn("pypicloud-tw[attestations]", sentence)

    def test_nobody_signs(self) -> None:
        for actor in (ANN, job({"iss": "https://ci.example", "sub": "x"})):
            sentence = self.refusal(self.attestations, actor)
            self.assertIn("nobody whose attestations count", sentence)
            self.assertIn("trusted publishing", sentence)
            self.assertIn("attestation.NAME.kind", sentence)
            self.assertIn("--no-attestations", sentence)

    def test_a_person_is_no_job_whatever_their_proof_says(self) -> None:
        actor = Actor("ann", Proof("token", GITHUB_JOB))
        self.assertIn("nobody", self.refusal(self.attestations, actor))

    def test_the_uploader_comes_first(self) -> None:
        own, *others = self.attestations.signers(ACME, job(GITLAB_JOB))
        self.assertEqual(own, signer_of(GITLAB_JOB))
        self.assertEqual(others, [SIGNER])
        self.assertEqual(self.attestations.signers(ACME, ANN), (SIGNER,))

    def test_what_is_asked(self) -> None:
        text = json.dumps([attestation(WHEEL, DIGEST)])
        filename = Filename.parse(WHEEL)
        work = self.attestations.provenance(text, filename, DIGEST, ANN)
        made = self.successResultOf(Deferred.fromCoroutine(work))
        self.assertTrue(is_about(made, DIGEST))
        self.assertFalse(is_about(made, "0b" * 32))
        (question,) = self.verifier.questions
        asked = Question(text, WHEEL, DIGEST, (SIGNER,), "/r")
        self.assertEqual(question, asked)
        self.assertEqual(pickle.loads(pickle.dumps(question)), question)
        self.assertNotIn("statement", repr(question))

    def test_it_runs_under_limits_of_its_own(self) -> None:
        self.assertIs(limits_of(verify), ATTESTATIONS)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


class FormTests(SynchronousTestCase):
    """What the field holds is read without trust."""

    def test_counts(self) -> None:
        one = attestation(WHEEL, DIGEST)
        self.assertEqual(read_attestations(json.dumps([one])), [one])
        for wrong in ([], [one] * (len(PREDICATES) + 1)):
            error = self.assertRaises(BadRequest, read_attestations, json.dumps(wrong))
            self.assertIn("one of each kind", str(error))
            self.assertIn(f"these are {len(wrong)}", str(error))

    @example("[" * 100_000)
    @example('[{"a": ' * 50_000)
    @example('{"version": 1}')
    @example("[1]")
    @example("\ufffd")
    @given(st.text(max_size=20) | JSON.map(json.dumps))
    def test_anything(self, text: str) -> None:
        try:
            items = read_attestations(text)
        except BadRequest as e:
            self.assertIn("--no-attestations", str(e))
        else:
            self.assertTrue(0 < len(items) <= len(PREDICATES))
            self.assertTrue(all(isinstance(item, dict) for item in items))

    @example({"attestation_bundles": [{"attestations": []}]})
    @given(JSON)
    def test_nothing_else_is_about_a_file(self, document: object) -> None:
        self.assertFalse(is_about(json.dumps(document).encode(), DIGEST))

    @given(st.binary(max_size=20))
    def test_nor_are_bytes(self, data: bytes) -> None:
        self.assertFalse(is_about(data, DIGEST))
