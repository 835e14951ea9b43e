"""Where a bucket lives: host, path and region."""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

from attrs import evolve, field, frozen

from pypicloud_tw.config.sections.storage import AwsSection
from pypicloud_tw.store.s3.sigv4 import quote_path

#: By the beginning of the region's name ("AWS partitions"); the longest match first.
_SUFFIXES = (
    ("us-isob-", "sc2s.sgov.gov"),
    ("us-isof-", "csp.hci.ic.gov"),
    ("us-iso-", "c2s.ic.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
    ("eusc-", "amazonaws.eu"),
    ("cn-", "amazonaws.com.cn"),
)

_DOMAINS = ("amazonaws.com", *(domain for _, domain in _SUFFIXES))

#: Where to begin where nobody said; S3 then tells the right one.
DEFAULT_REGION = "us-east-1"

#: "General purpose bucket naming rules", less dots, which no certificate matches.
_hostable = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]").fullmatch

#: A region's name becomes part of a host's; it may come out of an answer. Those of
#: other servers are not always of AWS's form: OpenStack's first is ``RegionOne``.
is_region = re.compile(r"[A-Za-z0-9_-]{1,40}").fullmatch


def dns_suffix(region: str) -> str:
    """Return the domain of the AWS partition that *region* belongs to."""
    for beginning, suffix in _SUFFIXES:
        if region.startswith(beginning):
            return suffix
    return _DOMAINS[0]


@frozen
class Endpoint:
    """A bucket's address.

    :ivar server: scheme, authority and path under which the S3 API answers, without
        the slash at its end; None for AWS, whose host follows from the region.
    :ivar virtual: the bucket is a part of the host's name, not of the path.
    """

    bucket: str
    region: str
    server: str | None
    virtual: bool

    #: Scheme and authority.
    origin: str = field(init=False)
    #: The ``Host`` field: authority without the scheme's own port.
    host: str = field(init=False)
    #: Whether TLS vouches for the bytes.
    secure: bool = field(init=False)
    _base: str = field(init=False)

    def __attrs_post_init__(self) -> None:
        server = self.server
        if server is None:
            server = f"https://s3.{self.region}.{dns_suffix(self.region)}"
        parts = urlsplit(server)
        bucket = quote_path(self.bucket)
        host = f"{self.bucket}.{parts.netloc}" if self.virtual else parts.netloc
        # Worked out once: every request and every signed address asks.
        told = {
            "origin": f"{parts.scheme}://{host}",
            "host": host,
            "secure": parts.scheme == "https",
            "_base": parts.path if self.virtual else f"{parts.path}/{bucket}",
        }
        for name, value in told.items():
            object.__setattr__(self, name, value)

    def path(self, key: str | None) -> str:
        """Return the path of an object, encoded; of the bucket for None."""
        if key is None:
            return self._base or "/"
        return f"{self._base}/{quote_path(key)}"

    def moved(self, region: str) -> Endpoint:
        """The same bucket in another region."""
        return evolve(self, region=region)


def find_endpoint(aws: AwsSection, default_region: str | None = None) -> Endpoint:
    """Work out a bucket's address from the configuration.

    Virtual-host addressing is for AWS: other servers answer by path everywhere and by
    host only where somebody has set up the names.

    :param default_region: from the environment; used where the ini has none.
    """
    assert aws.bucket is not None
    region = aws.region or default_region or DEFAULT_REGION
    if aws.addressing == "auto":
        virtual = bool(_hostable(aws.bucket)) and _is_aws(aws.endpoint_url)
    else:
        virtual = aws.addressing == "virtual"
    return Endpoint(aws.bucket, region, _normalised(aws.endpoint_url), virtual)


def _normalised(url: str | None) -> str | None:
    """Drop the slash at the end and the port that the scheme implies anyway."""
    if url is None:
        return None
    parts = urlsplit(url)
    implied = {"http": ":80", "https": ":443"}.get(parts.scheme, ":")
    authority = parts.netloc.lower().removesuffix(implied)
    return f"{parts.scheme}://{authority}{parts.path.rstrip('/')}"


def _is_aws(url: str | None) -> bool:
    if url is None:
        return True
    host = urlsplit(url).hostname or ""
    try:
        ip_address(host)
    except ValueError:
        return host.endswith(tuple(f".{domain}" for domain in _DOMAINS))
    return False
