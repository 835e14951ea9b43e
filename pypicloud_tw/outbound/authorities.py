"""Files of certificate authorities."""

from __future__ import annotations

from pathlib import Path

from OpenSSL.crypto import FILETYPE_PEM, load_certificate
from twisted.internet.ssl import Certificate

from pypicloud_tw.errors import ConfigError

_PEM_BEGIN = b"-----BEGIN CERTIFICATE-----"


def read_authorities(path: Path, key: str) -> list[Certificate]:
    """Read the authorities of a PEM file, to be trusted and nobody else.

    :param key: the setting that names the file, for the error.
    :raises ConfigError: there are none in the file.
    """
    try:
        blocks = path.read_bytes().split(_PEM_BEGIN)[1:]
        authorities = [
            Certificate(load_certificate(FILETYPE_PEM, _PEM_BEGIN + block))
            for block in blocks
        ]
    except Exception as error:
        raise ConfigError(
            [f"{key} = {path} cannot be read: {type(error).__name__}."]
        ) from None
    if not authorities:
        raise ConfigError([f"{key} = {path} holds no certificate in PEM."])
    return authorities
