"""What this process asks the marker, and who must hear what it says (decision D3).

Freshness is one question for everything of an index that is known in memory: pages and
who may do what alike. It is asked once in ``fresh_for``, for all who wait.
"""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from pypicloud_tw.concurrency.coalesced import Coalesced
from pypicloud_tw.concurrency.siblings import ALONE, Siblings
from pypicloud_tw.errors import StoreError
from pypicloud_tw.index.changelog import Changelog, serial_at
from pypicloud_tw.index.marker import Marker, is_project
from pypicloud_tw.store.timeout import in_time

#: Seconds to wait for the marker, with all the tries that the store makes of it. Then
#: what is known is served: installers wait 15 s for a page.
PATIENCE = 5.0
NEVER = float("-inf")

#: The part of the time for which an answer holds after which the marker is asked anew,
#: if somebody relies on it still. So on a busy server it never ends; where it did, all
#: who come would wait for the next answer and go on in the same moment: of 256 clients
#: each second, for 60 ms.
AHEAD = 0.9

#: What this is called among the processes of one server.
TOPIC = "changed"

#: Names that this server changed and that the marker has not told of yet, at the most.
_OWN = 1000

#: Is told which entries of the marker changed; None: anything may have changed.
Subscriber = Callable[[set[str] | None], None]


def concerns(news: set[str] | None, key: str) -> bool:
    """Return whether a key, as ``.access/tokens/ann``, is among what changed."""
    return news is None or key in news or f"{key.rpartition('/')[0]}/" in news


@define(eq=False)
class MarkerWatch:
    """When the marker was asked, and what is to be asked anew since.

    While it does not answer, one in ``fresh_for`` waits for it, and the others are told
    at once. A negative age is a clock that was set back, and tells nothing.

    :ivar fresh_for: seconds for which the marker's answer holds; 0 asks every time.
    :ivar siblings: the other processes of this server, which hear of a change before it
        is acknowledged: whoever made it may come to any of them next.
    """

    marker: Marker
    clock: IReactorTime
    fresh_for: float = 1.0
    siblings: Siblings = ALONE
    _asked: float = field(default=NEVER, init=False)
    _asked_ahead: float = field(default=NEVER, init=False)
    _failed: float = field(default=NEVER, init=False)
    _failure: str = field(default="", init=False)
    _question: Coalesced[None] = field(factory=Coalesced, init=False)
    _subscribers: list[Subscriber] = field(factory=list, init=False)
    _own: list[Callable[[str], None]] = field(factory=list, init=False)
    _own_changes: set[str] = field(factory=set, init=False)
    _log = Logger()

    def __attrs_post_init__(self) -> None:
        self.siblings.subscribe(TOPIC, self._hear_sibling)

    def subscribe(self, subscriber: Subscriber) -> None:
        """Have what changed told to *subscriber*, before anybody relies on it again.

        It must neither fail nor block.
        """
        self._subscribers.append(subscriber)

    def subscribe_own(self, subscriber: Callable[[str], None]) -> None:
        """Have what this process itself changed told, behind :meth:`subscribe`."""
        self._own.append(subscriber)

    def holds(self, now: float) -> bool:
        """Return whether what nobody has doubted may be relied on at that time.

        Shortly before that ends, the marker is asked anew.
        """
        age = now - self._asked
        if not 0 <= age < self.fresh_for:
            return False
        if age >= AHEAD * self.fresh_for and self._asked != self._asked_ahead:
            self._asked_ahead = self._asked
            # Not now: whoever looks at what is known shall find it as it was.
            self.clock.callLater(0, self._ask_ahead)
        return True

    def _ask_ahead(self) -> None:
        asking = self._question.ask("", self._ask)
        # Where it fails, the next who asks is told.
        asking.addErrback(lambda failure: failure.trap(StoreError))

    @property
    def age(self) -> float | None:
        """Seconds since the marker was last asked, and answered; None: never."""
        return None if self._asked == NEVER else self.clock.seconds() - self._asked

    @property
    def fresh(self) -> bool:
        """Whether what nobody has doubted may be relied on without asking."""
        return self.holds(self.clock.seconds())

    async def freshen(self, *, again: bool = False) -> None:
        """Ask the marker, unless that was done a moment ago.

        :param again: ask also if it did not answer a moment ago: who changes something
            had rather wait than be refused by a store that is back.
        :raises StoreError: it does not answer, now or a moment ago.
        """
        # A question that began before this request may not know what was acknowledged
        # since, so with fresh_for = 0 nobody joins one that is under way.
        now = self.clock.seconds()
        if self.fresh_for <= 0:
            await self._ask()
        elif not self.holds(now):
            if 0 <= now - self._failed < self.fresh_for and not again:
                raise StoreError(self._failure)
            await self._question.ask("", self._ask)
            if self._asked <= now - self.fresh_for:
                # It began so long ago that it may not know what holds by now.
                await self._question.ask("", self._ask)

    @property
    def changelog(self) -> Changelog:
        """What was last known of projects' changes: the same object until another."""
        return self.marker.changelog

    async def tell(self, entry: str, serial: int = 0) -> None:
        """Have *entry* asked anew here, and tell every server; then it is durable.

        :param serial: the least that the change may have.
        :raises StoreError: the others could not be told.
        """
        self._publish({entry})
        for subscriber in self._own:
            subscriber(entry)
        if self.siblings.exist:
            # Who writes the marker in turn with others hears of its own changes, too.
            self._note_own(entry)
        told = Deferred.fromCoroutine(self.siblings.tell(TOPIC, entry))
        await self.marker.tell(entry, max(serial, serial_at(self.clock.seconds())))
        await told
        # The store is back, and whoever was told of the change shall see it.
        self._failed = NEVER

    def _hear_sibling(self, entry: str) -> None:
        """Doubt what a sibling changed."""
        self._publish({entry})
        self._note_own(entry)

    def _note_own(self, entry: str) -> None:
        if len(self._own_changes) < _OWN:
            self._own_changes.add(entry)

    def forget(self) -> None:
        """Have everything asked anew when it is next used; nothing is dropped."""
        self._asked = self._failed = NEVER
        self._publish(None)

    async def _ask(self) -> None:
        began = self.clock.seconds()
        try:
            news = await in_time(self.marker.ask(), PATIENCE, self.clock)
        except StoreError as e:
            self._failed, self._failure = self.clock.seconds(), e.message
            raise
        self._publish(news)
        others = (news or set()) - self._own_changes
        self._own_changes.clear()
        if projects := sorted(filter(is_project, others)):
            self._log.info(
                "Changed by another server or a command: {names}.",
                names=", ".join(projects),
            )
        self._asked = began

    def _publish(self, news: set[str] | None) -> None:
        for subscriber in self._subscribers:
            subscriber(news)
