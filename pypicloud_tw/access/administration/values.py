"""What administrators see and say: the values that requests and answers consist of.

No hash and no secret is in any of them, but for a new token, which is shown once.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from attrs import field, frozen

from pypicloud_tw.access.hashes import MAX_PASSWORD
from pypicloud_tw.config.exemptions import LONGEST_REASON, Rule
from pypicloud_tw.config.publishers import AUDIENCE
from pypicloud_tw.config.rights import Action, Kind
from pypicloud_tw.json_values import longest

#: Whose a right is.


@frozen
class User:
    """Somebody who may log in or own tokens.

    :ivar password: whether there is one; a service account has tokens only.
    :ivar fixed: the ini has it, and only the ini changes it.
    """

    name: str
    administrator: bool
    password: bool
    groups: tuple[str, ...]
    fixed: bool


@frozen
class Group:
    """A group and who is in it."""

    name: str
    members: tuple[str, ...]
    fixed: bool


@frozen
class Right:
    """One line of rights.

    :ivar source: where it stands.
    :ivar counts: false where lines of the ini decide for this project instead.
    """

    project: str
    kind: Kind
    name: str
    actions: frozenset[Action]
    source: str
    fixed: bool
    counts: bool = True


@frozen
class PublisherTerms:
    """What a trusted publisher must show, and what it may do then.

    :ivar claims: the pattern that each claim must match.
    :ivar projects: names or patterns.
    """

    issuer: str
    claims: Mapping[str, str]
    projects: tuple[str, ...]
    audience: str = AUDIENCE
    actions: frozenset[Action] = frozenset({Action.UPLOAD})


@frozen
class Publisher:
    """A trusted publisher."""

    name: str
    terms: PublisherTerms
    source: str
    fixed: bool


@frozen
class NewExemption:
    """What a rule for what comes from upstream shall not hold for, until when and why.

    :ivar versions: a version specifier (PEP 440); empty: every version.
    :ivar sha256: of one file, hexadecimal; empty: every file.
    """

    project: str
    until: datetime
    reason: str = field(metadata=longest(LONGEST_REASON, one_line=True))
    versions: str = field(default="", metadata=longest(LONGEST_REASON, one_line=True))
    sha256: str = ""
    rule: str = Rule.MIN_AGE.value


@frozen
class Exempted:
    """An exemption.

    :ivar id: by which it is removed; empty: the ini has it.
    :ivar what: it speaks of, as it would stand in an ini.
    :ivar source: where it stands, or who added it.
    :ivar fixed: the ini has it, and only the ini changes it.
    :ivar ended: it holds no more.
    """

    id: str
    what: str
    project: str
    versions: str
    sha256: str
    rule: str
    until: datetime
    reason: str
    source: str
    fixed: bool
    ended: bool


@frozen
class NewUser:
    """A user to be made or replaced, whole.

    :ivar password: None: a service account, which has tokens only.
    """

    password: str | None = field(
        default=None, repr=False, metadata=longest(MAX_PASSWORD)
    )
    administrator: bool = False


@frozen
class UserChange:
    """What shall be another of a user's; None leaves it as it is."""

    password: str | None = field(
        default=None, repr=False, metadata=longest(MAX_PASSWORD)
    )
    administrator: bool | None = None


@frozen
class Members:
    """Who shall be in a group."""

    members: tuple[str, ...]


@frozen
class Grant:
    """What somebody shall be allowed; nothing closes the project to whom it names."""

    actions: frozenset[Action]


@frozen
class NewToken:
    """A token to be made.

    :ivar actions: None: all that its owner may, but to administer.
    :ivar projects: names or patterns; None: all of its owner's.
    :ivar life: seconds; None: as long as the ini has it.
    :ivar owner: None: whoever asks.
    """

    description: str = ""
    actions: frozenset[Action] | None = None
    projects: tuple[str, ...] | None = None
    life: int | None = None
    owner: str | None = None


@frozen
class Token:
    """A token, without its secret.

    :ivar revoked: it is worth nothing any more.
    :ivar used: the day of its last use, as ``2026-03-01``.
    :ivar used_from: the address that it was last used from.
    """

    id: str
    owner: str
    description: str
    actions: frozenset[Action] | None
    projects: tuple[str, ...] | None
    created: datetime
    expires: datetime
    revoked: bool = False
    used: str | None = None
    used_from: str | None = None


@frozen
class TokensPage:
    """A part of everybody's tokens.

    :ivar cursor: gives what follows; None: nothing does.
    """

    items: tuple[Token, ...]
    cursor: str | None = None


@frozen
class MadeToken:
    """A new token, with what nobody can see again."""

    id: str
    token: str = field(repr=False)
    expires: datetime


@frozen
class Verdict:
    """Whether one action is allowed.

    :ivar reasons: what gives the right, else what withholds it.
    """

    action: Action
    allowed: bool
    reasons: tuple[str, ...]


@frozen
class Decision:
    """What somebody may do with a project, or with what matches a pattern.

    :ivar decided_by: the project or pattern whose lines decide; None: the defaults.
    :ivar fixed: the ini decides.
    """

    project: str
    decided_by: str | None
    fixed: bool
    verdicts: tuple[Verdict, ...]


@frozen
class RightsOf:
    """What somebody may do."""

    user: str | None
    decisions: tuple[Decision, ...]


@frozen
class Identity:
    """Whoever asks.

    :ivar publishers: the trusted ones whose token it has.
    :ivar proof: what was shown: ``password``, ``token`` and so on.
    :ivar actions: what its token narrows it to; None: it does not.
    :ivar projects: the same of projects.
    """

    name: str | None
    publishers: tuple[str, ...]
    groups: tuple[str, ...]
    administrator: bool
    proof: str
    actions: frozenset[Action] | None
    projects: tuple[str, ...] | None


@frozen
class Overview:
    """What holds for all of access.

    :ivar open: nothing is said of rights, so that every user may write.
    :ivar read_only: why nothing may be changed now.
    :ivar state: an opaque word for everything that is set in the store.
    """

    open: bool
    read_only: str | None
    state: str


@frozen
class Changed:
    """What came of a change.

    :ivar made: there was none of that name before.
    :ivar notices: what whoever changed it should know, a sentence each.
    :ivar state: an opaque word for what it is now; None: it is gone.
    """

    made: bool = False
    notices: tuple[str, ...] = ()
    state: str | None = None


@frozen
class Required:
    """What must be true for a change to be made.

    :ivar absent: there is none of that name yet.
    :ivar present: there is one.
    :ivar states: it, or everything together, is in one of these; None: in any.
    """

    absent: bool = False
    present: bool = False
    states: frozenset[str] | None = None


#: Nothing must be true.
WHATEVER = Required()

#: Nothing of that name must be there.
NEW = Required(absent=True)
