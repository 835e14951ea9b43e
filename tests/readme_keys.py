"""The part of README.rst that tells of every key, written from where keys are declared.

``python -m tests.readme_keys`` writes it into README.rst; tests/test_readme.py fails
while it is not what stands there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from textwrap import fill

from pypicloud_tw.config_keys import SECTIONS, Key, document_keys

README = Path(__file__).absolute().parents[1] / "README.rst"

BEGIN = ".. keys: what follows is written by python -m tests.readme_keys\n"
END = ".. end of keys\n"

_WIDTH = 84

#: These stand in [server:main], as the first program had them.
_OF_SERVER = {"server.host": "host", "server.port": "port"}


def keys_text() -> str:
    """Write every key as a definition list: its name, its default, what it is for."""
    return "\n" + "\n".join(_sections()) + "\n"


def _sections() -> Iterator[str]:
    keys = document_keys()
    for section, made_of in SECTIONS.items():
        title = (made_of.__doc__ or "").partition(". ")[0].rstrip(".")
        yield f"**{title}**\n"
        for key in keys:
            if key.section == section:
                yield _definition(key)


def _definition(key: Key) -> str:
    doc = key.doc
    if key.name in _OF_SERVER:
        doc += f" Also ``{_OF_SERVER[key.name]}`` in ``[server:main]``."
    if key.secret:
        doc += f" Or ``{key.name}_file``: a file that holds it."
    # The docs are written for an ini's comments: a star there is not emphasis.
    doc = re.sub(r"[\w-]*\*[\w-]*", r"``\g<0>``", doc)
    body = fill(
        doc,
        _WIDTH,
        initial_indent="    ",
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return f"``{key.name}`` : {_default(key)}\n{body}\n"


def _default(key: Key) -> str:
    if key.default is None:
        return "not set"
    return f"``{key.default}``" if key.default else "empty"


def replaced(readme: str) -> str:
    """Give the README's text with this part as it should be.

    :raises ValueError: the marks are not there.
    """
    head, begin, rest = readme.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"README.rst needs the lines {BEGIN!r} and {END!r}.")
    return f"{head}{begin}{keys_text()}{end}{tail}"


if __name__ == "__main__":
    README.write_text(replaced(README.read_text("utf-8")), "utf-8")
