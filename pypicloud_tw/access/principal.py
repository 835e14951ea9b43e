"""Who makes a request, and what it showed to prove that."""

from __future__ import annotations

from attrs import define, field, frozen

from pypicloud_tw.config.rights import RESERVED, Action
from pypicloud_tw.index.audit import UNPROVED, Proof


# Not frozen, which would double what it costs to make one for each request.
@define
class Credentials:
    """What a request brings along to say who makes it.

    :ivar authorization: the Authorization field, if there is one.
    :ivar client: the trusted address of the client.
    :ivar forwarded_user: whom a trusted proxy has signed in
        (``auth.remote_user_header``).
    :ivar forwarded_groups: the groups of that user, as the proxy has them.
    :ivar certificate: the client's certificate, verified, in DER.
    :ivar session: the cookie that a browser shows for a session, where it counts.
    """

    authorization: bytes | None = field(repr=False)
    client: str
    forwarded_user: bytes | None = None
    forwarded_groups: bytes | None = None
    certificate: bytes | None = field(default=None, repr=False)
    session: bytes | None = field(default=None, repr=False)


@frozen
class Scope:
    """What a token narrows its owner to, or all that a publisher may do.

    :ivar actions: None: every one but to administer, which has to be named: whoever
        administers can make users, who outlive a token that leaked.
    :ivar projects: normalized names or patterns; None: every project.
    """

    actions: frozenset[Action] | None = None
    projects: tuple[str, ...] | None = None

    def has(self, action: Action) -> bool:
        """Whether an action is within it, whatever the project."""
        if self.actions is None:
            return action is not Action.ADMINISTER
        return action in self.actions

    def leaves(self, action: Action) -> bool:
        """Whether an action is left that is about no project, or about all."""
        return self.projects is None and self.has(action)


#: Publishers of one job that a record names; of others it has the number.
_NAMED = 5


def _without_ours(groups: frozenset[str]) -> frozenset[str]:
    """Drop what means a whole group here: elsewhere, many may be in an ``admin``."""
    return groups - RESERVED if groups else groups


@frozen
class Principal:
    """Somebody who proved who it is, or nobody in particular.

    :ivar name: a user's; None for anonymous requests and for publishers.
    :ivar groups: what another directory says it is in, beside the groups of the ini and
        of the access document; never one of :data:`RESERVED`.
    :ivar administrator: that directory says that it may do everything.
    :ivar scope: what its token narrows it to; None: nothing does.
    :ivar publishers: the names of the trusted publishers whose token it has: a job can
        be of several, and may do what any of them may.
    :ivar proof: how it was found out.
    :ivar last_known: the store is away, and this was true before: it may be served what
        is known, and may change nothing.
    """

    name: str | None
    groups: frozenset[str] = field(default=frozenset(), converter=_without_ours)
    administrator: bool = False
    scope: Scope | None = None
    publishers: tuple[str, ...] = ()
    proof: Proof = UNPROVED
    last_known: bool = False

    @property
    def label(self) -> str | None:
        """What records call it: the user's name, or the publishers'; None: nobody.

        It is kept with each file, where S3 has room for 2 kB.
        """
        if not self.publishers:
            return self.name
        named, more = self.publishers[:_NAMED], len(self.publishers) - _NAMED
        return f"publisher {', '.join(named)}" + (
            f" and {more} more" if more > 0 else ""
        )

    @property
    def anonymous(self) -> bool:
        """Whether it is nobody in particular."""
        return self.name is None and not self.publishers


#: Whoever proves nothing.
ANONYMOUS = Principal(None)
