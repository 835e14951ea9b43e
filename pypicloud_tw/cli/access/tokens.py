"""``pypicloud token``: what clients log in with in place of a password."""

from __future__ import annotations

import click

from pypicloud_tw.access.administration.values import NewToken, Token
from pypicloud_tw.cli.access.rights import actions
from pypicloud_tw.cli.access.token_ids import id_of
from pypicloud_tw.cli.output import json_option, say, show, show_json, told
from pypicloud_tw.cli.questions import asks_first, confirm
from pypicloud_tw.cli.target import Target, takes_target
from pypicloud_tw.config.rights import show_actions
from pypicloud_tw.config.values import BadValueError, whole_seconds
from pypicloud_tw.json_values import encode


@click.group()
def token() -> None:
    """Make, list and revoke tokens.

    A token is the password of the user __token__. It never allows more than its owner
    may.
    """


@token.command("make")
@click.option("--description", default="", help="What it is for.")
@click.option(
    "--may",
    help="r, rw, or some of read, upload, manage, administer. Without it, whatever its "
    "owner may, except administer.",
)
@click.option(
    "--project",
    "projects",
    multiple=True,
    help="A project or a pattern that it is for; may be repeated.",
)
@click.option("--life", help="How long it is worth anything, as 90d.")
@click.option("--owner", help="Whose it is; for administrators.")
@takes_target
@json_option
def make(
    description: str,
    may: str | None,
    projects: tuple[str, ...],
    life: str | None,
    owner: str | None,
    target: Target,
    as_json: bool,
) -> None:
    """Make a token and print it, this once.

    For example: `pypicloud token make --may rw --project 'acme-*' --life 90d`
    """
    if owner is None and target.offline:
        raise click.UsageError("Say whose it is with --owner: nobody is logged in.")
    new = NewToken(
        description,
        None if may is None else actions(may, "--may"),
        projects or None,
        None if life is None else _seconds(life),
        owner,
    )
    made = target.change(lambda index: index.access.make_token(new))
    if as_json:
        show_json(encode(made))
        return
    # Alone on stdout, so that a script can keep it.
    say(made.token)
    click.echo(
        f"Its id is {made.id}. It is valid until {made.expires:%Y-%m-%d %H:%M} UTC; "
        "nobody can show it again.",
        err=True,
    )


def _seconds(text: str) -> int:
    try:
        return whole_seconds(1, 100 * 366 * 86400)(text)
    except BadValueError as e:
        raise click.UsageError(f"--life = {text} {e}") from None


@token.command("list")
@click.option("--owner", help="Those of this user; for administrators.")
@click.option("--all", "everybody", is_flag=True, help="Of all users; the same.")
@takes_target
@json_option
def list_tokens(
    owner: str | None,
    everybody: bool,
    target: Target,
    as_json: bool,
) -> None:
    """List one's own tokens. Offline, those of all users."""
    all_of_them = everybody or (owner is None and target.offline)
    tokens = target.do(lambda index: index.access.tokens(owner, everybody=all_of_them))
    columns = ("ID", "OWNER", "DESCRIPTION", "MAY", "PROJECTS", "ENDS", "LAST USED")
    show(tokens, columns, _row, as_json=as_json)


def _row(one: Token) -> tuple[str, ...]:
    return (
        one.id,
        one.owner,
        one.description,
        "all" if one.actions is None else show_actions(one.actions),
        "all" if one.projects is None else ", ".join(one.projects),
        "revoked" if one.revoked else f"{one.expires:%Y-%m-%d}",
        " from ".join(filter(None, (one.used, one.used_from))),
    )


@token.command("revoke")
@click.argument("id")
@asks_first
@takes_target
def revoke(id: str, yes: bool, target: Target) -> None:
    """Have a token be worth nothing any more.

    ID is as ``token list`` has it; the token itself will do as well.
    """
    id = id_of(id)
    confirm(f"Revoke the token {id}?", yes)
    changed = target.change(lambda index: index.access.revoke_token(id))
    told(changed, f"Revoked {id}.")
