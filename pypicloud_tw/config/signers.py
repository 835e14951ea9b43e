"""Whose signatures on attestations are trusted (PEP 740), for which projects.

The ini says so in ``attestation.NAME.kind`` and the like. A trusted publisher's own
signature is trusted without that. Of a project of an upstream it says in one line who
publishes it, ``upstream.publisher.NAME = github:acme/tool:release.yml``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

from attrs import field, frozen

from pypicloud_tw.config import names
from pypicloud_tw.config.key import show_value
from pypicloud_tw.config.sources import Given, Problem
from pypicloud_tw.config.values import BadValueError, words

#: What each kind of signer is told by: what it must have, then what it may have.
KINDS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = MappingProxyType(
    {
        "github": (("repository", "workflow"), ()),
        "gitlab": (("repository", "workflow"), ()),
        "google": (("email",), ()),
        "circleci": (("project_id", "pipeline_definition_id"), ("vcs_origin",)),
        "identity": (("identity", "issuer"), ()),
    }
)

#: The kinds that a public index tells of publishers by, and that a line can name: what
#: stands between its colons. The last may be left out; it is any then, but CircleCI's.
_IN_A_LINE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "github": ("repository", "workflow"),
        "gitlab": ("repository", "workflow"),
        "google": ("email",),
        "circleci": ("project_id", "pipeline_definition_id"),
    }
)
_LINES = (
    "github:OWNER/REPOSITORY:WORKFLOW, gitlab:GROUP/PROJECT:FILE, google:EMAIL or "
    "circleci:PROJECT_ID:PIPELINE_DEFINITION_ID"
)

#: Every setting of a signer.
SETTINGS = (
    "projects",
    "kind",
    "repository",
    "workflow",
    "email",
    "project_id",
    "pipeline_definition_id",
    "vcs_origin",
    "identity",
    "issuer",
)

#: Characters of one; an identity is an address, or nearly.
_LONGEST = 500

_WITH_WORKFLOW = ("repository", "workflow")


@frozen
class Signer:
    """Whose certificate an attestation may be signed with.

    :ivar kind: of :data:`KINDS`.
    :ivar told_by: what tells it, by the names that :data:`KINDS` has for its kind. An
        ``identity`` may have stars in it, each for any text.
    :ivar kept: what is told besides, and is not in a certificate: a job's environment,
        its commit.
    """

    kind: str
    told_by: dict[str, str]
    kept: dict[str, str] = field(factory=dict)

    def __str__(self) -> str:
        """Say it in a line."""
        said = ", ".join(f"{name} {value}" for name, value in self.told_by.items())
        return f"{self.kind} ({said})"

    @classmethod
    def parse(cls, text: str) -> Signer:
        """Read one of a line: ``github:acme/tool:release.yml``.

        Without the workflow it is any of that repository.

        :raises BadValueError: it is none; the message is the rest of a sentence.
        """
        kind, *parts = text.strip().split(":", 2)
        told = _IN_A_LINE.get(kind.lower(), ())
        least = 1 if told == _WITH_WORKFLOW else len(told)
        whole = least <= len(parts) <= len(told) and all(parts)
        if not told or not whole or not text.isprintable() or len(text) > _LONGEST:
            raise BadValueError(f"is no publisher as {_LINES}.")
        told_by = dict(zip(told, parts, strict=False))
        if told == _WITH_WORKFLOW and not _is_repository(told_by["repository"]):
            raise BadValueError(f"names no repository as in {_LINES}.")
        return cls(kind.lower(), told_by)

    @property
    def line(self) -> str:
        """Return it as :meth:`parse` reads it."""
        told = (self.told_by.get(name) for name in _IN_A_LINE[self.kind])
        return ":".join((self.kind, *filter(None, told)))

    def includes(self, other: Signer) -> bool:
        """Return whether another is this one, as far as this one is told."""
        return self.kind == other.kind and all(
            _comparable(name, other.told_by.get(name)) == _comparable(name, value)
            for name, value in self.told_by.items()
        )


def _is_repository(text: str) -> bool:
    parts = text.split("/")
    return len(parts) > 1 and all(parts)


def _comparable(name: str, value: str | None) -> str | None:
    # Neither GitHub nor GitLab has two repositories that differ in case alone.
    return value.lower() if value and name == "repository" else value


@frozen
class TrustedSigner:
    """A signer that the ini trusts.

    :ivar projects: normalized names or patterns.
    """

    name: str
    projects: tuple[str, ...]
    signer: Signer


def read_signers(
    texts: Mapping[str, Given], complain: Callable[[Problem], object]
) -> tuple[TrustedSigner, ...]:
    """Read the ini's ``attestation.NAME.SETTING`` keys.

    :param texts: by what stands behind ``attestation.``.
    :param complain: takes what is wrong with them.
    """
    settings: dict[str, dict[str, Given]] = {}
    for key, given in texts.items():
        # A name may have dots, a setting has none.
        name, dot, setting = key.rpartition(".")
        if dot and setting in SETTINGS:
            settings.setdefault(name, {})[setting] = given
        else:
            known = ", ".join(SETTINGS)
            sentence = f"is not attestation.NAME and one of {known}."
            complain(given.problem(f"attestation.{key[:80]} {sentence}"))
    made = [_read_one(name, given, complain) for name, given in settings.items()]
    return tuple(filter(None, made))


def read_upstream_publishers(
    texts: Mapping[str, Given], complain: Callable[[Problem], object]
) -> Mapping[str, Signer]:
    """Read the ini's ``upstream.publisher.NAME`` keys, by the normalized name.

    :param texts: by what stands behind ``upstream.publisher.``.
    :param complain: takes what is wrong with them.
    """
    found: dict[str, Signer] = {}
    for name, given in texts.items():
        key = f"upstream.publisher.{name[:80]}"
        try:
            project = names.project(name)
        except BadValueError as e:
            complain(given.problem(f"{key} {e}"))
            continue
        try:
            signer = Signer.parse(given.text)
        except BadValueError as e:
            complain(given.problem(f"{key} = {show_value(given.text)} {e}"))
            continue
        if project in found:
            complain(given.problem(f"{key} is given twice, in two spellings."))
        found[project] = signer
    return MappingProxyType(found)


def _read_one(
    name: str, given: Mapping[str, Given], complain: Callable[[Problem], object]
) -> TrustedSigner | None:
    texts = {setting: one.text for setting, one in given.items()}
    problems = list(_problems(texts))
    first = next(iter(given.values()))
    for setting, what in problems:
        key = f"attestation.{name[:80]}.{setting}"
        complain(given.get(setting, first).problem(f"{key} {what}"))
    if problems:
        return None
    required, optional = KINDS[texts["kind"]]
    told_by = {key: texts[key] for key in (*required, *optional) if key in texts}
    projects = words(names.pattern)(texts["projects"])
    return TrustedSigner(name, projects, Signer(texts["kind"], told_by))


def _problems(texts: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Tell what is missing or wrong, by setting."""
    try:
        if not words(names.pattern)(texts.get("projects", "")):
            yield "projects", "is missing: names or patterns, as in acme-tool, acme-*"
    except BadValueError as e:
        yield "projects", str(e)
    kind = texts.get("kind", "")
    if kind not in KINDS:
        had = f"= {show_value(kind)} " if kind else ""
        yield "kind", f"{had}must be one of {', '.join(KINDS)}."
        return
    required, optional = KINDS[kind]
    for setting in required:
        if not texts.get(setting):
            yield setting, f"is missing; the kind {kind} needs it."
    for setting, text in texts.items():
        if setting not in ("projects", "kind", *required, *optional):
            yield setting, f"is nothing that the kind {kind} has."
        elif not text.isprintable() or len(text) > _LONGEST:
            yield setting, f"is no printable text of at most {_LONGEST} characters."
