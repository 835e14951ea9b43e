"""What all parts of one process share."""

from __future__ import annotations

from typing import Any

from attrs import frozen

from pypicloud_tw.concurrency.siblings import ALONE, Siblings
from pypicloud_tw.metrics import Metrics
from pypicloud_tw.offload.service import Offload


@frozen(eq=False)
class Process:
    """The reactor, the helper processes and threads, and what is counted.

    :ivar siblings: the other processes of this server.
    :ivar number: this one's among them, from 1; None: it is alone.
    """

    reactor: Any
    offload: Offload
    metrics: Metrics
    siblings: Siblings = ALONE
    number: int | None = None

    def start(self) -> None:
        """Let work be done elsewhere, and watch how late the reactor is."""
        self.offload.startService()  # type: ignore[no-untyped-call]  # Twisted's
        self.metrics.start()

    async def stop(self) -> None:
        """End the helpers; to be called when nobody uses them any more."""
        self.metrics.stop()
        await self.offload.stopService()
