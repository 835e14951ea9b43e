"""Names of files that commands are given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click


class NamedPath(click.Path):
    """A path, which is not empty: an unset variable of a script is not this folder."""

    def __init__(self, **options: Any) -> None:
        super().__init__(path_type=Path, **options)

    def convert(
        self,
        value: Any,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:
        """See :class:`click.ParamType`."""
        if value == "":
            self.fail("it is empty, where a name is needed.", param, ctx)
        return super().convert(value, param, ctx)
