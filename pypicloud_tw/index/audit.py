"""Who changed what: one record for each change, made where the change is made.

Today it becomes one line of the log. Whoever wants it elsewhere as well gives another
function to :class:`.publish.Publisher`; nothing else has to change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from attrs import asdict, field, frozen
from twisted.logger import Logger

_log = Logger()

_NOTHING: Mapping[str, str] = MappingProxyType({})


@frozen
class Proof:
    """How somebody proved who it is.

    :ivar kind: ``password``, ``token``, ``publisher``, ``proxy``, ``certificate``,
        ``command``, or ``none``.
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


@frozen
class Act:
    """A change that is durable.

    :ivar who: a user's name, or the command's user; None: the server by itself.
    :ivar act: in the past tense: ``published``, ``removed``, ``yanked``, ``un-yanked``,
        ``adopted``, ``rebuilt``, ``swept``.
    :ivar project: its normalized name; None where it is about several.
    :ivar version: of the release, where it is about one.
    :ivar file: its filename, where it is about one.
    :ivar sha256: of that file, hexadecimal.
    :ivar reason: why, as was said; or how much.
    """

    who: str | None
    act: str
    project: str | None = None
    version: str | None = None
    file: str | None = None
    sha256: str | None = None
    reason: str | None = None

    @property
    def sentence(self) -> str:
        """Return it as one line; what comes from outside cannot end it."""
        what = self.file or " ".join(filter(None, (self.project, self.version)))
        text = " ".join(filter(None, (self.who or "The server", self.act, what)))
        if self.sha256 is not None:
            text += f" (sha256 {self.sha256})"
        if self.reason:
            text += f": {self.reason}"
        return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


#: Takes every record; it must neither fail nor block.
Audit = Callable[[Act], None]


def log_act(act: Act) -> None:
    """Write a record into the log: a sentence, and the parts for structured logs."""
    _log.info("{sentence}", sentence=act.sentence, **asdict(act))
