"""Trusted publishers in the ini: what is read, and every mistake in a sentence."""

from __future__ import annotations

from pypicloud_tw.config.publishers import (
    PublisherError,
    make_publisher,
    told_audience,
)
from pypicloud_tw.config.rights import Action
from tests.config.test_load import ConfigTestCase

GITHUB = "https://token.actions.githubusercontent.com"


def ini(*lines: str) -> str:
    return "\n".join(("[pypicloud]", *lines)) + "\n"


class PublisherTests(ConfigTestCase):
    def one(self, *lines: str, name: str = "tool") -> str:
        """Write a good one, with what is changed."""
        settings = {
            "issuer": GITHUB,
            "claims": "repository:acme/tool, repository_owner_id:42",
            "projects": "acme-tool",
        }
        settings |= dict(line.split(" = ", 1) for line in lines)
        kept = {key: text for key, text in settings.items() if text != "-"}
        return ini(*(f"publisher.{name}.{key} = {t}" for key, t in kept.items()))

    def test_read(self) -> None:
        config = self.load(
            self.one("acts = read, upload", "projects = Acme_Tool, acme-*")
        )
        made = config.publishers["tool"]
        self.assertEqual(made.issuer, GITHUB)
        self.assertEqual(made.audience, "pypicloud")
        self.assertEqual(
            made.claims, (("repository", "acme/tool"), ("repository_owner_id", "42"))
        )
        self.assertEqual(made.projects, ("acme-tool", "acme-*"))
        self.assertEqual(made.actions, {Action.READ, Action.UPLOAD})
        self.assertIn("x.ini, line 2", made.source)
        self.assertEqual(config.notices, ())

    def test_defaults(self) -> None:
        made = self.load(self.one(name="a.b.c")).publishers["a.b.c"]
        self.assertEqual(made.actions, {Action.UPLOAD})
        self.assertEqual(self.load().publishers, {})

    def test_mistakes(self) -> None:
        for lines, parts in (
            (["issuer = -"], ["publisher.tool.issuer is missing"]),
            (["claims = -"], ["publisher.tool.claims names nothing", "anybody"]),
            (["claims = ,"], ["publisher.tool.claims names nothing"]),
            (["projects = -"], ["publisher.tool.projects is missing"]),
            (["projects = a b!"], ["publisher.tool.projects", "acme-*"]),
            (["acts = write"], ["acts has 'write', which is none of"]),
            (["acts = administer"], ["publisher.tool.acts"]),
            (["issuer = http://ci.example"], ["publisher.tool.issuer is not https"]),
            (["issuer = ci.example"], ["publisher.tool.issuer is not a URL"]),
            (["issuer = https://ci.example?x"], ["query"]),
            (["issuer = https://[::1]"], ["IPv6"]),
            ([f"issuer = {GITHUB}/"], ["slash at its end"]),
            (["claims = ref:refs/tags/*"], ["whose jobs are meant", "repository_id"]),
            (["claims = repository:*/tool"], ["without a star"]),
            (["claims = repository:acme*/tool"], ["without a star"]),
            (["claims = repository_owner:acme*"], ["without a star"]),
            (["claims = sub:repo:*"], ["without a star"]),
            (
                ["issuer = https://gitlab.com", "claims = namespace_path:acme*"],
                ["without a star"],
            ),
            (
                ["issuer = https://accounts.google.com", "claims = aud:x"],
                ["name an owner by one of email, sub"],
            ),
        ):
            problem = self.problem(self.one(*lines))
            for part in parts:
                self.assertIn(part, problem)
            self.assertRegex(problem, r"x\.ini, line \d: ")

    def test_every_mistake_at_once(self) -> None:
        text = ini("publisher.tool.acts = x", "publisher.tool.audience = ok")
        self.assertEqual(len(self.problems(text)), 4)

    def test_tied(self) -> None:
        for issuer, claims in (
            (GITHUB, "repository:acme/*"),
            (GITHUB, "repository_id:17"),
            (GITHUB, "sub:repo:acme/tool:environment:pypi"),
            ("https://gitlab.com", "project_path:acme/**"),
            ("https://gitlab.com", "namespace_path:acme"),
            ("https://accounts.google.com", "email:ci@acme.iam.gserviceaccount.com"),
            ("https://gitlab.corp", "ref_type:tag"),
            ("http://127.0.0.1:8000", "sub:x"),
            ("http://localhost:8000", "sub:x"),
        ):
            config = self.load(self.one(f"issuer = {issuer}", f"claims = {claims}"))
            self.assertEqual(config.publishers["tool"].issuer, issuer)

    def test_names(self) -> None:
        for key, part in (
            ("publisher.tool = x", "publisher.tool is not publisher.NAME.issuer"),
            ("publisher.tool.isuer = x", "publisher.tool.isuer is not"),
            ("publisher..issuer = x", "is called by letters"),
            ("publisher.a b.issuer = x", "publisher.a b is called by letters"),
        ):
            self.assertIn(part, "\n".join(self.problems(ini(key))))

    def test_recommendations(self) -> None:
        for issuer, claims, part in (
            (GITHUB, "repository:acme/tool", "repository_owner_id"),
            (GITHUB, "repository_owner:acme", "repository_owner_id"),
            ("https://gitlab.com", "project_path:acme/tool", "project_id"),
            ("https://gitlab.corp", "namespace_path:acme", "namespace_id"),
            ("https://accounts.google.com", "email:a@b", "sub"),
        ):
            config = self.load(self.one(f"issuer = {issuer}", f"claims = {claims}"))
            (notice,) = config.notices
            self.assertIn("publisher.tool.claims: after a rename", notice)
            self.assertIn(part, notice)

    def test_audiences(self) -> None:
        second = self.one(name="b").removeprefix("[pypicloud]\n")
        config = self.load(self.one("audience = here") + second)
        self.assertEqual(told_audience(config.publishers), "pypicloud")
        self.assertIn("several audiences (here, pypicloud)", config.notices[-1])
        self.assertEqual(
            told_audience(self.load(self.one("audience = x")).publishers), "x"
        )
        self.assertIsNone(told_audience({}))

    def test_unknown_setting(self) -> None:
        settings = {"issuer": GITHUB, "claims": "repository_id:1", "projects": "a"}
        error = self.assertRaises(
            PublisherError, make_publisher, "a", {**settings, "x": "y"}, "test"
        )
        self.assertEqual([key for key, _ in error.problems], ["x"])
