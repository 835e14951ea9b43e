"""Logging in by a directory (LDAP), by binding as the user.

A user is called here what the directory calls it, in the attribute that the name was
compared with: directories compare without regard to capitals, and rights do not, so
``Bob`` and ``bob`` must not be two users here and one there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from secrets import token_hex
from typing import Any

from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.internet.ssl import trustRootFromCertificates
from twisted.logger import Logger

from pypicloud_tw.access.directories.ldap_client import (
    LdapAway,
    LdapConnection,
    LdapConnector,
    LdapError,
    LdapServer,
    MakeEndpoint,
    closed_unless_done,
)
from pypicloud_tw.access.directories.ldap_forms import (
    Entry,
    LdapForms,
    group_names,
)
from pypicloud_tw.access.directories.ldap_pool import LdapPool, LdapServers
from pypicloud_tw.access.foreign import groups_of, user_of
from pypicloud_tw.access.principal import Principal
from pypicloud_tw.access.remembered import make_sealer
from pypicloud_tw.concurrency.cache import Cache
from pypicloud_tw.concurrency.fair_queue import Asker, FairQueue
from pypicloud_tw.concurrency.outages import Outages
from pypicloud_tw.config.sections.ldap import LdapSection
from pypicloud_tw.errors import Unavailable
from pypicloud_tw.index.audit import Proof
from pypicloud_tw.outbound.authorities import read_authorities

#: What was proved, and to whom.
LDAP = Proof("password", {"directory": "ldap"})

#: Log-ins that wait for one of the connections.
_QUEUE = 64

#: Seconds for which a directory that did not answer is not asked again, or everybody
#: would wait for it in turn.
_AWAY = 5

#: Names and passwords that were wrong, and the seconds for which they are not tried
#: again: a client that goes on sending an old password would lock its user.
_REFUSED, _REFUSED_FOR = 10_000, 60.0

#: What is said where the directory refuses our own entry.
WRONG_SERVICE = "auth.ldap.service_dn or auth.ldap.service_password is wrong."

_FindOut = Callable[[], Awaitable[Principal | None]]

_AWAY_SENTENCE = (
    "The directory that knows the users (LDAP) does not answer; try again, or tell the "
    "operator."
)


@define(eq=False)
class LdapDirectory:
    """The users of a directory.

    :ivar settings: the keys ``auth.ldap.*``.
    """

    settings: LdapSection
    _clock: IReactorTime
    _service: LdapPool
    _users: LdapPool
    _turns: FairQueue
    _outages: Outages
    _forms: LdapForms
    _away_until: float = field(default=float("-inf"), init=False)
    _seal: Callable[[bytes], bytes] = field(factory=make_sealer, init=False)
    _refused: Cache[bytes, bool] = field(init=False)
    _log = Logger()

    @_refused.default
    def _make_refused(self) -> Cache[bytes, bool]:
        return Cache(_REFUSED, seconds=self._clock.seconds, lifetime=_REFUSED_FOR)

    @classmethod
    def make(
        cls, settings: LdapSection, clock: IReactorTime, make_endpoint: MakeEndpoint
    ) -> LdapDirectory:
        """Make it of its settings, which agree with each other.

        :raises ConfigError: a filter, or the file of authorities, is not one.
        """
        connector = connector_of(settings, clock, make_endpoint)
        servers = LdapServers(connector, [LdapServer.parse(u) for u in settings.url])
        return cls(
            settings,
            clock,
            LdapPool(clock, partial(connect_as_service, servers, settings)),
            LdapPool(clock, servers.connect),
            FairQueue(settings.connections, _QUEUE),
            Outages("The directory at", clock.seconds),
            LdapForms.of(settings),
        )

    @property
    def lifetime(self) -> float | None:
        """See :class:`.users.Directory`."""
        return self.settings.cache_time

    async def log_in(self, user: str, password: str, asker: Asker) -> Principal | None:
        """See :class:`.users.Directory`."""
        if not user or not password:
            # Many servers would let it in, as nobody (RFC 4513, section 5.1.2).
            return None
        seal = self._seal(f"{user}:{password}".encode("utf-8", "surrogatepass"))

        async def find_out() -> Principal | None:
            if seal in self._refused:
                return None
            principal = await self._find_out(user, password)
            if principal is None:
                self._refused.put(seal, True)
            return principal

        return await self._in_turn(asker, find_out)

    async def look_up(self, user: str) -> Principal | None:
        """See :class:`.owners.Lookup`; only a name as the directory writes it."""

        async def find_out() -> Principal | None:
            entry = await self._service.run(partial(self._find, user))
            if entry is None:
                return None
            found = await self._service.run(partial(self._principal, entry))
            return None if found is None or found.name != user else found

        return await self._in_turn(Asker("", user), find_out)

    async def _in_turn(self, asker: Asker, find_out: _FindOut) -> Principal | None:
        await self._turns.enter(asker)
        try:
            if self._clock.seconds() < self._away_until:
                raise Unavailable(_AWAY_SENTENCE, _AWAY)
            return await self._ask(find_out)
        finally:
            self._turns.leave(asker)

    async def _ask(self, find_out: _FindOut) -> Principal | None:
        try:
            principal = await find_out()
        except LdapError as e:
            if isinstance(e, LdapAway):
                self._away_until = self._clock.seconds() + _AWAY
            self._outages.failed(self.settings.url[0], str(e))
            raise Unavailable(_AWAY_SENTENCE, _AWAY) from None
        self._outages.succeeded(self.settings.url[0])
        return principal

    async def _find_out(self, user: str, password: str) -> Principal | None:
        settings = self.settings
        if settings.service_dn is not None and user == settings.service_username:
            right = await self._bind(settings.service_dn, password)
            return Principal(user, administrator=True, proof=LDAP) if right else None
        if settings.user_dn_format is not None and settings.service_dn is None:
            work = partial(self._as_themselves, user, password)
            return await self._users.run_once(work)
        entry = await self._service.run(partial(self._find, user))
        dn = self._dn_of_nobody(user) if entry is None else entry.dn
        if not await self._bind(dn, password) or entry is None:
            return None
        return await self._service.run(partial(self._principal, entry))

    def _dn_of_nobody(self, user: str) -> str:
        """Return what is tried in vain, so that nobody takes the time of somebody."""
        base = self.settings.base_dn
        return self._forms.dn(user) if base is None else f"cn={token_hex(8)},{base}"

    async def _bind(self, dn: str, password: str) -> bool:
        return await self._users.run_once(lambda kept: kept.bind(dn, password))

    async def _as_themselves(
        self, user: str, password: str, connection: LdapConnection
    ) -> Principal | None:
        """Let users read their own entries, for want of somebody who reads all."""
        if not await connection.bind(self._forms.dn(user), password):
            return None
        entry = await self._find(user, connection)
        if entry is None:
            raise LdapError(
                "users cannot read their own entries, so what they are called is not "
                "known; give auth.ldap.service_dn."
            )
        return await self._principal(entry, connection)

    async def _find(self, user: str, connection: LdapConnection) -> Entry | None:
        """Find the one entry of a user."""
        forms, base = self._forms, self.settings.base_dn
        if base is None:
            found = await connection.search(
                forms.dn(user), forms.attributes, below=False, limit=1
            )
        else:
            matching = forms.user.filled(username=user)
            found = await connection.search(
                base, forms.attributes, matching=matching, limit=1
            )
        if len(found) > 1:
            self._log.error(
                "Several entries of the directory fit the user name {user!r}: "
                "{entries}. Nobody is let in by it.",
                user=user,
                entries=" and ".join(repr(entry.dn) for entry in found),
            )
        return found[0] if len(found) == 1 else None

    async def _principal(
        self, entry: Entry, connection: LdapConnection
    ) -> Principal | None:
        """Return who an entry is, once it is known that it is them."""
        attribute = self._forms.attribute
        name = entry.name(attribute)
        if name is None:
            raise LdapError(
                f"{entry.dn!r} shows no {attribute}: set auth.ldap.user_attribute, or "
                "let auth.ldap.service_dn read it."
            )
        user = user_of(name, "LDAP")
        if user is None:
            return None
        return Principal(
            user,
            groups_of(await self._groups(entry, user, connection)),
            await self._administers(entry, connection),
            proof=LDAP,
        )

    async def _groups(
        self, entry: Entry, user: str, connection: LdapConnection
    ) -> Iterable[str]:
        settings = self.settings
        member_of = entry.values(settings.member_of) if settings.member_of else ()
        names = group_names(member_of)
        if settings.group_base_dn is not None:
            found = await connection.search(
                settings.group_base_dn,
                [settings.group_attribute],
                matching=self._forms.groups.filled(dn=entry.dn, username=user),
            )
            names += _all(found, settings.group_attribute)
        return names

    async def _administers(self, entry: Entry, connection: LdapConnection) -> bool:
        settings = self.settings
        if settings.admin_field is not None and set(settings.admin_value) & set(
            entry.values(settings.admin_field)
        ):
            return True
        if settings.admin_group_dn is None:
            return False
        found: Sequence[Any] = await connection.search(
            settings.admin_group_dn,
            ["cn"],
            matching=self._forms.members.filled(dn=entry.dn),
            below=False,
        )
        return len(found) > 0

    def close(self) -> None:
        """Close the connections."""
        self._service.close()
        self._users.close()


def _all(entries: Iterable[Entry], attribute: str) -> list[str]:
    return [value for entry in entries for value in entry.values(attribute)]


async def connect_as_service(
    servers: LdapServers, settings: LdapSection
) -> LdapConnection:
    """Open a connection that may search.

    :raises LdapError: no server answers, or our own entry is refused.
    """
    connection = await servers.connect()
    if settings.service_dn is None:
        return connection
    binding = connection.bind(settings.service_dn, settings.service_password or "")
    if not await closed_unless_done(connection, binding):
        connection.close()
        # Nor is it asked again soon: the account would be locked.
        raise LdapAway(WRONG_SERVICE)
    return connection


def connector_of(
    settings: LdapSection, clock: IReactorTime, make_endpoint: MakeEndpoint
) -> LdapConnector:
    """Make what opens connections.

    :raises ConfigError: the file of authorities is none.
    """
    return LdapConnector(
        clock,
        make_endpoint,
        settings.start_tls,
        _trusted(settings),
        settings.connect_timeout,
        settings.answer_timeout,
    )


def _trusted(settings: LdapSection) -> Any:
    """Read the authorities to trust; None: the system's."""
    if settings.ca_file is None:
        return None
    authorities = read_authorities(settings.ca_file, "auth.ldap.ca_file")
    return trustRootFromCertificates(authorities)
