"""The commands of who may do what, on the store and through a server."""

from __future__ import annotations

from errno import EACCES, ENOSPC

import click

from pypicloud_tw.access.tokens.text import MintedText
from pypicloud_tw.errors import StoreError
from tests.access.administration.doubles import AccessServer
from tests.cli.administration import (
    URL,
    AdministrationCase,
    Offline,
    Online,
    SuiteCase,
)


class CommandSuite(SuiteCase):
    """What is true of either target."""

    def test_users(self) -> None:
        self.do("user add bob --password-stdin", input="a good word\n")
        self.do("user add robot --service")
        self.do("user set bob --admin")
        self.do("user set-password bob --password-stdin", input="another\n")
        users = {one["name"]: one for one in self.read("user list")}
        self.assertTrue(users["bob"]["administrator"] and users["bob"]["password"])
        self.assertFalse(users["robot"]["password"])
        said = self.fail_with(1, "user add bob --service")
        self.assertEqual(said, "bob is there already.\n")
        self.do("user remove bob --yes")
        self.assertEqual(
            self.fail_with(1, "user remove bob -y"), "There is no user bob.\n"
        )

    def test_tables_line_up(self) -> None:
        self.do("user add a-rather-long-name --service")
        lines = self.do("user list").splitlines()
        self.assertEqual(
            lines,
            [
                "USER                LOGS IN BY  ADMINISTRATOR  GROUPS  SET IN",
                "a-rather-long-name  tokens                             the store",
                "ann                 password    yes            fixed   the ini",
            ],
        )

    def test_groups(self) -> None:
        self.do("group add dev")
        self.do("group add dev bob")
        self.do("group add dev carol")
        self.do("group remove dev bob")
        self.assertIn("dev    carol    the store", self.do("group list"))
        self.do("group set dev zoe bob")
        found = {one["name"]: one["members"] for one in self.read("group list")}
        self.assertEqual(found, {"dev": ["bob", "zoe"], "fixed": ["ann"]})
        self.do("group remove dev --yes")
        self.fail_with(1, "group add dev bob")
        self.assertIn("only there", self.fail_with(1, "group add fixed bob"))

    def test_rights(self) -> None:
        self.do("right set acme-* group dev rw")
        self.do("right set Acme_Tool user bob read,upload")
        text = self.do("right list")
        self.assertIn("acme-tool  user   bob   read, upload", text)
        self.assertIn("acme-*     group  dev   rw", text)
        for project in ("acme-tool", "Acme.Tool", "ACME-*"):
            self.assertEqual(len(self.read(f"right list {project}")), 1)
        self.assertIn("PROJECT = 'a/b'", self.fail_with(2, "right list a/b"))
        said = self.fail_with(2, "right set acme user bob fly")
        self.assertIn("MAY = 'fly' has 'fly', which is no right", said)
        self.do("right remove acme-tool user bob --yes")
        self.fail_with(1, "right remove acme-tool user bob --yes")

    def test_why(self) -> None:
        self.do("right set acme user bob r")
        text = self.do("rights bob acme")
        self.assertRegex(text, r"acme +read +yes +package\.acme\.user\.bob = r")
        self.assertRegex(text, r"acme +upload +no ")
        (decision,) = self.read("rights bob acme")["decisions"]
        self.assertEqual(decision["decided_by"], "acme")

    def test_why_of_somebody_unknown(self) -> None:
        self.do("user add bob --service")
        for name, told in (("bobb", "no user bobb here"), ("bob", ""), ("ann", "")):
            result = self.invoke("rights", name, "acme", *self.target())
            self.assertEqual(result.exit_code, 0, result.output)
            self.assertIn(told, result.stderr)
            self.assertEqual(bool(result.stderr), bool(told))

    def test_publishers(self) -> None:
        add = "publisher add ci --issuer https://ci.example --project acme"
        self.do(f"{add} --claim repository:acme/tool --claim ref:refs/tags/*")
        text = self.do("publisher list")
        self.assertIn("ref:refs/tags/*, repository:acme/tool", text)
        self.assertIn("a colon", self.fail_with(2, f"{add} --claim acme/tool"))
        self.fail_with(1, f"{add} --claim sub:x")
        self.do("publisher remove ci --yes")
        self.fail_with(1, "publisher remove ci --yes")

    def test_exemptions(self) -> None:
        add = "exempt add Urllib3==2.5.1 --reason fix"
        said = self.do(f"{add} --until 2027-01-20")
        self.assertRegex(
            said, r"^urllib3==2.5.1 is exempt until 2027-01-21 00:00 UTC \(\w{16}\)"
        )
        self.do(f"{add} --until 2027-01-31 --rule severity")
        listed = [one for one in self.read("exempt list") if not one["fixed"]]
        whats = {one["what"]: one["id"] for one in listed}
        self.assertEqual(set(whats), {"urllib3==2.5.1", "urllib3==2.5.1 rule:severity"})
        self.assertIn("2001-01-02 00:00 (ended)", self.do("exempt list"))
        id = whats["urllib3==2.5.1"]
        self.assertIn(id, self.do(f"exempt remove {id}"))
        self.assertIn("no exemption", self.fail_with(1, f"exempt remove {id}"))

    def test_exemptions_that_cannot_be(self) -> None:
        add = "exempt add acme --reason fix"
        for options, why in (
            ("", "Say when it ends"),
            ("--until 2027-01-31 --for 7d", "Say when it ends"),
            ("--until soon", "--until = soon has an end that"),
            ("--for soon", "--for = soon is not a duration"),
            ("--for 7d --sha256 ff", "64 hexadecimal"),
            ("--for 7d --rule deny", "deny"),
        ):
            self.assertIn(why, self.fail_with(2, f"{add} {options}"))
        self.assertIn("past", self.fail_with(1, f"{add} --until 2001-01-01"))

    def test_pins(self) -> None:
        publisher = "github:acme/tool:release.yml"
        self.assertEqual(self.read("pin list"), [])
        said = self.do(f"pin set Acme_Tool {publisher}")
        self.assertEqual(said, f"acme-tool is published by {publisher}.\n")
        self.assertRegex(self.do("pin list"), rf"acme-tool  {publisher}  \S+ \S+  \S+")
        (pin,) = self.read("pin list")
        self.assertEqual((pin["project"], pin["publisher"]), ("acme-tool", publisher))
        self.assertIn("is no publisher as", self.fail_with(1, "pin set acme somebody"))
        self.assertEqual(
            self.do("pin remove acme-tool"),
            "The next publisher of acme-tool will be pinned.\n",
        )
        self.assertEqual(self.read("pin list"), [])

    def test_tokens(self) -> None:
        self.do("user add robot --service")
        make = "token make --owner robot --description CI --may read --life 1h"
        made = self.do(f"{make} --project acme-*")
        self.assertRegex(made, r"\A\S{40,}\n\Z")
        (token,) = self.read("token list --owner robot")
        self.assertEqual(token["projects"], ["acme-*"])
        self.assertIn(token["id"], self.do("token list --all"))
        self.do(f"token revoke {token['id']} --yes")
        self.assertIn("revoked", self.do("token list --owner robot"))
        self.assertIn("life", self.fail_with(2, "token make --owner x --life soon"))
        self.fail_with(1, "token make --owner nobody-of-that-name")

    def test_a_token_in_the_place_of_its_id(self) -> None:
        """It is sent to no address: those are logged."""
        self.do("user add robot --service")
        shown = self.do("token make --owner robot --may read").strip()
        (token,) = self.read("token list --owner robot")
        self.assertIn("the token is for r", self.do(f"rights {shown} acme"))
        self.assertEqual(
            self.do(f"token revoke {shown} --yes"), f"Revoked {token['id']}.\n"
        )
        minted = MintedText.draw("https://ci.example", "1", 0).text
        for text in (shown[:-1], minted):
            for command in (f"token revoke {text} --yes", f"rights {text}"):
                self.assertNotIn(text[20:40], self.fail_with(2, command))

    def test_passwords_are_asked_for_and_never_arguments(self) -> None:
        self.assertIn("--password-stdin", self.fail_with(2, "user add bob"))
        self.fail_with(2, "user add bob --service --password-stdin")
        self.fail_with(1, "user add bob --password-stdin", input="\n")
        self.terminal = True
        said = self.do("user add bob", input="a good word\na good word\n")
        self.assertEqual(said, "Added bob.\n")

    def test_what_destroys_asks(self) -> None:
        self.do("group add dev")
        self.assertIn("--yes", self.fail_with(2, "group remove dev"))
        self.terminal = True
        self.fail_with(1, "group remove dev", input="n\n")
        self.do("group remove dev", input="y\n")

    def test_what_the_system_refuses(self) -> None:
        self.runner.error = PermissionError(EACCES, "Permission denied", "/srv/x")
        said = self.fail_with(2, "user list")
        self.assertEqual(said, "/srv/x: Permission denied.\n")

    def test_what_cannot_be_written(self) -> None:
        def full(text: str, *args: object, **kwargs: object) -> None:
            if not kwargs.get("err"):
                raise OSError(ENOSPC, "No space left on device")

        self.patch(click, "echo", full)
        result = self.invoke("user", "list", *self.target())
        self.assertEqual(result.exit_code, 1)

    def test_it_could_not_be_asked(self) -> None:
        self.runner.error = StoreError("The store is away.")
        self.assertEqual(self.fail_with(2, "user list"), "The store is away.\n")


class OfflineTests(CommandSuite, Offline):
    def test_only_what_changes_needs_the_store_to_itself(self) -> None:
        self.do("user list")
        self.do("user add bob --service")
        self.assertEqual(self.runner.asked, [False, True])

    def test_nobody_is_logged_in(self) -> None:
        self.assertIn("--owner", self.fail_with(2, "token make"))
        self.assertIn("whose", self.fail_with(2, "rights"))
        self.assertEqual(self.do("token list").count("\n"), 1)

    def test_the_first_right(self) -> None:
        self.runner.server = AccessServer.new({})
        command = ["right", "set", "acme", "user", "bob", "r"]
        result = self.invoke(*command, *self.target())
        self.assertEqual(result.exit_code, 0)
        self.assertIn("From now on only administrators may write", result.stderr)

    def test_a_mistake_in_the_ini(self) -> None:
        self.ini.write_text("[pypicloud]\nnonsense = 1\n")
        self.assertIn("nonsense", self.fail_with(2, "user list"))


class OnlineTests(CommandSuite, Online):
    def test_own(self) -> None:
        self.do("token make")
        self.assertIn("ann", self.do("token list"))
        self.assertIn("an administrator", self.do("rights"))

    def test_refused(self) -> None:
        self.environ["PYPICLOUD_PASSWORD"] = "wrong"
        said = self.fail_with(1, "user list")
        self.assertEqual(said, "The user name or the password is wrong.\n")

    def test_names_that_stand_in_no_address(self) -> None:
        for command in ("right set a/b user bob r", "user remove a/b --yes"):
            self.assertIn("'a/b': no name in an", self.fail_with(1, command))


class WhereTests(AdministrationCase):
    def asked(self, *options: str) -> object:
        result = self.invoke("user", "list", *options)
        self.assertEqual(result.exit_code, 0, result.output)
        return self.runner.asked.pop()

    def test_the_environment(self) -> None:
        self.environ["PYPICLOUD_INDEX_URL"] = "http://pypi.example/legacy/"
        asked = self.asked()
        self.assertEqual(asked, ("http://pypi.example", "ann", "secret"))

    def test_pypirc(self) -> None:
        self.environ.clear()
        (self.home / ".pypirc").write_text(
            f"[pypicloud]\nrepository = {URL}\nusername = ann\npassword = secret\n"
        )
        base = URL.rstrip("/")
        self.assertEqual(self.asked(), (base, "ann", "secret"))
        self.assertEqual(self.asked("--index", URL), (base, "ann", "secret"))

    def test_store_of_the_environment(self) -> None:
        """As in a container: what names a store names it for commands, too."""
        environ = dict(self.environ)
        for name, value in (
            ("PYPICLOUD_STORAGE_DIR", str(self.home)),
            ("PYPICLOUD_AWS_BUCKET", "acme-pypi"),
            ("PYPICLOUD_CONFIG", str(self.ini)),
        ):
            self.environ = {**environ, name: value}
            self.assertEqual(self.asked(), False, name)
            through = (URL.rstrip("/"), "ann", "secret")
            self.assertEqual(self.asked("--index", URL), through)
            found = self.invoke("audit", "--index", URL)
            self.assertNotIn("Give --config or --index", found.stderr)
            self.runner.asked.clear()
            self.environ["PYPICLOUD_INDEX_URL"] = URL
            self.assertEqual(self.asked(), through)

    def test_store_that_the_environment_names_wrongly(self) -> None:
        self.environ["PYPICLOUD_CONFIG"] = "/nowhere/x.ini"
        result = self.invoke("user", "list")
        self.assertEqual(result.exit_code, 2)
        self.assertIn("/nowhere/x.ini: there is no such file", result.stderr)

    def test_nowhere_or_twice(self) -> None:
        result = self.invoke("user", "list")
        self.assertEqual(result.exit_code, 2)
        self.assertIn("Say which index is meant", result.stderr)
        result = self.invoke("user", "list", "--config", "x.ini", "--index", URL)
        self.assertEqual(result.exit_code, 2)

    def test_a_server_reads_none_of_it(self) -> None:
        self.environ["PYPICLOUD_INDEX_URL"] = URL
        self.assertEqual(self.asked("--config", str(self.ini)), False)
