"""``pypicloud bundle``: what changed in a store, for carrying it to another."""

from __future__ import annotations

from pathlib import Path

import click

from pypicloud_tw.cli.base import load_config, surroundings
from pypicloud_tw.cli.errors import failed
from pypicloud_tw.cli.moving.carrier import BundleOrder
from pypicloud_tw.cli.moving.progress import telling
from pypicloud_tw.cli.output import json_option, plural, say, show_json, size
from pypicloud_tw.cli.paths import NamedPath
from pypicloud_tw.errors import PypicloudError
from pypicloud_tw.moving.bundle.packing import Packed
from pypicloud_tw.moving.bundle.tar import read_list
from pypicloud_tw.moving.bundle.values import Contents
from pypicloud_tw.moving.wanted import Wanted

_BOTH: tuple[Contents, ...] = ("own", "kept")


@click.command()
@click.argument("output", type=NamedPath(dir_okay=False))
@click.option(
    "--since-bundle",
    "since",
    type=NamedPath(dir_okay=False),
    metavar="LAST",
    help="Leave out what the bundle before has brought: its tar, or the list that was "
    "written beside it (LAST.tar.json).",
)
@click.option(
    "--project",
    "projects",
    multiple=True,
    metavar="PATTERN",
    help="Only these: a name, or a pattern as in `acme-*`. May be repeated.",
)
@click.option(
    "--only",
    type=click.Choice(_BOTH),
    help="Only projects of this index, or only what its cache keeps of the other one.",
)
@click.option(
    "-c",
    "--config",
    type=NamedPath(),
    metavar="INI",
    help="The ini file, whose store is packed.",
)
@click.option("--dry-run", is_flag=True, help="Only tell what would be packed.")
@json_option
def bundle(
    output: Path,
    since: Path | None,
    projects: tuple[str, ...],
    only: Contents | None,
    config: Path | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Pack what changed in a store into a tar, for machines without a way out.

    OUTPUT is the tar. The list of all that is known on the other side then is written
    beside it, as OUTPUT.json: keep it for the next bundle. Arrived, it is taken by
    `pypicloud import OUTPUT --sha256 DIGEST --into x.ini`.

    For example: `pypicloud bundle week-7.tar --since-bundle week-6.tar.json --config
    server.ini`
    """
    checked, world = load_config(None, config), surroundings()
    try:
        order = BundleOrder(
            checked,
            output,
            Wanted.parse(sorted(projects)),
            _BOTH if only is None else (only,),
            None if since is None else read_list(since),
            dry_run,
        )
        with telling(quiet=as_json) as tell:
            packed = world.carrier().bundle(order, tell)
    except PypicloudError as e:
        raise failed(e) from None
    if as_json:
        show_json(_as_json(packed))
    else:
        _tell(packed)


def _tell(packed: Packed) -> None:
    what = f"{plural(packed.files, 'object')}, {size(packed.size)}"
    about = f"{plural(packed.own, 'project')} of this index, {packed.kept} of the other"
    if packed.sha256 is None:
        say(f"Bundle {packed.number} would have {what}; it is about {about}.")
        return
    say(f"Bundle {packed.number} has {what}; it is about {about}.")
    say(f"{packed.path}  sha256 {packed.sha256}")
    say(f"For the next one: --since-bundle {packed.list}")


def _as_json(packed: Packed) -> dict[str, object]:
    return {
        "number": packed.number,
        "path": str(packed.path),
        "list": str(packed.list),
        "sha256": packed.sha256,
        "size": packed.size,
        "objects": packed.files,
        "own": packed.own,
        "kept": packed.kept,
    }
