"""Who publishes the projects of upstreams, shown and changed, wherever it is asked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol

from attrs import frozen

from pypicloud_tw.config.rights import Action
from pypicloud_tw.config.signers import Signer
from pypicloud_tw.config.values import BadValueError
from pypicloud_tw.errors import BadRequest, Conflict
from pypicloud_tw.index.audit import Act, Actor, Audit
from pypicloud_tw.index.names import NormalizedName, project_name
from pypicloud_tw.upstream.provenance.pins import Pin, Pins, RefusedPublisher

if TYPE_CHECKING:
    from pypicloud_tw.access.administration.authority import Authority


@frozen
class PinnedPublisher:
    """Who publishes a project.

    :ivar publisher: as a line of the ini has it; None: nobody is pinned.
    :ivar source: where it stands.
    :ivar pinned: when; None: the ini does not tell.
    :ivar by: who said so; None: it was the publisher of the first file, or of the ini.
    :ivar file: that file.
    :ivar refused: another publisher, who was refused last.
    """

    project: str
    publisher: str | None
    source: Literal["ini", "store"] = "store"
    pinned: datetime | None = None
    by: str | None = None
    file: str | None = None
    sha256: str | None = None
    refused: RefusedPublisher | None = None


@frozen
class NewPin:
    """Whom to pin: ``github:acme/tool:release.yml``."""

    publisher: str


class PinAdministration(Protocol):
    """Who publishes the projects of upstreams.

    Every method raises :class:`~pypicloud_tw.errors.Forbidden` for whoever is no
    administrator, and :class:`~pypicloud_tw.errors.Unavailable` where it cannot be done
    now. Every change may be repeated, and raises also

    - :class:`~pypicloud_tw.errors.BadRequest`: a name or a publisher cannot be;
    - :class:`~pypicloud_tw.errors.Conflict`: the ini has it, and only the ini changes
      it.
    """

    async def pins(self) -> Sequence[PinnedPublisher]:
        """Return them all, by the projects' names."""

    async def set_pin(self, project: str, new: NewPin) -> PinnedPublisher:
        """Pin a publisher, or accept another."""

    async def remove_pin(self, project: str) -> PinnedPublisher:
        """Pin nobody: whoever publishes the next file will be."""


@frozen
class StoredPins:
    """See :class:`PinAdministration`.

    :ivar actor: who does it, for records.
    :ivar authority: says what they may do.
    """

    store: Pins
    audit: Audit
    actor: Actor
    authority: Authority

    async def pins(self) -> Sequence[PinnedPublisher]:
        """See the interface."""
        self._check()
        found = {pin.project: _shown(pin) async for pin in self.store.all()}
        for name, signer in self.store.fixed.items():
            refused = found[name].refused if name in found else None
            found[name] = _of_ini(name, signer, refused)
        return [found[name] for name in sorted(found)]

    async def pin(self, project: str) -> PinnedPublisher:
        """Return who publishes one project; errors as of :meth:`pins`."""
        self._check()
        name = project_name(project)
        found = await self.store.find(name)
        signer = self.store.fixed.get(name)
        if signer is not None:
            return _of_ini(name, signer, None if found is None else found.refused)
        return PinnedPublisher(name, None) if found is None else _shown(found)

    async def set_pin(self, project: str, new: NewPin) -> PinnedPublisher:
        """See the interface."""
        self._check()
        name = self._changeable(project)
        try:
            signer = Signer.parse(new.publisher)
        except BadValueError as e:
            raise BadRequest(f"{new.publisher!r} {e}") from None
        before = await self.store.find(name)
        pin = await self.store.set(name, signer, self.actor.name or "")
        self._tell("set a pin", name, pin, before)
        return _shown(pin)

    async def remove_pin(self, project: str) -> PinnedPublisher:
        """See the interface."""
        self._check()
        name = self._changeable(project)
        before = await self.store.find(name)
        pin = await self.store.remove(name, self.actor.name or "")
        self._tell("removed a pin", name, pin, before)
        return _shown(pin)

    def _check(self) -> None:
        self.authority.check(Action.ADMINISTER, None)

    def _changeable(self, project: str) -> NormalizedName:
        name = project_name(project)
        if name in self.store.fixed:
            raise Conflict(
                f"The ini says who publishes {name} (upstream.publisher.{name}), and "
                "only the ini changes that."
            )
        return name

    def _tell(
        self, act: str, name: NormalizedName, pin: Pin, before: Pin | None
    ) -> None:
        was = before.publisher if before else None
        if pin.publisher == was:
            return
        reason = f"{pin.publisher or 'nobody'}; before: {was or 'nobody'}"
        self.audit(Act(self.actor, act, name, reason=reason))


def _shown(pin: Pin) -> PinnedPublisher:
    return PinnedPublisher(
        pin.project,
        pin.publisher,
        "store",
        pin.pinned,
        pin.by,
        pin.file,
        pin.sha256,
        pin.refused,
    )


def _of_ini(
    name: str, signer: Signer, refused: RefusedPublisher | None
) -> PinnedPublisher:
    return PinnedPublisher(name, signer.line, "ini", refused=refused)
