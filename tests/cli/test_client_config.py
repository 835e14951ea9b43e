"""``pypicloud client-config``: lines to copy, or written where they belong."""

from __future__ import annotations

import tomllib
from configparser import RawConfigParser
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.policy import Policy
from pypicloud_tw.client.api import Unanswered
from pypicloud_tw.config.load import load
from pypicloud_tw.config.public_address import public_address
from pypicloud_tw.errors import ConfigError
from pypicloud_tw.installers.setup import Setup
from pypicloud_tw.installers.tools import TOOLS, Machine, Wish
from tests.cli.administration import AdministrationCase
from tests.web.pages.test_home import home

BASE = "https://pypi.example.com"
SECRET = "correct horse"


class ClientConfigCase(AdministrationCase):
    def setUp(self) -> None:
        super().setUp()
        self.environ = {}
        (self.home / "pyproject.toml").write_text('[project]\nname = "app"\n')

    def run_tool(self, *arguments: str, code: int = 0) -> Any:
        given = arguments if "--config" in arguments else (*arguments, "--index", BASE)
        result = self.invoke("client-config", *given)
        self.assertEqual(result.exit_code, code, result.output)
        return result

    def written(self, *parts: str) -> str:
        return self.home.joinpath(*parts).read_text()

    def put(self, text: str, *parts: str) -> Path:
        path = self.home.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def files(self) -> dict[Path, bytes]:
        """Read all that is in the home."""
        found = (path for path in self.home.rglob("*") if path.is_file())
        return {path: path.read_bytes() for path in found}


class ShowingTests(ClientConfigCase):
    def test_as_the_pages_have_it(self) -> None:
        """Every line of a page that is for a file or a shell."""
        page = home(BASE).text
        told = "\n".join(self.run_tool(tool).stdout for tool in TOOLS)
        lines = {line for line in told.splitlines() if BASE in line}
        for line in (
            f"index-url = {BASE}/simple/",
            f'publish-url = "{BASE}/legacy/"',
            f"repository = {BASE}/legacy/",
        ):
            self.assertIn(line, lines)
            self.assertIn(line, page)
        for command in (
            f"pip install --index-url {BASE}/simple/ PROJECT",
            f"uv pip install --default-index {BASE}/simple/ PROJECT",
            f"uv publish --publish-url {BASE}/legacy/ dist/*",
            f"twine upload --repository-url {BASE}/legacy/ dist/*",
            "poetry publish -r private",
        ):
            self.assertIn(f"# {command}", told)
            self.assertIn(command, page)

    def test_nothing_is_written(self) -> None:
        before = self.files()
        for tool in TOOLS:
            self.run_tool(tool)
        self.assertEqual(self.files(), before)

    def test_where_it_belongs(self) -> None:
        self.assertEqual(
            self.run_tool("pip").stdout.splitlines()[:3],
            ["# ~/.config/pip/pip.conf", "[global]", f"index-url = {BASE}/simple/"],
        )

    def test_the_index_answers(self) -> None:
        result = self.run_tool("pip")
        self.assertEqual(result.stderr, f"{BASE} answers.\n")
        self.assertNotIn("netrc", result.stdout)
        [asked] = self.runner.asked
        self.assertEqual(asked, (BASE, None, None))

    def test_it_takes_a_log_in(self) -> None:
        web = self.runner.web
        web.application.access.policy = Policy(closed())
        result = self.run_tool("pip")
        self.assertIn("wants a log-in to read", result.stderr)
        self.assertIn("https://USER:PASSWORD@pypi.example.com/simple/", result.stdout)
        self.assertIn(
            "machine pypi.example.com login USER password PASSWORD", result.stdout
        )

    def test_older_pip(self) -> None:
        """Whoever names a user is told that it keeps an older pip from ~/.netrc."""
        for options, told in ((), False), (("--user", "ann"), True):
            result = self.run_tool("pip", *options)
            self.assertEqual("pip before 25.2" in result.stdout, told)
        self.assertIn("keyring set pypi.example.com ann,", result.stdout)

    def test_it_is_away(self) -> None:
        self.runner.error = Unanswered("The index could not be asked: it is away.")
        result = self.run_tool("pip")
        self.assertIn("it is away", result.stderr)
        self.assertIn(f"index-url = {BASE}/simple/", result.stdout)

    def test_no_password_of_an_address(self) -> None:
        where = f"https://ann:{SECRET.replace(' ', '%20')}@pypi.example.com/simple/"
        for tool in TOOLS:
            for more in ((), ("--dry-run",), ("--write",)):
                result = self.invoke("client-config", tool, "--index", where, *more)
                self.assertEqual(result.exit_code, 0, result.output)
                self.assertNotIn("correct", result.output)
        self.assertNotIn(b"correct", b"".join(self.files().values()))
        self.assertIn(
            "https://ann@pypi.example.com", self.written(".config/pip/pip.conf")
        )

    def test_authorities(self) -> None:
        ca = self.put("pem", "ca.pem")
        for tool, line in {
            "pip": f"cert = {ca}",
            "uv": f"SSL_CERT_FILE={ca}",
            "poetry": f'cert = "{ca}"',
            "pdm": f'ca_certs = "{ca}"',
            "twine": f"ca_cert = {ca}",
            "hatch": f'ca-cert = "{ca}"',
        }.items():
            self.assertIn(line, self.run_tool(tool, "--ca", str(ca)).stdout)

    def test_wrong_options(self) -> None:
        for arguments, why in (
            (("pip", "--project"), "pip has no settings of a project"),
            (("uv", "--name", "a b"), "letters, digits"),
            (("conda",), "'conda' is not one of"),
        ):
            self.assertIn(why, self.run_tool(*arguments, code=2).stderr)

    def test_no_index(self) -> None:
        result = self.invoke("client-config", "pip")
        self.assertEqual(result.exit_code, 2)
        self.assertIn("Say which index is meant", result.stderr)

    def test_a_damaged_pypirc(self) -> None:
        """It matters where it says which index is meant, and to nobody else."""
        self.put(f"password = {SECRET}\n", ".pypirc")
        self.run_tool("pip")
        self.environ = {"PYPICLOUD_INDEX_URL": BASE}
        self.assertEqual(self.invoke("client-config", "pip").exit_code, 0)
        self.environ = {}
        result = self.invoke("client-config", "pip")
        self.assertEqual(result.exit_code, 2, result.output)
        self.assertIn(".pypirc cannot be read as an ini file", result.stderr)
        self.assertNotIn(SECRET, result.output)

    def test_the_index_of_the_environment(self) -> None:
        self.environ = {"PYPICLOUD_INDEX_URL": "https://other.example/py/legacy/"}
        result = self.invoke("client-config", "twine")
        self.assertIn("repository = https://other.example/py/legacy/", result.stdout)

    def test_of_an_ini(self) -> None:
        self.ini.write_text("[pypicloud]\npypi.public_url = https://a.example/py\n")
        result = self.run_tool("pip", "--config", str(self.ini))
        self.assertIn("index-url = https://a.example/py/simple/", result.stdout)


class WritingTests(ClientConfigCase):
    def write(self, tool: str, *more: str, code: int = 0) -> Any:
        return self.run_tool(tool, "--write", *more, code=code)

    def test_twice_is_as_once(self) -> None:
        for tool in TOOLS:
            first = self.write(tool)
            self.assertIn("is written", first.stdout)
            before = self.files()
            again = self.write(tool)
            self.assertNotIn("is written", again.stdout)
            self.assertIn("is as it should be", again.stdout)
            self.assertEqual(self.files(), before)

    def test_ends_of_lines(self) -> None:
        """They are those of the file."""
        for tool, head, *path in (
            ("pip", "[global]", ".config/pip/pip.conf"),
            ("uv", "offline = false", ".config/uv/uv.toml"),
            ("poetry", "[project]", "pyproject.toml"),
            ("pdm", "[pypi]", ".config/pdm/config.toml"),
            ("twine", "[distutils]", ".pypirc"),
            ("hatch", "[dirs]", ".config/hatch/config.toml"),
        ):
            file = self.put(f"{head}\r\n", *path)
            self.write(tool)
            data = file.read_bytes()
            self.assertIn(BASE.encode(), data)
            self.assertEqual(data.count(b"\n"), data.count(b"\r\n"), tool)

    def test_a_byte_order_mark(self) -> None:
        """Most clients cannot read it, and do not say what it is."""
        path = self.put("\ufeff[global]\n", ".config/pip/pip.conf")
        told = self.write("pip", code=2).stderr
        self.assertIn("pip.conf begins with a byte order mark", told)
        self.assertEqual(path.read_text(), "\ufeff[global]\n")

    def test_before_it_is_done(self) -> None:
        for tool in TOOLS:
            before = self.files()
            told = self.run_tool(tool, "--dry-run").stdout
            self.assertEqual(self.files(), before)
            self.write(tool)
            added = [line[1:] for line in told.splitlines() if line[:1] == "+"]
            now = b"".join(self.files().values()).decode()
            for line in added:
                if not line.startswith("++"):
                    self.assertIn(line, now)
            self.assertIn(BASE, told)

    def test_pip(self) -> None:
        self.put("[global]\ntimeout = 60  # slow\n", ".config/pip/pip.conf")
        self.write("pip")
        text = self.written(".config/pip/pip.conf")
        self.assertEqual(
            text, f"[global]\nindex-url = {BASE}/simple/\ntimeout = 60  # slow\n"
        )

    def test_pip_without_tls(self) -> None:
        where = ("--index", "http://pypi.example:6543/")
        self.put("[global]\ntrusted-host = other.example\n", ".config/pip/pip.conf")
        result = self.invoke("client-config", "pip", "--write", *where)
        self.assertEqual(result.exit_code, 0, result.output)
        parser = RawConfigParser()
        parser.read_string(self.written(".config/pip/pip.conf"))
        trusted = parser["global"]["trusted-host"].split()
        self.assertEqual(trusted, ["other.example", "pypi.example"])

    def test_pip_with_a_log_in_already(self) -> None:
        text = f"[global]\nindex-url = https://ann:{SECRET}@pypi.example.com/simple\n"
        self.put(text, ".config/pip/pip.conf")
        self.write("pip")
        self.assertEqual(self.written(".config/pip/pip.conf"), text)

    def test_another_index_of_pip(self) -> None:
        for line in (
            f"[global]\nindex-url = https://u:{SECRET}@other.example/simple/\n",
            "[install]\nindex_url = https://other.example/simple/\n",
            f"[global]\nextra-index-url = https://u:{SECRET}@other.example/\n",
        ):
            path = self.put(line, ".config/pip/pip.conf")
            told = self.write("pip", code=2).stderr
            self.assertRegex(told, "index-url")
            self.assertNotIn(SECRET, told)
            self.assertEqual(path.read_text(), line)

    def test_uv(self) -> None:
        path = (".config/uv/uv.toml",)
        self.put('# ours\npython-preference = "system"\n', *path)
        self.write("uv")
        text = self.written(*path)
        self.assertTrue(text.startswith("# ours\n"), text)
        [index] = tomllib.loads(text)["index"]
        self.assertEqual((index["url"], index["default"]), (f"{BASE}/simple/", True))

    def test_another_index_of_uv(self) -> None:
        path = ".config/uv/uv.toml"
        for text, why in (
            (
                '[[index]]\nname = "x"\nurl = "https://o.example/"\n',
                "another index, 'x'",
            ),
            ('index-url = "https://o.example/"\n', "has index-url"),
            (f'[[index]]\nurl = "{BASE}/simple"\n', "without default = true"),
            ('[[index]]\nname = "private"\nurl = "https://o.example/"\n', "'private'"),
        ):
            self.put(text, path)
            self.assertIn(why, self.write("uv", code=2).stderr)
            self.assertEqual(self.written(path), text)
        # That is for some projects alone.
        self.put('[[index]]\nname = "x"\nurl = "https://o"\nexplicit = true\n', path)
        self.write("uv")

    def test_uv_in_a_project(self) -> None:
        self.write("uv", "--project", "--name", "acme")
        found = tomllib.loads(self.written("pyproject.toml"))
        self.assertEqual(found["project"], {"name": "app"})
        self.assertEqual(found["tool"]["uv"]["index"][0]["name"], "acme")
        self.assertFalse((self.home / ".config").exists())

    def test_no_project(self) -> None:
        (self.home / "pyproject.toml").unlink()
        for arguments in (("uv", "--project"), ("poetry",), ("pdm", "--project")):
            told = self.write(*arguments, code=2).stderr
            self.assertIn("There is no pyproject.toml here", told)
        self.assertEqual([*self.files()], [self.ini])

    def test_poetry(self) -> None:
        self.write("poetry")
        found = tomllib.loads(self.written("pyproject.toml"))
        [source] = found["tool"]["poetry"]["source"]
        self.assertEqual(
            source,
            {"name": "private", "url": f"{BASE}/simple/", "priority": "primary"},
        )
        config = tomllib.loads(self.written(".config/pypoetry/config.toml"))
        self.assertEqual(config["repositories"]["private"], {"url": f"{BASE}/legacy/"})

    def test_all_or_nothing(self) -> None:
        """The second file cannot be, and so the first is left alone, too."""
        text = '[repositories.private]\nurl = "https://other.example/"\n'
        self.put(text, ".config/pypoetry/config.toml")
        before = self.files()
        told = self.write("poetry", code=2).stderr
        self.assertIn("another url in [repositories.private]", told)
        self.assertIn("give another --name", told)
        self.assertEqual(self.files(), before)

    def test_another_source(self) -> None:
        head = '[project]\nname = "app"\n'
        for tool, more, why in (
            ("poetry", 'priority = "explicit"', "another priority"),
            ("pdm", "", "another name"),
        ):
            source = f'name = "x"\nurl = "{BASE}/simple/"\n{more}\n'
            self.put(f"{head}[[tool.{tool}.source]]\n{source}", "pyproject.toml")
            self.assertIn(why, self.write(tool, "--project", code=2).stderr)

    def test_pdm(self) -> None:
        self.write("pdm")
        config = tomllib.loads(self.written(".config/pdm/config.toml"))
        self.assertEqual(config["pypi"], {"url": f"{BASE}/simple/", "verify_ssl": True})
        self.assertEqual(config["repository"]["private"]["url"], f"{BASE}/legacy/")
        self.write("pdm", "--project")
        found = tomllib.loads(self.written("pyproject.toml"))
        self.assertEqual(found["tool"]["pdm"]["source"][0]["name"], "pypi")

    def test_twine(self) -> None:
        before = (
            "[distutils]\nindex-servers =\n    pypi\n\n"
            f"[pypi]\nusername = __token__\npassword = {SECRET}\n"
        )
        path = self.put(before, ".pypirc")
        told = self.write("twine", "--user", "alice").output
        self.assertNotIn(SECRET, told)
        parser = RawConfigParser()
        parser.read_string(path.read_text())
        self.assertEqual(
            parser["distutils"]["index-servers"].split(), ["private", "pypi"]
        )
        self.assertEqual(parser["pypi"]["password"], SECRET)
        self.assertEqual(
            dict(parser["private"]),
            {"repository": f"{BASE}/legacy/", "username": "alice"},
        )
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)

    def test_twine_without_a_user(self) -> None:
        """No placeholder is written: twine asks."""
        self.write("twine")
        self.assertNotIn("username", self.written(".pypirc"))

    def test_another_repository(self) -> None:
        self.put("[private]\nrepository = https://other.example/\n", ".pypirc")
        self.assertIn("another repository", self.write("twine", code=2).stderr)

    def test_hatch(self) -> None:
        self.put('mode = "local"\n\n[projects]\n', ".config/hatch/config.toml")
        self.write("hatch", "--user", "alice")
        config = tomllib.loads(self.written(".config/hatch/config.toml"))
        self.assertEqual(
            config["publish"]["index"]["repos"],
            {"private": {"url": f"{BASE}/legacy/", "user": "alice"}},
        )
        self.assertEqual((config["mode"], config["projects"]), ("local", {}))


class PlaceTests(SynchronousTestCase):
    """Each program's own rules for where its settings are."""

    def setUp(self) -> None:
        self.home = Path(self.mktemp()).absolute()
        self.home.mkdir()

    def places(self, platform: str = "linux", **environ: str) -> dict[str, str]:
        machine = Machine(self.home, self.home, environ, platform)
        setup = Setup(BASE)
        return {
            name: str(tool(Wish(setup, setup, machine)).pieces[-1].path).replace(
                f"{self.home}/", ""
            )
            for name, tool in TOOLS.items()
        }

    def test_linux(self) -> None:
        self.assertEqual(
            self.places(),
            {
                "pip": ".config/pip/pip.conf",
                "uv": ".config/uv/uv.toml",
                "poetry": ".config/pypoetry/config.toml",
                "pdm": ".config/pdm/config.toml",
                "twine": ".pypirc",
                "hatch": ".config/hatch/config.toml",
            },
        )
        self.assertEqual(self.places(XDG_CONFIG_HOME="/x")["pip"], "/x/pip/pip.conf")

    def test_mac(self) -> None:
        support = "Library/Application Support"
        found = self.places("darwin")
        self.assertEqual(found["pip"], ".config/pip/pip.conf")
        self.assertEqual(found["uv"], ".config/uv/uv.toml")
        self.assertEqual(found["pdm"], f"{support}/pdm/config.toml")
        self.home.joinpath(support, "pip").mkdir(parents=True)
        self.assertEqual(self.places("darwin")["pip"], f"{support}/pip/pip.conf")

    def test_variables(self) -> None:
        found = self.places(
            PIP_CONFIG_FILE="/a/pip.conf",
            POETRY_CONFIG_DIR="/a",
            PDM_CONFIG_FILE="/a/pdm.toml",
            HATCH_CONFIG="/a/hatch.toml",
        )
        self.assertEqual(
            [found[name] for name in ("pip", "poetry", "pdm", "hatch")],
            ["/a/pip.conf", "/a/config.toml", "/a/pdm.toml", "/a/hatch.toml"],
        )


class AddressTests(SynchronousTestCase):
    """Where clients find the server of an ini."""

    def address(self, **settings: str) -> str:
        names = {f"PYPICLOUD_{name.upper()}": text for name, text in settings.items()}
        return public_address(load(None, names))

    def test_known(self) -> None:
        self.assertEqual(self.address(), "http://127.0.0.1:6543")
        self.assertEqual(self.address(port="80", host="::1"), "http://[::1]:80")
        tls = r"ssl:port=443:privateKey=k.pem:interface=pypi.example.com"
        self.assertEqual(
            self.address(server_listen=tls), "https://pypi.example.com:443"
        )
        self.assertEqual(
            self.address(pypi_public_url="https://a.example/py", host="*"),
            "https://a.example/py",
        )

    def test_unknown(self) -> None:
        for settings in (
            {"host": "*"},
            {"host": "::"},
            {"server_listen": "tcp:80"},
            {"server_listen": "unix:/run/x"},
            {"server_listen": "systemd:domain=INET:index=0"},
        ):
            with self.assertRaises(ConfigError) as caught:
                self.address(**settings)
            self.assertIn("give --index URL", caught.exception.message)


def closed() -> Any:
    """What nobody may read who does not log in."""
    from pypicloud_tw.access.settings import AccessSettings

    names = {"PYPICLOUD_PYPI_DEFAULT_READ": "authenticated"}
    return AccessSettings.of(load(None, names), log_in_elsewhere=False)
