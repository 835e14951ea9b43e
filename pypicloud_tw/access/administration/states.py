"""The state of each thing in the access document, and what is required of it."""

from __future__ import annotations

from hashlib import sha256
from typing import Literal

from pypicloud_tw.access.administration.values import WHATEVER, Required
from pypicloud_tw.access.document import AccessDocument
from pypicloud_tw.access.document_format import Contents, encode
from pypicloud_tw.errors import ConditionFailed
from pypicloud_tw.json_values import to_bytes

#: What has a state of its own.
Part = Literal["users", "groups", "rights", "publishers", "exemptions"]


def check_required(
    document: AccessDocument, part: Part, name: str, required: Required
) -> None:
    """Return if something is as is required."""
    if required == WHATEVER:
        return
    state = state_of(document, part, name)
    if required.absent and state is not None:
        raise ConditionFailed(f"{name} is there already.")
    if required.present and state is None:
        raise ConditionFailed(f"There is no {name}.")
    known = required.states
    if known is not None and not (state in known or document_state(document) in known):
        raise ConditionFailed(
            f"{name} is not as you know it any more: look at it again."
        )


def document_state(document: AccessDocument) -> str:
    """Return an opaque word for all that it has."""
    return sha256(encode(Contents(document))).hexdigest()[:32]


def state_of(document: AccessDocument, part: Part, name: str) -> str | None:
    """Return an opaque word for what it has of something; None: it has nothing.

    Another state has another word.
    """
    found = _content(document, part, name)
    # Of a hash, too, so that another password is another state. What is told is no
    # help in finding either.
    return None if found is None else sha256(repr(found).encode()).hexdigest()[:32]


def _content(document: AccessDocument, part: Part, name: str) -> object:
    match part:
        case "users":
            user = document.users.get(name)
            return user and (user.hash, user.administrator, user.id)
        case "groups":
            members = document.groups.get(name)
            return None if members is None else sorted(members)
        case "publishers":
            return document.publishers.get(name) and to_bytes(document.publishers[name])
        case "exemptions":
            one = document.exemptions.get(name)
            return one and (one.until, one.reason, one.source)
        case "rights":
            for line in document.rights:
                if f"{line.project}/{line.kind}/{line.name}" == name:
                    return to_bytes(line.actions)
            return None
