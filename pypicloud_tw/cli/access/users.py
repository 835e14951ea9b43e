"""``pypicloud user`` and ``pypicloud group``: who there is."""

from __future__ import annotations

import click

from pypicloud_tw.access.administration.values import (
    NEW,
    Group,
    Members,
    NewUser,
    User,
    UserChange,
)
from pypicloud_tw.cli.output import json_option, show, told, where
from pypicloud_tw.cli.questions import (
    asks_first,
    confirm,
    new_password,
    password_option,
)
from pypicloud_tw.cli.target import Target, takes_target


@click.group()
def user() -> None:
    """Show and change the users that the store has.

    Those of an ini are shown as fixed: only the ini changes them.
    """


@user.command("list")
@takes_target
@json_option
def list_users(target: Target, as_json: bool) -> None:
    """List the users."""
    users = target.do(lambda index: index.access.users())
    columns = ("USER", "LOGS IN BY", "ADMINISTRATOR", "GROUPS", "SET IN")
    show(users, columns, _user_row, as_json=as_json)


def _user_row(one: User) -> tuple[str, ...]:
    return (
        one.name,
        "password" if one.password else "tokens",
        "yes" if one.administrator else "",
        ", ".join(one.groups),
        where(one.fixed),
    )


@user.command("add")
@click.argument("name")
@click.option("--admin", is_flag=True, help="May do everything.")
@click.option("--service", is_flag=True, help="Without a password: tokens only.")
@password_option
@takes_target
def add_user(
    name: str,
    admin: bool,
    service: bool,
    password_stdin: bool,
    target: Target,
) -> None:
    """Add a user.

    Asks for the password; it is never part of the command line.
    """
    if service and password_stdin:
        raise click.UsageError("A service account has no password.")
    password = None if service else new_password(password_stdin)
    new = NewUser(password, admin)
    changed = target.change(lambda index: index.access.put_user(name, new, NEW))
    told(changed, f"Added {name}.")


@user.command("remove")
@click.argument("name")
@asks_first
@takes_target
def remove_user(name: str, yes: bool, target: Target) -> None:
    """Remove a user, and with it all of its tokens."""
    confirm(f"Remove the user {name}?", yes)
    changed = target.change(lambda index: index.access.remove_user(name))
    told(changed, f"Removed {name}.")


@user.command("set-password")
@click.argument("name")
@password_option
@takes_target
def set_password(name: str, password_stdin: bool, target: Target) -> None:
    """Give a user another password."""
    change = UserChange(password=new_password(password_stdin))
    changed = target.change(lambda index: index.access.change_user(name, change))
    told(changed, f"The password of {name} is another now.")


@user.command("set")
@click.argument("name")
@click.option("--admin/--no-admin", required=True, help="May do everything, or not.")
@takes_target
def set_user(name: str, admin: bool, target: Target) -> None:
    """Make somebody an administrator, or one no more."""
    change = UserChange(administrator=admin)
    changed = target.change(lambda index: index.access.change_user(name, change))
    told(changed, f"{name} is {'an' if admin else 'no'} administrator.")


@click.group()
def group() -> None:
    """Show and change the groups that the store has."""


@group.command("list")
@takes_target
@json_option
def list_groups(target: Target, as_json: bool) -> None:
    """List the groups and who is in them."""
    groups = target.do(lambda index: index.access.groups())
    show(groups, ("GROUP", "MEMBERS", "SET IN"), _group_row, as_json=as_json)


def _group_row(one: Group) -> tuple[str, ...]:
    return one.name, ", ".join(one.members), where(one.fixed)


@group.command("add")
@click.argument("name")
@click.argument("member", required=False)
@takes_target
def add_group(name: str, member: str | None, target: Target) -> None:
    """Add a group, or with MEMBER a user to one."""
    if member is None:
        changed = target.change(
            lambda index: index.access.put_group(name, Members(()), NEW)
        )
        told(changed, f"Added the group {name}.")
        return
    added = member
    changed = target.change(lambda index: index.access.add_member(name, added))
    told(changed, f"{member} is in {name}.")


@group.command("set")
@click.argument("name")
@click.argument("members", nargs=-1)
@takes_target
def set_group(name: str, members: tuple[str, ...], target: Target) -> None:
    """Have exactly these users in a group."""
    wanted = Members(members)
    changed = target.change(lambda index: index.access.put_group(name, wanted))
    told(changed, f"In {name}: {', '.join(members) or 'nobody'}.")


@group.command("remove")
@click.argument("name")
@click.argument("member", required=False)
@asks_first
@takes_target
def remove_group(name: str, member: str | None, yes: bool, target: Target) -> None:
    """Remove a group, or with MEMBER a user from one."""
    if member is None:
        confirm(f"Remove the group {name}?", yes)
        changed = target.change(lambda index: index.access.remove_group(name))
        told(changed, f"Removed the group {name}.")
        return
    removed = member
    changed = target.change(lambda index: index.access.remove_member(name, removed))
    told(changed, f"{member} is in {name} no more.")
