"""Whoever makes a request, as what does the work for them asks to know them."""

from __future__ import annotations

from attrs import frozen

from pypicloud_tw.access.access import Access
from pypicloud_tw.access.administration.administered import Administered
from pypicloud_tw.access.administration.authority import PrincipalAuthority
from pypicloud_tw.access.administration.stored import StoredAdministration
from pypicloud_tw.access.principal import Principal
from pypicloud_tw.errors import Unauthorized
from pypicloud_tw.index.audit import Actor
from pypicloud_tw.web.authorization import actor_of, authenticate, refuse_other_sites
from pypicloud_tw.web.http.site import Request


@frozen
class Requester:
    """Somebody who makes a request.

    :ivar actor: who it is, for records.
    :ivar authority: says what they may do.
    """

    actor: Actor
    authority: PrincipalAuthority

    @classmethod
    def of(cls, request: Request, access: Access, principal: Principal) -> Requester:
        """Describe the one who was found to make a request."""
        return cls(actor_of(request, principal), PrincipalAuthority(access, principal))

    @classmethod
    async def find(cls, request: Request, access: Access) -> Requester:
        """Find out who makes a request to a program's address that changes things.

        :raises Forbidden: another site's page asks.
        :raises PypicloudError: as of :func:`.authorization.authorize`.
        """
        refuse_other_sites(request)
        await access.learn(changing=True)
        return cls.of(request, access, await authenticate(request, access))

    def administration(
        self, administered: Administered, *, changes: bool
    ) -> StoredAdministration:
        """Return what shows and changes access for them.

        :param changes: whether it is to change something.
        :raises Unauthorized: they are nobody in particular.
        :raises ReadOnly: nothing may be changed now.
        """
        access, principal = self.authority.access, self.authority.principal
        if principal.anonymous:
            raise Unauthorized("Log in with a user name and password, or with a token.")
        if changes:
            access.refuse_while_read_only()
            access.policy.check_known(principal)
        return StoredAdministration(administered, self.actor, self.authority)
