"""Which publishers a job is of: by every claim that is named, and by no other."""

from __future__ import annotations

import re

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.oidc.matching import (
    MOST,
    describe,
    explain,
    matching,
    trusts,
)
from pypicloud_tw.access.principal import Principal
from pypicloud_tw.config.claims import Claims
from pypicloud_tw.config.rights import TrustedPublisher
from tests.access.oidc.doubles import GITHUB, JOB, publisher

JOB_OF_GITHUB = {"iss": GITHUB, "aud": "pypicloud", **JOB}

_names = st.sampled_from(["repository", "repository_id", "ref", "environment", "none"])
_values = st.sampled_from([*JOB.values(), "acme", "x"])
_patterns = _values | st.sampled_from(["*", "**", "acme/*", "refs/**", "refs/*", "10*"])
_claims = st.dictionaries(_names, _patterns, min_size=1).map(
    lambda found: tuple(found.items())
)
_jobs = st.dictionaries(_names, _values).map(
    lambda found: {"iss": GITHUB, "aud": "pypicloud", **found}
)


def fits(pattern: str, value: str) -> bool:
    """Match in another way than the code does."""
    parts = re.split(r"(\*\*|\*)", pattern)
    stars = {"**": ".*", "*": "[^/]*"}
    regex = "".join(stars.get(part, re.escape(part)) for part in parts)
    return re.fullmatch(regex, value, re.DOTALL) is not None


def of(claims: Claims) -> TrustedPublisher:
    return evolve(publisher(), claims=claims)


class MatchingTests(SynchronousTestCase):
    @given(_claims, _jobs)
    def test_every_named_claim(self, claims: Claims, job: dict[str, str]) -> None:
        expected = all(n in job and fits(pattern, job[n]) for n, pattern in claims)
        self.assertIs(trusts(of(claims), job), expected)

    @given(_claims, _jobs, st.dictionaries(st.sampled_from(["a", "b"]), _values))
    def test_no_other(
        self, claims: Claims, job: dict[str, str], more: dict[str, str]
    ) -> None:
        self.assertIs(trusts(of(claims), {**more, **job}), trusts(of(claims), job))

    @given(_claims, _claims, _jobs)
    def test_naming_more_trusts_no_more(
        self, claims: Claims, more: Claims, job: dict[str, str]
    ) -> None:
        both = (*more, *claims)
        if trusts(of(both), job):
            self.assertTrue(trusts(of(claims), job))

    @given(_claims, _jobs)
    def test_issuer_and_audience(self, claims: Claims, job: dict[str, str]) -> None:
        for other in ({"iss": f"{GITHUB}/"}, {"aud": "Pypicloud"}, {"aud": ""}):
            self.assertFalse(trusts(of(claims), {**job, **other}))
        self.assertFalse(trusts(of(claims), {**job, "iss": ""}))

    @given(st.lists(_claims, max_size=6), _jobs)
    def test_what_the_log_says(self, many: list[Claims], job: dict[str, str]) -> None:
        publishers = {f"p{n}": of(claims) for n, claims in enumerate(many)}
        trusted = matching(publishers, job)
        told = explain(publishers, job)
        self.assertEqual(len(told), min(5, len(many)))
        for name, one in publishers.items():
            self.assertIs(name in trusted, trusts(one, job))


class SeveralTests(SynchronousTestCase):
    def test_so_many_and_those_of_the_ini_first(self) -> None:
        """Others can trust a job, too, as often as they please."""
        many = {f"a{n:03}": publisher(f"a{n:03}") for n in range(200)}
        own = {name: publisher(name) for name in ("tool", "other")}
        found = matching({**many, **own}, JOB_OF_GITHUB, own)
        self.assertEqual(len(found), MOST)
        self.assertEqual(found[:3], ("other", "tool", "a000"))
        label = Principal(None, publishers=found).label or ""
        self.assertEqual(label, "publisher other, tool, a000, a001, a002 and 95 more")
        longest = tuple(f"{n}".ljust(100, "x") for n in range(100))
        self.assertLess(len(Principal(None, publishers=longest).label or ""), 600)


class SentenceTests(SynchronousTestCase):
    def test_the_nearest_first(self) -> None:
        publishers = {
            "far": publisher("far", claims="repository_id:1, ref:x, environment:y"),
            "near": publisher("near", claims="repository_id:1001, ref:x"),
            "other": publisher("other", audience="elsewhere"),
        }
        self.assertEqual(
            explain(publishers, JOB_OF_GITHUB),
            [
                "publisher.near differs: ref is 'refs/tags/v1.0', not 'x'.",
                "publisher.other differs: aud is 'pypicloud', not 'elsewhere'.",
                "publisher.far differs: repository_id is '1001', not '1'; "
                "ref is 'refs/tags/v1.0', not 'x'; environment is 'pypi', not 'y'.",
            ],
        )

    def test_what_is_not_there(self) -> None:
        made = {"a": publisher("a", claims="repository_id:1001, actor_id:5")}
        (told,) = explain(made, JOB_OF_GITHUB)
        self.assertEqual(
            told, "publisher.a differs: actor_id is not there, and is to be '5'."
        )

    def test_describe(self) -> None:
        told = describe(JOB_OF_GITHUB)
        self.assertIn("repository acme/tool, workflow_ref acme/tool/.github", told)
        self.assertEqual(describe({"sub": "x" * 300}), f"sub {'x' * 200}")
        self.assertEqual(describe({}), "sub none")
