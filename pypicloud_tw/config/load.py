"""The configuration: an ini file and the environment in, frozen sections out.

Every mistake is told at once. Where the ini and the environment both give a key, the
environment's is used. With neither, everything has its default.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import product
from pathlib import Path
from types import MappingProxyType
from typing import Any

import attrs
from attrs import define, field

from pypicloud_tw.config.addresses import tcp_endpoint
from pypicloud_tw.config.agreement import advice, contradictions, missing_files, unused
from pypicloud_tw.config.configuration import Config
from pypicloud_tw.config.grants import Grants, read_grants, undefined
from pypicloud_tw.config.hashes import HOW_TO_HASH, identify
from pypicloud_tw.config.ini import IniError, read_text
from pypicloud_tw.config.key import EMPTY, Key
from pypicloud_tw.config.keys import KEYS, SECTIONS
from pypicloud_tw.config.login_checks import of_ldap, of_logins, of_oidc_login
from pypicloud_tw.config.publishers import Publishers, read_publishers
from pypicloud_tw.config.retention import Retentions, read_retentions
from pypicloud_tw.config.sections.index import PypiSection
from pypicloud_tw.config.sections.server import (
    ServerSection,
)
from pypicloud_tw.config.sections.upstream import COOLDOWN, OSV_OF_PYPI
from pypicloud_tw.config.signers import read_signers, read_upstream_publishers
from pypicloud_tw.config.sources import (
    IGNORED,
    Given,
    Problem,
    Source,
    former_variables,
    from_environment,
    from_ini,
    user_name_problem,
)
from pypicloud_tw.config.values import BadLinesError, BadValueError, seconds
from pypicloud_tw.errors import ConfigError
from pypicloud_tw.outbound.proxies import ProxySettings

#: No key or token is longer; bytes. Session tokens of AWS have up to 4 KiB.
_MAX_SECRET = 64 * 1024


def load(path: Path | None, environ: Mapping[str, str]) -> Config:
    """Read the configuration.

    :param path: the ini file, if there is one.
    :param environ: the environment; what begins with ``PYPICLOUD_`` is read, and
        proxies are checked.
    :raises ConfigError: with every mistake, a sentence each.
    """
    base = Path.cwd() if path is None else path.absolute().parent
    sources = [from_environment(environ)]
    if path is not None:
        sources.append(from_ini(path))
    config = _read(base, sources)
    if path is None:
        config = _with_protection(config, sources[0])
    ProxySettings.of(environ, *_schemes_asked(config))
    notices = (*config.notices, *former_variables(environ))
    return attrs.evolve(config, notices=notices, ini=path)


def _with_protection(config: Config, given: Source) -> Config:
    """Have a server that nobody wrote a file for be safe, where it can judge files.

    :param given: the environment's settings.
    """
    pypi = config.pypi
    if not pypi.use_fallback or pypi.fallback == "redirect":
        return config
    return _with_advisories(_with_cooldown(config), given)


def _with_cooldown(config: Config) -> Config:
    if config.upstream.min_age is not None:
        return config
    key = KEYS["upstream.min_age"]
    notice = (
        f"There is no ini, so that files of the other index are hidden for {COOLDOWN} "
        f"after their upload ({key.name}); {key.variable} sets another time, 0 none."
    )
    return attrs.evolve(
        config,
        upstream=attrs.evolve(config.upstream, min_age=seconds()(COOLDOWN)),
        notices=(*config.notices, notice),
    )


def _with_advisories(config: Config, given: Source) -> Config:
    key = KEYS["advisories.source"]
    texts = [given.settings.get(name) for name in (key.name, f"{key.name}_file")]
    if any(one is not None and one.text for one in texts):
        return config
    notice = (
        f"There is no ini, so that known malware is blocked, by {OSV_OF_PYPI} "
        f"({key.name}); {key.variable} names a mirror of it, or none."
    )
    return attrs.evolve(
        config,
        advisories=attrs.evolve(config.advisories, source=OSV_OF_PYPI),
        notices=(*config.notices, notice),
    )


def _schemes_asked(config: Config) -> set[str]:
    """Name the schemes that this server connects by."""
    urls = list(config.pypi.fallback_url) if config.pypi.use_fallback else []
    if config.aws.bucket is not None:
        urls.append(config.aws.endpoint_url or "https:")
    schemes = {url.partition(":")[0].lower() for url in urls}
    # Links of a page may lead to https from either.
    return schemes | {"https"} if urls else schemes


def load_settings(
    settings: Mapping[str, str], users: Mapping[str, str], base: Path
) -> Config:
    """Parse settings that are in no file yet.

    :param settings: texts by key.
    :param users: password hashes by name.
    :param base: the folder at which paths begin.
    :raises ConfigError: as :func:`load` does.
    """
    source = Source()
    for key, text in settings.items():
        source.add(key, Given(text, key))
    for name, hashed in users.items():
        source.add(f"user.{name}", Given(hashed, f"user.{name}"))
    return _read(base, [source])


def _read(base: Path, sources: list[Source]) -> Config:
    reading = _Reading(base, sources)
    config = reading.config()
    if reading.problems:
        # In the order of the file, which the person has open; then the rest.
        ordered = sorted(
            reading.problems, key=lambda one: (one.line is None, one.line or 0)
        )
        raise ConfigError([problem.text for problem in ordered])
    return config


@define
class _Reading:
    """One reading: sources in the order in which they win, and what is wrong."""

    base: Path
    sources: list[Source]
    problems: list[Problem] = field(factory=list)
    bad: set[str] = field(factory=set)
    given: set[str] = field(factory=set)
    emptied: list[str] = field(factory=list)

    def config(self) -> Config:
        """Parse everything; what is wrong is in :attr:`problems`."""
        for source in self.sources:
            self.problems.extend(source.problems)
        users, grants = self._users(), self._grants()
        publishers, retention = self._publishers(), self._retention()
        values: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
        for key in KEYS.values():
            self._read(key, values[key.section])
        sections = {name: SECTIONS[name](**values[name]) for name in SECTIONS}
        config = Config(
            **sections,
            users=users,
            groups=grants.groups,
            rights=grants.rights,
            publishers=publishers.by_name,
            signers=read_signers(self._family("attestation"), self.problems.append),
            upstream_publishers=read_upstream_publishers(
                self._family("upstream.publisher"), self.problems.append
            ),
            retention=retention.rules,
            notices=(
                *self._notices(),
                *publishers.notices,
                *retention.notices,
                *undefined(sections["pypi"], sections["auth"], grants, users),
            ),
        )
        return self._complete(config)

    def _read(self, key: Key, values: dict[str, Any]) -> None:
        given = self._find(key)
        if given is None:
            return
        self.given.add(key.name)
        try:
            value = values[key.attribute] = self._understand(key, given.text)
            if not given.text and key.empty is not None:
                self.emptied.append(f"{key.name} ({given.origin})")
            # Who writes a word for it, as none, means it.
            nothing = not given.text.strip(", \t\n")
            if key.empty_is_laxer and value in EMPTY and nothing:
                self._refuse_lifting(key, given)
        except BadValueError as e:
            self.bad.add(key.name)
            self.problems.extend(map(given.problem, _sentences(key, given.text, e)))

    def _find(self, key: Key) -> Given | None:
        """Find a key's text in the first source that has it, or its file."""
        for source in self.sources:
            given = source.settings.get(key.name)
            in_file = source.settings.get(f"{key.name}_file") if key.secret else None
            if given is not None and in_file is not None:
                self.problems.append(
                    in_file.problem(
                        f"{key.name} and {key.name}_file are both given; keep one."
                    )
                )
            if given is not None:
                return given
            if in_file is not None:
                return self._from_file(key, in_file)
        return None

    def _refuse_lifting(self, key: Key, empty: Given) -> None:
        """Complain of an empty variable that would lift what another place says."""
        names = (key.name, f"{key.name}_file")
        for source, name in product(self.sources, names):
            lifted = source.settings.get(name)
            # Commas alone are an empty list.
            if lifted is not None and lifted.text.strip(", \t\n"):
                self.problems.append(
                    empty.problem(
                        f"{key.name} is empty, which would lift {name} = "
                        f"{key.show(lifted.text)} ({lifted.origin}). Give the variable "
                        "a value or unset it; to lift the key, take it out of the file."
                    )
                )

    def _from_file(self, key: Key, given: Given) -> Given | None:
        path = self.base / given.text
        # Its path is not shown: it may be the secret itself, under the wrong key.
        what = f"{key.name}_file"
        try:
            text = read_text(path, _MAX_SECRET).strip()
        except IniError as e:
            self.problems.append(given.problem(f"{what}: {e}"))
        else:
            if text:
                return Given(text, given.origin, given.line)
            self.problems.append(given.problem(f"{what}: the file is empty."))
        self.bad.add(key.name)
        return None

    def _understand(self, key: Key, text: str) -> object:
        if not text:
            if key.empty is not None:
                return key.empty
            if key.optional:
                return attrs.fields_dict(SECTIONS[key.section])[key.attribute].default
            raise BadValueError("is empty; give a value, or leave the key out.")
        if not text.replace("\n", "").replace("\t", "").isprintable():
            raise BadValueError("has characters that cannot be seen.")
        value = key.parse(text)
        return self.base / value if isinstance(value, Path) else value

    def _users(self) -> Mapping[str, str]:
        users: dict[str, Given] = {}
        for source in reversed(self.sources):
            users |= source.users
        for name, given in users.items():
            for problem in _user_problems(name, given.text):
                self.problems.append(given.problem(problem))
        return MappingProxyType({name: given.text for name, given in users.items()})

    def _grants(self) -> Grants:
        return read_grants(
            self._family("group"), self._family("package"), self.problems.append
        )

    def _publishers(self) -> Publishers:
        return read_publishers(self._family("publisher"), self.problems.append)

    def _retention(self) -> Retentions:
        return read_retentions(self._family("retention"), self.problems.append)

    def _family(self, family: str) -> dict[str, Given]:
        """Collect what keys of a family say, the first source's words winning."""
        given: dict[str, Given] = {}
        for source in reversed(self.sources):
            given |= source.families[family]
        return given

    def _notices(self) -> Iterator[str]:
        old = [name for source in self.sources for name in source.old]
        if old:
            yield (
                "Passed over, as it belonged to the web framework of the program "
                f"before: {', '.join(old)}."
            )
        if self.emptied:
            yield f"Empty, so that nobody is meant: {', '.join(self.emptied)}."
        for source in self.sources:
            for name in source.database:
                yield f"{name}: no database is needed any more; the line can go."
            for name in source.ignored:
                yield f"{name} is ignored: {IGNORED[name]}."

    def _complete(self, config: Config) -> Config:
        """Fill in what follows from several keys, and check what must agree."""
        problems = [
            *contradictions(config, self.given),
            *missing_files(config),
            *of_logins(config.server, config.pypi, config.logins),
            *of_ldap(config.ldap, self.given),
            *of_oidc_login(config.oidc_login),
        ]
        for keys, problem in problems:
            if not self.bad & set(keys):
                self.problems.append(Problem(problem))
        notices = (*config.notices, *unused(config, self.given), *advice(config))
        return attrs.evolve(
            config,
            server=self._listen(config.server),
            storage=attrs.evolve(config.storage, dir=self.base / config.storage.dir),
            pypi=self._fallback(config.pypi),
            notices=notices,
        )

    def _listen(self, server: ServerSection) -> ServerSection:
        if "server.listen" in self.given:
            return server
        return attrs.evolve(server, listen=tcp_endpoint(server.host, server.port))

    def _fallback(self, pypi: PypiSection) -> PypiSection:
        """Make the old key and the new one say the same."""
        fallback = pypi.fallback if pypi.use_fallback else "none"
        return attrs.evolve(pypi, fallback=fallback, use_fallback=fallback != "none")


def _sentences(key: Key, text: str, error: BadValueError) -> Iterator[str]:
    """Say what is wrong with a key's text, of every line where that is a list."""
    if isinstance(error, BadLinesError):
        for line, why in error.lines:
            yield f"{key.name}: the line {key.show(line)} {why}{_about_comments(line)}"
    else:
        yield f"{key.name} = {key.show(text)} {error}{_about_comments(text)}"


def _about_comments(text: str) -> str:
    if re.search(r"\s[#;]", text) is None:
        return ""
    return " (A comment behind a value needs a blank on both sides of its '#'.)"


def _user_problems(name: str, hashed: str) -> Iterator[str]:
    problem = user_name_problem(name)
    if problem is not None:
        yield f"user.{name[:80]!a}: {problem}"
    if identify(hashed) is None:
        yield (
            f"user.{name[:80]} = (not shown) is not a password's hash that works "
            f"here. {HOW_TO_HASH}"
        )
