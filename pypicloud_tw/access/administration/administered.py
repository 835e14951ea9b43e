"""What is administered, whoever does it: by a command or over HTTP."""

from __future__ import annotations

from attrs import frozen

from pypicloud_tw.access.access import Access
from pypicloud_tw.access.administration.recorded import RecordedChange
from pypicloud_tw.access.administration.values import Changed
from pypicloud_tw.access.documents import AccessDocuments
from pypicloud_tw.access.hashes import hash_password
from pypicloud_tw.access.policy import Policy
from pypicloud_tw.access.settings import AccessSettings
from pypicloud_tw.access.tokens.text import is_token
from pypicloud_tw.access.tokens.tokens import Tokens
from pypicloud_tw.errors import BadRequest
from pypicloud_tw.index.audit import Audit
from pypicloud_tw.offload.service import IOffload


@frozen
class Administered:
    """Who may do what, and all that a change of it needs.

    :ivar access: the rules in force; it hears of every change of the documents.
    :ivar tokens: of all users.
    :ivar offload: where passwords are hashed.
    :ivar audit: takes a record of every change.
    """

    access: Access
    documents: AccessDocuments
    tokens: Tokens
    offload: IOffload
    audit: Audit

    @property
    def settings(self) -> AccessSettings:
        """What the ini says, which no change of the document changes."""
        return self.access.policy.settings

    async def policy(self) -> Policy:
        """Return the rules as they are now, or were when they could last be read."""
        await self.documents.learn()
        return self.access.policy

    async def change(self, change: RecordedChange) -> Changed:
        """Make a change; errors as of :meth:`RecordedChange.make`."""
        return await change.make(self.documents, self.access, self.audit)

    async def hash(self, password: str | None) -> str | None:
        """Hash a password; None is none.

        :raises BadRequest: it is empty, looks like a token, or cannot be hashed.
        """
        if password is None:
            return None
        if not password:
            raise BadRequest("A password is not empty; leave it out for none.")
        if is_token(password):
            # Whoever logged in with it would be asked for the rest of a token.
            raise BadRequest("What begins as a token does is no password: change it.")
        try:
            return await self.offload.in_thread(hash_password, password)
        except ValueError as e:
            raise BadRequest(str(e)) from None
