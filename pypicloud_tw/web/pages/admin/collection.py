"""What those parts of the administration share that are lists of something."""

from __future__ import annotations

from abc import ABC, abstractmethod

from attrs import frozen

from pypicloud_tw.web.http.site import Request
from pypicloud_tw.web.pages.admin.visits import AdminDoor, AdminVisit, FormResult


@frozen(eq=False)
class Collection(ABC):
    """Answers for a list: its page and the form that adds to it, and those of each."""

    door: AdminDoor

    async def list(self, request: Request) -> bytes:
        """Answer a GET of the list."""
        return await self._list(await self.door.enter(request))

    async def add(self, request: Request) -> bytes:
        """Take the form that adds something."""
        return await self.door.change(request, self._add, self._list)

    async def show(self, request: Request, name: str) -> bytes:
        """Answer a GET of one."""
        return await self._show(await self.door.enter(request), name)

    async def change(self, request: Request, name: str) -> bytes:
        """Take the forms that change one, or remove it."""
        return await self.door.change(
            request,
            lambda visit: self._change(visit, name),
            lambda visit: self._show(visit, name),
        )

    @abstractmethod
    async def _list(self, visit: AdminVisit) -> bytes:
        """Show the list; raises what says that its visitor may not see it."""

    @abstractmethod
    async def _add(self, visit: AdminVisit) -> FormResult:
        """Add what the form says."""

    @abstractmethod
    async def _show(self, visit: AdminVisit, name: str) -> bytes:
        """Show one; errors as of the list."""

    @abstractmethod
    async def _change(self, visit: AdminVisit, name: str) -> FormResult:
        """Do with one what the form says."""
