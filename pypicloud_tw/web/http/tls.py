"""An ``ssl:`` endpoint that asks clients for certificates.

Twisted's own has no option for that. This one understands the same description.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen
from cryptography.x509 import load_pem_x509_certificate
from OpenSSL.crypto import FILETYPE_PEM, load_certificate
from twisted.internet.endpoints import SSL4ServerEndpoint
from twisted.internet.interfaces import IStreamServerEndpoint
from twisted.internet.ssl import (
    Certificate,
    CertificateOptions,
    DiffieHellmanParameters,
    PrivateCertificate,
)
from twisted.python.filepath import FilePath

#: The options of Twisted's ``ssl:`` and what they are without.
_DEFAULTS = {
    "port": "",
    "privateKey": "server.pem",
    "certKey": "",
    "interface": "",
    "backlog": "50",
    "extraCertChain": "",
    "dhParameters": "",
}

_CERTIFICATE = re.compile(
    rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL
)


@frozen
class ClientCertificates:
    """What is asked of clients.

    :ivar trusted: the authorities that may have signed them, and nobody else.
    :ivar required: who has none is not served.
    """

    trusted: Sequence[Certificate]
    required: bool


def tls_endpoint(
    reactor: Any, description: str, clients: ClientCertificates
) -> IStreamServerEndpoint:
    """Make an endpoint of ``ssl:443:privateKey=key.pem:certKey=chain.pem``.

    :raises ValueError: it is described otherwise.
    :raises OSError: a file cannot be read.
    """
    options = options_of(description)
    own = _own_certificate(options)
    chain = _certificates(Path(options["certKey"] or options["privateKey"]))[1:]
    if options["extraCertChain"]:
        chain = _certificates(Path(options["extraCertChain"]))
    parameters = options["dhParameters"]
    made: IStreamServerEndpoint = SSL4ServerEndpoint(
        reactor,
        int(options["port"]),
        CertificateOptions(
            privateKey=own.privateKey.original,
            certificate=own.original,
            extraCertChain=chain,
            verify=True,
            caCerts=[authority.original for authority in clients.trusted],
            requireCertificate=clients.required,
            dhParameters=(
                DiffieHellmanParameters.fromFile(FilePath(parameters))
                if parameters
                else None
            ),
        ),
        int(options["backlog"]),
        options["interface"],
    )
    return made


def certificate_end(description: str) -> float | None:
    """Return when the certificate of an ``ssl:`` endpoint ends, in seconds since 1970.

    None: it is no such endpoint, or it cannot be made, which whoever makes it tells.
    """
    try:
        options = options_of(description)
        pem = Path(options["certKey"] or options["privateKey"]).read_bytes()
        own = load_pem_x509_certificate(pem)
    except (ValueError, OSError):
        return None
    return own.not_valid_after_utc.timestamp()


def _own_certificate(options: dict[str, str]) -> PrivateCertificate:
    key = Path(options["privateKey"])
    certificate = Path(options["certKey"] or key)
    own: PrivateCertificate = PrivateCertificate.loadPEM(
        certificate.read_bytes() + b"\n" + key.read_bytes()
    )
    return own


def _certificates(path: Path) -> list[Any]:
    found = _CERTIFICATE.findall(path.read_bytes())
    return [load_certificate(FILETYPE_PEM, pem) for pem in found]


def options_of(description: str) -> dict[str, str]:
    """Read the options of an ``ssl:`` endpoint's description.

    :raises ValueError: it is described otherwise.
    """
    kind, *parts = _split(description)
    if kind != "ssl":
        raise ValueError("client certificates need an endpoint that begins with ssl:")
    options = dict(_DEFAULTS)
    for place, part in enumerate(parts):
        name, equals, value = part.partition("=")
        if not equals and place == 0:
            name, value = "port", part
        if name not in options:
            known = ", ".join(options)
            raise ValueError(f"there is no option {name!r}; there are {known}")
        options[name] = value
    if not options["port"].isdigit():
        raise ValueError("the port is not a number")
    return options


def _split(description: str) -> Iterator[str]:
    """Split at colons; one behind a backslash is meant as it is."""
    for part in re.split(r"(?<!\\):", description):
        yield re.sub(r"\\(.)", r"\1", part)
