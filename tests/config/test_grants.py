"""Groups and rights in the ini: what is understood, and what a mistake is told."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pypicloud_tw.config.configuration import Config
from pypicloud_tw.config.grants import parse_actions
from pypicloud_tw.config.rights import GRANTABLE, Action, show_actions
from tests.config.test_load import FIRST_PROGRAM, SHA256_CRYPT, ConfigTestCase


class GrantsCase(ConfigTestCase):
    def read(self, *lines: str, **environ: str) -> Config:
        return self.load("\n".join(("[pypicloud]", *lines)), **environ)

    def mistake(self, *lines: str, **environ: str) -> str:
        return self.problem("\n".join(("[pypicloud]", *lines)), **environ)


class GroupTests(GrantsCase):
    def test_members(self) -> None:
        config = self.read("group.dev = ann, bob carl", "group.none =", "group.a.b = x")
        self.assertEqual(
            dict(config.groups),
            {
                "dev": frozenset({"ann", "bob", "carl"}),
                "none": frozenset(),
                "a.b": frozenset({"x"}),
            },
        )

    def test_environment(self) -> None:
        config = self.read("group.dev = eve", PYPICLOUD_GROUP_DEV="ann bob")
        self.assertEqual(dict(config.groups), {"dev": frozenset({"ann", "bob"})})

    def test_users_that_no_line_defines(self) -> None:
        lines = ("auth.admins = boss", "group.dev = bbo", "package.p.user.bo = r")
        # Where there is no user all may come from elsewhere.
        self.assertEqual(self.read(*lines).notices, ())
        (notice,) = self.read(f"user.bob = {SHA256_CRYPT}", *lines).notices
        self.assertEqual(
            notice,
            "No line user.NAME is for bbo (group.dev), bo (package.p.user.bo), boss "
            "(auth.admins): nobody, unless the access document or another directory "
            "has them.",
        )

    def test_mistakes(self) -> None:
        for line, part in {
            "group.everyone = ann": "'everyone': This name means a group that is there",
            "group.Authenticated = ann": "This name means a group that is there",
            "group.admin = ann": "This name means a group that is there already",
            "group.dev = ann everyone": "has everyone, which is a group; name users",
            "group.dev = a:b": "has something that is no name",
        }.items():
            self.assertIn(part, self.mistake(line), line)

    def test_groups_that_no_line_defines(self) -> None:
        config = self.read(
            "pypi.default_write = dev admin everyone",
            "package.p.group.ops = r",
            "package.q.group.authenticated = r",
        )
        self.assertEqual(
            config.notices,
            (
                "No line group.NAME says who is in dev (pypi.default_write), ops "
                "(package.p.group.ops): nobody, unless the access document or another "
                "directory says so.",
            ),
        )
        config = self.read(*(f"package.p.group.g{n} = r" for n in range(9)))
        self.assertIn("g4 (package.p.group.g4) and 4 more", config.notices[0])
        self.assertEqual(self.read("package.p.group.admin = r").notices, ())


class DefaultTests(GrantsCase):
    def test_values(self) -> None:
        pypi = self.read(
            "pypi.default_read = Everyone",
            "pypi.default_write = dev, ops",
            "pypi.allow_overwrite_groups = admin",
            "group.dev =",
            "group.ops =",
        ).pypi
        self.assertEqual(pypi.default_read, ("everyone",))
        self.assertEqual(pypi.default_write, ("dev", "ops"))
        self.assertEqual(pypi.allow_overwrite_groups, ("admin",))
        self.assertEqual(pypi.allow_delete_groups, ("authenticated",))
        pypi = self.read().pypi
        self.assertIsNone(pypi.default_write)
        self.assertIsNone(self.read().auth.admins)

    def test_empty_is_nobody_and_told(self) -> None:
        keys = (
            "pypi.default_read",
            "pypi.default_write",
            "pypi.allow_delete_groups",
            "auth.admins",
        )
        for config in (
            self.read(*(f"{key} =" for key in keys)),
            self.read(
                *(f"{key} = dev" for key in keys),
                "group.dev =",
                **{"PYPICLOUD_" + k.upper().replace(".", "_"): "" for k in keys},
            ),
        ):
            pypi = config.pypi
            self.assertEqual(
                (pypi.default_read, pypi.default_write, pypi.allow_delete_groups),
                ((), (), ()),
            )
            self.assertEqual(config.auth.admins, ())
            self.assertEqual(len(config.notices), 1)
            for key in keys:
                self.assertIn(key, config.notices[0])
            self.assertIn("nobody is meant", config.notices[0])

    def test_words_that_are_no_groups(self) -> None:
        for word in ("nobody", "none", "No", "false"):
            self.assertIn(
                "names no group; write everyone, authenticated or groups, or nothing",
                self.mistake(f"pypi.default_write = {word}"),
            )
        self.assertIn("which is a group", self.mistake("auth.admins = everyone"))

    def test_read_only(self) -> None:
        config = self.read("pypi.read_only = We move\n  until noon.")
        self.assertEqual(config.pypi.read_only, "We move until noon.")
        for word in ("true", "Yes", "off"):
            self.assertIn("is no reason", self.mistake(f"pypi.read_only = {word}"))
        self.assertIn(
            "would lift pypi.read_only",
            self.mistake("pypi.read_only = We move.", PYPICLOUD_PYPI_READ_ONLY=""),
        )

    def test_cache_update_is_ignored(self) -> None:
        for config in (
            self.read("pypi.cache_update = everyone"),
            self.read(PYPICLOUD_PYPI_CACHE_UPDATE="everyone"),
        ):
            self.assertIn("pypi.cache_update is ignored", config.notices[0])


class RightTests(GrantsCase):
    def right(self, line: str) -> tuple[str, str, str, str]:
        (one,) = self.read(line, "group.dev =").rights
        self.assertIn("line 2", one.source)
        return one.project, one.kind, one.name, show_actions(one.actions)

    def test_keys(self) -> None:
        for key, expected in {
            "package.acme.user.bob": ("acme", "user", "bob"),
            "package.Acme_Tool.user.bob": ("acme-tool", "user", "bob"),
            "package.zope.interface.user.bob": ("zope-interface", "user", "bob"),
            "package.acme-*.group.dev": ("acme-*", "group", "dev"),
            "package.acme.*.group.dev": ("acme-*", "group", "dev"),
            "package.?.group.Everyone": ("?", "group", "everyone"),
            "package.my.user.tool.user.bob": ("my", "user", "tool.user.bob"),
            "package.p.group.a.user.b": ("p", "group", "a.user.b"),
        }.items():
            self.assertEqual(self.right(f"{key} = r")[:3], expected, key)

    def test_values(self) -> None:
        for text, expected in {
            "r": "r",
            "w": "w",
            "rw": "rw",
            "WR": "rw",
            "r w": "rw",
            "r, w": "rw",
            "read": "r",
            "write": "w",
            "read write": "rw",
            "read, write": "rw",
            "read,upload": "read, upload",
            "manage": "manage",
            "administer, rw": "read, upload, manage, administer",
            "none": "none",
            "": "none",
        }.items():
            line = f"package.p.user.bob = {text}"
            self.assertEqual(self.right(line)[3], expected, text)

    @given(st.frozensets(st.sampled_from(GRANTABLE)))
    def test_what_is_shown_can_be_read(self, actions: frozenset[Action]) -> None:
        self.assertEqual(parse_actions(show_actions(actions)), actions)

    def test_mistakes(self) -> None:
        for line, part in {
            "package.p = rw": "write package.PROJECT.user.NAME = rw",
            "package.p.users.bob = rw": "gives nobody a right",
            "package.p.user.bob = rwx": "'rwx', which is no right; write r or rw",
            "package.p.user.bob = none r": "or none alone",
            "package.p.user.everyone = r": "names no user: This name means a group",
            "package.p.group.none = r": "names no group",
            "package.ä.user.bob = r": "neither a name nor a pattern such as",
            "package.acme-.user.bob = r": "ends with a dash",
            "package.acme[12].user.bob = r": "neither a name nor a pattern such as",
            f"package.{'x' * 247}.user.bob = r": "longer than any project's name",
            f"package.{'x*' * 11}.user.bob = r": "more than 10 stars and question",
        }.items():
            problem = self.mistake(line)
            self.assertIn(part, problem, line)
            self.assertIn("line 2: package.", problem)

    def test_two_keys_that_are_one_line(self) -> None:
        problem = self.mistake(
            "package.Acme_X.user.bob = r", "package.acme-x.user.bob = rw"
        )
        self.assertIn("line 3: package.acme-x.user.bob is given twice", problem)
        self.assertIn("line 2", problem)
        self.assertIn(
            "is given twice",
            self.mistake(
                "package.p.group.everyone = r", "package.p.group.Everyone = r"
            ),
        )

    def test_every_mistake_is_told(self) -> None:
        text = "[pypicloud]\npackage.p = r\ngroup.everyone = x\npypi.default_read = no"
        self.assertEqual(len(self.problems(text)), 3)


class FormerTests(GrantsCase):
    """Files of pypicloud 1.x, where rights had other defaults, are told from ours."""

    def test_ours(self) -> None:
        lines = (
            "package.p.user.bob = r",
            "group.dev = bob",
            "pypi.default_write = dev",
            "auth.admins = bob",
            "pypi.allow_delete_groups = dev",
        )
        self.assertEqual(len(self.read(*lines).rights), 1)
        # The old framework's keys, which are skipped.
        text = FIRST_PROGRAM.replace("user.Alice", "package.p.user.bob = r\nuser.Alice")
        self.assertEqual(len(self.load(text).rights), 1)

    def test_theirs(self) -> None:
        for line in ("pypi.storage = s3", "pypi.db = sql", "session.secure = true"):
            problem = self.problems(f"[app:main]\n{line}\npackage.p.user.bob = r\n")[0]
            self.assertIn("this is a file of pypicloud 1.x: use migrate", problem, line)
        self.load("[app:main]\nsession.secure = true\n")
