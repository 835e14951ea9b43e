"""``pypicloud completion``: what a shell needs to complete command lines."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from pypicloud_tw.cli.output import say

#: By what the script tells that it asks; click makes it of the program's name.
_VARIABLE = "_PYPICLOUD_COMPLETE"


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that completes commands in a shell.

    It completes commands, options, and names of projects and versions, as far as the
    index tells them without asking for a password. For bash:
    `eval "$(pypicloud completion bash)"`
    """
    root = click.get_current_context().find_root().command
    kind = get_completion_class(shell)
    assert kind is not None, "click has these"
    say(kind(root, {}, "pypicloud", _VARIABLE).source(), end="")
