"""What a server says when it starts: what it serves, and what uploads still need."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from shlex import quote

from pypicloud_tw.access.logins import Logins
from pypicloud_tw.access.policy import Policy
from pypicloud_tw.access.principal import ANONYMOUS
from pypicloud_tw.config.configuration import Config
from pypicloud_tw.config.key import variable
from pypicloud_tw.config.public_address import public_address
from pypicloud_tw.config.rights import Action
from pypicloud_tw.config.sources import IMAGE_VARIABLE, named_ini, names_store
from pypicloud_tw.errors import ConfigError
from pypicloud_tw.installers.setup import Setup

#: A file that podman's containers have.
_PODMAN = "/run/.containerenv"


def greeting(config: Config) -> Iterator[str]:
    """Say what is served where, and how to use it."""
    bucket = config.aws.bucket
    place = config.storage.dir if bucket is None else f"the bucket {bucket}"
    yield f"Serving {place} at {config.server.listen}."
    with suppress(ConfigError):
        base = public_address(config)
        yield (
            f"Install from it: {Setup(base).pip_install('PROJECT')}. {base}/ has more."
        )


def who_may_upload(
    config: Config,
    policy: Policy,
    logins: Logins,
    environ: Mapping[str, str],
    exists: Callable[[str], bool] = os.path.exists,
    started_as: str = sys.argv[0],
) -> Iterator[str]:
    """Say who may, or how to have somebody; all users have to be known.

    That only those may who have been given the right to is as it should be.

    :param exists: whether there is such a file.
    :param started_as: the path of the program.
    """
    if not logins.possible and not policy.may_any(ANONYMOUS, Action.UPLOAD):
        reads = "anyone may read" if policy.public else "nobody may read"
        command = _adds_a_user(config, environ, exists, Path(started_as).name)
        yield f"There is no user yet: {reads}, nobody may upload. Add one: {command}"
    elif policy.rules.open:
        yield policy.rules.summary


def _adds_a_user(
    config: Config,
    environ: Mapping[str, str],
    exists: Callable[[str], bool],
    program: str,
) -> str:
    # Whoever starts it by the name of the project has installed nothing.
    uvx = program == "pypicloud-tw"
    command = f"{'uvx pypicloud-tw' if uvx else 'pypicloud'} user add NAME --admin"
    within = bool(environ.get(IMAGE_VARIABLE))
    named = named_ini(environ)
    if config.ini is not None:
        if named is None or named.absolute() != config.ini.absolute():
            command += f" --config={quote(str(config.ini))}"
    elif not names_store(environ):
        # A shell sets variables itself; in a container there is none.
        env = "env " if within else ""
        folder = quote(str(config.storage.dir))
        command = f"{env}{variable('storage.dir')}={folder} {command}"
    elif not within:
        command += ", in the environment of the server"
    return f"{_runs_in_container(environ, exists)} {command}" if within else command


def _runs_in_container(
    environ: Mapping[str, str], exists: Callable[[str], bool]
) -> str:
    """Return what runs a command in the container that this is."""
    name = environ.get("HOSTNAME") or "CONTAINER"
    if environ.get("KUBERNETES_SERVICE_HOST"):
        return f"kubectl exec -it {name} --"
    podman = environ.get("container") == "podman" or exists(_PODMAN)
    return f"{'podman' if podman else 'docker'} exec -it {name}"
