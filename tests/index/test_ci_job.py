"""What is kept of a CI job with the files that it published."""

from __future__ import annotations

from urllib.parse import urlsplit

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.index.ci_job import LONGEST_PART, PARTS, describe_job

GITHUB = {
    "iss": "https://token.actions.githubusercontent.com",
    "sub": "repo:acme/tool:ref:refs/tags/v1",
    "repository": "acme/tool",
    "workflow_ref": "acme/tool/.github/workflows/release.yml@refs/tags/v1",
    "job_workflow_ref": "acme/shared/.github/workflows/p.yml@main",
    "ref": "refs/tags/v1",
    "sha": "8c5a",
    "run_id": "77",
    "run_attempt": "2",
    "environment": "pypi",
    "actor": "ann",
}
GITLAB = {
    "iss": "https://gitlab.corp",
    "sub": "project_path:acme/sub/tool:ref_type:tag:ref:v1",
    "project_path": "acme/sub/tool",
    "ci_config_ref_uri": "gitlab.corp/acme/sub/tool//.gitlab-ci.yml@refs/tags/v1",
    "ref": "v1",
    "ref_path": "refs/tags/v1",
    "sha": "8c5a",
    "job_id": "55",
}


class JobTests(SynchronousTestCase):
    def test_github(self) -> None:
        self.assertEqual(
            describe_job("tool", GITHUB),
            {
                "publisher": "tool",
                "issuer": GITHUB["iss"],
                "repository": "acme/tool",
                "workflow": "acme/tool/.github/workflows/release.yml@refs/tags/v1",
                "ref": "refs/tags/v1",
                "commit": "8c5a",
                "run": "https://github.com/acme/tool/actions/runs/77/attempts/2",
                "environment": "pypi",
            },
        )

    def test_github_of_ones_own(self) -> None:
        own = GITHUB | {"iss": "https://git.corp/_services/token"}
        run = "https://git.corp/acme/tool/actions/runs/77/attempts/2"
        self.assertEqual(describe_job("tool", own)["run"], run)
        other = GITHUB | {"iss": "https://forge.corp/api/actions"}
        self.assertNotIn("run", describe_job("tool", other))

    def test_gitlab(self) -> None:
        self.assertEqual(
            describe_job("tool", GITLAB),
            {
                "publisher": "tool",
                "issuer": "https://gitlab.corp",
                "repository": "acme/sub/tool",
                "workflow": GITLAB["ci_config_ref_uri"],
                "ref": "refs/tags/v1",
                "commit": "8c5a",
                "run": "https://gitlab.corp/acme/sub/tool/-/jobs/55",
            },
        )

    def test_no_claim_makes_another_address_of_the_run(self) -> None:
        odd = '"><b>?a#b@evil.example:1\\%0a '
        for one, names in (
            (GITHUB, ("repository", "run_id", "run_attempt")),
            (GITLAB, ("project_path", "job_id")),
        ):
            usual = urlsplit(describe_job("p", one)["run"])
            run = describe_job("p", one | dict.fromkeys(names, odd))["run"]
            self.assertRegex(run, r"\A[\w:/.%-]+\Z")
            self.assertEqual(urlsplit(run)[:2], usual[:2])
            self.assertEqual(urlsplit(run)[3:], ("", ""))

    def test_others(self) -> None:
        for claims, expected in (
            (
                {"pipeline_slug": "t", "build_branch": "main", "build_number": "5"},
                {"repository": "t", "ref": "main", "run": "5"},
            ),
            (
                {"sub": "org/x", "oidc.circleci.com/vcs-ref": "refs/heads/main"},
                {"ref": "refs/heads/main", "subject": "org/x"},
            ),
            ({"sub": "1234", "email": "a@b"}, {"subject": "1234"}),
        ):
            found = describe_job("p", {"iss": "https://ci", **claims})
            start = {"publisher": "p", "issuer": "https://ci"}
            self.assertEqual(found, {**start, **expected})

    @given(st.dictionaries(st.sampled_from([*GITHUB, *GITLAB]), st.text(max_size=30)))
    def test_any_claims(self, claims: dict[str, str]) -> None:
        claims["iss"] = "https://ci"
        found = describe_job("p" * 2000, claims)
        self.assertLessEqual(set(found), set(PARTS))
        for text in found.values():
            self.assertTrue(0 < len(text) <= LONGEST_PART)
