"""What CI job a file came from, out of the claims that its issuer made of it.

The claims are those of GitHub Actions, GitLab, Buildkite and CircleCI as their
documentation has them; of others, the subject is all there is.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

#: What can be known of a job, in the order in which they are shown.
PARTS = (
    "publisher",
    "issuer",
    "repository",
    "workflow",
    "ref",
    "commit",
    "run",
    "environment",
    "subject",
)

#: How many there can be, of however new a version; and characters of one.
MOST_PARTS, LONGEST_PART = 32, 1024

#: The claims that each part is taken from, by the issuer's kind; the first that there
#: is.
_GITHUB = {
    "repository": ("repository",),
    "workflow": ("workflow_ref", "job_workflow_ref"),
    "ref": ("ref",),
    "commit": ("sha",),
    "environment": ("environment",),
}
_GITLAB = {
    "repository": ("project_path",),
    "workflow": ("ci_config_ref_uri",),
    "ref": ("ref_path", "ref"),
    "commit": ("sha",),
    "environment": ("environment",),
}
_BUILDKITE = {
    "repository": ("pipeline_slug",),
    "ref": ("build_branch",),
    "commit": ("build_commit",),
    "run": ("build_number",),
}
_CIRCLECI = {
    "repository": ("oidc.circleci.com/vcs-origin",),
    "ref": ("oidc.circleci.com/vcs-ref",),
    "run": ("oidc.circleci.com/pipeline-id",),
}


def describe_job(publisher: str, claims: Mapping[str, str]) -> Mapping[str, str]:
    """Say what is known of a job, by :data:`PARTS`.

    :param publisher: the names of its trusted publishers.
    :param claims: what the issuer said of the job, verified; with ``iss`` and ``sub``.
    """
    found = {"publisher": publisher, "issuer": claims.get("iss", "")}
    for part, names in _names(claims).items():
        value = next((claims[name] for name in names if name in claims), None)
        if value is not None:
            found[part] = value
    run = _run(claims)
    if run is not None:
        found["run"] = run
    if "repository" not in found:
        found["subject"] = claims.get("sub", "")
    return {part: found[part][:LONGEST_PART] for part in PARTS if found.get(part)}


def _names(claims: Mapping[str, str]) -> Mapping[str, tuple[str, ...]]:
    if "project_path" in claims:
        return _GITLAB
    if "repository" in claims and "run_id" in claims:
        return _GITHUB
    if "pipeline_slug" in claims:
        return _BUILDKITE
    return _CIRCLECI


def _run(claims: Mapping[str, str]) -> str | None:
    """Return the address of a run's page, where one can be told."""
    issuer = claims.get("iss", "")
    if "project_path" in claims and "job_id" in claims:
        path = f"{claims['project_path']}/-/jobs/{claims['job_id']}"
        return f"{issuer}/{quote(path)}"
    server = _github(issuer)
    if server is not None and "repository" in claims and "run_id" in claims:
        attempt = claims.get("run_attempt", "1")
        path = f"{claims['repository']}/actions/runs/{claims['run_id']}"
        return f"{server}/{quote(f'{path}/attempts/{attempt}')}"
    return None


def _github(issuer: str) -> str | None:
    """Return where the pages are of a GitHub whose issuer this is."""
    if f"{issuer}/".startswith("https://token.actions.githubusercontent.com/"):
        return "https://github.com"
    server = issuer.removesuffix("/_services/token")
    return None if server == issuer else server
