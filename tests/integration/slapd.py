"""A real directory for tests: OpenLDAP's slapd, as Debian has it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from shutil import rmtree
from socket import create_connection

from attrs import define, field
from cryptography import x509

from tests.certificates import Authority
from tests.integration.debian import Program, find
from tests.integration.rig import PATIENCE, free_port, wait_until

PEOPLE, GROUPS = "ou=people,dc=corp", "ou=groups,dc=corp"
SERVICE, SERVICE_PASSWORD = "cn=service,dc=corp", "service password"

#: Anybody may read anything but passwords, as pypicloud 1.x wanted it; and a bind
#: without a password goes well, as on many servers.
_CONFIGURATION = """\
include {root}/etc/ldap/schema/core.schema
include {root}/etc/ldap/schema/cosine.schema
include {root}/etc/ldap/schema/nis.schema
include {root}/etc/ldap/schema/inetorgperson.schema
pidfile {folder}/slapd.pid
modulepath {root}/usr/lib/ldap
moduleload back_mdb
moduleload memberof
allow bind_anon_cred
TLSCertificateKeyFile {folder}/key.pem
TLSCertificateFile {folder}/key.pem
TLSCACertificateFile {folder}/ca.pem
database mdb
suffix dc=corp
rootdn cn=root,dc=corp
directory {folder}/db
{more}
access to attrs=userPassword by anonymous auth by * none
access to * by * read
overlay memberof
"""

_ENTRIES = f"""\
dn: dc=corp
objectClass: dcObject
objectClass: organization
o: corp

dn: {SERVICE}
objectClass: person
sn: service
userPassword: {SERVICE_PASSWORD}

dn: {PEOPLE}
objectClass: organizationalUnit

dn: {GROUPS}
objectClass: organizationalUnit

dn: uid=Bob,{PEOPLE}
objectClass: inetOrgPerson
cn: Bob
sn: Builder
mail: bob@corp.example
employeeType: boss
userPassword: secret
memberOf: cn=staff,{GROUPS}

dn: uid=änn\\, lee,{PEOPLE}
objectClass: inetOrgPerson
cn: Ann
sn: Lee
userPassword: schlüssel

dn: uid=twin,{PEOPLE}
objectClass: inetOrgPerson
cn: Twin
sn: Twin
userPassword: secret

dn: cn=other,{PEOPLE}
objectClass: inetOrgPerson
uid: twin
sn: Twin
userPassword: secret

dn: uid=elsewhere,{PEOPLE}
objectClass: referral
objectClass: extensibleObject
ref: ldap://127.0.0.1:1/uid=elsewhere,{PEOPLE}

dn: cn=dev,{GROUPS}
objectClass: groupOfNames
member: uid=bob,{PEOPLE}

dn: cn=ops,{GROUPS}
objectClass: groupOfUniqueNames
uniqueMember: uid=bob,{PEOPLE}

dn: cn=posix,{GROUPS}
objectClass: posixGroup
gidNumber: 1
memberUid: Bob

dn: cn=others,{GROUPS}
objectClass: groupOfNames
member: {SERVICE}
"""


def slapd() -> Program:
    """Find slapd.

    :raises SkipTest: it cannot be had.
    """
    return find("slapd", "slapd")


@define(eq=False)
class Slapd:
    """A directory in a folder, started, stopped and started again.

    :ivar more: lines of its configuration, before who may do what.
    :ivar names: what its certificate is for.
    """

    folder: Path
    more: str = ""
    names: tuple[x509.GeneralName, ...] = (x509.IPAddress(ip_address("127.0.0.1")),)
    port: int = field(factory=free_port)
    tls_port: int = field(factory=free_port)
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        return f"ldap://127.0.0.1:{self.port}"

    @property
    def tls_url(self) -> str:
        return f"ldaps://127.0.0.1:{self.tls_port}"

    @property
    def ca_file(self) -> Path:
        return self.folder / "ca.pem"

    def make(self) -> None:
        """Write its files, and what it knows."""
        authority = Authority.make()
        self.ca_file.write_bytes(authority.pem)
        (self.folder / "key.pem").write_bytes(authority.pair("slapd", self.names))
        program = slapd()
        root = str(program.root).rstrip("/")
        text = _CONFIGURATION.format(folder=self.folder, more=self.more, root=root)
        (self.folder / "slapd.conf").write_text(text)
        self._add(_ENTRIES)

    def _add(self, entries: str) -> None:
        (self.folder / "db").mkdir()
        (self.folder / "corp.ldif").write_text(entries)
        # By this name it is slapadd, which Debian installs as a link to its own path.
        program, slapadd = slapd(), self.folder / "slapadd"
        if not slapadd.is_symlink():
            slapadd.symlink_to(program.path)
        files = ("-f", self.folder / "slapd.conf", "-l", self.folder / "corp.ldif")
        subprocess.run(
            [slapadd, *files],
            check=True,
            env=program.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE,
        )

    def remove(self, dn: str) -> None:
        """Make it anew without one entry; it must not run."""
        entries = (self.folder / "corp.ldif").read_text().split("\n\n")
        kept = [entry for entry in entries if not entry.startswith(f"dn: {dn}\n")]
        assert len(kept) == len(entries) - 1, dn
        rmtree(self.folder / "db")
        self._add("\n\n".join(kept))

    def start(self) -> None:
        """Start it, and wait until it listens."""
        program = slapd()
        self.process = subprocess.Popen(
            [
                program.path,
                *("-f", self.folder / "slapd.conf"),
                *("-h", f"{self.url}/ {self.tls_url}/"),
                *("-d", "0"),
            ],
            env=program.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=(self.folder / "slapd.log").open("ab"),
        )
        wait_until(self._listens, lambda: (self.folder / "slapd.log").read_text())

    def _listens(self) -> bool:
        try:
            for port in (self.port, self.tls_port):
                create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            return False
        return True

    def stop(self) -> None:
        """End it, if it runs."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait(PATIENCE)
            self.process = None


def started(
    folder: Path, add_cleanup: Callable[..., object], **options: object
) -> Slapd:
    """Make one and start it; it ends with the test."""
    directory = Slapd(folder, **options)  # type: ignore[arg-type]  # passed on
    directory.make()
    add_cleanup(directory.stop)
    directory.start()
    return directory
