"""The public index as this machine's pip knows it; nowhere written down here."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

from attrs import field, frozen
from pip._internal.models.index import PyPI
from twisted.trial.unittest import SkipTest

#: Which certificates this machine trusts; the clients and our server read these.
_TRUST = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "PIP_CERT")


@frozen
class LiveIndex:
    """An index that answers.

    :ivar url: of its simple API; it may carry credentials.
    :ivar trust: environment variables with which its certificate is trusted.
    """

    url: str = field(repr=False)
    trust: Mapping[str, str] = field(factory=dict)

    @property
    def settings(self) -> Mapping[str, str]:
        """Keys of the ini with which a server of ours asks it."""
        return {
            "pypi.use_fallback": "true",
            "pypi.fallback_url": self.url,
            # Behind some firewalls it has a private address.
            "upstream.allow_private_hosts": PyPI.file_storage_domain,
        }


@cache
def find() -> LiveIndex | str:
    """Find the index; or tell why there is none."""
    url = configured() or PyPI.simple_url
    # Our server goes there without a proxy.
    opener = build_opener(ProxyHandler({}))
    try:
        opener.open(url.rstrip("/") + "/pip/", timeout=10).close()
    except HTTPError as e:
        return f"The public index answers with {e.code} here."
    except OSError as e:
        return f"The public index does not answer here: {e}"
    except ValueError:
        return "pip's index here is none of the web."
    trust = {name: os.environ[name] for name in _TRUST if name in os.environ}
    return LiveIndex(url, trust)


def configured() -> str | None:
    """Ask pip which index it is set to."""
    asked = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", "global.index-url"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return asked.stdout.strip() or None if asked.returncode == 0 else None


def live_index() -> LiveIndex:
    """Give the index.

    :raises SkipTest: it does not answer here.
    """
    found = find()
    if isinstance(found, str):
        raise SkipTest(found)
    return found
