"""Who did what: one record for each change, made where the change is made, once it is
durable; and for each refusal that matters, made where it is refused.

Where records go is decided elsewhere: whatever makes one calls an :data:`Audit`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal

from attrs import field, frozen

_NOTHING: Mapping[str, str] = MappingProxyType({})


@frozen
class Proof:
    """How somebody proved who it is.

    :ivar kind: ``password``, ``token``, ``publisher``, ``proxy``, ``certificate``,
        ``session``, ``command``, or ``none``.
    :ivar details: what tells this proof from others, never a secret: a token's id and
        description, a publisher's claims.
    """

    kind: str
    details: Mapping[str, str] = field(default=_NOTHING)


#: Nothing was proved.
UNPROVED = Proof("none")


@frozen
class Actor:
    """Who acts, as records tell it.

    :ivar name: a user's or a publisher's; None: the server by itself, or anybody.
    :ivar address: the client's.
    """

    name: str | None
    proof: Proof = UNPROVED
    address: str | None = None
    user_agent: str | None = None


#: The server by itself.
SERVER = Actor(None)


@frozen
class Act:
    """A change that is durable, or something that was refused.

    :ivar act: of a change, in the past tense: ``published``, ``imported``,
        ``attested``, ``removed``, ``restored``, ``pruned``, ``yanked``, ``un-yanked``,
        ``status``, ``undone``, ``adopted``, ``rebuilt``, ``swept``, ``pinned``,
        ``publisher-changed``, ``logged-in``, ``logged-out``. Of a refusal, what was
        asked for: ``log-in``, ``mint``, ``fetch`` of what a rule keeps back, or a right
        as ``upload``.
    :ivar project: its normalized name; None where it is about several, or none.
    :ivar version: of the release, where it is about one.
    :ivar file: its filename, where it is about one.
    :ivar sha256: of that file, hexadecimal.
    :ivar reason: why, as was said; or how much. No secret.
    """

    actor: Actor
    act: str
    project: str | None = None
    version: str | None = None
    file: str | None = None
    sha256: str | None = None
    reason: str | None = None
    outcome: Literal["done", "refused"] = "done"

    @property
    def sentence(self) -> str:
        """Return it as one line; what comes from outside cannot end it."""
        what = self.file or " ".join(filter(None, (self.project, self.version)))
        text = " ".join(filter(None, (*self._who_did, self.act, what)))
        if self.sha256 is not None:
            text += f" (sha256 {self.sha256})"
        if self.reason:
            text += f": {self.reason}"
        return one_line(text)

    @property
    def _who_did(self) -> tuple[str, ...]:
        if self.outcome == "refused":
            return self.actor.name or "Somebody", "was refused:"
        return (self.actor.name or "The server",)


def one_line(text: str) -> str:
    """Escape what would end a line or steer a terminal."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


#: Takes every record; it must neither fail nor block.
Audit = Callable[[Act], None]
