"""A directory in memory: ldaptor's own server behind an endpoint of ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define, field
from ldaptor.inmemory import ReadOnlyInMemoryLDAPEntry
from ldaptor.interfaces import IConnectedLDAPEntry
from ldaptor.protocols import pureldap
from ldaptor.protocols.ldap.ldapserver import LDAPServer
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import (
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
)
from twisted.internet.interfaces import IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.python.components import registerAdapter
from twisted.python.failure import Failure
from zope.interface import implementer

PEOPLE = "ou=people,dc=corp"
GROUPS = "ou=groups,dc=corp"
SERVICE, SERVICE_PASSWORD = "cn=service,dc=corp", "service pass"


def _entry(parent: Any, name: str, kind: str, **more: list[str]) -> Any:
    attribute, _, value = name.partition("=")
    given = {"objectClass": [kind], attribute: [value], **more}
    return parent.addChild(name, given)


def corp() -> Any:
    """Make a tree of a few people and groups."""
    root = ReadOnlyInMemoryLDAPEntry("dc=corp", {"objectClass": ["dcObject"]})
    _entry(root, "cn=service", "person", userPassword=[SERVICE_PASSWORD])
    people = _entry(root, "ou=people", "organizationalUnit")
    groups = _entry(root, "ou=groups", "organizationalUnit")
    bob = f"uid=bob,{PEOPLE}"
    _entry(
        people,
        "uid=bob",
        "inetOrgPerson",
        userPassword=["secret"],
        mail=["bob@corp.example"],
        memberOf=[f"cn=staff,{GROUPS}", "cn=Any\\, thing,dc=corp"],
        employeeType=["boss", "any thing"],
    )
    _entry(people, "uid=ann", "inetOrgPerson", userPassword=["secret"])
    _entry(people, "cn=Twin", "inetOrgPerson", uid=["twin"], userPassword=["secret"])
    _entry(people, "cn=Other", "inetOrgPerson", uid=["twin"], userPassword=["secret"])
    _entry(people, "cn=Two", "inetOrgPerson", uid=["zoe", "amy"], userPassword=["x"])
    _entry(people, "uid=everyone", "inetOrgPerson", userPassword=["secret"])
    _entry(groups, "cn=dev", "groupOfNames", member=[bob])
    _entry(groups, "cn=ops", "groupOfUniqueNames", uniqueMember=[bob])
    _entry(groups, "cn=posix", "posixGroup", memberUid=["bob"])
    _entry(groups, "cn=everyone", "groupOfNames", member=[bob])
    _entry(groups, "cn=others", "groupOfNames", member=[f"uid=ann,{PEOPLE}"])
    return root


class _Server(LDAPServer):  # type: ignore[misc]  # ldaptor has no types
    """Answers for a directory, which is asked what to do first."""

    def handleUnknown(self, request: Any, controls: Any, reply: Any) -> Any:
        return super().handleUnknown(request, controls, reply)

    def handle(self, msg: Any) -> None:
        if self.factory.heard(msg.value):
            super().handle(msg)
        code = self.factory.refusal
        if code is not None and isinstance(msg.value, pureldap.LDAPBindRequest):
            answer = pureldap.LDAPBindResponse(resultCode=code, errorMessage="not now")
            self.transport.write(pureldap.LDAPMessage(answer, id=msg.id).toWire())


@define(eq=False)
class _Wire:
    """One end of a connection in memory."""

    clock: Clock
    protocol: Protocol
    other: _Wire | None = None
    tls: list[Any] = field(factory=list)

    def write(self, data: bytes) -> None:
        self._soon(lambda end: end.protocol.dataReceived(data))

    def loseConnection(self) -> None:
        self._end(ConnectionDone())

    def abortConnection(self) -> None:
        self._end(ConnectionLost())

    def startTLS(self, options: Any) -> None:
        self.tls.append(options)

    def _end(self, why: Exception) -> None:
        if self.other is None:
            return
        self._soon(lambda end: end.lose(why))
        self.clock.callLater(0, self.lose, why)

    def lose(self, why: Exception) -> None:
        if self.other is not None:
            self.other = None
            self.protocol.connectionLost(Failure(why))

    def _soon(self, what: Callable[[_Wire], None]) -> None:
        def happen() -> None:
            if self.other is not None:
                what(self.other)

        self.clock.callLater(0, happen)


@define(eq=False)
class Directory:
    """A directory that can be asked, and what has been asked of it.

    :ivar away: servers, by port, that cannot be reached.
    :ivar silent: takes every request and answers none.
    :ivar hangs_up: closes every connection by which a bind comes.
    :ivar refusal: the result of every bind.
    """

    clock: Clock
    root: Any = field(factory=corp)
    away: set[int] = field(factory=set)
    silent: bool = False
    hangs_up: bool = False
    refusal: int | None = None
    requests: list[Any] = field(factory=list)
    connected: list[int] = field(factory=list)
    wires: list[_Wire] = field(factory=list)

    def heard(self, request: Any) -> bool:
        """Note a request; whether it is answered as it should be."""
        self.requests.append(request)
        is_bind = isinstance(request, pureldap.LDAPBindRequest)
        if is_bind and self.hangs_up:
            self.cut()
            return False
        return not self.silent and not (is_bind and self.refusal is not None)

    @property
    def binds(self) -> list[str]:
        """Whose binds were asked for, in order."""
        kind = pureldap.LDAPBindRequest
        return [r.dn.decode() for r in self.requests if isinstance(r, kind)]

    def make_endpoint(self, host: str, port: int, timeout: float) -> _Endpoint:
        """Make an endpoint that leads here."""
        return _Endpoint(self, port)

    def cut(self) -> None:
        """Close every connection, as a server that starts anew does."""
        for wire in self.wires:
            wire.loseConnection()


registerAdapter(lambda directory: directory.root, Directory, IConnectedLDAPEntry)


@implementer(IStreamClientEndpoint)
@define(eq=False)
class _Endpoint:
    directory: Directory
    port: int

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[Any]:
        directory = self.directory
        if self.port in directory.away:
            return fail(ConnectionRefusedError())
        directory.connected.append(self.port)
        client: Any = protocolFactory.buildProtocol(None)  # type: ignore[arg-type]  # unused
        server = _Server()
        server.factory = directory
        here, there = _Wire(directory.clock, client), _Wire(directory.clock, server)
        here.other, there.other = there, here
        directory.wires.append(there)
        server.makeConnection(there)
        client.makeConnection(here)
        return succeed(client)
