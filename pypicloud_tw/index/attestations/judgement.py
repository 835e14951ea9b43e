"""Whether attestations hold: form, certificate, log, signer, subject, kind (PEP 740).

Imports the libraries that verify, so only a helper process may import it. It asks
nobody: time and inclusion are proved by what an attestation carries and by the trust
root. :meth:`pypi_attestations.Attestation.verify` is not called, because it has no
parameter for one; what it checks is checked here.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterable
from importlib import resources
from typing import Any

from attrs import define, evolve, frozen
from cryptography.x509 import (
    Certificate,
    ExtensionNotFound,
    SubjectAlternativeName,
)
from pypi_attestations import (
    Attestation,
    CircleCIPublisher,
    GitHubPublisher,
    GitLabPublisher,
    GooglePublisher,
)
from sigstore.errors import Error as SigstoreError
from sigstore.errors import VerificationError
from sigstore.models import TrustedRoot
from sigstore.verify import Verifier
from sigstore.verify.policy import AnyOf, OIDCIssuer, OIDCIssuerV2

from pypicloud_tw.config.signers import Signer
from pypicloud_tw.errors import BadRequest, Unavailable
from pypicloud_tw.index.attestations.provenance import (
    Proved,
    ProvenanceQuestion,
    read_bundles,
)
from pypicloud_tw.index.attestations.question import (
    LEAVE_OUT,
    MAX_PROVENANCE,
    PREDICATES,
    Question,
    read_attestations,
)
from pypicloud_tw.index.names import Filename, file_identity
from pypicloud_tw.plain_texts import shortened

_STATEMENT = "https://in-toto.io/Statement/v1"
_ENVELOPE = "application/vnd.in-toto+json"

#: Where the library has the public Sigstore's trust root, among its own files.
_PUBLIC = "https%3A%2F%2Ftuf-repo-cdn.sigstore.dev"

#: Characters of a library's own words that are passed on.
_LONGEST = 300


def judge(question: Question) -> bytes:
    """Make a file's provenance object of attestations that hold.

    :raises BadRequest: one does not; the message says which, and which check.
    :raises Unavailable: the trust root cannot be read.
    """
    items = read_attestations(question.text)
    verifier = Verifier(trusted_root=_trusted_root(question.trust_root))
    verified: list[_Verified] = []
    for number, item in enumerate(items, 1):
        try:
            one = _judge_one(item, question, verifier)
            if one.predicate in {other.predicate for other in verified}:
                raise _Refused(f"it is the second one of the kind {one.predicate}.")
        except _Refused as e:
            which = f"Attestation {number} of {len(items)}"
            raise BadRequest(
                f"{which} of {question.filename} was refused: {e} {LEAVE_OUT}"
            ) from None
        verified.append(one)
    made = json.dumps(_provenance(verified), separators=(",", ":")).encode()
    if len(made) > MAX_PROVENANCE:
        # A log's checkpoint can have text that no signature covers.
        raise BadRequest(
            f"What is attested of {question.filename} would take {len(made)} bytes; "
            f"{MAX_PROVENANCE} are the most. {LEAVE_OUT}"
        )
    return made


def judge_provenance(question: ProvenanceQuestion) -> Proved:
    """Find whose attestations of a file hold, among those of a provenance object.

    Who is no publisher of a kind that is known proves nothing.

    :raises Unavailable: the trust root cannot be read.
    """
    verifier = Verifier(
        trusted_root=_trusted_root(question.trust_root, of_upload=False)
    )
    proved: list[Signer] = []
    reasons: list[str] = []
    try:
        bundles = read_bundles(question.data)
    except ValueError as e:
        return Proved((), f"{e}.")
    for bundle in bundles:
        asked = Question("", question.filename, question.sha256, (bundle.signer,))
        try:
            for item in bundle.attestations:
                _judge_one(item, asked, verifier)
        except _Refused as e:
            reasons.append(str(e))
        else:
            if bundle.attestations:
                proved.append(bundle.signer)
    if not proved and not reasons:
        reasons.append("it has no attestation by a publisher of a kind that is known.")
    return Proved(tuple(proved), " ".join(reasons))


class _Refused(Exception):
    """An attestation does not hold; the message is the rest of a sentence."""


@frozen
class _Verified:
    """An attestation that holds.

    :ivar document: what was verified of it, and nothing else.
    """

    predicate: str
    signer: Signer
    document: dict[str, Any]


def _judge_one(
    item: dict[str, Any], question: Question, verifier: Verifier
) -> _Verified:
    attestation = _understand(item)
    policy = _AnyOf(question.signers)
    try:
        kind, payload = verifier.verify_dsse(attestation.to_bundle(), policy)
    except MemoryError:
        raise
    except Exception as e:
        # Whatever a stranger's bytes make the libraries raise is no proof.
        raise _Refused(policy.why_not(_words(e))) from None
    assert policy.found is not None, "nothing is verified without a signer"
    predicate = _check_statement(kind, payload, question)
    return _Verified(predicate, policy.found, _document(attestation))


def _understand(item: dict[str, Any]) -> Attestation:
    try:
        attestation = Attestation.model_validate_json(json.dumps(item))
    except (ValueError, RecursionError) as e:
        raise _Refused(
            f"it is not of the form of PEP 740, version 1 ({_words(e)})."
        ) from None
    if len(attestation.verification_material.transparency_entries) != 1:
        # The libraries look at the first; what nobody verified is not told to others.
        raise _Refused("it has several log entries, of which one would be verified.")
    return attestation


def _check_statement(kind: str, payload: bytes, question: Question) -> str:
    """Compare what was signed with the file; return the predicate's type."""
    try:
        statement = json.loads(payload)
        if kind != _ENVELOPE or statement["_type"] != _STATEMENT:
            raise ValueError
        (subject,) = statement["subject"]
        name, digest = subject["name"], subject["digest"]["sha256"]
        predicate = statement["predicateType"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _Refused(
            "it signs no in-toto statement of one subject with a SHA-256 digest."
        ) from None
    if not _is_same_file(name, question.filename):
        raise _Refused("it is about a file of another name.")
    if digest != question.sha256:
        raise _Refused("it is about other bytes: its digest is not the file's SHA-256.")
    if predicate not in PREDICATES:
        raise _Refused(f"its kind is none of {', '.join(PREDICATES)}.")
    return str(predicate)


def _is_same_file(subject: object, filename: str) -> bool:
    """Compare names by the formats of wheels and source distributions (PEP 740)."""
    if not isinstance(subject, str):
        return False
    try:
        Filename.parse(subject, legacy=subject.endswith(".zip"))
    except BadRequest:
        return False
    return file_identity(subject) == file_identity(filename)


@define
class _AnyOf:
    """A policy of sigstore's: the certificate is of one of these signers.

    :ivar asked: a certificate was looked at; its chain is right.
    :ivar found: of which signer it is.
    """

    signers: Iterable[Signer]
    asked: bool = False
    found: Signer | None = None

    def why_not(self, words: str) -> str:
        """Say which check failed.

        :param words: the library's.
        """
        if self.asked and self.found is None:
            trusted = "; ".join(str(signer) for signer in self.signers)
            return f"its certificate is not of who may sign for this file: {trusted}."
        return f"signature, certificate or log entry do not hold ({words})."

    def verify(self, cert: Certificate) -> None:
        """Return if it is.

        :raises VerificationError: it is not.
        """
        self.asked = True
        for signer in self.signers:
            try:
                _policy(signer).verify(cert)
            except (SigstoreError, ExtensionNotFound, ValueError):
                continue
            self.found = _named(signer, cert)
            return
        raise VerificationError("no trusted signer")


@frozen
class _Identity:
    """A policy: one issuer, and an identity that may have stars in it."""

    identity: str
    issuer: str

    def verify(self, cert: Certificate) -> None:
        """Return if the certificate has both.

        :raises VerificationError: it has not.
        """
        AnyOf([OIDCIssuer(self.issuer), OIDCIssuerV2(self.issuer)]).verify(cert)
        pattern = ".*".join(map(re.escape, self.identity.split("*")))
        if not re.fullmatch(pattern, _subject(cert)):
            raise VerificationError("another identity")


def _named(signer: Signer, cert: Certificate) -> Signer:
    """Put the identity that a certificate has in the place of a pattern's."""
    if signer.kind != "identity":
        return signer
    return evolve(signer, told_by={**signer.told_by, "identity": _subject(cert)})


def _subject(cert: Certificate) -> str:
    """Return whom a certificate is of: Fulcio's have one such name."""
    names = cert.extensions.get_extension_for_class(SubjectAlternativeName).value
    (name,) = names
    return str(name.value)


def _policy(signer: Signer) -> Any:
    if signer.kind == "identity":
        return _Identity(**signer.told_by)
    return _publisher(signer)._as_policy()


def _publisher(signer: Signer) -> Any:
    """Return the library's own value for a signer of a kind that it knows."""
    told = signer.told_by
    environment = signer.kept.get("environment")
    match signer.kind:
        case "github":
            return GitHubPublisher(
                repository=told["repository"],
                workflow=told["workflow"],
                environment=environment,
            )
        case "gitlab":
            return GitLabPublisher(
                repository=told["repository"],
                workflow_filepath=told["workflow"],
                environment=environment,
            )
        case "google":
            return GooglePublisher(email=told["email"])
        case _:
            return CircleCIPublisher.model_validate(told)


def _trusted_root(path: str | None, *, of_upload: bool = True) -> TrustedRoot:
    if path is None:
        place = resources.files("sigstore._store") / _PUBLIC / "trusted_root.json"
        with resources.as_file(place) as installed:
            return TrustedRoot.from_file(str(installed))
    try:
        return TrustedRoot.from_file(path)
    except (OSError, ValueError, SigstoreError):
        advice = f" {LEAVE_OUT}" if of_upload else ""
        raise Unavailable(
            "The trust root that attestations.trust_root names in the ini cannot be "
            f"read, so nothing can be verified; tell who runs this index.{advice}"
        ) from None


def _provenance(verified: Iterable[_Verified]) -> dict[str, Any]:
    """Write a provenance object: a bundle for each signer."""
    bundles: list[tuple[Signer, list[dict[str, Any]]]] = []
    for one in verified:
        same = (documents for signer, documents in bundles if signer == one.signer)
        found = next(same, None)
        if found is None:
            bundles.append((one.signer, [one.document]))
        else:
            found.append(one.document)
    return {
        "version": 1,
        "attestation_bundles": [
            {"publisher": _told(signer), "attestations": documents}
            for signer, documents in bundles
        ],
    }


def _told(signer: Signer) -> dict[str, Any]:
    """Write who signed; PEP 740 asks for ``kind`` and ``claims``."""
    claims = {k: v for k, v in signer.kept.items() if k != "environment"}
    if signer.kind == "identity":
        return {"kind": "Identity", **signer.told_by, "claims": claims}
    return {**_publisher(signer).model_dump(mode="json"), "claims": claims}


def _document(attestation: Attestation) -> dict[str, Any]:
    material, envelope = attestation.verification_material, attestation.envelope
    return {
        "version": 1,
        "verification_material": {
            "certificate": b64encode(material.certificate).decode(),
            "transparency_entries": material.transparency_entries,
        },
        "envelope": {
            "statement": b64encode(envelope.statement).decode(),
            "signature": b64encode(envelope.signature).decode(),
        },
    }


def _words(error: Exception) -> str:
    """Pass on a library's words, in one line and not too many."""
    text = " ".join(str(error).split()) or type(error).__name__
    plain = "".join(c if c.isprintable() and c.isascii() else "?" for c in text)
    return shortened(plain, _LONGEST)
