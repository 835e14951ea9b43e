"""Who logs in, and where that is found."""

from __future__ import annotations

from pathlib import Path

from attrs import define, field
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.basic import Login
from pypicloud_tw.client.address import IndexAddress
from pypicloud_tw.client.keyring import SystemKeyring
from pypicloud_tw.client.logins import LoginSources
from pypicloud_tw.client.pypirc import Pypirc
from pypicloud_tw.errors import ConfigError

URL = "https://pypi.example/simple/"


def address(url: str = URL) -> IndexAddress:
    return IndexAddress.parse(url, "--index")


@define
class FakeKeyring:
    """Has one password.

    :ivar asked: for whom.
    """

    login: Login = field(factory=lambda: Login("kim", "of the keyring"))
    asked: list[tuple[str, str | None]] = field(factory=list)

    def find(self, service: str, user: str | None) -> Login | None:
        self.asked.append((service, user))
        mine = service == "https://pypi.example" and user in (None, self.login.user)
        return self.login if mine else None


class AddressTests(SynchronousTestCase):
    def test_whatever_clients_have(self) -> None:
        for url, base in {
            "https://pypi.example": "https://pypi.example",
            "https://pypi.example/simple/": "https://pypi.example",
            "https://PYPI.example/legacy": "https://pypi.example",
            "http://pypi.example:8080/sub/simple/": "http://pypi.example:8080/sub",
            "http://[::1]:8080/": "http://[::1]:8080",
            "https://exämple.example:8/ü%20/": "https://xn--exmple-cua.example:8/%C3%BC%20",
        }.items():
            self.assertEqual(address(url).base, base)

    def test_who_it_says(self) -> None:
        found = address("https://a%40b:c%3Ad@pypi.example/simple/")
        self.assertEqual((found.user, found.password), ("a@b", "c:d"))
        self.assertEqual(found.base, "https://pypi.example")
        self.assertNotIn("c:d", repr(found))

    def test_none(self) -> None:
        for url in (
            "",
            "pypi.example",
            "ftp://pypi.example",
            "https://",
            "http://x:y/",
            f"http://{'ü' * 64}/",
        ):
            error = self.assertRaises(ConfigError, address, url)
            self.assertIn("--index is not the address of an index", error.message)
        error = self.assertRaises(ConfigError, address, "ftp://a:secret@x/")
        self.assertNotIn("secret", error.message)


class LoginTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.netrc = self.folder / "netrc"
        self.netrc.write_text("machine pypi.example login nell password of-netrc\n")
        self.pypirc = self.read_pypirc(
            f"[pypicloud]\nrepository = {URL}\nusername = pat\npassword = of pypirc\n"
        )

    def read_pypirc(self, text: str) -> Pypirc:
        path = self.folder / ".pypirc"
        path.write_text(text)
        return Pypirc.read(path)

    def test_in_this_order(self) -> None:
        environ = {"PYPICLOUD_USERNAME": "eve", "PYPICLOUD_PASSWORD": "of environ"}
        keyring = FakeKeyring()

        def found(url: str = URL, **more: object) -> tuple[str, str]:
            sources = LoginSources(
                **{"environ": {}, "pypirc": Pypirc, **more}  # type: ignore[arg-type]
            )
            credentials = sources.credentials(address(url))
            if place == "ask":
                self.assertIsNone(credentials.login)
                self.assertTrue(credentials.wanted())
            login = credentials.login
            assert login is not None
            return login.user, login.password

        everything = {
            "environ": environ,
            "pypirc": lambda: self.pypirc,
            "netrc": self.netrc,
            "keyring": keyring,
            "ask": lambda user: "asked",
        }
        for login, place, url in (
            (("uma", "of url"), None, "https://uma:of%20url@pypi.example/"),
            (("eve", "of environ"), "environ", URL),
            (("pat", "of pypirc"), "pypirc", URL),
            (("nell", "of-netrc"), "netrc", URL),
            (("kim", "of the keyring"), "keyring", URL),
            (("asked", "asked"), "ask", URL),
        ):
            self.assertEqual(found(url, **everything), login)
            if place is not None:
                del everything[place]

    def test_a_user_goes_on_looking_for_the_password_alone(self) -> None:
        keyring = FakeKeyring()
        sources = LoginSources({}, lambda: self.pypirc, self.netrc, keyring)
        login = sources.known(address("https://kim@pypi.example/"))
        self.assertEqual(login, Login("kim", "of the keyring"))
        self.assertEqual(keyring.asked, [("https://pypi.example", "kim")])

    def test_the_end_of_a_line_in_the_environment(self) -> None:
        """As it is there where a variable was set from a file."""
        environ = {"PYPICLOUD_USERNAME": "eve\r\n", "PYPICLOUD_PASSWORD": " a b \n"}
        found = LoginSources(environ, Pypirc).known(address())
        assert found is not None
        self.assertEqual((found.user, found.password), ("eve", " a b "))

    def test_a_password_alone_is_of_the_user_in_the_address(self) -> None:
        sources = LoginSources({"PYPICLOUD_PASSWORD": "x"}, Pypirc)
        login = sources.known(address("https://kim@pypi.example/"))
        self.assertEqual(login, Login("kim", "x"))

    def test_only_the_password_is_asked_for(self) -> None:
        asked: list[str | None] = []

        def ask(user: str | None) -> str:
            asked.append(user)
            return "x"

        sources = LoginSources({"PYPICLOUD_USERNAME": "eve"}, Pypirc, ask=ask)
        self.assertEqual(sources.known(address()), Login("eve", "x"))
        self.assertEqual(asked, ["eve"])

    def test_a_user_without_a_password_whom_nobody_can_ask(self) -> None:
        sources = LoginSources({"PYPICLOUD_USERNAME": "eve"}, Pypirc)
        error = self.assertRaises(ConfigError, sources.known, address())
        self.assertIn("PYPICLOUD_PASSWORD", error.message)

    def test_of_another_host_is_none(self) -> None:
        sources = LoginSources({}, lambda: self.pypirc, self.netrc, FakeKeyring())
        credentials = sources.credentials(address("https://other.example/"))
        self.assertIsNone(credentials.login)
        error = self.assertRaises(ConfigError, credentials.wanted)
        self.assertIn("PYPICLOUD_USERNAME", error.message)

    def test_files_that_cannot_be_read(self) -> None:
        for text in ("password = secret\n", "[pypicloud\nsecret"):
            error = self.assertRaises(ConfigError, self.read_pypirc, text)
            self.assertNotIn("secret", error.message)
        error = self.assertRaises(ConfigError, self.read_pypirc, "password = a\0b\n")
        self.assertIn(".pypirc cannot be read: it has NUL bytes", error.message)
        self.netrc.write_text("machine pypi.example pass secret\n")
        sources = LoginSources({}, Pypirc, self.netrc)
        error = self.assertRaises(ConfigError, sources.known, address())
        self.assertEqual(error.message, f"{self.netrc} cannot be read.")

    def test_no_file(self) -> None:
        self.assertEqual(Pypirc.read(self.folder / "none"), Pypirc())

    def test_a_folder_that_cannot_be_looked_into(self) -> None:
        """As root's home, where another user kept HOME: it is as if there were none."""
        there = self.folder / ("x" * 300)  # fails for root, too
        self.assertEqual(Pypirc.read(there / ".pypirc"), Pypirc())
        self.assertIsNone(LoginSources({}, Pypirc, there / "netrc").known(address()))

    def test_what_is_known_before_is_not_looked_for(self) -> None:
        """So that a damaged file stops nobody who needs nothing of it."""

        def damaged() -> Pypirc:
            raise ConfigError([".pypirc cannot be read as an ini file."])

        sources = LoginSources({}, damaged)
        known = sources.known(address("https://kim:x@pypi.example/"))
        self.assertEqual(known, Login("kim", "x"))
        environ = {"PYPICLOUD_USERNAME": "eve", "PYPICLOUD_PASSWORD": "y"}
        known = LoginSources(environ, damaged).known(address())
        self.assertEqual(known, Login("eve", "y"))
        self.assertRaises(ConfigError, sources.known, address())

    def test_what_another_program_means_by_its_address_is_skipped(self) -> None:
        path = Path(self.mktemp())
        path.write_text(
            "[other]\nrepository = ssh://x\n"
            "[mine]\nrepository = https://pypi.example/\nusername = eve\n"
        )
        self.assertEqual([one.name for one in Pypirc.read(path).entries], ["mine"])
        path.write_text("[pypicloud]\nrepository = ssh://x\n")
        error = self.assertRaises(ConfigError, Pypirc.read, path)
        self.assertIn("[pypicloud]", error.message)

    def test_the_own_section_first(self) -> None:
        pypirc = self.read_pypirc(
            f"[a]\nrepository = {URL}\nusername = a\n"
            f"[pypicloud]\nrepository = https://pypi.example/\nusername = b\n"
            "[distutils]\nindex-servers = a\n"
        )
        entry = pypirc.find(address())
        assert entry is not None
        self.assertEqual(entry.user, "b")


class KeyringTests(SynchronousTestCase):
    def test_whatever_fails_is_nothing_found(self) -> None:
        class Broken:
            def __getattr__(self, name: str) -> object:
                raise RuntimeError("The keyring is locked.")

        keyring = SystemKeyring(Broken())
        self.assertIsNone(keyring.find("https://pypi.example", None))
        self.assertIsNone(keyring.find("https://pypi.example", "kim"))

    def test_what_is_found(self) -> None:
        class Module:
            @staticmethod
            def get_credential(service: str, user: None) -> None:
                return None

            @staticmethod
            def get_password(service: str, user: str) -> str:
                return "x"

        keyring = SystemKeyring(Module)
        self.assertIsNone(keyring.find("service", None))
        self.assertEqual(keyring.find("service", "kim"), Login("kim", "x"))
