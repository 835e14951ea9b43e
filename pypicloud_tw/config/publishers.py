"""Trusted publishers: whose identity tokens are exchanged for rights.

The same settings come from the ini (``publisher.NAME.issuer`` and the like) and from
the access document, and are judged by the same rules.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import TypeVar

from attrs import define, field, frozen

from pypicloud_tw.config.addresses import issuer_url
from pypicloud_tw.config.claims import check_claims, parse_claims
from pypicloud_tw.config.issuers import SHARED, is_tied, recommendations, untied
from pypicloud_tw.config.key import show_value
from pypicloud_tw.config.names import pattern
from pypicloud_tw.config.rights import Action, TrustedPublisher
from pypicloud_tw.config.sources import Given, Problem
from pypicloud_tw.config.values import BadValueError, words

#: What ``aud`` must be where nothing else is said.
AUDIENCE = "pypicloud"

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")
_SETTINGS = ("issuer", "audience", "claims", "projects", "acts")
_ACTS = {
    "read": Action.READ,
    "upload": Action.UPLOAD,
    "manage": Action.MANAGE,
}


class PublisherError(ValueError):
    """It is no publisher; ``problems`` has every reason, as the rest of a sentence.

    :ivar problems: pairs of the setting and what is wrong with it.
    """

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{key} {what}" for key, what in problems))
        self.problems = tuple(problems)


def make_publisher(
    name: str, settings: Mapping[str, str], source: str
) -> TrustedPublisher:
    """Make a publisher of the texts of its settings.

    :param settings: by ``issuer``, ``audience``, ``claims``, ``projects`` and ``acts``.
    :param source: where they stand, for a person.
    :raises PublisherError: with every mistake.
    """
    making = _Making(settings)
    for key in sorted(settings.keys() - set(_SETTINGS)):
        known = ", ".join(_SETTINGS)
        making.problems.append((key, f"is none of its settings, which are {known}."))
    made = TrustedPublisher(
        name,
        making.read("issuer", _issuer, "") or "",
        making.read("audience", _audience, AUDIENCE) or AUDIENCE,
        making.read("claims", parse_claims, "") or (),
        making.read("projects", words(pattern), "") or (),
        making.read("acts", _acts, "upload") or frozenset(),
        source,
    )
    bad = {key for key, _ in making.problems}
    others = [one for one in _problems(made) if one[0] not in bad]
    if making.problems or others:
        raise PublisherError([*making.problems, *others])
    return made


def check_publisher(publisher: TrustedPublisher) -> None:
    """Return if a publisher, however it was made, can be trusted.

    :raises PublisherError: with every mistake.
    """
    problems = list(_problems(publisher))
    if problems:
        raise PublisherError(problems)


def _problems(publisher: TrustedPublisher) -> Iterator[tuple[str, str]]:
    """Tell what is missing or wrong, by setting."""
    if not _NAME.fullmatch(publisher.name):
        yield "", "is called by letters, digits, '.', '-' and '_', at most 100."
    if not publisher.issuer:
        yield "issuer", _NO_ISSUER
    if not publisher.claims:
        yield "claims", _NO_CLAIMS
    elif not is_tied(publisher.issuer, publisher.claims):
        yield "claims", untied(publisher.issuer)
    if not publisher.projects:
        yield "projects", _NO_PROJECTS
    if not publisher.actions or not publisher.actions <= {*_ACTS.values()}:
        yield "acts", "must be some of read, upload and manage."
    parts: tuple[tuple[str, Callable[[], object]], ...] = (
        ("issuer", lambda: publisher.issuer and _issuer(publisher.issuer)),
        ("audience", lambda: _audience(publisher.audience)),
        ("claims", lambda: check_claims(publisher.claims)),
        ("projects", lambda: [pattern(one) for one in publisher.projects]),
    )
    for key, check in parts:
        try:
            check()
        except BadValueError as e:
            yield key, str(e)


_NO_ISSUER = (
    "is missing: the address that its tokens have in `iss`, such as "
    "https://token.actions.githubusercontent.com"
)
_NO_CLAIMS = (
    "names nothing, so that anybody with a token of this issuer could use it; write "
    "whose jobs are meant, as in repository:acme/tool, ref:refs/tags/*"
)
_NO_PROJECTS = "is missing: the projects that it is for, as in acme-tool, acme-*"


T = TypeVar("T")


@define
class _Making:
    """The settings of one publisher, and what is wrong with them."""

    settings: Mapping[str, str]
    problems: list[tuple[str, str]] = field(factory=list)

    def read(self, key: str, parse: Callable[[str], T], default: str) -> T | None:
        """Parse a setting, or its default; None if it has neither or cannot be."""
        text = self.settings.get(key, default).strip()
        try:
            return parse(text) if text else None
        except BadValueError as e:
            self.problems.append((key, str(e)))
            return None


def _issuer(text: str) -> str:
    text = issuer_url(text)
    if text.rstrip("/") in SHARED and text not in SHARED:
        raise BadValueError("has a slash at its end, which this issuer has not.")
    return text


def _audience(text: str) -> str:
    if not 0 < len(text) <= 200 or not text.isprintable():
        raise BadValueError("is not printable text of at most 200 characters.")
    return text


def _acts(text: str) -> frozenset[Action]:
    return frozenset(words(_act)(text))


def _act(word: str) -> Action:
    found = _ACTS.get(word.lower())
    if found is None:
        raise BadValueError(
            f"has {show_value(word)}, which is none of read, upload and manage."
        )
    return found


@frozen
class Publishers:
    """The publishers of the ini.

    :ivar notices: what the operator should know, a sentence each.
    """

    by_name: Mapping[str, TrustedPublisher]
    notices: tuple[str, ...]


def read_publishers(
    texts: Mapping[str, Given], complain: Callable[[Problem], object]
) -> Publishers:
    """Read the ini's ``publisher.NAME.SETTING`` keys.

    :param texts: by what stands behind ``publisher.``.
    :param complain: takes what is wrong with them.
    """
    settings: dict[str, dict[str, Given]] = {}
    for key, given in texts.items():
        # A name may have dots, a setting has none.
        name, dot, setting = key.rpartition(".")
        if dot and setting in _SETTINGS:
            settings.setdefault(name, {})[setting] = given
        else:
            wanted = " or ".join(f"publisher.NAME.{one}" for one in _SETTINGS)
            complain(given.problem(f"publisher.{key[:80]} is not {wanted}."))
    made = [_read_one(name, of_it, complain) for name, of_it in settings.items()]
    by_name = {one.name: one for one in made if one is not None}
    notices = [note for one in by_name.values() for note in recommendations(one)]
    return Publishers(MappingProxyType(by_name), (*notices, *_audiences(by_name)))


def _read_one(
    name: str, given: Mapping[str, Given], complain: Callable[[Problem], object]
) -> TrustedPublisher | None:
    first = next(iter(given.values()))
    texts = {key: one.text for key, one in given.items()}
    try:
        return make_publisher(name, texts, first.origin)
    except PublisherError as e:
        for key, what in e.problems:
            subject = f"publisher.{name[:80]}" + (f".{key}" if key else "")
            complain(given.get(key, first).problem(f"{subject} {what}"))
    return None


def _audiences(publishers: Mapping[str, TrustedPublisher]) -> Iterator[str]:
    found = sorted({made.audience for made in publishers.values()})
    if len(found) > 1:
        yield (
            f"The publishers have several audiences ({', '.join(found)}), and clients "
            f"that ask for one are told {told_audience(publishers)!r}."
        )


def told_audience(publishers: Mapping[str, TrustedPublisher]) -> str | None:
    """Return the audience that clients are told to ask their issuer for.

    The default one if any of these has it, else the first by alphabet; None: there is
    none.

    :param publishers: those of the ini, or where it has none, all.
    """
    found = sorted({made.audience for made in publishers.values()})
    return AUDIENCE if AUDIENCE in found else next(iter(found), None)
