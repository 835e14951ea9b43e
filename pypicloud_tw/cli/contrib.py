"""``pypicloud contrib``: the files that come along for what is around a server."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import click

import pypicloud_tw
from pypicloud_tw.cli.base import finish
from pypicloud_tw.cli.errors import PlainError
from pypicloud_tw.cli.output import say, show_table
from pypicloud_tw.cli.paths import NamedPath

#: What an operator takes, and for what. The folder in a checkout has more: what images
#: are made with, which takes a checkout anyway.
FILES = {
    "pypicloud.service": "a unit of systemd for the server",
    "pypicloud.socket": "a socket that systemd listens at for it",
    "logrotate.conf": "rotates the server's records",
    "nginx.conf": "nginx in front, with TLS and a cache of public pages",
    "lifecycle.json": "rules for the end of old objects in a bucket",
    "prometheus": "what Prometheus asks a server, and alerts",
    "grafana": "a dashboard",
    "kubernetes": "manifests for kustomize",
    "terraform": "the bucket and the servers' role on AWS, a module",
}


def folder() -> Path:
    """Find them: in the package if it is installed, and beside it in a checkout."""
    package = Path(pypicloud_tw.__file__).parent
    installed = package / "contrib"
    return installed if installed.is_dir() else package.parent / "contrib"


def names() -> Iterator[str]:
    """Name all of them, those in folders by their paths."""
    top = folder()
    for name in FILES:
        yield name
        below = sorted((top / name).rglob("*"))
        yield from (str(path.relative_to(top)) for path in below if path.is_file())


def _known(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    name = None if value is None else value.rstrip("/")
    if name is not None and name not in names():
        raise click.BadParameter(
            f"there is no {value!r}; there are {', '.join(FILES)}."
        )
    return name


def _complete(ctx: click.Context, param: click.Parameter, begun: str) -> list[str]:
    return [name for name in names() if name.startswith(begun)]


@click.command()
@click.argument("name", required=False, callback=_known, shell_complete=_complete)
@click.argument("to", type=NamedPath(), required=False)
@click.option("--force", is_flag=True, help="Replace files that are there already.")
def contrib(name: str | None, to: Path | None, force: bool) -> None:
    """Print or copy a file for systemd, nginx, Kubernetes, ...

    Without NAME it lists what there is. Prints a file, or what is in a folder; with TO
    copies it there: into TO, where that is a folder already, or else as TO.
    """
    finish(lambda: _contrib(name, to, force))


def _contrib(name: str | None, to: Path | None, force: bool) -> int:
    if name is None:
        show_table(("name", "what it is"), FILES.items())
        hint = "pypicloud contrib NAME prints one of them, and NAME TO copies it."
        click.echo(hint, err=True)
        return 0
    source = folder() / name
    if to is not None:
        target = to / source.name if to.is_dir() else to
        _copy(source, target, force)
        say(f"{target} is written.")
    elif source.is_dir():
        for below in names():
            if below.startswith(f"{name}/"):
                say(below)
    else:
        click.echo(source.read_bytes(), nl=False)
    return 0


def _copy(source: Path, target: Path, force: bool) -> None:
    if target.exists() and not force:
        raise PlainError(f"{target} is there already; --force replaces it.")
    for path in source.rglob("*") if source.is_dir() else [source]:
        if path.is_file():
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            # Not its mode: a package manager may have made it read-only.
            shutil.copyfile(path, copy)
