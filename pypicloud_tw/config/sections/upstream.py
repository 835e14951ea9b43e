"""What is set of the other index."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from attrs import frozen

from pypicloud_tw.config import addresses, names, values
from pypicloud_tw.config.exemptions import Exemption
from pypicloud_tw.config.key import key, show_url


@frozen
class AdvisoriesSection:
    """Where it is read what is malware, or vulnerable. Times in seconds."""

    source: str | Path | None = key(  # noqa: RUF009  a field, and immutable
        addresses.source,
        None,
        "OSV records: a folder, a file (a zip as OSV has one for each ecosystem), or "
        "the address of one, as of a mirror of OSV's; none: nothing is read. What they "
        "say is malware is not let through. While an address cannot be reached, what "
        "was read last holds (advisories.when_away).",
        secret=True,
        show=show_url,
        empty_is_laxer=True,
    )
    every: float = key(
        values.seconds(60), "1h", "How often it is looked at whether they have changed."
    )
    max_age: float = key(
        values.seconds(300),
        "3d",
        "How old what was read may become while the source is away.",
    )
    when_away: str = key(
        values.one_of("open", "closed"),
        "open",
        "Whether files of the other index are still let through when nothing is known, "
        "or what is known is older than advisories.max_age.",
    )


#: What a new ini, and a server without any, has for ``upstream.min_age``: of malicious
#: releases most are found and removed within days.
COOLDOWN = "7d"

#: The same for ``advisories.source``: what OSV knows of PyPI, 30 MB, free for all.
OSV_OF_PYPI = "https://osv-vulnerabilities.storage.googleapis.com/PyPI/all.zip"


@frozen
class UpstreamSection:
    """What is let through from the other index. Times in seconds, sizes in bytes."""

    merge: tuple[str, ...] = key(
        values.words(names.project),
        "",
        "Projects whose files from here and from upstream are shown together.",
    )
    allow: tuple[str, ...] = key(
        names.rules,
        "",
        "If given, only these are let through: names, patterns (acme-*) and versions "
        "(django>=4,<5).",
        empty_is_laxer=True,
    )
    deny: tuple[str, ...] = key(
        names.rules, "", "These are not let through.", empty_is_laxer=True
    )
    denied_message: str = key(
        values.line,
        "This project or version is not allowed by the rules of this index.",
        "What a client is told of what is not let through.",
    )
    min_age: float | None = key(
        values.seconds(),
        None,
        "Files younger than that do not exist yet, so that malicious ones are found "
        "by others first: 7d. upstream.exempt, or pypicloud exempt add, lets a fix "
        "through before; pypicloud explain tells why one is missing.",
        empty_is_laxer=True,
    )
    min_age_exempt: tuple[str, ...] = key(
        values.words(names.pattern),
        "",
        "Projects to which upstream.min_age does not apply.",
        name="upstream.min_age.exempt",
    )
    min_age_security: float | None = key(
        values.seconds(),
        None,
        "Files of a version that repairs a known flaw need only be that old: 1d",
        name="upstream.min_age.security",
    )
    block_severity: str | None = key(
        values.one_of("low", "medium", "high", "critical"),
        None,
        "Versions with a known flaw so bad, or worse, are not let through.",
        empty_is_laxer=True,
    )
    exempt: tuple[Exemption, ...] = key(
        values.lines_of(Exemption.parse),
        "",
        "Exemptions from upstream.min_age, or from another rule, until a day and for a "
        "reason, a line each: urllib3==2.5.1 until 2026-12-24 CVE fix. Before until "
        "may stand sha256:DIGEST and rule:NAME. pypicloud exempt adds more at run "
        "time.",
    )
    not_after: datetime | None = key(  # noqa: RUF009  a field, and immutable
        values.moment,
        None,
        "Files that are newer than that do not exist: 2026-01-31",
        empty_is_laxer=True,
    )
    require_provenance: tuple[str, ...] = key(
        values.words(names.pattern),
        "",
        "Projects of which only files are let through that their publisher attests, "
        "who is pinned at the first one: urllib3, sigstore-*",
        empty_is_laxer=True,
    )
    list_names: bool = key(
        values.flag,
        "yes",
        "Read the other index's list of names once a day, to tell of those that look "
        "like ours. No name of ours is told to anybody.",
        name="upstream.names",
    )
    stale_for: float = key(
        values.seconds(),
        "7d",
        "How long the last known page is served while the other index fails.",
    )
    recheck: float = key(
        values.seconds(),
        "1h",
        "How often the pages of projects of which files are kept are asked for again, "
        "to find what was quarantined; 0: never.",
    )
    absent_for: float = key(
        values.seconds(),
        "30s",
        "How long it is remembered that a project is not there.",
    )
    absent_statuses: tuple[int, ...] = key(
        values.words(values.absent_status),
        "404, 410",
        "The statuses by which the other index says that it has no such project; 404 "
        "and 410 always do. With 403 (a bucket behind a CDN) it also seems to have "
        "none where it refuses us.",
    )
    cache_memory: int = key(
        values.size(0), "128MiB", "The memory for pages of the other index."
    )
    max_page: int = key(
        values.size(), "128MiB", "The largest page that is taken from the other index."
    )
    allow_private_hosts: tuple[str, ...] = key(
        values.words(addresses.private_host),
        "",
        "Hosts and networks with private addresses that its links may lead to: "
        "files.corp, files.corp:8080, 10.1.0.0/16, [fd00::1]:8443. Without a port, "
        "ports 80 and 443. pypi.fallback_url's own host and port need not be named.",
    )
    connect_timeout: float = key(
        values.seconds(0.1), "10s", "How long a connection to it may take."
    )
    first_byte_timeout: float = key(
        values.seconds(0.1), "30s", "How long it may take to begin its answer."
    )
    silence_timeout: float = key(
        values.seconds(0.1), "30s", "How long it may be silent in the middle of one."
    )
