"""The rules of the ini and of the access document, compiled for look-ups.

Projects whose lines give the same rights share one :class:`ProjectRights`, so that
what may be read is a set of a few numbers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import chain
from operator import attrgetter

from attrs import define, field, frozen

from pypicloud_tw.access.document import AccessDocument
from pypicloud_tw.access.patterns import ProjectIndex, by_specificity, is_pattern
from pypicloud_tw.access.settings import AccessSettings
from pypicloud_tw.concurrency.steps import Steps, batches
from pypicloud_tw.config.rights import (
    AUTHENTICATED,
    EVERYONE,
    READING,
    RESERVED,
    WRITING,
    Action,
    RightLine,
    TrustedPublisher,
)

_NOBODY: frozenset[str] = frozenset()
_NOTHING: frozenset[Action] = frozenset()

#: More names than these are counted.
_MOST_NAMES = 5

#: Lines or groups that are looked at in a piece: 1 to 2 ms.
BATCH = 200

_Given = frozenset[tuple[str, str, frozenset[Action]]]


@frozen(eq=False)
class ProjectRights:
    """What a set of lines comes to.

    :ivar number: tells it from others of the same rules.
    :ivar everyone: what whoever asks may do.
    :ivar authenticated: what whoever has logged in may do.
    :ivar users: what a user may do beyond that.
    :ivar groups: what a group's members may do beyond that.
    :ivar anyone_reads: *everyone* has reading in it.
    """

    number: int
    everyone: frozenset[Action]
    authenticated: frozenset[Action]
    users: Mapping[str, frozenset[Action]]
    groups: Mapping[str, frozenset[Action]]
    anyone_reads: bool

    @classmethod
    def of(
        cls, number: int, given: Iterable[tuple[str, str, frozenset[Action]]]
    ) -> ProjectRights:
        """Add up lines: the kind, the name, and what is allowed."""
        users: dict[str, frozenset[Action]] = {}
        groups: dict[str, frozenset[Action]] = {}
        for kind, name, actions in given:
            place = users if kind == "user" else groups
            place[name] = place.get(name, _NOTHING) | actions
        everyone = groups.pop(EVERYONE, _NOTHING)
        authenticated = everyone | groups.pop(AUTHENTICATED, _NOTHING)
        reads = Action.READ in everyone
        return cls(number, everyone, authenticated, users, groups, reads)

    @classmethod
    def all_of(cls, rights: Iterable[ProjectRights]) -> ProjectRights:
        """Add up what several come to, under no number of theirs."""
        return cls.of(-1, chain.from_iterable(one._given() for one in rights))

    def _given(self) -> Iterator[tuple[str, str, frozenset[Action]]]:
        yield "group", EVERYONE, self.everyone
        yield "group", AUTHENTICATED, self.authenticated
        for name, actions in self.users.items():
            yield "user", name, actions
        for name, actions in self.groups.items():
            yield "group", name, actions

    def allow(self, user: str, groups: frozenset[str], action: Action) -> bool:
        """Whether a user who is in these groups may do it."""
        if action in self.authenticated or action in self.users.get(user, _NOTHING):
            return True
        given = self.groups
        for group in groups if len(groups) < len(given) else given:
            if group in groups and action in given.get(group, _NOTHING):
                return True
        return False


@define(eq=False)
class _Readers:
    """The numbers of the rights by which somebody may read."""

    everyone: frozenset[int]
    authenticated: frozenset[int]
    users: dict[str, set[int]] = field(factory=dict)
    groups: dict[str, set[int]] = field(factory=dict)
    every: frozenset[int] = frozenset()

    @classmethod
    def of(cls, rights: Iterable[ProjectRights]) -> _Readers:
        rights = list(rights)
        readers = cls(
            everyone=frozenset(one.number for one in rights if one.anyone_reads),
            authenticated=frozenset(
                one.number for one in rights if Action.READ in one.authenticated
            ),
            every=frozenset(one.number for one in rights),
        )
        for one in rights:
            _note(readers.users, one.users, one.number)
            _note(readers.groups, one.groups, one.number)
        return readers

    def numbers(self, user: str, groups: Iterable[str]) -> frozenset[int]:
        """Return those by which a user who is in these groups may read."""
        by_group = (self.groups.get(group, ()) for group in groups)
        return self.authenticated.union(self.users.get(user, ()), *by_group)


def _note(
    place: dict[str, set[int]], given: Mapping[str, frozenset[Action]], number: int
) -> None:
    for name, actions in given.items():
        if Action.READ in actions:
            place.setdefault(name, set()).add(number)


@define(eq=False)
class Rules:
    """Everything compiled. Where an ini line matches, the document does not count.

    :ivar default: the rights of whatever no line matches.
    :ivar anywhere: what could be done with some project at all.
    :ivar readers: by which rights somebody may read.
    :ivar public: everyone may read every project.
    :ivar open: nothing is said of rights, so that every user may write.
    :ivar administrators: where it is said, by the user's name.
    :ivar publishers: by name.
    :ivar lines: by name or pattern, those of the ini and those of the document.
    :ivar notices: what of the document does not count, and why; a sentence each.
    """

    default: ProjectRights
    anywhere: ProjectRights
    readers: _Readers
    public: bool
    open: bool
    administrators: Mapping[str, str]
    publishers: Mapping[str, TrustedPublisher]
    default_lines: tuple[RightLine, ...]
    fixed_lines: Mapping[str, tuple[RightLine, ...]]
    stored_lines: Mapping[str, tuple[RightLine, ...]]
    notices: tuple[str, ...]
    _fixed: ProjectIndex[ProjectRights]
    _stored: ProjectIndex[ProjectRights]
    _groups_of: Mapping[str, frozenset[str]]

    @property
    def summary(self) -> str:
        """Say which of the two holds: rights that were given, or none."""
        if self.open:
            return (
                "Nothing is said of rights (pypi.default_write, auth.admins, "
                "group.NAME, package.PROJECT): every user may upload and delete."
            )
        return "Only those may write who have been given the right to."

    def find(self, name: str) -> ProjectRights:
        """Return the rights of a project, by its normalized name."""
        return self._fixed.find(name) or self._stored.find(name) or self.default

    def is_fixed(self, name: str) -> bool:
        """Whether the ini decides of a project, so that the document cannot."""
        return self._fixed.find(name) is not None

    def groups_of(self, user: str) -> frozenset[str]:
        """Return the groups that a user is in, by the ini and the document."""
        return self._groups_of.get(user, _NOBODY)


def compiling(settings: AccessSettings, document: AccessDocument) -> Steps[Rules]:
    """Compile the rules of both sources, in pieces."""
    return _Compiler(settings, document).compile()


def says_nothing(settings: AccessSettings, document: AccessDocument) -> bool:
    """Whether neither says who may do what, so that every user may write."""
    return not (
        settings.speak_of_rights
        or document.groups
        or document.rights
        or any(user.administrator for user in document.users.values())
    )


@define
class _Compiler:
    """One compilation."""

    settings: AccessSettings
    document: AccessDocument
    _made: dict[_Given, ProjectRights] = field(factory=dict)

    def compile(self) -> Steps[Rules]:
        fixed = yield from _by_project(self.settings.rights)
        fixed_rights = yield from self._rights_of(fixed)
        fixed_index = yield from ProjectIndex.building(fixed_rights)
        stored = yield from _by_project(self.document.rights)
        shadowed = {p for p in stored if _is_shadowed(p, fixed, fixed_index)}
        yield
        counted = {p: stored[p] for p in stored if p not in shadowed}
        stored_rights = yield from self._rights_of(counted)
        stored_index = yield from ProjectIndex.building(stored_rights)
        default_lines = tuple(self._default_lines())
        default = self._rights(default_lines)
        met = {*fixed_rights.values(), *stored_rights.values()}
        if "*" not in fixed and "*" not in counted:
            met.add(default)
        reachable = sorted(met, key=attrgetter("number"))
        yield
        readers = _Readers.of(reachable)
        yield
        groups_of = yield from self._memberships()
        return Rules(
            default=default,
            anywhere=ProjectRights.all_of(reachable),
            readers=readers,
            public=all(one.anyone_reads for one in reachable),
            open=self._open,
            administrators=self._administrators(),
            publishers={**self.document.publishers, **self.settings.publishers},
            default_lines=default_lines,
            fixed_lines=fixed,
            stored_lines=counted,
            notices=tuple(self._notices(shadowed)),
            fixed=fixed_index,
            stored=stored_index,
            groups_of=groups_of,
        )

    def _rights_of(
        self, lines: Mapping[str, tuple[RightLine, ...]]
    ) -> Steps[dict[str, ProjectRights]]:
        rights: dict[str, ProjectRights] = {}
        for batch in batches(lines.items(), BATCH):
            yield
            rights.update((project, self._rights(its)) for project, its in batch)
        return rights

    def _rights(self, lines: Iterable[RightLine]) -> ProjectRights:
        given = frozenset((line.kind, line.name, line.actions) for line in lines)
        rights = self._made.get(given)
        if rights is None:
            rights = ProjectRights.of(len(self._made), given)
            self._made[given] = rights
        return rights

    @property
    def _open(self) -> bool:
        return says_nothing(self.settings, self.document)

    def _default_lines(self) -> Iterator[RightLine]:
        readers, writers = self.settings.default_read, self.settings.default_write or ()
        source = f"pypi.default_read = {' '.join(readers)}"
        for group in readers:
            yield RightLine("*", "group", group, READING, source)
        source = f"pypi.default_write = {' '.join(writers)}"
        for group in writers:
            yield RightLine("*", "group", group, WRITING, source)
        if self._open:
            source = "nothing is said of rights, so that every user may write"
            yield RightLine("*", "group", AUTHENTICATED, WRITING, source)

    def _administrators(self) -> dict[str, str]:
        stored = {
            name: "the access document"
            for name, user in self.document.users.items()
            if user.administrator and name not in self.settings.users
        }
        return stored | dict.fromkeys(self.settings.admins or (), "auth.admins")

    def _groups(self) -> dict[str, frozenset[str]]:
        stored = self.document.groups.items()
        counted = {name: who for name, who in stored if name not in RESERVED}
        return {**counted, **self.settings.groups}

    def _memberships(self) -> Steps[dict[str, frozenset[str]]]:
        groups_of: dict[str, list[str]] = {}
        for batch in batches(self._groups().items(), BATCH):
            yield
            for group, members in batch:
                for member in members:
                    groups_of.setdefault(member, []).append(group)
        yield
        return {member: frozenset(groups) for member, groups in groups_of.items()}

    def _notices(self, shadowed: Collection[str]) -> Iterator[str]:
        document, settings = self.document, self.settings
        ignored: dict[str, Collection[str]] = {
            "rights of": shadowed,
            "groups": [
                g for g in document.groups if g in settings.groups or g in RESERVED
            ],
            "users": [u for u in document.users if u in settings.users],
            "publishers": [p for p in document.publishers if p in settings.publishers],
        }
        for what, names in ignored.items():
            if names:
                yield (
                    f"The {what} {listed(names)} in the access document do not count: "
                    "what the ini says of these names goes before."
                )


def _by_project(
    lines: Iterable[RightLine],
) -> Steps[dict[str, tuple[RightLine, ...]]]:
    """Group lines, the most specific first."""
    grouped: dict[str, list[RightLine]] = {}
    for batch in batches(lines, BATCH):
        yield
        for line in batch:
            grouped.setdefault(line.project, []).append(line)
    projects = yield from by_specificity(grouped)
    return {project: tuple(grouped[project]) for project in projects}


def _is_shadowed(
    project: str,
    fixed: Mapping[str, tuple[RightLine, ...]],
    index: ProjectIndex[ProjectRights],
) -> bool:
    """Whether the ini decides of every name that a line of the document stands for.

    As far as can be told at once: of a pattern that lies within another it cannot.
    """
    if project in fixed or "*" in fixed:
        return True
    return not is_pattern(project) and index.find(project) is not None


def listed(names: Collection[str]) -> str:
    """Name some, and how many more there are."""
    shown = ", ".join(sorted(names)[:_MOST_NAMES])
    more = len(names) - _MOST_NAMES
    return f"{shown} and {more} more" if more > 0 else shown
