"""Whose attestations count for an upload, and what becomes of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from attrs import field, frozen

from pypicloud_tw.config.signers import Signer
from pypicloud_tw.errors import BadRequest
from pypicloud_tw.index.attestations.question import (
    LEAVE_OUT,
    NOT_INSTALLED,
    Question,
)
from pypicloud_tw.index.audit import Actor
from pypicloud_tw.index.names import Filename, NormalizedName

#: Verifies in another process; returns a provenance object. See
#: :func:`.verification.verify`.
Verify = Callable[[Question], Awaitable[bytes]]

_GITHUB = "https://token.actions.githubusercontent.com"
_GITLAB = "https://gitlab.com"
_GOOGLE = "https://accounts.google.com"
_CIRCLECI = "https://oidc.circleci.com/org/"

#: What is kept of a job's claims beside what tells it, where it has them.
_KEPT = {"environment": "environment", "ref": "ref", "sha": "sha"}


def _nobody(project: NormalizedName) -> tuple[Signer, ...]:
    return ()


@frozen
class Attestations:
    """Judges what is sent with uploads.

    :ivar verify: None: the extra that verifies is not installed.
    :ivar trusted: whose signatures count for a project by the ini.
    :ivar trust_root: a file; None: what was installed.
    """

    verify: Verify | None = None
    trusted: Callable[[NormalizedName], tuple[Signer, ...]] = _nobody
    trust_root: Path | None = field(default=None)

    def signers(self, project: NormalizedName, actor: Actor) -> tuple[Signer, ...]:
        """Return whose signatures count for an upload, the uploader's own first.

        :raises BadRequest: no attestation can be verified here, or nobody's counts.
        """
        if self.verify is None:
            raise BadRequest(NOT_INSTALLED)
        own = None
        if actor.proof.kind == "publisher":
            own = signer_of(actor.proof.details)
        found = (*filter(None, (own,)), *self.trusted(project))
        if not found:
            raise BadRequest(
                "There is nobody whose attestations count for this upload: publish "
                "from a job of GitHub, GitLab, Google or CircleCI by trusted "
                "publishing, or have the operator name who signs in the ini "
                f"(attestation.NAME.kind). {LEAVE_OUT}"
            )
        return found

    async def provenance(
        self, text: str, filename: Filename, sha256: str, actor: Actor
    ) -> bytes:
        """Verify a file's attestations, and make its provenance object of them.

        :param text: JSON, as it was sent.
        :param sha256: of the file, computed here; hexadecimal.
        :raises BadRequest: they cannot be verified, or do not hold.
        """
        signers = self.signers(filename.project, actor)
        assert self.verify is not None, "nobody signs where nothing is verified"
        path = None if self.trust_root is None else str(self.trust_root)
        return await self.verify(Question(text, filename.text, sha256, signers, path))


def signer_of(claims: Mapping[str, str]) -> Signer | None:
    """Say by what certificate a CI job signs; None: it is of no issuer that is known.

    :param claims: what its issuer said of it, verified; with ``iss``.
    """
    issuer = claims.get("iss", "")
    told: dict[str, str] | None = None
    kind = ""
    if issuer == _GITHUB:
        kind, told = "github", _github(claims)
    elif issuer == _GITLAB:
        kind, told = "gitlab", _gitlab(claims)
    elif issuer == _GOOGLE and claims.get("email_verified") == "true":
        kind, told = "google", _picked(claims, {"email": "email"})
    elif issuer.startswith(_CIRCLECI):
        kind, told = "circleci", _circleci(claims)
    if told is None:
        return None
    kept = {name: claims[claim] for name, claim in _KEPT.items() if claims.get(claim)}
    return Signer(kind, told, kept)


def _github(claims: Mapping[str, str]) -> dict[str, str] | None:
    """Read ``acme/tool/.github/workflows/release.yml@refs/tags/1.0``."""
    repository = claims.get("repository", "")
    path, at, _ = claims.get("workflow_ref", "").partition("@")
    return _repository(repository, path, f"{repository}/.github/workflows/", at)


def _gitlab(claims: Mapping[str, str]) -> dict[str, str] | None:
    """Read ``gitlab.com/acme/tool//.gitlab-ci.yml@refs/heads/main``."""
    repository = claims.get("project_path", "")
    path, at, _ = claims.get("ci_config_ref_uri", "").partition("@")
    return _repository(repository, path, f"gitlab.com/{repository}//", at)


def _repository(
    repository: str, path: str, folder: str, at: str
) -> dict[str, str] | None:
    workflow = path.removeprefix(folder)
    if not (repository and workflow and at and path.startswith(folder)):
        return None
    return {"repository": repository, "workflow": workflow}


def _circleci(claims: Mapping[str, str]) -> dict[str, str] | None:
    told = _picked(
        claims,
        {
            "project_id": "oidc.circleci.com/project-id",
            "pipeline_definition_id": "oidc.circleci.com/pipeline-definition-id",
        },
    )
    origin = claims.get("oidc.circleci.com/vcs-origin")
    return told if told is None or not origin else {**told, "vcs_origin": origin}


def _picked(
    claims: Mapping[str, str], names: Mapping[str, str]
) -> dict[str, str] | None:
    """Take claims by other names; None if one is missing."""
    found = {name: claims.get(claim, "") for name, claim in names.items()}
    return found if all(found.values()) else None
