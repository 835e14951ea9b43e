"""Authentication by the ini's ``user.NAME = hash`` keys.

A right password is remembered, so that nearly every request costs a look-up. Checking
one is slow by design: it is done elsewhere, once for all who send the same at the same
time, and as slowly for a user who does not exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from pypicloud_tw.access.basic import Login, parse_basic
from pypicloud_tw.access.checks import Checks, StoredPassword
from pypicloud_tw.access.principal import ANONYMOUS, Credentials, Principal
from pypicloud_tw.access.remembered import RememberedLogins, make_sealer
from pypicloud_tw.access.throttle import Attempt, Throttle
from pypicloud_tw.concurrency.fair_queue import QueueFullError
from pypicloud_tw.concurrency.waiters import Waiters
from pypicloud_tw.config.hashes import identify
from pypicloud_tw.errors import Unauthorized
from pypicloud_tw.offload.service import IOffload


@define(eq=False)
class _Check:
    """One password check under way, and the requests that wait for it.

    :ivar attempts: what was charged, by the client that it was charged to.
    """

    attempts: dict[str, Attempt] = field(factory=dict)
    waiting: Waiters[bool] = field(factory=Waiters)

    def finish(self, answer: bool | Exception) -> None:
        """Give the answer to all who wait, if they still do."""
        for attempt in self.attempts.values():
            attempt.end(_judged(answer))
        self.waiting.answer(
            Failure(answer) if isinstance(answer, Exception) else answer
        )


class _LoadedUsers:
    """The users of one reading of the ini, and their remembered log-ins."""

    _log = Logger()

    def __init__(self, hashes: Mapping[str, str], memory: RememberedLogins) -> None:
        self._passwords = dict(self._usable(hashes))
        self._stand_ins = [
            (make_sealer(blake2b(stored.hash.encode()).digest()), stored)
            for stored in self._passwords.values()
        ]
        self.memory = memory
        self.running: dict[bytes, _Check] = {}

    def _usable(self, hashes: Mapping[str, str]) -> list[tuple[str, StoredPassword]]:
        usable = []
        for name, text in hashes.items():
            scheme = identify(text)
            if scheme is None:
                self._log.error("The hash of user {name!r} is malformed.", name=name)
            else:
                usable.append((name, StoredPassword(scheme, text)))
        return usable

    def __len__(self) -> int:
        return len(self._passwords)

    def __contains__(self, user: str) -> bool:
        return user in self._passwords

    def password(self, user: str) -> StoredPassword:
        """Find what to check a password against; there must be users.

        For a name that nobody has it is some user's, and the answer must be thrown
        away. So a mix of schemes and costs tells nothing either.

        Which user's depends on the name and the hashes alone: it is the same after a
        restart and on every server, and stays so for nearly all names where a user is
        added or changed, as real users' do (rendezvous hashing, its keys being what
        nobody else knows).
        """
        name = user.encode()
        _, stand_in = max(self._stand_ins, key=lambda one: one[0](name))
        # Looked for in either case, for that takes time too.
        return self._passwords.get(user, stand_in)


class Users:
    """Logs in by HTTP Basic authentication.

    :param hashes: by user name; a malformed one is logged and makes nobody.
    :param offload: where passwords are checked.
    :param cache_time: seconds for which a right password is remembered.
    :param throttle: judges repeated failures; outlives a :meth:`reload`.
    :param at_once: checks at a time.
    :param queue: how many may wait for one.
    """

    _log = Logger()

    def __init__(
        self,
        hashes: Mapping[str, str],
        *,
        offload: IOffload,
        clock: IReactorTime,
        cache_time: float = 300.0,
        throttle: Throttle | None = None,
        at_once: int = 2,
        queue: int = 64,
    ) -> None:
        self._seconds = clock.seconds
        self._checks = Checks(offload, at_once=at_once, queue=queue)
        self._throttle = throttle or Throttle(self._seconds)
        self.reload(hashes, cache_time=cache_time)

    def reload(
        self, hashes: Mapping[str, str], *, cache_time: float | None = None
    ) -> None:
        """Replace the users, and forget every password and the key.

        Checks under way are made again for the new users before they are answered.

        :param cache_time: None leaves it as it is.
        """
        if cache_time is not None:
            self._cache_time = cache_time
        self._known = _LoadedUsers(
            hashes, RememberedLogins(self._seconds, self._cache_time)
        )

    @property
    def exist(self) -> bool:
        """Whether anybody can log in at all."""
        return len(self._known) > 0

    def has(self, user: str) -> bool:
        """Return whether there is a user of that name."""
        return user in self._known

    def remembered(
        self, authorization: bytes | None, client: str | None = None
    ) -> Principal | None:
        """Return at once who it is, or None if that takes :meth:`authenticate`.

        :param client: the address, if only those count that have shown the password
            themselves. Without it, an address that is slowed could still try as many
            passwords as it likes against those that are remembered.
        """
        if authorization is None:
            return ANONYMOUS
        return self._known.memory.recall(authorization, client)

    async def authenticate(self, authorization: bytes | None, client: str) -> Principal:
        """Find out who it is; anonymous, whatever it says, while there are no users.

        :param client: the trusted address of the client.
        :raises Unauthorized: unknown, wrong or malformed.
        :raises TooManyRequests: too many wrong passwords lately.
        :raises Unavailable: too many log-ins at this moment.
        """
        principal = self.remembered(authorization, client)
        if authorization is None or principal is not None:
            return principal or ANONYMOUS
        login = parse_basic(authorization)
        known = self._known
        if not known:
            # Nobody can be meant. The policy says so better than "wrong password".
            return ANONYMOUS
        right = await self._answer(known, authorization, login, client)
        if known is not self._known:
            return await self.authenticate(authorization, client)
        if not right:
            self._log.info(
                "Wrong password for {user!r} from {client!r}.",
                user=login.user,
                client=client,
            )
            raise _wrong()
        return Principal(login.user)

    async def _answer(
        self, known: _LoadedUsers, authorization: bytes, login: Login, client: str
    ) -> bool:
        """Whether the password is right, by as few checks as possible."""
        seal = known.memory.seal(authorization)
        check = known.running.get(seal)
        if check is not None and client in check.attempts:
            return await check.waiting.wait()
        attempt = self._throttle.admit(login.user, client)
        remembered = known.memory.find(seal)
        if remembered is not None:
            attempt.end(True)
            remembered.came_from(client)
            return True
        if check is not None:
            check.attempts[client] = attempt
            return await check.waiting.wait()
        check = known.running[seal] = _Check({client: attempt})
        answer = check.waiting.wait()
        # Not awaited: it goes on when a client that waits for it hangs up, so that
        # guessing and hanging up costs as much as waiting.
        Deferred.fromCoroutine(self._run(known, seal, login, check))
        return await answer

    async def _run(
        self, known: _LoadedUsers, seal: bytes, login: Login, check: _Check
    ) -> None:
        """Check a password for all who wait."""
        stored = known.password(login.user)
        answer: bool | Exception
        try:
            asker = next(iter(check.attempts.values())).asker
            right = await self._checks.verify(login.password, stored, asker)
            answer = right and login.user in known
        except Exception as error:
            answer = error
        del known.running[seal]
        if answer is True:
            known.memory.add(seal, Principal(login.user), check.attempts)
        check.finish(answer)


@frozen
class PasswordLogin:
    """The authenticator of user names and passwords."""

    users: Users

    def takes(self, credentials: Credentials) -> bool:
        """Return whether there is an Authorization field."""
        return credentials.authorization is not None

    def recall(self, credentials: Credentials) -> Principal | None:
        """See :meth:`Users.remembered`."""
        return self.users.remembered(credentials.authorization, credentials.client)

    async def authenticate(self, credentials: Credentials) -> Principal:
        """See :meth:`Users.authenticate`."""
        return await self.users.authenticate(
            credentials.authorization, credentials.client
        )


def _judged(answer: bool | Exception) -> bool | None:
    """Return what an answer means to the throttle.

    Of too many at once each that is refused is like a wrong password, or a flood would
    cost nothing.
    """
    if isinstance(answer, QueueFullError) and answer.own_fault:
        return False
    return None if isinstance(answer, Exception) else answer


def _wrong() -> Unauthorized:
    return Unauthorized("The user name or the password is wrong.")
