"""What may be so or not of who may do what, and what was acknowledged of it last."""

from __future__ import annotations

from collections.abc import Callable
from random import Random, SystemRandom

from attrs import define, field

from pypicloud_tw.access import changes
from pypicloud_tw.access.document import AccessDocument
from pypicloud_tw.access.policy import Policy
from pypicloud_tw.access.principal import Principal
from pypicloud_tw.access.settings import AccessSettings
from pypicloud_tw.config.rights import Action
from pypicloud_tw.index.names import NormalizedName, project_name
from tests.access.unsteady import FRESH_FOR

NOW = 1_800_000_000.0

#: Above what floating point makes of sums.
_BIT = 1e-3

#: It says nothing of rights.
INI = AccessSettings(has_users=True)
ACME, TEAM = project_name("acme"), "team"
Change = Callable[[AccessDocument], AccessDocument]


@define(eq=False)
class Fact:
    """What may be so or not, and what was acknowledged of it last.

    :ivar on: whether it is so; None: nobody can know, as no answer came.
    :ivar since: of the acknowledgement.
    :ivar turns: how often it may have changed.
    :ivar ends: how often it was acknowledged that it is not so.
    """

    name: str
    on: bool | None = False
    since: float = NOW
    turns: int = 0
    ends: int = 0
    busy: bool = False

    def acknowledge(self, on: bool, now: float) -> None:
        self.on, self.since = on, now
        self.ends += not on

    def settled(self, now: float, within: float = FRESH_FOR + _BIT) -> bool:
        """Whether every server must have heard of it."""
        return self.on is not None and not self.busy and now >= self.since + within


@define(eq=False)
class Setting(Fact):
    """A fact of the access document."""

    add: Change = field(kw_only=True)
    remove: Change = field(kw_only=True)
    holds: Callable[[Policy], bool] = field(kw_only=True)


@define(eq=False)
class Token(Fact):
    """A token that was shown to somebody: it is so while it is good.

    :ivar owner: with :attr:`turns` as they were; None: a minted one.
    :ivar owner_ends: those of the owner, as they were.
    """

    owner: tuple[Setting, int] | None = field(kw_only=True)
    owner_ends: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.owner_ends = 0 if self.owner is None else self.owner[0].ends

    @property
    def owned(self) -> bool:
        """Whether nobody has begun to remove its owner."""
        return self.owner is None or self.owner[0].turns == self.owner[1]

    @property
    def good(self) -> bool:
        return self.on is True and self.owned

    def must_be_refused(self, now: float) -> bool:
        """Whether it is revoked, or its owner removed, and everybody knows that."""
        if self.on is False and self.settled(now):
            return True
        if self.owner is None or self.owner[0].ends == self.owner_ends:
            return False  # a removal without an answer may never have been made
        return self.owner[0].settled(now)


def user(name: str, random: Random | None = None) -> Setting:
    """A user: made and removed by changes that mind what they find.

    :param random: for its ids.
    """
    random = random or SystemRandom()
    return Setting(
        name,
        add=lambda document: changes.put_user(document, INI, name, None, random=random),
        remove=lambda document: changes.remove_user(document, INI, name),
        holds=lambda policy: name in policy.document.users,
    )


def member(name: str) -> Setting:
    return Setting(
        name,
        add=lambda document: changes.add_member(document, INI, TEAM, name),
        remove=lambda document: changes.remove_member(document, INI, TEAM, name),
        holds=lambda policy: TEAM in policy.groups_of(Principal(name)),
    )


def right(name: str, project: NormalizedName = ACME) -> Setting:
    upload = frozenset({Action.UPLOAD})
    return Setting(
        name,
        add=lambda document: changes.set_right(
            document, INI, project, "user", name, upload
        ),
        remove=lambda document: changes.remove_right(
            document, INI, project, "user", name
        ),
        holds=lambda policy: policy.may(Principal(name), Action.UPLOAD, project),
    )
