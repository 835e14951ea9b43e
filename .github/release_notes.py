"""Print what CHANGES.rst says of a release; it is in what the workflows do for a tag.

``python .github/release_notes.py v1.0.0`` ends with a sentence if that tag and the
version in pyproject.toml differ, or if the release has no section or no date yet.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

CHECKOUT = Path(__file__).absolute().parents[1]


def notes(tag: str, version: str, changes: str) -> str:
    """Take the section of a release out of the changes.

    :param tag: ``v`` and the version.
    :raises ValueError: it cannot be released so; the text says why.
    """
    if tag != f"v{version}":
        raise ValueError(f"The tag {tag} is not v{version}: pyproject.toml says so.")
    headings = r"^(\S+) \(([^)\n]+)\)\n-+\n"
    parts = re.split(headings, changes, flags=re.MULTILINE)[1:]
    for found, date, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
        if found == version:
            if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", date):
                raise ValueError(f"CHANGES.rst has no date for {version}: {date}.")
            # The forge reads Markdown, in which only headings look otherwise.
            return re.sub(r"^(.+)\n~+$", r"### \1", text.strip(), flags=re.M) + "\n"
    raise ValueError(f"CHANGES.rst has no section for {version}.")


def main() -> None:
    """Print them, for the tag that is given."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))
    changes = (CHECKOUT / "CHANGES.rst").read_text("utf-8")
    try:
        print(notes(sys.argv[1], project["project"]["version"], changes), end="")
    except ValueError as e:
        sys.exit(str(e))


if __name__ == "__main__":
    main()
