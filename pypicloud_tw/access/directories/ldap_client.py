"""One connection to a directory's server (LDAP version 3, RFC 4511)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar

from attrs import frozen
from ldaptor.protocols import pureldap
from ldaptor.protocols.ldap import ldaperrors
from ldaptor.protocols.ldap.ldapclient import LDAPClient
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.ssl import optionsForClientTLS
from twisted.logger import Logger
from twisted.python.failure import Failure

from pypicloud_tw.access.directories.ldap_forms import Entry

T = TypeVar("T")

#: Longer answers are none to these questions; bytes.
_MAX_ANSWER = 4 * 2**20

#: Results of a bind by which it is wrong, and not the directory away: no such entry,
#: a DN that is none, an entry without a password, a wrong password, one that is locked.
_WRONG = frozenset(
    error.resultCode
    for error in (
        ldaperrors.LDAPConstraintViolation,
        ldaperrors.LDAPNoSuchObject,
        ldaperrors.LDAPInvalidDNSyntax,
        ldaperrors.LDAPInappropriateAuthentication,
        ldaperrors.LDAPInvalidCredentials,
        ldaperrors.LDAPInsufficientAccessRights,
        ldaperrors.LDAPUnwillingToPerform,
    )
)

#: Results of a search that found nothing.
_NOTHING = frozenset(
    error.resultCode
    for error in (ldaperrors.LDAPNoSuchObject, ldaperrors.LDAPInvalidDNSyntax)
)

_SIZE_LIMIT = ldaperrors.LDAPSizeLimitExceeded.resultCode


class LdapError(Exception):
    """The directory does not do what it should; the text says why."""


class LdapAway(LdapError):
    """It cannot be reached, or does not answer, so it need not be asked again soon."""


class LdapConnection(LDAPClient):  # type: ignore[misc]  # ldaptor has no types
    """Asks one question at a time.

    :param timeout: seconds that an answer may take.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime, timeout: float) -> None:
        super().__init__()
        self._clock = clock
        self._timeout = timeout

    @property
    def usable(self) -> bool:
        """Whether it is open, and nobody waits for an answer."""
        return bool(self.connected) and not self.onwire

    async def bind(self, dn: str, password: str) -> bool:
        """Become an entry by its password; False: one of the two is wrong.

        :param password: never empty: many servers then let anybody be nobody, and say
            that it went well (RFC 4513, section 5.1.2).
        :raises LdapError: it could not be tried.
        """
        if not password:
            return False
        request = pureldap.LDAPBindRequest(dn=dn, auth=password)
        answer = await self._answer(self.send(request))
        if answer.resultCode in _WRONG:
            return False
        _check(answer, "a bind")
        return True

    async def search(
        self,
        base: str,
        attributes: Iterable[str],
        *,
        matching: Any = None,
        below: bool = True,
        limit: int = 0,
    ) -> Sequence[Entry]:
        """Find entries; what the directory refers to elsewhere is not followed.

        :param matching: a filter of ldaptor's; None: any entry.
        :param below: whether what is below *base* is searched, or that entry alone.
        :param limit: of entries; one more is asked for, so that it can be told.
        :raises LdapError: it could not be asked.
        """
        request = pureldap.LDAPSearchRequest(
            baseObject=base,
            scope=(
                pureldap.LDAP_SCOPE_wholeSubtree
                if below
                else pureldap.LDAP_SCOPE_baseObject
            ),
            filter=matching,
            sizeLimit=limit and limit + 1,
            timeLimit=int(self._timeout) or 1,
            attributes=list(attributes),
        )
        entries: list[Entry] = []

        def take(message: Any) -> bool:
            if isinstance(message, pureldap.LDAPSearchResultEntry):
                entries.append(Entry.of(message))
            if not isinstance(message, pureldap.LDAPSearchResultDone):
                return False
            ended.callback(message)
            return True

        self._check_open()
        ended: Deferred[Any] = self.send_multiResponse(request, take)
        answer = await self._answer(ended)
        if answer.resultCode == _SIZE_LIMIT:
            self._note_limit(base, len(entries), limit)
        elif answer.resultCode not in _NOTHING:
            _check(answer, "a search")
        return entries

    def _note_limit(self, base: str, found: int, limit: int) -> None:
        """Tell of what a limit of the server's own keeps back.

        :raises LdapError: so that nobody knows how many there are.
        """
        if not limit:
            self._log.warn(
                "The directory shows only {n} entries below {base!r}: raise its limit "
                "of sizes, or some groups are missing.",
                n=found,
                base=base,
            )
        elif found <= limit:
            raise LdapError("its limit of sizes hides how many entries fit.")

    async def answers(self) -> bool:
        """Ask something that anybody may; False: it is closed, or was forgotten."""
        try:
            await self.search("", ["1.1"], below=False)
        except LdapAway:
            return False
        except LdapError:
            pass  # an answer, too
        return True

    async def start_tls(self, options: Any) -> None:
        """Encrypt from here on (RFC 4511, section 4.14).

        :param options: of the other side's name and the authorities to trust.
        :raises LdapError: the server does not.
        """
        answer = await self._answer(self.send(pureldap.LDAPStartTLSRequest()))
        _check(answer, "StartTLS")
        if self.buffer:
            # Somebody between put in what would be taken for the server's own word.
            self.transport.abortConnection()
            raise LdapError("it went on without encryption after StartTLS.")
        self.transport.startTLS(options)

    def close(self) -> None:
        """Take leave, if it is open."""
        if self.connected:
            self.unbind()

    async def _answer(self, sent: Deferred[Any]) -> Any:
        try:
            answer = await sent.addTimeout(self._timeout, self._clock)
        except DeferredTimeout:
            self.transport.abortConnection()
            raise LdapAway(f"no answer within {self._timeout:g} s.") from None
        except Exception as e:
            raise _closed(e) from None
        if not isinstance(answer, pureldap.LDAPResult):
            self.transport.abortConnection()
            raise LdapError("it answered something else than it was asked.")
        return answer

    def send(self, op: Any, controls: Any = None) -> Deferred[Any]:
        """Send a request; a connection that is closed fails as one that closes."""
        self._check_open()
        sent: Deferred[Any] = super().send(op, controls)
        return sent

    def _check_open(self) -> None:
        if not self.connected:
            raise LdapAway("the connection is closed.")

    def dataReceived(self, recd: bytes) -> None:
        """Take bytes of answers; hang up on what is none."""
        try:
            super().dataReceived(recd)
            too_long = len(self.buffer) > _MAX_ANSWER
        except Exception:
            # ldaptor asserts, unpacks and looks up what it expects; and a traceback
            # would show answers.
            too_long = True
        if too_long:
            self.transport.abortConnection()

    def unsolicitedNotification(self, msg: Any) -> None:
        """Hang up: it is the notice of disconnection (RFC 4511, section 4.4.1)."""
        self.transport.abortConnection()


def _check(answer: Any, what: str) -> None:
    """Raise LdapError unless it went well."""
    code = answer.resultCode
    if code == ldaperrors.Success.resultCode:
        return
    name = type(ldaperrors.get(code, b"")).__name__.removeprefix("LDAP")
    message = answer.errorMessage or b""
    text = message.decode("utf-8", "replace") if isinstance(message, bytes) else message
    raise LdapError(f"{what} failed: {name} ({code}) {text[:200]!r}.")


def _closed(error: Exception) -> LdapAway:
    """Say why a connection ended; TLS's own words are lists of lists."""
    if isinstance(error, ConnectionDone):
        return LdapAway("it closed the connection.")
    words = f"{type(error).__name__} {' '.join(map(str, error.args))}"[:300]
    return LdapAway(f"the connection was lost: {words}")


@frozen
class LdapServer:
    """One server of a directory.

    :ivar ldaps: TLS from the first byte on.
    """

    host: str
    port: int
    ldaps: bool

    @classmethod
    def parse(cls, url: str) -> LdapServer:
        """Take a URL of ``auth.ldap.url`` apart, which has a port."""
        scheme, _, rest = url.partition("://")
        host, _, port = rest.rpartition(":")
        return cls(host.strip("[]"), int(port), scheme == "ldaps")

    def __str__(self) -> str:
        """Return it as text for a log."""
        return f"{'ldaps' if self.ldaps else 'ldap'}://{self.host}:{self.port}"


#: Makes an endpoint of a host, a port and the seconds that it may take.
MakeEndpoint = Callable[[str, int, float], IStreamClientEndpoint]


def endpoints_of(reactor: Any) -> MakeEndpoint:
    """Make endpoints of a reactor's."""

    def make(host: str, port: int, timeout: float) -> IStreamClientEndpoint:
        endpoint: IStreamClientEndpoint = HostnameEndpoint(
            reactor, host.encode("idna"), port, timeout=timeout
        )
        return endpoint

    return make


class _Connections(Factory):
    """Makes connections."""

    noisy = False

    def __init__(self, clock: IReactorTime, timeout: float) -> None:
        self._clock = clock
        self._timeout = timeout

    def buildProtocol(self, addr: object) -> LdapConnection:
        return LdapConnection(self._clock, self._timeout)


@frozen(eq=False)
class LdapConnector:
    """Opens connections, encrypted as the settings say.

    :ivar start_tls: encrypt those that do not begin so.
    :ivar trusted: the authorities of the servers' certificates; None: the system's.
    """

    clock: IReactorTime
    make_endpoint: MakeEndpoint
    start_tls: bool
    trusted: Any
    connect_timeout: float
    answer_timeout: float

    async def connect(self, server: LdapServer) -> LdapConnection:
        """Open one.

        :raises LdapError: nobody answers, or not as it should.
        """
        host, port = server.host, server.port
        try:
            # The name that its certificate must have (RFC 6125).
            options = optionsForClientTLS(host, trustRoot=self.trusted)
            endpoint = self.make_endpoint(host, port, self.connect_timeout)
            if server.ldaps:
                endpoint = wrapClientTLS(options, endpoint)
            connecting: Deferred[Any] = endpoint.connect(
                _Connections(self.clock, self.answer_timeout)
            )
            connection: LdapConnection = await connecting.addTimeout(
                self.connect_timeout, self.clock
            )
        except Exception as e:
            raise LdapAway(f"cannot connect: {Failure(e).getErrorMessage()}") from None
        if self.start_tls and not server.ldaps:
            await closed_unless_done(connection, connection.start_tls(options))
        return connection


async def closed_unless_done(connection: LdapConnection, work: Awaitable[T]) -> T:
    """Do something by a connection; close it if that fails."""
    try:
        return await work
    except BaseException:
        connection.close()
        raise
