"""What is set of the server itself, and of what it tells."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from attrs import frozen

from pypicloud_tw.config import addresses, values
from pypicloud_tw.config.addresses import Network
from pypicloud_tw.config.key import DAY, key


@frozen
class ServerSection:
    """How the server listens and ends. Times are in seconds."""

    host: str = key(
        addresses.host,
        "127.0.0.1",
        "The address to listen at; * is every IPv4 address.",
    )
    port: int = key(values.whole(0, 65535), "6543", "The TCP port to listen at.")
    listen: str = key(
        addresses.endpoint,
        "tcp:6543:interface=127.0.0.1",
        "A Twisted endpoint to listen at instead of host and port: ssl:, unix: and "
        "systemd: work.",
    )
    workers: int = key(
        values.whole(1, 64),
        "1",
        "How many processes serve, as one: about as many as there are processors to be "
        "used. Each has memory and helpers of its own.",
    )
    client_ca_file: Path | None = key(  # noqa: RUF009  a field, and a Path is immutable
        values.path,
        None,
        "A file of the authorities whose client certificates are asked for, where "
        "server.listen is an ssl: endpoint. Revocation lists are not read.",
        empty_is_laxer=True,
    )
    client_certificate: str = key(
        values.one_of("optional", "required"),
        "optional",
        "Whether a client without a certificate is served: optional (it may log in "
        "otherwise) or required.",
    )
    grace: float = key(
        values.seconds(), "30s", "How long a stop waits for uploads and downloads."
    )
    body_timeout: float = key(
        values.seconds(0.1),
        "60s",
        "A sender that sends nothing for so long is dropped.",
    )
    cors_origins: tuple[str, ...] = key(
        values.words(addresses.origin),
        "",
        "Sites whose pages' scripts may read JSON forms and files here, as "
        "https://app.example.com: with their user's log-in; or * for every site, "
        "without.",
    )
    access_log: bool = key(values.flag, "true", "Log a line for each request.")
    express_lane: bool = key(
        values.flag,
        "true",
        "Answer requests for pages that are known in memory without making a request "
        "of them: the same answers, some three times as fast.",
    )


@frozen
class MetricsSection:
    """Metrics for Prometheus."""

    read: str | tuple[Network, ...] = key(
        addresses.readers,
        "127.0.0.0/8, ::1",
        "Who may read /metrics: everyone, authenticated, or networks.",
    )


@frozen
class AuditSection:
    """Records of who did what. Times are in seconds."""

    log: Path | Literal["-"] | None = key(  # noqa: RUF009  a field, and immutable
        values.log_file,
        None,
        "The file that takes a line of JSON for each change and each refusal that "
        "matters; - is standard output. It is opened again at SIGHUP.",
        empty_is_laxer=True,
    )
    store: bool = key(
        values.flag, "true", "Keep the records of changes in the store, too."
    )
    keep: float = key(
        values.seconds(DAY),
        "400d",
        "How long they are kept there; pypicloud sweep removes those that are older.",
    )


@frozen
class StatisticsSection:
    """How often files are fetched."""

    downloads: bool = key(
        values.flag,
        "true",
        "Whether it is counted how often each file is fetched, and by which kinds of "
        "installers; no addresses, no users.",
    )
    keep: int = key(
        values.whole(30, 3660),
        "90",
        "The days of which the counts are kept; their sums by month are kept for three "
        "years.",
    )


@frozen
class DownloadsSection:
    """Records of who downloaded what."""

    log: Path | Literal["-"] | None = key(  # noqa: RUF009  a field, and immutable
        values.log_file,
        None,
        "The file that takes a line of JSON for each file that is handed out; - is "
        "standard output. It is opened again at SIGHUP.",
        empty_is_laxer=True,
    )
