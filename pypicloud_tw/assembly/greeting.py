"""What a server says when it starts: what it serves, and what uploads still need."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping

from pypicloud_tw.access.logins import Logins
from pypicloud_tw.access.policy import Policy
from pypicloud_tw.access.principal import ANONYMOUS
from pypicloud_tw.config.configuration import Config
from pypicloud_tw.config.rights import Action
from pypicloud_tw.config.sources import IMAGE_VARIABLE, named_ini, names_store

#: A file that podman's containers have.
_PODMAN = "/run/.containerenv"


def greeting(
    config: Config,
    policy: Policy,
    logins: Logins,
    environ: Mapping[str, str],
    exists: Callable[[str], bool] = os.path.exists,
) -> Iterator[str]:
    """Say what is served where, and how to have somebody who may upload.

    :param exists: whether there is such a file.
    """
    bucket = config.aws.bucket
    place = config.storage.dir if bucket is None else f"the bucket {bucket}"
    yield f"Serving {place} at {config.server.listen}."
    if not logins.possible and not policy.may_any(ANONYMOUS, Action.UPLOAD):
        reads = "anyone may read" if policy.public else "nobody may read"
        yield (
            f"There is no user yet in the ini: {reads}, nobody may upload, unless the "
            f"store has users. {_how_to_add_one(config, environ, exists)}"
        )
    yield f"By the ini alone: {policy.rules.summary}"


def _how_to_add_one(
    config: Config, environ: Mapping[str, str], exists: Callable[[str], bool]
) -> str:
    where = _where(config, environ)
    if environ.get(IMAGE_VARIABLE) and where is not None:
        run = _runs_in_container(environ, exists)
        return f"Add one: {run} pypicloud user add NAME --admin{where}"
    if config.ini is None:
        return (
            "Run pypicloud-make-config, which writes an ini with a user, and give it "
            "by --config; pypicloud-gen-password makes hashes for more users."
        )
    return (
        f"Add one by pypicloud user add NAME --admin --config={config.ini}, or by a "
        "line 'user.NAME = HASH' in the ini, with a hash of pypicloud-gen-password."
    )


def _where(config: Config, environ: Mapping[str, str]) -> str | None:
    """Return the option that a command with the same environment needs.

    None: there is none by which it finds the store.
    """
    if config.ini is None:
        return "" if names_store(environ) else None
    named = named_ini(environ)
    known = named is not None and named.absolute() == config.ini.absolute()
    return "" if known else f" --config={config.ini}"


def _runs_in_container(
    environ: Mapping[str, str], exists: Callable[[str], bool]
) -> str:
    """Return what runs a command in the container that this is."""
    name = environ.get("HOSTNAME") or "CONTAINER"
    if environ.get("KUBERNETES_SERVICE_HOST"):
        return f"kubectl exec -it {name} --"
    podman = environ.get("container") == "podman" or exists(_PODMAN)
    return f"{'podman' if podman else 'docker'} exec -it {name}"
