"""The commands that look after what is in the index, also while servers run."""

from __future__ import annotations

from pathlib import Path

import click

from pypicloud_tw.cli.base import (
    finish,
    load_config,
    surroundings,
    takes_config,
)
from pypicloud_tw.cli.paths import NamedPath
from pypicloud_tw.config.values import BadValueError, seconds


@click.command()
@takes_config
@click.option("--deep", is_flag=True, help="Read every byte and compare the digests.")
def verify(ini: Path | None, config: Path | None, deep: bool) -> None:
    """Check that every published file is in the store.

    With --deep, also that its bytes are right. Exits with 1 if something is not, and
    with 2 if it could not be looked at.
    """
    checked = load_config(ini, config)
    finish(lambda: surroundings().maintenance().run_verify(checked, deep=deep))


def _age(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        return seconds(1)(text)
    except BadValueError as e:
        raise click.UsageError(f"--age = {text} {e}") from None


@click.command()
@takes_config
@click.option("--age", help="Only what is older, as in 2d; at least index.sweep_age.")
@click.option("--dry-run", is_flag=True, help="Only say what would be removed.")
def sweep(
    ini: Path | None, config: Path | None, age: str | None, dry_run: bool
) -> None:
    """Remove files that no project names.

    Broken uploads left them, or they were removed from the index.
    """
    checked = load_config(ini, config)
    oldest = _age(age)
    finish(
        lambda: (
            surroundings().maintenance().run_sweep(checked, age=oldest, dry_run=dry_run)
        )
    )


@click.command()
@click.argument("project", required=False)
@click.option("--config", type=NamedPath(), help="The ini file.")
@click.option("--dry-run", is_flag=True, help="Only tell what would be done.")
def rebuild(project: str | None, config: Path | None, dry_run: bool) -> None:
    """Write lost manifests anew, from the files that are in the store.

    With PROJECT, only this one's, also if it is there and damaged.
    """
    checked = load_config(None, config)
    finish(
        lambda: (
            surroundings()
            .maintenance()
            .run_rebuild(checked, project=project, dry_run=dry_run)
        )
    )
