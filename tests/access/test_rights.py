"""The rules of rights: the table of what pypicloud 1.x did, and what is ours."""

from __future__ import annotations

from fnmatch import fnmatchcase
from random import Random
from typing import Any

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.administration.authority import may_whole
from pypicloud_tw.access.document import AccessDocument, StoredUser
from pypicloud_tw.access.explain import Explanation, explain, explain_all
from pypicloud_tw.access.patterns import ProjectIndex, specificity
from pypicloud_tw.access.policy import Policy, needed
from pypicloud_tw.access.principal import ANONYMOUS, Principal, Scope
from pypicloud_tw.access.settings import AccessSettings
from pypicloud_tw.config.grants import parse_actions
from pypicloud_tw.config.names import parse_project
from pypicloud_tw.config.rights import (
    AUTHENTICATED,
    EVERYONE,
    GRANTABLE,
    Action,
    RightLine,
    TrustedPublisher,
)
from pypicloud_tw.config.values import BadValueError
from pypicloud_tw.errors import Forbidden, NotFound, PypicloudError, Unauthorized
from pypicloud_tw.index.audit import Proof
from pypicloud_tw.index.names import NormalizedName, unknown_project
from tests.access.doubles import letters, policy_of, row

P, Q = NormalizedName("p"), NormalizedName("q")

WHO = {
    "anonymous": ANONYMOUS,
    "bob": Principal("bob"),
    "dev1": Principal("dev1"),
    "boss": Principal("boss"),
}

BASE = """
auth.admins = boss
group.dev = dev1
"""

#: pypicloud 1.x let only users read where its ini did not say; ours lets everyone.
CLOSED = "pypi.default_read = authenticated\n"
OPEN = "pypi.default_read = everyone\npypi.default_write = authenticated\n"

#: What pypicloud 1.3's own modules answer to anonymous, bob, dev1 (in the group dev)
#: and an administrator, but for the rows that say so.
TABLE = (
    ("nothing", CLOSED, "p", "- r r rw"),
    ("everyone reads", "pypi.default_read = everyone", "p", "r r r rw"),
    (
        "groups by default",
        "pypi.default_read = dev\npypi.default_write = dev",
        "p",
        "- - rw rw",
    ),
    ("users write", OPEN, "p", "r rw rw rw"),
    ("a line of its own closes", f"{OPEN}package.p.user.bob = r", "p", "- r - rw"),
    ("... no other project", f"{OPEN}package.p.user.bob = r", "q", "r rw rw rw"),
    (
        "lines add up",
        f"{OPEN}package.p.group.dev = rw\npackage.p.user.dev1 = r",
        "p",
        "- - rw rw",
    ),
    ("an empty line closes", f"{OPEN}package.p.user.bob =", "p", "- - - rw"),
    ("none closes", f"{OPEN}package.p.user.bob = none", "p", "- - - rw"),
    (
        "everyone as a group",
        f"{OPEN}package.p.user.bob = w\npackage.p.group.everyone = r",
        "p",
        "r rw r rw",
    ),
    ("users", f"{OPEN}package.p.group.authenticated = rw", "p", "- rw rw rw"),
    ("administrators", f"{OPEN}package.p.group.admin = rw", "p", "- - - rw"),
    (
        "everyone writes",
        f"{CLOSED}pypi.default_write = everyone",
        "p",
        "w rw rw rw",
    ),
    # Ours: pypicloud 1.x had no patterns,
    (
        "a pattern",
        "pypi.default_read = everyone\npackage.acme-*.user.bob = rw",
        "acme-tool",
        "- rw - rw",
    ),
    (
        "... and no other name",
        "pypi.default_read = everyone\npackage.acme-*.user.bob = rw",
        "acme",
        "r r r rw",
    ),
    # matched raw names only,
    (
        "normalised",
        f"{OPEN}package.django_unchained.user.bob = rw",
        "django-unchained",
        "- rw - rw",
    ),
    # passed over names with dots,
    (
        "dots",
        f"{OPEN}package.zope.interface.user.bob = rw",
        "zope-interface",
        "- rw - rw",
    ),
    # and took a comma between words for the end of the first.
    ("commas", f"{OPEN}package.p.user.bob = read, write", "p", "- rw - rw"),
    ("words", f"{OPEN}package.p.user.bob = read write", "p", "- rw - rw"),
)


class TableTests(SynchronousTestCase):
    def test_table(self) -> None:
        for what, text, project, expected in TABLE:
            policy = policy_of(f"{BASE}{text}")
            self.assertEqual(row(policy, WHO, project), expected, what)


def doc(**parts: Any) -> AccessDocument:
    return AccessDocument(**parts)


def line(project: str, kind: Any, name: str, text: str) -> RightLine:
    return RightLine(project, kind, name, parse_actions(text), "the access document")


class SpecificityTests(SynchronousTestCase):
    """The most specific PROJECT decides alone."""

    def test_order(self) -> None:
        ordered = ["acme-tool", "acme-t?ol", "acme-to*", "acme-*", "a*-*e", "a*", "*"]
        self.assertEqual(sorted(set(ordered), key=specificity), ordered)

    def test_a_name_before_patterns_and_the_longer_pattern_first(self) -> None:
        policy = policy_of(
            """
            package.*.group.authenticated = r
            package.acme-*.user.bob = rw
            package.acme-tool-*.user.dev1 = rw
            package.acme-tool-x.user.bob = r
            """
        )
        for project, expected in {
            "other": "- r r r",
            "acme-y": "- rw - -",
            "acme-tool-y": "- - rw -",
            "acme-tool-x": "- r - -",
        }.items():
            self.assertEqual(row(policy, WHO, project), expected, project)

    def test_where_a_pattern_may_have_its_wildcard(self) -> None:
        names = ("acme", "acme-core", "core-acme", "xacmex", "acne")
        for pattern, matching in {
            "acme": "1....",
            "acme*": "11...",
            "*-acme": "..1..",
            "*acme*": "1111.",
            "ac?e": "1...1",
            "a*-c*e": ".1...",
            "*": "11111",
        }.items():
            policy = policy_of(f"package.{pattern}.user.bob = r\npypi.default_read =")
            found = "".join(
                "1" if letters(policy, WHO["bob"], name) == "r" else "."
                for name in names
            )
            self.assertEqual(found, matching, pattern)

    @given(
        st.lists(
            st.text("ab*?-", min_size=1, max_size=6).filter(
                lambda text: _is_project(text)
            ),
            unique=True,
            max_size=8,
        ),
        st.text("ab", min_size=1, max_size=6),
    )
    def test_the_index_finds_what_a_search_would(
        self, patterns: list[str], name: str
    ) -> None:
        index = ProjectIndex({pattern: pattern for pattern in patterns})
        found = [p for p in sorted(patterns, key=specificity) if fnmatchcase(name, p)]
        self.assertEqual(index.find(name), found[0] if found else None)
        self.assertEqual(index.find(name), found[0] if found else None)


def _is_project(text: str) -> bool:
    try:
        return parse_project(text) == text
    except BadValueError:
        return False


class SourcesTests(SynchronousTestCase):
    """The ini is fixed; the document comes beside it."""

    def test_document_alone(self) -> None:
        policy = policy_of(
            "",
            doc(
                rights=(line("p", "group", "ops", "rw"), line("p", "user", "bob", "r")),
                groups={"ops": frozenset({"dev1"})},
                users={"boss": StoredUser(administrator=True)},
            ),
        )
        self.assertEqual(row(policy, WHO, "p"), "- r rw -")
        self.assertEqual(row(policy, WHO, "q"), "r r r r")
        # "boss" is the ini's, which the document cannot make an administrator.
        self.assertIn(
            "users boss in the access document do not count", policy.rules.notices[0]
        )

    def test_administrators_of_the_document(self) -> None:
        policy = policy_of("", doc(users={"eve": StoredUser(administrator=True)}))
        eve = Principal("eve")
        self.assertTrue(policy.may(eve, Action.ADMINISTER, None))
        self.assertEqual(letters(policy, eve, "p"), "rw")
        self.assertEqual(row(policy, WHO, "p"), "r r r r")

    def test_lines_of_the_ini_shadow_those_of_the_document(self) -> None:
        rights = (
            line("acme-tool", "user", "dev1", "rw"),
            line("acme-*", "user", "dev1", "rw"),
            line("other", "user", "dev1", "rw"),
        )
        policy = policy_of("package.acme-*.user.bob = rw", doc(rights=rights))
        self.assertEqual(row(policy, WHO, "acme-tool"), "- rw - -")
        self.assertEqual(row(policy, WHO, "acme-x"), "- rw - -")
        self.assertEqual(row(policy, WHO, "other"), "- - rw -")
        self.assertTrue(policy.rules.is_fixed("acme-x"))
        self.assertFalse(policy.rules.is_fixed("other"))
        self.assertIn("acme-*, acme-tool", policy.rules.notices[0])

    def test_groups_of_the_ini_are_not_extended(self) -> None:
        groups = {"dev": frozenset({"bob"}), "admin": frozenset({"bob"})}
        policy = policy_of(
            "group.dev = dev1\npackage.p.group.dev = rw\n"
            "pypi.allow_delete_groups = admin",
            doc(groups=groups),
        )
        self.assertEqual(row(policy, WHO, "p"), "- - rw -")
        self.assertNotIn("admin", policy.groups_of(WHO["bob"]))
        self.assertIn("groups admin, dev", policy.rules.notices[0])

    def test_another_ini_and_another_document(self) -> None:
        policy = policy_of("package.p.user.bob = r")
        document = doc(rights=(line("q", "user", "dev1", "r"),))
        both = policy.with_document(document)
        self.assertEqual(row(both, WHO, "q"), "- - r -")
        self.assertEqual(both.with_settings(policy.settings).document, document)
        self.assertEqual(row(policy, WHO, "q"), "r r r r")


class OpenTests(SynchronousTestCase):
    """Where nothing is said of rights every user may write; then nobody may."""

    def test_nothing(self) -> None:
        for text in ("", "pypi.default_read = authenticated"):
            policy = policy_of(text)
            self.assertTrue(policy.rules.open, text)
            self.assertEqual(row(policy, WHO, "p").split()[1:], ["rw"] * 3)
            self.assertFalse(policy.may(WHO["bob"], Action.ADMINISTER, None))

    def test_a_word(self) -> None:
        for text in (
            "pypi.default_write =",
            "pypi.default_write = dev",
            "auth.admins =",
            "auth.admins = boss",
            "group.dev = dev1",
            "package.other.user.bob = r",
            "pypi.default_read = dev",
            "pypi.default_read =",
        ):
            policy = policy_of(text)
            self.assertFalse(policy.rules.open, text)
            self.assertNotIn("w", letters(policy, WHO["bob"], "p"), text)

    def test_a_word_of_the_document(self) -> None:
        for document in (
            doc(groups={"dev": frozenset[str]()}),
            doc(rights=(line("q", "user", "bob", "r"),)),
            doc(users={"eve": StoredUser(administrator=True)}),
        ):
            self.assertFalse(policy_of("", document).rules.open)
        self.assertTrue(policy_of("", doc(users={"eve": StoredUser()})).rules.open)


class ElsewhereTests(SynchronousTestCase):
    """Groups and administrators of another directory."""

    RULES = f"""{BASE}
    pypi.default_read = dev
    pypi.default_write = admin
    pypi.allow_overwrite_groups = admin
    package.q.group.admin = rw
    """

    def test_its_groups_count_beside_ours(self) -> None:
        policy = policy_of(self.RULES)
        eve = Principal("eve", frozenset({"dev"}))
        self.assertEqual(letters(policy, eve, P), "r")
        self.assertEqual(policy.groups_of(eve), {"dev"})

    def test_its_administrators_may_everything(self) -> None:
        policy = policy_of(self.RULES)
        eve = Principal("eve", administrator=True)
        self.assertEqual(letters(policy, eve, Q), "rw")
        self.assertTrue(policy.may(eve, Action.OVERWRITE, Q))

    def test_a_group_of_our_administrators_name_is_another(self) -> None:
        policy = policy_of(self.RULES)
        eve = Principal("eve", frozenset({"admin", "everyone", "authenticated"}))
        for project in (P, Q):
            self.assertEqual(letters(policy, eve, project), "-")
            self.assertFalse(policy.readable(eve).allows(project))
            self.assertFalse(policy.may(eve, Action.OVERWRITE, project))
        self.assertFalse(policy.may_any(eve, Action.UPLOAD))
        self.assertEqual(policy.groups_of(eve), frozenset())


class BesideTheRightTests(SynchronousTestCase):
    """Overwriting and deleting want a group, too; administrators are not exempt."""

    def who(self, policy: Policy, action: Action) -> str:
        return "".join(
            name[0] for name, one in WHO.items() if policy.may(one, action, P)
        )

    def test_overwrite(self) -> None:
        write = f"{BASE}pypi.default_write = everyone\n"
        for text, expected in {
            "": "",
            "pypi.allow_overwrite_groups = everyone": "abdb",
            "pypi.allow_overwrite_groups = authenticated": "bdb",
            "pypi.allow_overwrite_groups = dev": "d",
            "pypi.allow_overwrite_groups = admin": "b",
            "pypi.allow_overwrite = true": "abdb",
        }.items():
            policy = policy_of(f"{write}{text}")
            self.assertEqual(self.who(policy, Action.OVERWRITE), expected, text)
        policy = policy_of(f"{BASE}pypi.allow_overwrite_groups = everyone")
        self.assertEqual(
            self.who(policy, Action.OVERWRITE), "b", "Only with the right."
        )

    def test_delete(self) -> None:
        write = f"{BASE}pypi.default_write = everyone\n"
        for text, expected in {
            "": "bdb",
            "pypi.allow_delete_groups =": "",
            "pypi.allow_delete_groups = dev": "d",
            "pypi.allow_delete_groups = everyone": "abdb",
        }.items():
            policy = policy_of(f"{write}{text}")
            self.assertEqual(self.who(policy, Action.DELETE), expected, text)

    def test_finer_words(self) -> None:
        policy = policy_of("package.p.user.bob = read, upload")
        bob = WHO["bob"]
        self.assertTrue(policy.may(bob, Action.UPLOAD, P))
        self.assertFalse(policy.may(bob, Action.MANAGE, P))
        self.assertFalse(policy.may(bob, Action.DELETE, P))
        policy = policy_of("package.p.user.bob = administer")
        allowed = [action for action in Action if policy.may(bob, action, P)]
        self.assertEqual(allowed, [Action.ADMINISTER])
        self.assertFalse(policy.may(bob, Action.ADMINISTER, None))


class AnswerTests(SynchronousTestCase):
    """What who may not is told."""

    def refused(self, policy: Policy, who: Principal, action: Action) -> PypicloudError:
        refusal = policy.refusal(who, action, P)
        with self.assertRaises(type(refusal)) as caught:
            policy.check(who, action, P)
        self.assertEqual(caught.exception.message, refusal.message)
        return refusal

    def test_reading(self) -> None:
        text = "package.p.user.dev1 = r\n"
        policy = policy_of(text)
        self.assertIsInstance(
            self.refused(policy, ANONYMOUS, Action.READ), Unauthorized
        )
        hidden = self.refused(policy, WHO["bob"], Action.READ)
        self.assertIsInstance(hidden, NotFound)
        self.assertEqual(hidden.message, unknown_project(P).message)
        for private in ("p", "p*", "acme, ?"):
            policy = policy_of(f"{text}pypi.private = {private}")
            told = self.refused(policy, WHO["bob"], Action.READ)
            self.assertIsInstance(told, Forbidden)
            self.assertIn("You may not read p. Ask", told.message)
            anonymous = self.refused(policy, ANONYMOUS, Action.READ)
            self.assertIsInstance(anonymous, Unauthorized)
            token = Principal("dev1", scope=Scope(frozenset({Action.UPLOAD})))
            told = self.refused(policy, token, Action.READ)
            self.assertIn("with this token, which was made for less", told.message)

    def test_writing(self) -> None:
        policy = policy_of("package.p.user.bob = r\npackage.q.user.bob = rw")
        refusal = self.refused(policy, WHO["bob"], Action.UPLOAD)
        self.assertIsInstance(refusal, Forbidden)
        self.assertEqual(
            refusal.message,
            "You may not upload to p. Ask an administrator of this index for the right "
            "to upload.",
        )
        token = Principal("bob", scope=Scope(projects=("p",)))
        with self.assertRaises(Forbidden) as caught:
            policy.check(token, Action.UPLOAD, Q)
        self.assertIn("with this token", caught.exception.message)
        with self.assertRaises(Forbidden) as caught:
            policy.check(WHO["bob"], Action.OVERWRITE, Q)
        self.assertIn("pypi.allow_overwrite_groups names", caught.exception.message)
        with self.assertRaises(Forbidden) as caught:
            policy.check(job("ci"), Action.UPLOAD, Q)
        self.assertIn("as publisher ci", caught.exception.message)
        with self.assertRaises(Forbidden) as caught:
            policy.check(WHO["bob"], Action.ADMINISTER, None)
        self.assertIn("administer this index", caught.exception.message)


def job(*publishers: str, **changes: str) -> Principal:
    """A job that showed an identity token, and by whom it is trusted."""
    claims = {"iss": "https://issuer.example", "aud": "pypicloud", "sub": "ci"}
    claims |= changes
    return Principal(None, publishers=publishers, proof=Proof("publisher", claims))


#: A job that is of the publisher ci.
CI = job("ci")


class AnyTests(SynchronousTestCase):
    """Whether there could be a project at all."""

    def test_any(self) -> None:
        policy = policy_of(
            "pypi.default_read =\npackage.acme-*.group.dev = rw\n" + BASE
        )
        for who, expected in {"anonymous": "-", "bob": "-", "dev1": "rw"}.items():
            read, upload = (
                policy.may_any(WHO[who], action)
                for action in (Action.READ, Action.UPLOAD)
            )
            found = ("r" if read else "") + ("w" if upload else "") or "-"
            self.assertEqual(found, expected, who)
            self.assertIs(policy.may(WHO[who], Action.READ, None), read)
        self.assertFalse(policy.may_any(WHO["dev1"], Action.OVERWRITE))
        self.assertTrue(policy.may_any(WHO["dev1"], Action.DELETE))

    def test_any_of_a_token(self) -> None:
        policy = policy_of(
            "package.acme-*.group.dev = rw\npackage.q.user.bob = r\n" + BASE
        )
        for scope, expected in (
            (Scope(), True),
            (Scope(frozenset({Action.READ})), False),
            (Scope(projects=("acme-x",)), True),
            (Scope(projects=("q",)), False),
            (Scope(projects=("q", "acme-*")), True),
        ):
            token = Principal("dev1", scope=scope)
            self.assertIs(policy.may_any(token, Action.UPLOAD), expected, scope)


class PublisherTests(SynchronousTestCase):
    """A publisher has exactly its projects and acts."""

    def policy(self, text: str = "", **parts: Any) -> Policy:
        return policy_of(text, doc(**parts))

    def publisher(self, *projects: str, acts: str = "upload") -> TrustedPublisher:
        return TrustedPublisher(
            "ci",
            "https://issuer.example",
            "pypicloud",
            (("sub", "ci"),),
            projects,
            parse_actions(acts),
            "the access document",
        )

    def test_its_projects(self) -> None:
        policy = self.policy(
            "package.fixed.user.bob = rw\npypi.default_read =",
            publishers={"ci": self.publisher("acme-*", "fixed", acts="read, upload")},
        )
        for name, expected in {"acme-x": True, "other": False, "fixed": False}.items():
            project = NormalizedName(name)
            self.assertIs(policy.may(CI, Action.READ, project), expected, name)
            self.assertIs(policy.may(CI, Action.UPLOAD, project), expected, name)
            self.assertIs(policy.readable(CI).allows(name), expected, name)
            self.assertFalse(policy.may(CI, Action.MANAGE, project))
        self.assertTrue(policy.may_any(CI, Action.UPLOAD))
        self.assertFalse(policy.may_any(CI, Action.MANAGE))
        self.assertFalse(policy.may(CI, Action.ADMINISTER, None))

    def test_of_the_ini(self) -> None:
        settings = AccessSettings(
            default_read=(),
            rights=(line("fixed", "user", "bob", "rw"),),
            publishers={"ci": self.publisher("fixed")},
        )
        policy = Policy(settings, doc(publishers={"ci": self.publisher("*")}))
        self.assertTrue(policy.may(CI, Action.UPLOAD, NormalizedName("fixed")))
        self.assertFalse(policy.may(CI, Action.UPLOAD, P))
        self.assertIn("publishers ci", policy.rules.notices[0])

    def test_a_removed_one_may_nothing_but_what_everyone_may(self) -> None:
        gone = job("ci")
        policy = policy_of("package.q.user.bob = r")
        self.assertFalse(policy.may(gone, Action.UPLOAD, P))
        self.assertTrue(policy.may(gone, Action.READ, P))
        self.assertFalse(policy.may(gone, Action.READ, Q))

    def test_several(self) -> None:
        """A job may do what any of its publishers may, each by its own rules."""
        policy = Policy(
            AccessSettings(
                default_read=(),
                rights=(line("fixed", "user", "bob", "rw"),),
                publishers={"a": self.publisher("fixed", acts="read")},
            ),
            doc(
                publishers={
                    "b": self.publisher("b", "fixed", acts="read, upload"),
                    "c": self.publisher("c", acts="read"),
                }
            ),
        )
        ci = job("a", "b", "gone")
        for name, expected in {
            "fixed": (True, False),
            "b": (True, True),
            "c": (False, False),
        }.items():
            project = NormalizedName(name)
            reads, uploads = (
                policy.may(ci, action, project)
                for action in (Action.READ, Action.UPLOAD)
            )
            self.assertEqual((reads, uploads), expected, name)
            self.assertIs(policy.readable(ci).allows(name), reads, name)

    def test_one_that_trusts_the_job_no_more(self) -> None:
        """Narrowed, of another issuer or for another audience by now."""
        made = self.publisher("acme-x", acts="read, upload")
        name = NormalizedName("acme-x")
        ci = job("ci", repository="acme/tool")
        for publisher, expected in (
            (made, True),
            (evolve(made, claims=(("repository", "acme/*"),)), True),
            (evolve(made, claims=(("repository", "acme/other"),)), False),
            (evolve(made, claims=(("ref", "**"),)), False),
            (evolve(made, issuer="https://other.example"), False),
            (evolve(made, audience="other"), False),
            # Nobody is trusted for nothing.
            (evolve(made, claims=()), False),
        ):
            policy = self.policy("pypi.default_read =", publishers={"ci": publisher})
            self.assertIs(policy.may(ci, Action.UPLOAD, name), expected)
            self.assertIs(policy.may_any(ci, Action.UPLOAD), expected)
            self.assertIs(policy.readable(ci).allows(name), expected)


class ReadableTests(SynchronousTestCase):
    def test_equal_for_equal_rights(self) -> None:
        policy = policy_of(f"{BASE}package.p.group.dev = r\npackage.q.user.dev1 = r")
        bob, eve = policy.readable(WHO["bob"]), policy.readable(Principal("eve"))
        self.assertEqual(bob, eve)
        self.assertEqual(hash(bob), hash(eve))
        self.assertNotEqual(bob, policy.readable(WHO["dev1"]))
        self.assertEqual(bob, policy.readable(ANONYMOUS))
        self.assertEqual(policy.readable(WHO["dev1"]), policy.readable(WHO["boss"]))

    def test_public(self) -> None:
        for text, expected in {
            "": True,
            "pypi.default_read = authenticated": False,
            "package.p.group.everyone = r": True,
            "package.p.user.bob = r": False,
            "pypi.default_read =\npackage.*.group.everyone = r": True,
        }.items():
            self.assertIs(policy_of(text).public, expected, text)


NAMES = ("p", "q", "acme-x", "acme-y")
projects = st.sampled_from((*NAMES, "acme-*", "*", "?"))
actions = st.frozensets(st.sampled_from(GRANTABLE))
users = st.sampled_from(("bob", "dev1", "boss"))
groups = st.sampled_from(("dev", "ops", EVERYONE, AUTHENTICATED))
lines = st.lists(
    st.one_of(
        st.builds(RightLine, projects, st.just("user"), users, actions, st.just("x")),
        st.builds(RightLine, projects, st.just("group"), groups, actions, st.just("x")),
    ),
    max_size=6,
).map(tuple)
settings = st.builds(
    AccessSettings,
    default_read=st.lists(groups, max_size=2).map(tuple),
    default_write=st.one_of(st.none(), st.lists(groups, max_size=2).map(tuple)),
    admins=st.sampled_from((None, ("boss",))),
    groups=st.fixed_dictionaries(
        {"dev": st.frozensets(users)}, optional={"ops": st.frozensets(users)}
    ),
    rights=lines,
    allow_overwrite_groups=st.lists(groups, max_size=1).map(tuple),
    allow_delete_groups=st.lists(groups, max_size=1).map(tuple),
    has_users=st.just(True),
)
documents = st.builds(
    AccessDocument,
    groups=st.dictionaries(st.sampled_from(("dev", "ops")), st.frozensets(users)),
    rights=lines,
)
#: With administrators, who may everything whatever the ini says.
administered = st.builds(
    lambda document, names: evolve(
        document, users={name: StoredUser(administrator=True) for name in names}
    ),
    documents,
    st.frozensets(users, max_size=1),
)
scopes = st.builds(
    Scope,
    st.one_of(st.none(), actions),
    st.one_of(st.none(), st.lists(projects, max_size=2).map(tuple)),
)
people = st.sampled_from(
    (
        *WHO.values(),
        Principal("guest", frozenset({"ops"})),
        Principal("root", administrator=True),
    )
)
ISSUER = "https://ci.example"
trusted = st.builds(
    TrustedPublisher,
    st.sampled_from(("a", "b")),
    st.just(ISSUER),
    st.just("pypicloud"),
    st.sampled_from(((("sub", "x"),), (("sub", "y"),))),
    st.lists(projects, min_size=1, max_size=2).map(tuple),
    st.sets(
        st.sampled_from((Action.READ, Action.UPLOAD, Action.MANAGE)), min_size=1
    ).map(frozenset),
    st.just("x"),
)


def allowed(policy: Policy, who: Principal, name: str) -> set[Action]:
    project = NormalizedName(name)
    return {action for action in Action if policy.may(who, action, project)}


class RulesTests(SynchronousTestCase):
    """What holds whatever the lines."""

    @given(settings, people, st.data())
    def test_a_first_line_adds_nothing_to_whom_it_does_not_name(
        self, one: AccessSettings, who: Principal, data: st.DataObject
    ) -> None:
        rights = tuple(line for line in one.rights if line.project != "p")
        before = Policy(evolve(one, rights=rights))
        first = RightLine(
            "p",
            data.draw(st.sampled_from(("user", "group"))),
            data.draw(st.one_of(users, groups)),
            data.draw(actions),
            "x",
        )
        if first.kind == "user":
            named = first.name == who.name
        else:
            named = before.is_in_any(who, (first.name,))
        after = Policy(evolve(one, rights=(*rights, first)))
        for name in NAMES:
            if not named or name != "p":
                self.assertLessEqual(
                    allowed(after, who, name), allowed(before, who, name)
                )

    @given(settings, administered, people, scopes)
    def test_a_token_never_exceeds_its_owner(
        self,
        one: AccessSettings,
        document: AccessDocument,
        who: Principal,
        scope: Scope,
    ) -> None:
        """Nor what it was made for, but for reading what everyone may read."""
        policy = Policy(one, document)
        token = evolve(who, scope=scope)
        for name in NAMES:
            found = allowed(policy, token, name)
            self.assertLessEqual(found, allowed(policy, who, name))
            for action in found - allowed(policy, ANONYMOUS, name):
                self.assertTrue(
                    scope.actions is None or needed(action) in scope.actions
                )
                self.assertTrue(
                    scope.projects is None
                    or any(fnmatchcase(name, pattern) for pattern in scope.projects)
                )
        for action in Action:
            if policy.may(token, action, None):
                self.assertTrue(policy.may(who, action, None))
            if policy.may_any(token, action):
                self.assertTrue(policy.may_any(who, action))

    @given(settings, administered, people, scopes, projects)
    def test_whole_patterns_are_all_of_their_names(
        self,
        one: AccessSettings,
        document: AccessDocument,
        who: Principal,
        scope: Scope | None,
        pattern: str,
    ) -> None:
        """Who may set rights and publishers of a pattern could of each name of it."""
        policy, token = Policy(one, document), evolve(who, scope=scope)
        for action in GRANTABLE:
            if may_whole(policy, token, action, pattern):
                self.assertTrue(may_whole(policy, who, action, pattern))
                for name in NAMES:
                    if fnmatchcase(name, pattern):
                        self.assertIn(action, allowed(policy, token, name))

    @given(settings, administered, st.lists(trusted, max_size=3))
    def test_a_job_may_what_its_publishers_say_and_no_more(
        self,
        one: AccessSettings,
        document: AccessDocument,
        publishers: list[TrustedPublisher],
    ) -> None:
        by_name = {one.name: one for one in publishers}
        stored = {n: one for n, one in by_name.items() if n != "a"}
        fixed = {n: one for n, one in by_name.items() if n == "a"}
        policy = Policy(
            evolve(one, publishers=fixed), evolve(document, publishers=stored)
        )
        shown = Proof("publisher", {"iss": ISSUER, "aud": "pypicloud", "sub": "x"})
        job = Principal(None, publishers=("a", "b", "gone"), proof=shown)
        for name in NAMES:
            given = {
                action
                for publisher in by_name.values()
                if dict(publisher.claims) == {"sub": "x"}
                and (publisher.name == "a" or not policy.rules.is_fixed(name))
                and any(fnmatchcase(name, pattern) for pattern in publisher.projects)
                for action in publisher.actions
            }
            everyones = allowed(policy, ANONYMOUS, name) & {Action.READ}
            found = allowed(policy, job, name)
            self.assertEqual(found & set(GRANTABLE), given | everyones)
            for action in found:
                self.assertIn(needed(action), given | everyones)
                self.assertTrue(policy.may_any(job, action))
            self.assertIs(policy.readable(job).allows(name), Action.READ in found)
            self.assertEqual(explain(policy, job, NormalizedName(name)).allowed, found)

    @given(settings, people, st.randoms())
    def test_the_order_of_lines_does_not_matter(
        self, one: AccessSettings, who: Principal, random: Random
    ) -> None:
        mixed = list(one.rights)
        random.shuffle(mixed)
        other = Policy(evolve(one, rights=tuple(mixed)))
        for name in NAMES:
            self.assertEqual(allowed(Policy(one), who, name), allowed(other, who, name))

    @given(settings, documents, people)
    def test_the_document_widens_nothing_that_the_ini_fixes(
        self, one: AccessSettings, document: AccessDocument, who: Principal
    ) -> None:
        # Groups that only the document defines have members nowhere else.
        counted = evolve(one, groups={"ops": frozenset(), **one.groups})
        alone, both = Policy(counted), Policy(counted, document)
        for name in NAMES:
            if alone.rules.is_fixed(name):
                self.assertEqual(allowed(alone, who, name), allowed(both, who, name))

    @given(settings, administered, people, scopes)
    def test_every_question_has_the_same_answer(
        self,
        one: AccessSettings,
        document: AccessDocument,
        who: Principal,
        scope: Scope | None,
    ) -> None:
        """Lists, the check before a form, and explanations."""
        policy, who = Policy(one, document), evolve(who, scope=scope)
        readable = policy.readable(who)
        for name in NAMES:
            found = allowed(policy, who, name)
            self.assertIs(readable.allows(name), Action.READ in found)
            project = NormalizedName(name)
            self.assertEqual(explain(policy, who, project).allowed, found)
            for action in found:
                self.assertTrue(policy.may_any(who, action))


class ExplainTests(SynchronousTestCase):
    def verdict(self, found: Explanation, action: Action) -> str:
        verdict = next(one for one in found.verdicts if one.action is action)
        return f"{verdict.allowed}: {'; '.join(verdict.reasons)}"

    def test_lines(self) -> None:
        policy = policy_of(f"{BASE}package.acme_*.group.dev = rw")
        name = NormalizedName("acme-tool")
        found = explain(policy, WHO["dev1"], name)
        self.assertEqual((found.decided_by, found.fixed), ("acme-*", True))
        self.assertEqual(
            self.verdict(found, Action.UPLOAD),
            "True: package.acme-*.group.dev = rw (package.acme_*.group.dev)",
        )
        self.assertEqual(
            self.verdict(found, Action.OVERWRITE),
            "False: pypi.allow_overwrite_groups = (nobody)",
        )
        self.assertEqual(
            self.verdict(explain(policy, WHO["bob"], name), Action.READ),
            "False: no line of acme-* names bob, or a group of bob's",
        )
        self.assertEqual(
            self.verdict(explain(policy, WHO["boss"], name), Action.READ),
            "True: boss is an administrator (auth.admins)",
        )

    def test_defaults_and_tokens(self) -> None:
        policy = policy_of("pypi.default_write = authenticated")
        token = Principal("bob", scope=Scope(frozenset({Action.READ}), ("acme-*",)))
        found = explain(policy, token, P)
        self.assertIsNone(found.decided_by)
        self.assertEqual(
            self.verdict(found, Action.READ), "True: pypi.default_read = everyone"
        )
        self.assertEqual(
            self.verdict(found, Action.UPLOAD),
            "False: the token is for r; the token is for the projects acme-*",
        )

    def test_all(self) -> None:
        policy = policy_of(
            "package.acme-*.user.bob = rw\npackage.acme.user.bob = r",
            doc(rights=(line("other", "user", "bob", "rw"),)),
        )
        found = [(e.project, e.fixed) for e in explain_all(policy, WHO["bob"])]
        self.assertEqual(
            found, [("acme", True), ("acme-*", True), ("other", False), ("*", False)]
        )
