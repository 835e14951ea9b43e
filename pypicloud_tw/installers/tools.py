"""What each installer and upload client is set up by: its files, and notes beside them.

Their own documents have the places and the keys:

- pip: https://pip.pypa.io/en/stable/topics/configuration/
- uv: https://docs.astral.sh/uv/concepts/configuration-files/
- Poetry: https://python-poetry.org/docs/configuration/
- PDM: https://pdm-project.org/en/latest/usage/config/
- twine: https://packaging.python.org/en/latest/specifications/pypirc/
- Hatch: https://hatch.pypa.io/latest/publish/
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from attrs import frozen

from pypicloud_tw.errors import ConfigError
from pypicloud_tw.installers import ini_edits, toml_edits
from pypicloud_tw.installers.setup import Setup, ini_section, toml_table

Table = dict[str, Any]

_PROJECT = "pyproject.toml"


@frozen
class Machine:
    """Where programs keep their settings.

    :ivar project: the folder of the project that is worked on.
    :ivar platform: as :data:`sys.platform` has it.
    """

    home: Path
    project: Path
    environ: Mapping[str, str]
    platform: str

    def config(self, *parts: str, always_xdg: bool = False) -> Path:
        """Return a file's path below where the user's settings are.

        :param always_xdg: also on a Mac.
        """
        if self.platform == "darwin" and not always_xdg:
            return self.home.joinpath("Library", "Application Support", *parts)
        given = self.environ.get("XDG_CONFIG_HOME")
        return Path(given or self.home / ".config").joinpath(*parts)

    def named(self, variable: str, otherwise: Path) -> Path:
        """Return the path that a variable has, if it is set."""
        given = self.environ.get(variable)
        return Path(given) if given else otherwise


@frozen
class Piece:
    """What is to stand in one file.

    :ivar lines: as people write it.
    :ivar edit: returns the file with it; raises ConfigError where another index stands
        there.
    :ivar must_be: the file is somebody else's to make; why, if it is not there.
    :ivar private: it may hold a password.
    """

    path: Path
    lines: str
    edit: Callable[[str], str]
    must_be: str | None = None
    private: bool = False


@frozen
class Plan:
    """How a program is set up.

    :ivar pieces: what stands in its files.
    :ivar once: commands that need no settings.
    :ivar notes: a sentence each.
    """

    pieces: tuple[Piece, ...]
    once: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@frozen
class Wish:
    """What is asked for.

    :ivar reads: the index as installers have it, without placeholders.
    :ivar shown: the same with them, for people.
    :ivar ca: a file of the authorities that the index's certificate is signed by, where
        no system knows them.
    :ivar per_project: settings are the project's, rather than the user's.
    """

    reads: Setup
    shown: Setup
    machine: Machine
    ca: Path | None = None
    per_project: bool = False


# --- pip


def pip(wish: Wish) -> Plan:
    """Set up pip."""
    machine, setup = wish.machine, wish.reads
    usual = machine.config("pip", "pip.conf", always_xdg=True)
    if machine.platform == "darwin":
        # pip's rule: that folder is used if it is there.
        folder = machine.home / "Library" / "Application Support" / "pip"
        usual = folder / "pip.conf" if folder.is_dir() else usual
    path = machine.named("PIP_CONFIG_FILE", usual)
    more = {"cert": str(wish.ca)} if wish.ca else {}
    shown = {**wish.shown.pip_settings, **more}

    def edit(text: str) -> str:
        settings = {**setup.pip_settings, **more}
        if _has_index_of_pip(text, setup, path):
            del settings["index-url"]
        trusted = settings.get("trusted-host")
        if trusted and ini_edits.has(text, "global", "trusted-host", path):
            del settings["trusted-host"]
            text = ini_edits.with_word(text, "global", "trusted-host", trusted, path)
        return ini_edits.with_settings(text, "global", settings, path)

    return Plan(
        (Piece(path, ini_section("global", shown), edit),),
        (wish.shown.pip_install("PROJECT"),),
        (
            *_netrc(wish),
            *_when(wish, *_more_of_pip(setup)),
            "pip does not upload: see twine or uv.",
        ),
    )


def _more_of_pip(setup: Setup) -> Iterator[str]:
    if setup.user is not None:
        yield (
            "pip before 25.2 looks there only if no user is in the address: leave out "
            "--user for it."
        )
    yield (
        f"Or in the keyring: keyring set {_place(setup)} {setup.user or 'USER'}, with "
        "the user in the address (--user), and the package keyring beside pip."
    )


def _has_index_of_pip(text: str, setup: Setup, path: Path) -> bool:
    """Whether the index is there already, with the user that is asked for.

    :raises ConfigError: another is.
    """
    url = setup.plain_simple
    parser = ini_edits.parse(text, path)
    for section in parser.sections():
        # pip reads index_url as well.
        settings = {k.replace("_", "-"): v for k, v in parser.items(section)}
        if "extra-index-url" in settings:
            raise ConfigError(
                [
                    f"{path} has an extra-index-url in [{section}], from which pip "
                    "would take a higher version of what is yours: remove it first, "
                    "for this index has what is public, too."
                ]
            )
        found = settings.get("index-url", url)
        _same(found, url, f"{path} has another index-url in [{section}]")
    return setup.user is None and parser.has_option("global", "index-url")


# --- uv


def uv(wish: Wish) -> Plan:
    """Set up uv."""
    machine, setup = wish.machine, wish.reads
    settings = setup.uv_settings(uploads=True)
    name = setup.name.upper().replace("-", "_")
    place: tuple[str, ...] = ("index",)
    path = machine.config("uv", "uv.toml", always_xdg=True)
    if wish.per_project:
        place, path = ("tool", "uv", "index"), machine.project / _PROJECT

    def edit(text: str) -> str:
        document = toml_edits.parse(text, path)
        within = toml_edits.find(document, place[:-1]) or {}
        if _has_index_of_uv(within, setup, path):
            return text
        return toml_edits.with_entry(text, place, settings, path)

    return Plan(
        (
            Piece(
                path,
                toml_table(f"[[{'.'.join(place)}]]", settings),
                edit,
                _no_project("uv") if wish.per_project else None,
            ),
        ),
        (wish.shown.uv_install("PROJECT"), setup.uv_publish),
        (
            *_netrc(wish),
            *_when(
                wish,
                f"Or in UV_INDEX_{name}_USERNAME and UV_INDEX_{name}_PASSWORD.",
            ),
            f"uv publish --index {setup.name} dist/* uploads; who you are stands in "
            "UV_PUBLISH_USERNAME and UV_PUBLISH_PASSWORD.",
            *_authorities_of_uv(wish),
        ),
    )


def _authorities_of_uv(wish: Wish) -> tuple[str, ...]:
    if wish.ca is None:
        return ()
    return (f"uv finds your authorities by the variable SSL_CERT_FILE={wish.ca}",)


def _has_index_of_uv(within: Table, setup: Setup, path: Path) -> bool:
    """Whether the index is there already.

    :raises ConfigError: another is that uv would ask for any project.
    """
    for key in ("index-url", "extra-index-url"):
        if key in within:
            raise ConfigError([f"{path} has {key}: remove it first."])
    here = False
    for entry in _entries(within.get("index")):
        if _address(entry.get("url")) == _address(setup.plain_simple):
            if not entry.get("default"):
                raise ConfigError(
                    [
                        f"{path} has this index without default = true, so that uv "
                        "asks the public index, too: add that line."
                    ]
                )
            here = True
        elif entry.get("name") == setup.name or not entry.get("explicit"):
            raise _other(f"{path} has another index, {entry.get('name')!r}")
    return here


# --- Poetry


def poetry(wish: Wish) -> Plan:
    """Set up Poetry: a project's source, and where this user uploads."""
    machine, setup = wish.machine, wish.reads
    project = machine.project / _PROJECT
    source: Table = {
        "name": setup.name,
        "url": setup.plain_simple,
        "priority": "primary",
    }
    place = ("tool", "poetry", "source")
    folder = machine.named("POETRY_CONFIG_DIR", machine.config("pypoetry"))
    config = folder / "config.toml"
    settings: dict[tuple[str, ...], Table] = {
        ("repositories", setup.name): {"url": setup.uploads}
    }
    if wish.ca:
        settings["certificates", setup.name] = {"cert": str(wish.ca)}

    def edit_project(text: str) -> str:
        found = toml_edits.find(toml_edits.parse(text, project), place)
        if _has_source(found, source, project, "priority"):
            return text
        return toml_edits.with_entry(text, place, source, project)

    return Plan(
        (
            Piece(
                project,
                toml_table("[[tool.poetry.source]]", source),
                edit_project,
                _no_project("Poetry"),
            ),
            _tables(config, settings),
        ),
        (setup.poetry_publish.split("\n")[-1],),
        _when(
            wish,
            f"poetry config http-basic.{setup.name} USER asks for the password, and "
            "keeps it in the keyring.",
        ),
    )


# --- PDM


def pdm(wish: Wish) -> Plan:
    """Set up PDM."""
    machine, setup = wish.machine, wish.reads
    usual = machine.config("pdm", "config.toml")
    config = machine.named("PDM_CONFIG_FILE", usual)
    ca = {"ca_certs": str(wish.ca)} if wish.ca else {}
    here = {"url": setup.plain_simple, "verify_ssl": True, **ca}
    upload: Table = {"url": setup.uploads, **ca}
    if setup.user is not None:
        upload["username"] = setup.user
    repository = ("repository", setup.name)
    pieces = [_tables(config, {("pypi",): here, repository: upload})]
    if wish.per_project:
        source = _source_of_pdm(machine.project / _PROJECT, here)
        pieces = [source, _tables(config, {repository: upload})]
    scheme, _, rest = setup.plain_simple.partition("://")
    return Plan(
        tuple(pieces),
        (f"pdm publish --repository {setup.name}",),
        _when(
            wish,
            "The log-in stands in PDM_PYPI_USERNAME and PDM_PYPI_PASSWORD, or in "
            "variables of yours that the address names: "
            f"{scheme}://${{INDEX_USER}}:${{INDEX_PASSWORD}}@{rest}",
        ),
    )


def _source_of_pdm(path: Path, settings: Table) -> Piece:
    # The name replaces PDM's default index.
    source = {"name": "pypi", **settings}
    place = ("tool", "pdm", "source")

    def edit(text: str) -> str:
        found = toml_edits.find(toml_edits.parse(text, path), place)
        if _has_source(found, source, path, "name"):
            return text
        return toml_edits.with_entry(text, place, source, path)

    lines = toml_table("[[tool.pdm.source]]", source)
    return Piece(path, lines, edit, _no_project("PDM"))


# --- twine


def twine(wish: Wish) -> Plan:
    """Set up twine."""
    setup = wish.reads
    path = wish.machine.home / ".pypirc"
    more = {"ca_cert": str(wish.ca)} if wish.ca else {}
    named = setup.user is not None
    settings = {**setup.twine_settings(log_in=named), **more}
    lines = [setup.pypirc(log_in=True), *(f"{k} = {v}" for k, v in more.items())]

    def edit(text: str) -> str:
        parser = ini_edits.parse(text, path)
        found = parser.get(setup.name, "repository", fallback=setup.uploads)
        _same(found, setup.uploads, f"{path} has another repository in [{setup.name}]")
        listed = partial(ini_edits.with_word, section="distutils", key="index-servers")
        text = listed(text, word=setup.name, path=path)
        return ini_edits.with_settings(text, setup.name, settings, path)

    return Plan(
        (Piece(path, "\n".join(lines), edit, private=True),),
        (f"twine upload -r {setup.name} dist/*", setup.twine_upload),
        (
            "twine asks for the password, or takes it from the keyring: keyring set "
            f"{setup.uploads} USER. A token's user is __token__.",
        ),
    )


# --- Hatch


def hatch(wish: Wish) -> Plan:
    """Set up Hatch: where it uploads. What it installs, pip or uv does."""
    machine, setup = wish.machine, wish.reads
    usual = machine.config("hatch", "config.toml")
    settings: Table = {"url": setup.uploads}
    if setup.user is not None:
        settings["user"] = setup.user
    if wish.ca:
        settings["ca-cert"] = str(wish.ca)
    place = ("publish", "index", "repos", setup.name)
    return Plan(
        (_tables(machine.named("HATCH_CONFIG", usual), {place: settings}),),
        (f"hatch publish -r {setup.name}",),
        (
            "Hatch asks who you are, and keeps that; or it reads HATCH_INDEX_USER and "
            "HATCH_INDEX_AUTH.",
            "Its environments are installed by pip or uv: set these up, too.",
        ),
    )


#: By the name that the command line has.
TOOLS: Mapping[str, Callable[[Wish], Plan]] = MappingProxyType(
    {one.__name__: one for one in (pip, uv, poetry, pdm, twine, hatch)}
)

#: Those that can be set up for a project alone.
PER_PROJECT = ("uv", "poetry", "pdm")


def _tables(path: Path, tables: Mapping[tuple[str, ...], Table]) -> Piece:
    """Have tables stand in a file, the address of each being its alone."""

    def edit(text: str) -> str:
        for place, settings in tables.items():
            document = toml_edits.parse(text, path)
            table = toml_edits.find(document, place)
            name = ".".join(place)
            missing = dict(settings)
            if isinstance(table, dict) and "url" in table and "url" in settings:
                other = f"{path} has another url in [{name}]"
                _same(table["url"], missing.pop("url"), other)
            text = toml_edits.with_table(text, place, missing, path)
        return text

    lines = [toml_table(f"[{'.'.join(place)}]", one) for place, one in tables.items()]
    return Piece(path, "\n\n".join(lines), edit)


def _has_source(found: object, source: Table, path: Path, decides: str) -> bool:
    """Whether a source is there already.

    :param decides: the key by which it is the only one that is asked.
    :raises ConfigError: another is, that would be asked for any project; or this one,
        but not as the only one.
    """
    here = False
    for entry in _entries(found):
        if _address(entry.get("url")) == _address(source["url"]):
            if entry.get(decides, source[decides]) != source[decides]:
                raise ConfigError(
                    [
                        f"{path} has this index with another {decides}, so that the "
                        f'public one is asked, too: let it be "{source[decides]}".'
                    ]
                )
            here = True
        elif entry.get("name") == source["name"] or entry.get("priority") != "explicit":
            raise _other(f"{path} has another source, {entry.get('name')!r}")
    return here


def _entries(found: object) -> list[Table]:
    entries = found if isinstance(found, list) else []
    return [entry for entry in entries if isinstance(entry, dict)]


def _same(found: object, url: str, otherwise: str) -> None:
    """Return if two addresses are of the same place, whoever logs in there."""
    if _address(found) != _address(url):
        raise _other(otherwise)


def _address(url: object) -> str:
    """Return an address without who logs in, and without a slash at its end."""
    scheme, separator, rest = str(url).strip().partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}{separator}{host.rpartition('@')[2]}{slash}{path}".rstrip("/")


def _other(what: str) -> ConfigError:
    return ConfigError(
        [
            f"{what}. Remove it, if this index is to take its place (it has what is "
            "public, too), or give another --name."
        ]
    )


def _no_project(tool: str) -> str:
    return f"There is no {_PROJECT} here: run this in the folder of {tool}'s project."


def _place(setup: Setup) -> str:
    """Return the host, and the port if there is one."""
    return urlsplit(setup.base).netloc


def _netrc(wish: Wish) -> tuple[str, ...]:
    user = wish.reads.user or "USER"
    host = urlsplit(wish.reads.base).hostname or ""
    return _when(
        wish,
        f"The log-in stands in ~/.netrc (chmod 600): machine {host} login {user} "
        "password PASSWORD. A token's user is __token__.",
    )


def _when(wish: Wish, *notes: str) -> tuple[str, ...]:
    """Give notes that are for an index that takes a log-in to read."""
    return notes if wish.shown.log_in else ()
