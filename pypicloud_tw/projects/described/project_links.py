"""The links of a project, as its core metadata has them, under well-known labels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from string import punctuation, whitespace
from urllib.parse import urlsplit

from packaging.metadata import RawMetadata

from pypicloud_tw.projects.described.texts import clean_line
from pypicloud_tw.projects.described.values import ProjectLink

#: Characters of a label, which has 32 at most by the specification, and of an address.
_LABEL, LONGEST_URL = 64, 2_000
#: Links that are shown: the most known are 20.
_MOST = 64

#: "Well-known project URLs" of the packaging specifications: labels, how they are
#: shown, and what else they are spelled as. Their order is that on a page.
_KNOWN = {
    "homepage": ("Homepage", ()),
    "documentation": ("Documentation", ("docs",)),
    "source": ("Source", ("repository", "sourcecode", "github")),
    "changelog": ("Changelog", ("changes", "whatsnew", "history")),
    "releasenotes": ("Release notes", ()),
    "issues": ("Issues", ("bugs", "issue", "tracker", "issuetracker", "bugtracker")),
    "download": ("Download", ()),
    "funding": ("Funding", ("sponsor", "donate", "donation")),
}
_KIND_OF = {
    spelled: kind
    for kind, (_, aliases) in _KNOWN.items()
    for spelled in (kind, *aliases)
}
_ORDER = {kind: place for place, kind in enumerate((*_KNOWN, ""))}

#: The specification's way to compare labels.
_IGNORED = str.maketrans("", "", punctuation + whitespace)

_HTTP = re.compile(r"https?://[^\s\\<>\"]+", re.IGNORECASE)


def is_link(url: str) -> bool:
    """Tell an address of http or https, with a host, from everything else."""
    if len(url) > LONGEST_URL or not url.isprintable() or not _HTTP.fullmatch(url):
        return False
    try:
        return bool(urlsplit(url).hostname)
    except ValueError:
        return False


def kind_of(label: str) -> str:
    """Return which well-known label one is, or "" of any other."""
    return _KIND_OF.get(label[:_LABEL].translate(_IGNORED).lower(), "")


def project_links(
    raw: RawMetadata,
) -> tuple[tuple[ProjectLink, ...], tuple[tuple[str, str], ...]]:
    """Return links, each address once, and what is no link, as labels and texts."""
    links: list[ProjectLink] = []
    others: list[tuple[str, str]] = []
    for label, url in list(_given(raw))[:_MOST]:
        if not is_link(url):
            others.append((clean_line(label, _LABEL), clean_line(url, 200)))
        elif not _repeats(url, links):
            kind = kind_of(label)
            links.append(ProjectLink(_shown(label, kind), url, kind))
    links.sort(key=lambda link: _ORDER[link.kind])
    return tuple(links), tuple(others)


def _given(raw: RawMetadata) -> Iterator[tuple[str, str]]:
    yield from _stripped(raw.get("project_urls", {}).items())
    # Deprecated in favour of Project-URL (core metadata 2.4, PEP 753).
    old = ("homepage", raw.get("home_page")), ("download", raw.get("download_url"))
    yield from _stripped((kind, url) for kind, url in old if url)


def _stripped(pairs: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    # "UNKNOWN" is what distutils wrote for no word.
    return (
        (label, url.strip())
        for label, url in pairs
        if url.strip() not in ("", "UNKNOWN")
    )


def _repeats(url: str, links: list[ProjectLink]) -> bool:
    plain = url.rstrip("/")
    return any(link.url.rstrip("/") == plain for link in links)


def _shown(label: str, kind: str) -> str:
    return _KNOWN[kind][0] if kind else clean_line(label, _LABEL) or "Link"
