"""What must agree among keys, and with the files that they name."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from pypicloud_tw.config.configuration import Config
from pypicloud_tw.config.exemptions import Rule
from pypicloud_tw.config.key import show_value
from pypicloud_tw.config.login_checks import (
    Finding,
    unused_of_ldap,
    unused_of_oidc_login,
)
from pypicloud_tw.config.namespaces import missing_halves
from pypicloud_tw.config.sections.index import PypiSection
from pypicloud_tw.config.sections.upstream import UpstreamSection


def contradictions(config: Config, given: set[str]) -> Iterator[Finding]:
    """Find what contradicts itself.

    :param given: the keys that are set.
    """
    aws, pypi = config.aws, config.pypi
    if aws.buffer_time >= aws.expire_after:
        yield (
            ("aws.buffer_time", "aws.expire_after"),
            f"aws.buffer_time = {aws.buffer_time} must be less than aws.expire_after = "
            f"{aws.expire_after}, or no signed URL could ever be handed out.",
        )
    if (aws.access_key is None) != (aws.secret_key is None):
        yield (
            ("aws.access_key", "aws.secret_key"),
            "aws.access_key and aws.secret_key belong together, and only one is given.",
        )
    if aws.session_token is not None and aws.access_key is None:
        yield (
            ("aws.session_token", "aws.access_key"),
            "aws.session_token is given without the aws.access_key that it belongs to.",
        )
    if aws.sse_kms_key_id and "kms" not in (aws.server_side_encryption or ""):
        yield (
            ("aws.sse_kms_key_id", "aws.server_side_encryption"),
            "aws.sse_kms_key_id is of use only with aws.server_side_encryption = "
            "aws:kms.",
        )
    if {"pypi.fallback", "pypi.use_fallback"} <= given and (
        pypi.use_fallback != (pypi.fallback != "none")
    ):
        yield (
            ("pypi.fallback", "pypi.use_fallback"),
            f"pypi.use_fallback = {str(pypi.use_fallback).lower()} contradicts "
            f"pypi.fallback = {pypi.fallback}; keep pypi.fallback.",
        )
    for name in sorted({*pypi.private} & {*config.upstream.merge}):
        yield (
            ("pypi.private", "upstream.merge"),
            f"upstream.merge names {name}, which pypi.private says is never asked for.",
        )
    if config.upstream.require_provenance and not _gives_files(pypi):
        yield (
            ("pypi.fallback", "pypi.use_fallback", "upstream.require_provenance"),
            "upstream.require_provenance judges each file when it is asked for, and "
            f"with pypi.fallback = {pypi.fallback} clients ask the other index for "
            "files. Set pypi.fallback = cache, or proxy with pypi.fallback_files = "
            "relay.",
        )
    if _redirects(pypi):
        for key in _about_files(config.upstream):
            yield (
                ("pypi.fallback", "pypi.use_fallback", key),
                f"{key} judges files, which nobody does with pypi.fallback = redirect: "
                "clients ask the other index for them. Choose proxy, or leave it out.",
            )


def _redirects(pypi: PypiSection) -> bool:
    return pypi.use_fallback and pypi.fallback == "redirect"


def _gives_files(pypi: PypiSection) -> bool:
    """Return whether files of the other index are asked of us, if of anybody."""
    if not pypi.use_fallback or pypi.fallback == "none":
        return True
    relays = pypi.fallback == "proxy" and pypi.fallback_files == "relay"
    return pypi.fallback in ("cache", "kept") or relays


def _about_files(upstream: UpstreamSection) -> Iterator[str]:
    """Name the rules that cannot be kept by judging a project's name."""
    for name, rules in (("allow", upstream.allow), ("deny", upstream.deny)):
        if any(re.search("[<=>!~]", entry) for entry in rules):
            yield f"upstream.{name}"
    if upstream.min_age is not None:
        yield "upstream.min_age"
    if upstream.not_after is not None:
        yield "upstream.not_after"
    if upstream.block_severity is not None:
        yield "upstream.block_severity"


def missing_files(config: Config) -> Iterator[Finding]:
    """Find the files and folders that are named and are not there."""
    # os.path, because pathlib raises for what this process may not look at.
    temp_dir = config.storage.temp_dir
    files = {
        "aws.ca_file": config.aws.ca_file,
        "oidc.ca_file": config.oidc.ca_file,
        "server.client_ca_file": config.server.client_ca_file,
        "attestations.trust_root": config.attestations.trust_root,
        "auth.htpasswd": config.logins.htpasswd,
        "auth.ldap.ca_file": config.ldap.ca_file,
    }
    for key, path in files.items():
        if path is not None and not os.path.isfile(path):
            yield (key,), f"{key} = {_shown(path)}: there is no such file."
    if temp_dir is not None and not os.path.isdir(temp_dir):
        sentence = f"storage.temp_dir = {_shown(temp_dir)}: there is no such folder."
        yield ("storage.temp_dir",), sentence
    folder = config.storage.dir
    if os.path.lexists(folder) and not os.path.isdir(folder):
        sentence = f"storage.dir = {_shown(folder)}: this is not a folder."
        yield ("storage.dir",), sentence


def _shown(path: Path) -> str:
    return show_value(str(path))


def unused(config: Config, given: set[str]) -> Iterator[str]:
    """List what is set and changes nothing."""
    yield from unused_of_ldap(config.ldap, given)
    yield from unused_of_oidc_login(config.oidc_login, given)
    if config.aws.bucket is not None and "storage.dir" in given:
        yield "storage.dir is not used: the packages are kept in the bucket."
    if config.aws.bucket is None:
        unused = sorted(name for name in given if name.startswith("aws."))
        if unused:
            yield f"Not used, as aws.bucket is not set: {', '.join(unused)}."
    if _redirects(config.pypi) and len(config.pypi.fallback_url) > 1:
        yield "With pypi.fallback = redirect clients are sent to the first index alone."
    yield from _unused_exemptions(config)
    yield from _without_advisories(config)
    if "server.listen" in given and {"server.host", "server.port"} & given:
        yield "host and port are not used: server.listen says where to listen."


def _without_advisories(config: Config) -> Iterator[str]:
    source, upstream = config.advisories.source, config.upstream
    if source is None:
        for name, value in (
            ("upstream.min_age.security", upstream.min_age_security),
            ("upstream.block_severity", upstream.block_severity),
        ):
            if value is not None:
                yield f"{name} is not used, as advisories.source is not set."
    elif isinstance(source, Path) and not os.path.lexists(source):
        closed = config.advisories.when_away == "closed"
        yield (
            f"advisories.source = {_shown(source)}: nothing is there. Until something "
            f"is, {'nothing of the other index' if closed else 'known malware, too,'} "
            f"is let through (advisories.when_away = {config.advisories.when_away})."
        )


def _unused_exemptions(config: Config) -> Iterator[str]:
    pypi = config.pypi
    judges = pypi.use_fallback and pypi.fallback in ("proxy", "cache", "kept")
    for one in config.upstream.exempt:
        # Uploads are judged by that rule, too.
        if one.rule is Rule.MALWARE:
            continue
        line = f"{one.source} {one.what}"
        if not judges:
            yield f"Not used, as no other index is judged here: {line}."
        elif one.project in pypi.private:
            yield (
                f"Not used, as pypi.private has {one.project}, which is never asked "
                f"for elsewhere: {line}."
            )


def advice(config: Config) -> Iterator[str]:
    """Suggest what would make more of what is set."""
    for private, besides in missing_halves(config.pypi.private):
        yield (
            f"pypi.private has {private}: with {besides} as well, "
            f"{min(private, besides, key=len)} is a namespace of this index (PEP 752)."
        )
