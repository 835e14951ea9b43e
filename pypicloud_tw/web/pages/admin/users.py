"""Users, shown and changed on pages."""

from __future__ import annotations

from attrs import frozen

from pypicloud_tw.access.administration.administered import Administered
from pypicloud_tw.access.administration.stored import StoredAdministration
from pypicloud_tw.access.administration.values import (
    NEW,
    Changed,
    NewUser,
    Required,
    UserChange,
)
from pypicloud_tw.concurrency.pieces import Pieces
from pypicloud_tw.errors import BadRequest
from pypicloud_tw.web.pages.admin.collection import Collection
from pypicloud_tw.web.pages.admin.visits import AdminVisit, FormResult, segment

#: What is changed must still be there.
PRESENT = Required(present=True)


@frozen(eq=False)
class UserPages(Collection):
    """Shows administrators the users, and takes their forms."""

    administered: Administered
    pieces: Pieces

    async def _list(self, visit: AdminVisit) -> bytes:
        found = await self._doer(visit).find_users(visit.window(), self.pieces)
        return visit.send("users", users=visit.listing(found))

    async def _show(self, visit: AdminVisit, name: str) -> bytes:
        user = await self._doer(visit).user(name)
        return visit.send("user", user=user)

    async def _add(self, visit: AdminVisit) -> FormResult:
        name = visit.typed("name")
        doer, place = self._doer(visit), f"users/{segment(name)}"
        new = NewUser(_password(visit), visit.form.one("administrator") == "yes")
        changed = await doer.put_user(name, new, NEW)
        return FormResult(place, "added", changed.notices)

    async def _change(self, visit: AdminVisit, name: str) -> FormResult:
        doer, place = self._doer(visit), f"users/{segment(name)}"
        match visit.form.one("act"):
            case "password":
                changed = await self._set_password(visit, name)
            case "administrator":
                wanted = visit.form.one("administrator") == "yes"
                change = UserChange(administrator=wanted)
                changed = await doer.change_user(name, change, PRESENT)
            case "remove":
                visit.check_sure()
                changed = await doer.remove_user(name, PRESENT)
                return FormResult("users/", "removed", changed.notices)
            case _:
                raise BadRequest("The form does not say what to do with the user.")
        return FormResult(place, visit.form.one("act"), changed.notices)

    async def _set_password(self, visit: AdminVisit, name: str) -> Changed:
        doer, password = self._doer(visit), _password(visit)
        if password is not None:
            return await doer.change_user(name, UserChange(password), PRESENT)
        administrator = (await doer.user(name)).administrator
        return await doer.put_user(name, NewUser(None, administrator), PRESENT)

    def _doer(self, visit: AdminVisit) -> StoredAdministration:
        doer = visit.administration(self.administered)
        doer.authority.check_administers()
        return doer


def _password(visit: AdminVisit) -> str | None:
    """Return the password that was typed; None: there shall be none."""
    password, again = visit.form.one("password"), visit.form.one("again")
    if visit.form.one("service") == "yes":
        if password or again:
            raise BadRequest(
                "Type a password, or tick the box of a service account; not both."
            )
        return None
    if not password:
        raise BadRequest("Type a password, or tick the box of a service account.")
    if password != again:
        raise BadRequest("The two passwords are not the same: type them again.")
    return password
