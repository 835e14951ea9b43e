"""What the ini and the environment give: texts by key, and where each comes from.

Nothing is understood here but names. Every name that is none is a problem, with the
nearest that is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path

from attrs import define, field, frozen

from pypicloud_tw.config.former_keys import FORMER, RENAMED, RIGHTS
from pypicloud_tw.config.ini import (
    Ini,
    IniError,
    Setting,
    parse_ini,
    read_text,
    substitute,
)
from pypicloud_tw.config.key import variable
from pypicloud_tw.config.keys import FILE_KEYS, KEYS
from pypicloud_tw.config.rights import AUTHENTICATED, EVERYONE, TOKEN_USER

#: The sections that settings are read from: pypicloud 1.x's, and ours.
OWN_SECTIONS = ("app:main", "pypicloud")

_SERVER_SECTION = "server:main"
_SERVER_KEYS = {"host": "server.host", "port": "server.port"}

#: What paste, pyramid and their friends read from the same file.
_OLD_SECTIONS = re.compile(
    r"DEFAULT|uwsgi|alembic|loggers|handlers|formatters"
    r"|(logger|handler|formatter)_.*|(app|server|composite|pipeline|filter|filter-app):.*"
)
_OLD_KEYS = re.compile(
    r"use|filter-with|debug|set .*"
    r"|(pyramid|jinja2|session|beaker|mako|debugtoolbar|tm)\..*"
)
#: pypicloud 1.x's SQL rows, and the files that it kept before them.
_DATABASE_KEYS = re.compile(r"(sqlalchemy|cache)\..*")

#: A service called pypicloud makes Kubernetes set these in every pod beside it.
_KUBERNETES = re.compile(
    r"PYPICLOUD_(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)"
)
_KUBERNETES_PORT = re.compile(r"(tcp|udp|sctp)://")

#: Keys of pypicloud 1.x that change nothing here, and why.
IGNORED = {
    "pypi.cache_update": "whoever may read a project of the other index causes its "
    "files to be kept (pypi.fallback = cache)",
}

#: What the variables of pypicloud 1.x begin with.
_FORMER_PREFIX = "PPC_"

_USER = "user."

#: Keys with a name of the operator's own in them, but for users.
FAMILIES = (
    "group",
    "package",
    "publisher",
    "attestation",
    "retention",
    "upstream.publisher",
)
_PREFIX = "PYPICLOUD_"

#: Variables with a name of the operator's own in them. What is behind ``package.`` has
#: dots and dashes, for which variables have no place.
_OWN_NAME = re.compile(rf"{_PREFIX}(?P<family>USER|GROUP)_(?P<name>.*)", re.DOTALL)

#: The index that commands ask.
INDEX_VARIABLE = "PYPICLOUD_INDEX_URL"

#: The ini of the server and of the commands, where they are told of none.
INI_VARIABLE = "PYPICLOUD_CONFIG"

#: Set by the image of the Dockerfile, so that a server knows that it runs in it.
IMAGE_VARIABLE = "PYPICLOUD_IMAGE"

#: What clients read, and no setting of a server.
CLIENT_VARIABLES = frozenset(
    {
        INDEX_VARIABLE,
        "PYPICLOUD_USERNAME",
        "PYPICLOUD_PASSWORD",
        "PYPICLOUD_SOURCE_USERNAME",
        "PYPICLOUD_SOURCE_PASSWORD",
    }
)

#: All that is read elsewhere than here.
NO_SETTINGS = CLIENT_VARIABLES | {INI_VARIABLE, IMAGE_VARIABLE}


@frozen
class Problem:
    """A sentence on what is wrong.

    :ivar line: the line of the file that it is about, if it is about one.
    """

    text: str
    line: int | None = None


@frozen
class Given:
    """A setting's text, not understood yet.

    :ivar origin: where it stands, for a person: a file and line, or a variable.
    :ivar line: the line, if it stands in a file.
    """

    text: str = field(repr=False)
    origin: str
    line: int | None = None

    def problem(self, sentence: str) -> Problem:
        """Return what is wrong with it, and where it stands."""
        return Problem(f"{self.origin}: {sentence}", self.line)


@define
class Source:
    """What one place gives.

    :ivar settings: by key, those that name a secret's file included.
    :ivar users: hashes by user name.
    :ivar families: texts by what stands behind ``group.`` and the like, by family.
    :ivar old: what belonged to the framework of the programs before.
    :ivar database: keys that spoke of their database.
    :ivar ignored: keys that are understood and change nothing.
    """

    settings: dict[str, Given] = field(factory=dict)
    users: dict[str, Given] = field(factory=dict)
    families: dict[str, dict[str, Given]] = field(
        factory=lambda: {family: {} for family in FAMILIES}
    )
    problems: list[Problem] = field(factory=list)
    old: dict[str, None] = field(factory=dict)
    database: dict[str, None] = field(factory=dict)
    ignored: dict[str, None] = field(factory=dict)

    def add(self, name: str, given: Given) -> None:
        """Take a setting, or tell what is wrong with its name."""
        if name.startswith(_USER):
            self._put(self.users, name.removeprefix(_USER), name, given)
        elif (family := _family_of(name)) is not None:
            short = name.removeprefix(f"{family}.")
            self._put(self.families[family], short, name, given)
        elif name in KEYS or name in FILE_KEYS:
            self._put(self.settings, name, name, given)
        elif name in IGNORED:
            self.ignored[name] = None
        elif _DATABASE_KEYS.fullmatch(name):
            self.database[name] = None
        elif _OLD_KEYS.fullmatch(name):
            self.old[_family(name)] = None
        else:
            self.problems.append(given.problem(_unknown(name)))

    def _put(
        self, place: dict[str, Given], short: str, name: str, given: Given
    ) -> None:
        if short in place:
            first = place[short].origin
            self.problems.append(
                given.problem(f"{name} is given twice; the first is in {first}.")
            )
        place[short] = given


def from_ini(path: Path) -> Source:
    """Read the settings of an ini file."""
    source = Source()
    try:
        ini = parse_ini(read_text(path))
    except IniError as e:
        source.problems.append(Problem(f"{path}: {e}"))
        return source
    source.problems.extend(
        Problem(f"{path}, line {n}: {what}", n) for n, what in ini.problems
    )
    _judge_sections(source, ini, path)
    served_by_other = any(
        entry.section == _SERVER_SECTION and entry.key == "use" for entry in ini.entries
    )
    if _is_former_file(ini):
        # Before what each of its keys is: line 0.
        sentence = "this is a file of pypicloud 1.x: use migrate. "
        sentence += f"pypicloud migrate {path} translates it."
        source.problems.append(Problem(sentence, 0))
    for entry in ini.entries:
        given = _given(source, entry, path)
        if entry.section in OWN_SECTIONS:
            source.add(entry.key, given)
        elif entry.section == _SERVER_SECTION:
            _add_server(source, entry.key, given, served_by_other)
    return source


def _is_former_file(ini: Ini) -> bool:
    """Whether it is a file of pypicloud 1.x, where rights meant something else."""
    keys = {entry.key for entry in ini.entries if entry.section in OWN_SECTIONS}
    # Keys of the old framework have always been skipped, with or without a version.
    # Beside rights they tell that these have not been translated yet.
    translated = not any(RIGHTS.fullmatch(key) for key in keys)
    return any(
        FORMER.fullmatch(key) and not (translated and _OLD_KEYS.fullmatch(key))
        for key in keys
    )


def _given(source: Source, entry: Setting, path: Path) -> Given:
    text, unknown = substitute(entry.value, path.absolute().parent)
    given = Given(text, f"{path}, line {entry.line}", entry.line)
    if unknown and (entry.key in KEYS or entry.key in FILE_KEYS):
        source.problems.append(
            given.problem(
                f"{entry.key} refers to %({unknown[0]})s, but only %(here)s is known "
                "here; write %%( for a percent sign and a bracket."
            )
        )
    return given


def _judge_sections(source: Source, ini: Ini, path: Path) -> None:
    known = {*OWN_SECTIONS, _SERVER_SECTION}
    if not known & ini.sections.keys() and not ini.problems:
        sentence = "it has neither a section [pypicloud] nor [app:main]."
        source.problems.append(Problem(f"{path}: {sentence}"))
    for section, number in ini.sections.items():
        if section in known:
            continue
        if _OLD_SECTIONS.fullmatch(section):
            source.old[f"[{section}]"] = None
            continue
        nearest = get_close_matches(section, sorted(known), 1, 0)
        sentence = f"there is no section [{section}]; the nearest is [{nearest[0]}]."
        source.problems.append(Problem(f"{path}, line {number}: {sentence}", number))


def _add_server(source: Source, key: str, given: Given, served_by_other: bool) -> None:
    if key in _SERVER_KEYS:
        source.add(_SERVER_KEYS[key], given)
    elif key in {"listen", "unix_socket"}:
        source.problems.append(
            given.problem(
                f"{key} in [server:main] is not understood; give host and port there, "
                "or a Twisted endpoint as server.listen in [app:main]."
            )
        )
    elif key == "use" or (served_by_other and not get_close_matches(key, _SERVER_KEYS)):
        source.old[f"{key} in [server:main]"] = None
    else:
        source.problems.append(
            given.problem(f"{key} is not a key of [server:main]: host and port are.")
        )


def from_environment(environ: Mapping[str, str]) -> Source:
    """Read the settings of the environment: ``PYPICLOUD_AWS_BUCKET`` and the like.

    ``PYPICLOUD_USER_ALICE`` is ``user.alice``, and ``PYPICLOUD_GROUP_DEV`` is
    ``group.dev``: a name in capitals stands for the one in small letters, any other for
    itself.
    """
    source = Source()
    names = {variable(name): name for name in (*KEYS, *FILE_KEYS, "sqlalchemy.url")}
    names |= {variable(name): name for name in IGNORED}
    names |= {"PYPICLOUD_HOST": "server.host", "PYPICLOUD_PORT": "server.port"}
    for name, text in environ.items():
        if not name.startswith(_PREFIX) or _is_of_kubernetes(name, text):
            continue
        if name in NO_SETTINGS:
            continue
        given = Given(text.strip(), name)
        if named := _OWN_NAME.fullmatch(name):
            own = named["name"].lower() if named["name"].isupper() else named["name"]
            source.add(f"{named['family'].lower()}.{own}", given)
        elif name in names:
            source.add(names[name], given)
        else:
            source.problems.append(
                given.problem(
                    f"no setting is called so{_nearest_variable(name, names)}."
                )
            )
    return source


def named_ini(environ: Mapping[str, str]) -> Path | None:
    """Return the ini that the environment names, if it names one."""
    name = environ.get(INI_VARIABLE)
    return Path(name) if name else None


def names_store(environ: Mapping[str, str]) -> bool:
    """Whether the environment says by itself where the packages are."""
    return any(environ.get(variable(name)) for name in ("storage.dir", "aws.bucket"))


def former_variables(environ: Mapping[str, str]) -> Iterator[str]:
    """Name the variables of pypicloud 1.x that are set, in a sentence, if any is."""
    names = sorted(name for name in environ if name.startswith(_FORMER_PREFIX))
    if names:
        yield (
            f"Ignored: {', '.join(names)}. The variables of pypicloud 1.x have another "
            f"beginning here: aws.bucket is {variable('aws.bucket')}."
        )


def user_name_problem(name: str) -> str | None:
    """Return what is wrong with a user's name, if anything is."""
    if not name or not name.isprintable() or ":" in name or name != name.strip():
        return "A user's name is printable text without ':' (RFC 7617)."
    if name.lower() in (EVERYONE, AUTHENTICATED):
        return "This name means a group; choose another."
    if name == TOKEN_USER:
        return "This is the name of whoever shows a token; choose another."
    return None


def _is_of_kubernetes(name: str, text: str) -> bool:
    if name == "PYPICLOUD_PORT":
        return _KUBERNETES_PORT.match(text) is not None
    return _KUBERNETES.fullmatch(name) is not None


def _unknown(name: str) -> str:
    if name in RENAMED:
        return f"there is no key {name!r}; here it is {RENAMED[name]}."
    nearest = _nearest(name, (*KEYS, *FILE_KEYS, "user.NAME", "group.NAME"))
    return f"there is no key {name[:80]!r}{nearest}."


def _nearest(name: str, known: Iterable[str]) -> str:
    """Name the nearest; one that only lacks its section is nearer than any other."""
    known = list(known)
    whole = [other for other in known if other.endswith(f".{name}")]
    found = (
        whole or get_close_matches(name, known, 1) or _nearest_of_any_case(name, known)
    )
    return f"; the nearest is {found[0]}" if found else ""


def _nearest_variable(name: str, known: Iterable[str]) -> str:
    # What all begin with makes none nearer.
    by_end = {other.removeprefix(_PREFIX): other for other in known}
    found = get_close_matches(name.removeprefix(_PREFIX), by_end, 1)
    return f"; the nearest is {by_end[found[0]]}" if found else ""


def _nearest_of_any_case(name: str, known: list[str]) -> list[str]:
    lower = {other.lower(): other for other in known}
    return [lower[found] for found in get_close_matches(name.lower(), lower, 1)]


def _family_of(name: str) -> str | None:
    """Return the family that a key is of, if it is of one."""
    return next((one for one in FAMILIES if name.startswith(f"{one}.")), None)


def _family(name: str) -> str:
    head, dot, _ = name.partition(".")
    return f"{head}.*" if dot else name
