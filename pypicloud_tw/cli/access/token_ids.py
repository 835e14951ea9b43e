"""Tokens as arguments of commands, which are to be ids and not secrets."""

from __future__ import annotations

import click

from pypicloud_tw.access.tokens.text import UserToken, is_token, read_token
from pypicloud_tw.errors import Unauthorized


def id_of(text: str) -> str:
    """Return the id that is meant, where perhaps the token itself is given.

    That never goes into an address: those are written into logs.

    :raises click.UsageError: it is no whole token, or has no id that would help.
    """
    if not is_token(text):
        return text
    try:
        token = read_token(text)
    except Unauthorized as e:
        raise click.UsageError(e.message) from None
    if not isinstance(token, UserToken):
        raise click.UsageError(
            "This token was minted for a job: it ends by itself, and whoever has it "
            "can give it back (/_/oidc/burn-token)."
        )
    return token.id
