"""pypicloud-tw: a private Python package index whose only database is the bucket."""

from importlib.metadata import version

__version__ = version("pypicloud-tw")
