"""Changes of the exemptions in the access document; as :mod:`.changes` makes others.

There is one exemption of what it speaks of: another end or reason takes its place. Each
change drops those that have ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from hashlib import sha256

from attrs import evolve

from pypicloud_tw.access.document import AccessDocument
from pypicloud_tw.config.exemptions import Exemption
from pypicloud_tw.errors import BadRequest, InsufficientStorage, NotFound

#: Seconds for which something may be exempted: a year and a day.
LONGEST = timedelta(days=366).total_seconds()

#: More of them, at a time, are a rule that nobody wants.
MOST = 500


def exemption_id(exemption: Exemption) -> str:
    """Return what tells an exemption by what it speaks of: 16 hexadecimal digits."""
    return sha256(exemption.what.encode()).hexdigest()[:16]


def put_exemption(
    document: AccessDocument, exemption: Exemption, now: float
) -> AccessDocument:
    """Exempt something, or until another day or for another reason.

    :param now: seconds since the epoch.
    :raises BadRequest: it would have ended, or last too long.
    :raises InsufficientStorage: there are :data:`MOST` already.
    """
    end = exemption.until.timestamp()
    if end <= now:
        raise BadRequest("The end of an exemption lies ahead; this one is past.")
    if end > now + LONGEST:
        raise BadRequest(
            "An exemption lasts a year at most: somebody must look at it again."
        )
    id = exemption_id(exemption)
    wanted = evolve(exemption, id=id)
    if document.exemptions.get(id) == wanted:
        return document
    left = _living(document.exemptions, now)
    if id not in left and len(left) >= MOST:
        raise InsufficientStorage(
            f"There are {MOST} exemptions already, and no more are taken. Remove some, "
            "or exempt a project instead of its versions."
        )
    return evolve(document, exemptions={**left, id: wanted})


def remove_exemption(document: AccessDocument, id: str, now: float) -> AccessDocument:
    """Exempt something no more.

    :raises NotFound: there is none of that id.
    """
    if id not in document.exemptions:
        raise NotFound(f"There is no exemption {id}.")
    left = _living(document.exemptions, now)
    return evolve(
        document, exemptions={key: one for key, one in left.items() if key != id}
    )


def _living(exemptions: Mapping[str, Exemption], now: float) -> dict[str, Exemption]:
    return {id: one for id, one in exemptions.items() if now < one.until.timestamp()}
