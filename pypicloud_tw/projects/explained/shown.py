"""Parts of an explanation: values from values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

from packaging.utils import canonicalize_version
from packaging.version import Version

from pypicloud_tw.advisories.values import Advisory, ProjectAdvisories
from pypicloud_tw.concurrency.steps import Steps, batches
from pypicloud_tw.config.exemptions import Exemption
from pypicloud_tw.index.model import File, Project
from pypicloud_tw.projects.explained.values import (
    Affecting,
    ExplainedRelease,
    Hidden,
    LetThrough,
)
from pypicloud_tw.upstream.judgement.explained import ExplainedFiles
from pypicloud_tw.upstream.judgement.values import Candidate, Refusal
from pypicloud_tw.upstream.releases import version_rank

#: Files or versions that are looked at in a piece: a millisecond.
_BATCH = 100


def own_releases(
    project: Project, advisories: ProjectAdvisories, version: str | None, most: int
) -> Steps[tuple[tuple[ExplainedRelease, ...], int]]:
    """Tell of the releases of a project of ours, the newest first.

    :param version: of this alone; None: of all.
    :param most: how many are told.
    :return: them, and how many older ones there are.
    """
    found: dict[str, list[File]] = {}
    for files in batches(project.files, _BATCH):
        yield
        for file in files:
            if version is None or same_version(file.version, version):
                found.setdefault(file.version, []).append(file)
    hidden = tuple(_quarantined(project))
    ordered = yield from newest_first(found)
    told = tuple(
        _own_release(version, found[version], advisories, hidden)
        for version in ordered[:most]
    )
    return told, len(ordered) - len(told)


def newest_first(versions: Iterable[str]) -> Steps[list[str]]:
    """Order versions; what is none comes last."""
    ranks: dict[str, tuple[bool, Version]] = {}
    for some in batches(versions, _BATCH):
        yield
        ranks.update((version, version_rank(version)) for version in some)
    return sorted(ranks, key=ranks.__getitem__, reverse=True)


def _own_release(
    version: str,
    files: Sequence[File],
    advisories: ProjectAdvisories,
    hidden: tuple[Hidden, ...],
) -> ExplainedRelease:
    return ExplainedRelease(
        version,
        "here",
        not hidden,
        0 if hidden else len(files),
        hidden,
        min(file.upload_time for file in files),
        yanked_because(file.yanked for file in files),
        advisories=_affecting(
            one for one in advisories.advisories if one.affects(version)
        ),
    )


def _quarantined(project: Project) -> Iterator[Hidden]:
    if project.status == "quarantined":
        reason = f" ({project.status_reason})" if project.status_reason else ""
        yield Hidden(
            "quarantined",
            f"The project {project.name} is quarantined{reason}.",
            "Whoever manages it can set its status to active.",
            len(project.files),
        )


def release_of(
    version: str | None, files: Iterable[Candidate], explained: ExplainedFiles
) -> ExplainedRelease:
    """Tell of a release of the other index."""
    uploaded = (file.uploaded for file in files if file.uploaded is not None)
    return ExplainedRelease(
        version,
        "upstream",
        not explained.refusals and explained.shown > 0,
        explained.shown,
        tuple(hidden_of(refusal, count) for refusal, count in explained.refusals),
        _moment(min(uploaded, default=None)),
        exemptions=tuple(map(_let_through, explained.exemptions)),
        advisories=_affecting(explained.advisories),
    )


def hidden_of(refusal: Refusal, files: int) -> Hidden:
    """Tell of a refusal."""
    return Hidden(
        refusal.rule.value,
        refusal.sentence,
        refusal.lifted_by,
        files,
        _moment(refusal.since),
        _moment(refusal.until),
    )


def waiting_fix(name: str, version: str, files: ExplainedFiles) -> Iterator[str]:
    """Say that a release repairs a flaw, and is hidden for its age."""
    young = files.too_young
    if young is None or not files.repairs:
        return
    ids = ", ".join(one.id for one in files.repairs)
    until = (
        ""
        if young.until is None
        else f" until {_moment(young.until):%Y-%m-%d %H:%M} UTC"
    )
    yield (
        f"{name} {version} repairs {ids}, which an older version has, and is hidden "
        f"for its age{until}. This lets it through: pypicloud exempt add "
        f"{name}=={version} --for 7d --reason '{ids}'"
    )


def same_version(one: str | None, other: str) -> bool:
    """Return whether two spellings are of one version."""
    return one is not None and canonicalize_version(one) == canonicalize_version(other)


def yanked_because(reasons: Iterable[str | None]) -> str | None:
    """Return why a release is yanked; None: not all of its files are.

    :param reasons: of each file; None: it is not yanked.
    """
    known = list(reasons)
    if not known or None in known:
        return None
    return next(filter(None, known), "")


def _let_through(exemption: Exemption) -> LetThrough:
    return LetThrough(
        exemption.rule.value,
        exemption.what,
        exemption.until,
        exemption.reason,
        exemption.source,
    )


def _affecting(advisories: Iterable[Advisory]) -> tuple[Affecting, ...]:
    worst = sorted(advisories, key=lambda one: (not one.malware, -one.severity, one.id))
    return tuple(
        Affecting(one.id, one.malware, one.severity.word, one.summary, one.fixed)
        for one in worst
    )


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
