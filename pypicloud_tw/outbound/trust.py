"""Whose certificates are believed."""

from __future__ import annotations

from pathlib import Path

from OpenSSL.crypto import FILETYPE_PEM, load_certificate
from twisted.internet.ssl import Certificate, trustRootFromCertificates
from twisted.web.client import BrowserLikePolicyForHTTPS

from pypicloud_tw.errors import ConfigError

_PEM_BEGIN = b"-----BEGIN CERTIFICATE-----"


def load_authorities(ca_file: Path, key: str) -> list[Certificate]:
    """Read the authorities of a PEM file.

    :param key: the ini's key that names the file.
    :raises ConfigError: there are none in the file.
    """
    try:
        blocks = ca_file.read_bytes().split(_PEM_BEGIN)[1:]
        authorities = [
            Certificate(load_certificate(FILETYPE_PEM, _PEM_BEGIN + block))
            for block in blocks
        ]
    except Exception as error:
        raise ConfigError(
            [f"{key} = {ca_file} cannot be read: {type(error).__name__}."]
        ) from None
    if not authorities:
        raise ConfigError([f"{key} = {ca_file} holds no certificate in PEM."])
    return authorities


def load_policy(ca_file: Path | None, key: str) -> BrowserLikePolicyForHTTPS:
    """Trust what the system does, or only the authorities of a PEM file.

    :param key: the ini's key that names the file.
    :raises ConfigError: there are none in the file.
    """
    if ca_file is None:
        return BrowserLikePolicyForHTTPS()
    authorities = load_authorities(ca_file, key)
    return BrowserLikePolicyForHTTPS(trustRootFromCertificates(authorities))
