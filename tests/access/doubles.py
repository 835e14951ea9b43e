"""Policies of the text of an ini, for tests of rights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pypicloud_tw.access.document import AccessDocument
from pypicloud_tw.access.policy import Policy
from pypicloud_tw.access.principal import Principal
from pypicloud_tw.access.settings import AccessSettings
from pypicloud_tw.config.configuration import Config
from pypicloud_tw.config.load import load_settings
from pypicloud_tw.config.rights import Action
from pypicloud_tw.index.names import NormalizedName

#: The password is "gunface".
HASH = "$5$rounds=80000$yiWi67QBJLDTvbI/$d6qIG/bIoM3hp0lxH8v/vzxg8Qc4CJbxbxiUH4MlnE7"

PEOPLE = ("bob", "dev1", "boss")


def config_of(text: str, users: tuple[str, ...] = PEOPLE) -> Config:
    """Read ``key = value`` lines; each of *users* has a password."""
    lines = (line.partition("=") for line in text.splitlines() if line.strip())
    settings = {key.strip(): value.strip() for key, _, value in lines}
    return load_settings(settings, dict.fromkeys(users, HASH), Path("/"))


def policy_of(text: str, document: AccessDocument | None = None) -> Policy:
    """Make the policy of ``key = value`` lines."""
    return Policy(AccessSettings.of(config_of(text)), document or AccessDocument())


def letters(policy: Policy, principal: Principal, project: str) -> str:
    """Return what somebody may do, as ``r`` and ``w``; ``-``: nothing."""
    name = NormalizedName(project)
    read, upload, manage = (
        policy.may(principal, action, name)
        for action in (Action.READ, Action.UPLOAD, Action.MANAGE)
    )
    assert upload is manage, "w is both"
    return ("r" if read else "") + ("w" if upload else "") or "-"


def row(policy: Policy, who: Mapping[str, Principal], project: str) -> str:
    """Return what each may do, apart by blanks."""
    return " ".join(letters(policy, one, project) for one in who.values())
