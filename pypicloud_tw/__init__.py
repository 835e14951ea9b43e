"""pypicloud-tw: a private Python package index whose only database is the bucket."""

from typing import TYPE_CHECKING

__version__: str

if not TYPE_CHECKING:  # to a type checker, every name would seem to be here

    def __getattr__(name: str) -> str:
        if name != "__version__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        # Takes 50 ms, which no helper process needs to spend.
        from importlib.metadata import version

        return version("pypicloud-tw")
