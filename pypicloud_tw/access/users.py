"""Logging in with a user name and a password.

Users come from the ini, from a file of htpasswd, from the access document, and from a
directory elsewhere that is asked. A name belongs to the first of these that has it.

A right password is remembered, so that nearly every request costs a look-up. Checking
one is slow by design: it is done elsewhere, once for all who send the same at the same
time, and as slowly for a user who does not exist.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from hashlib import sha256
from typing import Protocol

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from pypicloud_tw.access.basic import Login, is_basic, parse_basic
from pypicloud_tw.access.checks import Checks
from pypicloud_tw.access.document import AccessDocument
from pypicloud_tw.access.passwords import DOCUMENT, INI, Passwords, Table
from pypicloud_tw.access.principal import ANONYMOUS, Credentials, Principal
from pypicloud_tw.access.remembered import RememberedLogins
from pypicloud_tw.access.throttle import Attempt, Throttle
from pypicloud_tw.concurrency.fair_queue import Asker, QueueFullError
from pypicloud_tw.concurrency.steps import Steps, at_once
from pypicloud_tw.concurrency.waiters import Waiters
from pypicloud_tw.errors import Unauthorized
from pypicloud_tw.index.audit import Proof
from pypicloud_tw.offload.service import IOffload

#: A password that is hashed here was right.
PASSWORD = Proof("password")


class Directory(Protocol):
    """Users who are known elsewhere."""

    @property
    def lifetime(self) -> float | None:
        """Seconds for which an answer is remembered; None: as long as others."""

    async def log_in(self, user: str, password: str, asker: Asker) -> Principal | None:
        """Find out who it is; None: the user name or the password is wrong.

        The name is written as the directory writes it, however the user did.

        :raises Unavailable: it cannot be found out now.
        """


@define(eq=False)
class _Check:
    """One password check under way, and the requests that wait for it.

    :ivar attempts: what was charged, by the client that it was charged to.
    """

    attempts: dict[str, Attempt] = field(factory=dict)
    waiting: Waiters[Principal | None] = field(factory=Waiters)

    def finish(self, answer: Principal | Exception | None) -> None:
        """Give the answer to all who wait, if they still do."""
        for attempt in self.attempts.values():
            attempt.end(_judged(answer))
        self.waiting.answer(
            Failure(answer) if isinstance(answer, Exception) else answer
        )


class Users:
    """Logs in by HTTP Basic authentication.

    :param hashes: the ini's, by user name; a malformed one is logged and makes nobody.
    :param offload: where passwords are checked.
    :param cache_time: seconds for which a right password is remembered.
    :param throttle: judges repeated failures; outlives a :meth:`reload`.
    :param at_once: checks at a time.
    :param queue: how many may wait for one.
    :param directory: is asked for the names that no hash is here for.
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
        directory: Directory | None = None,
    ) -> None:
        self._seconds = clock.seconds
        self._checks = Checks(offload, at_once=at_once, queue=queue)
        self._throttle = throttle or Throttle(self._seconds)
        self._directory = directory
        self._passwords = Passwords()
        self._running: dict[bytes, _Check] = {}
        self._memory = RememberedLogins(self._seconds, cache_time)
        self.reload(hashes, cache_time=cache_time)

    def reload(
        self, hashes: Mapping[str, str], *, cache_time: float | None = None
    ) -> None:
        """Replace the ini's users, and forget every password and the key.

        Checks under way of users who changed are made again before they are answered.

        :param cache_time: None leaves it as it is.
        """
        if cache_time is not None:
            self._cache_time = cache_time
        self._passwords.replace(INI, hashes)
        self._memory.forget_all()
        self._memory = RememberedLogins(self._seconds, self._cache_time)

    def update(self, source: str, hashes: Mapping[str, str | None]) -> None:
        """Replace the users of one source; who has not changed stays remembered.

        Checks under way of users who changed are made again before they are answered.

        :param source: one of those in :mod:`.passwords`.
        :param hashes: None for who has no password; the name is taken all the same.
        """
        self._put(source, at_once(self._passwords.understanding(source, hashes)))

    def _put(self, source: str, table: Table) -> None:
        changed = self._passwords.put(source, table)
        if changed:
            self._memory.forget(changed)

    def source_of(self, user: str) -> str | None:
        """Name the source that a user is of; None: no source here has one."""
        return self._passwords.source_of(user)

    def obeying(self, document: AccessDocument) -> Steps[Callable[[], None]]:
        """Prepare, in pieces, to replace the users of the access document.

        :return: does so.
        """
        hashes = {name: user.hash for name, user in document.users.items()}
        yield
        table = yield from self._passwords.understanding(DOCUMENT, hashes)
        return partial(self._put, DOCUMENT, table)

    @property
    def exist(self) -> bool:
        """Whether anybody can log in at all."""
        return bool(self._passwords) or self._directory is not None

    def has(self, user: str) -> bool:
        """Return whether there is a user of that name."""
        return user in self._passwords

    def password_mark(self, user: str) -> str | None:
        """Return what tells a user's password from every other; None: there is none.

        It is made of the hash, and tells nobody what that is.
        """
        stored = self._passwords.find(user)
        if stored is None:
            return None
        return sha256(b"pypicloud-tw password\0" + stored.hash.encode()).hexdigest()

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
        return self._memory.recall(authorization, client)

    def find_recall(
        self, authorization: bytes | None, client: str
    ) -> Callable[[], Principal | None] | None:
        """Return what recalls who sent a header and comes again from there."""
        if authorization is None:
            return None
        return self._memory.find_recall(authorization, client)

    async def authenticate(self, authorization: bytes | None, client: str) -> Principal:
        """Find out who it is; anonymous, whatever it says, while there are no users.

        :param client: the trusted address of the client.
        :raises Unauthorized: unknown, wrong or malformed.
        :raises TooManyRequests: too many wrong passwords lately.
        :raises Unavailable: too many log-ins at this moment, or a directory is away.
        """
        principal = self.remembered(authorization, client)
        if authorization is None or principal is not None:
            return principal or ANONYMOUS
        login = parse_basic(authorization)
        if not self.exist:
            # Nobody can be meant. The policy says so better than "wrong password".
            return ANONYMOUS
        principal = await self._answer(authorization, login, client)
        if principal is None:
            self._log.info(
                "Wrong password for {user!r} from {client!r}.",
                user=login.user,
                client=client,
            )
            raise _wrong()
        return principal

    async def _answer(
        self, authorization: bytes, login: Login, client: str
    ) -> Principal | None:
        """Find out who it is by as few checks as possible; None: it is wrong."""
        seal = self._memory.seal(authorization)
        check = self._running.get(seal)
        if check is not None and client in check.attempts:
            return await check.waiting.wait()
        attempt = self._throttle.admit(login.user, client)
        remembered = self._memory.find(seal)
        if remembered is not None:
            attempt.end(True)
            remembered.came_from(client)
            return remembered.principal
        if check is not None:
            check.attempts[client] = attempt
            return await check.waiting.wait()
        check = self._running[seal] = _Check({client: attempt})
        answer = check.waiting.wait()
        # Not awaited: it goes on when a client that waits for it hangs up, so that
        # guessing and hanging up costs as much as waiting.
        Deferred.fromCoroutine(self._run(seal, login, check))
        return await answer

    async def _run(self, seal: bytes, login: Login, check: _Check) -> None:
        """Check a password for all who wait."""
        memory = self._memory
        answer: Principal | Exception | None
        try:
            asker = next(iter(check.attempts.values())).asker
            answer = await self._judge(login, asker)
        except Exception as error:
            answer = error
        del self._running[seal]
        # After a reload the key is another.
        if isinstance(answer, Principal) and memory is self._memory:
            self._remember(seal, login.user, answer, check)
        check.finish(answer)

    def _remember(
        self, seal: bytes, user: str, principal: Principal, check: _Check
    ) -> None:
        if principal is ANONYMOUS:
            return
        lifetime = None
        if self._directory is not None and user not in self._passwords:
            lifetime = self._directory.lifetime
        self._memory.add(seal, user, principal, check.attempts, lifetime=lifetime)

    async def _judge(self, login: Login, asker: Asker) -> Principal | None:
        """Check a password, and again for as long as its user changes meanwhile."""
        while self.exist:
            user, stored = login.user, self._passwords.find(login.user)
            taken = user in self._passwords
            if taken or self._directory is None:
                right = await self._compute(login, asker)
                principal = Principal(user, proof=PASSWORD) if right else None
            else:
                principal = await self._ask(self._directory, login, asker)
            if (
                stored is self._passwords.find(user)
                and taken == (user in self._passwords)
                and self.exist
            ):
                return principal
        return ANONYMOUS

    async def _compute(self, login: Login, asker: Asker) -> bool:
        """Check a password by its user's hash, or in vain by somebody else's."""
        stored = self._passwords.find(login.user)
        # Looked for in either case, for that takes time too.
        stand_in = self._passwords.stand_in(login.user) if self._passwords else None
        checked = stored or stand_in
        if checked is None:
            return False
        right = await self._checks.verify(login.password, checked, asker)
        return right and stored is not None

    async def _ask(
        self, directory: Directory, login: Login, asker: Asker
    ) -> Principal | None:
        """Ask a directory, and compute a hash meanwhile, as for those who have one."""
        computing = Deferred.fromCoroutine(self._compute(login, asker))
        try:
            principal = await directory.log_in(login.user, login.password, asker)
        finally:
            await _ended(computing)
        # However the directory writes it, a name of ours is none of its users'.
        if principal is None or principal.name is None:
            return None
        return None if principal.name in self._passwords else principal


async def _ended(work: Awaitable[object]) -> None:
    """Wait for what is done for the time that it takes alone."""
    try:
        await work
    except QueueFullError:
        raise
    except Exception:
        return


class Watched(Protocol):
    """A source of users that changes by itself."""

    @property
    def fresh(self) -> bool:
        """Whether what is known of it is new enough."""

    async def freshen(self) -> None:
        """Look for changes; never fails."""


@frozen
class PasswordLogin:
    """The authenticator of user names and passwords.

    :ivar watched: is looked at before anybody is let in, if not just now.
    """

    users: Users
    watched: Watched | None = None

    def takes(self, credentials: Credentials) -> bool:
        """Return whether there is an Authorization field.

        Where a proxy has signed somebody in, that field is the proxy's own unless it is
        of this scheme, and there are users to log in by it.
        """
        if credentials.authorization is None or credentials.forwarded_user is None:
            return credentials.authorization is not None
        return self.users.exist and is_basic(credentials.authorization)

    def recall(self, credentials: Credentials) -> Principal | None:
        """See :meth:`Users.remembered`."""
        if self.watched is not None and not self.watched.fresh:
            return None
        return self.users.remembered(credentials.authorization, credentials.client)

    def find_recall(
        self, credentials: Credentials
    ) -> Callable[[], Principal | None] | None:
        """See :meth:`Users.find_recall`."""
        found = self.users.find_recall(credentials.authorization, credentials.client)
        watched = self.watched
        if found is None or watched is None:
            return found
        return lambda: found() if watched.fresh else None

    async def authenticate(self, credentials: Credentials) -> Principal:
        """See :meth:`Users.authenticate`."""
        if self.watched is not None:
            await self.watched.freshen()
        return await self.users.authenticate(
            credentials.authorization, credentials.client
        )


def _judged(answer: Principal | Exception | None) -> bool | None:
    """Return what an answer means to the throttle.

    Of too many at once each that is refused is like a wrong password, or a flood would
    cost nothing.
    """
    if isinstance(answer, QueueFullError) and answer.own_fault:
        return False
    if isinstance(answer, Exception) or answer is ANONYMOUS:
        return None
    return answer is not None


def _wrong() -> Unauthorized:
    return Unauthorized("The user name or the password is wrong.")
