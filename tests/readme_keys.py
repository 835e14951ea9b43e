"""The part of docs/reference/keys.rst that tells of every key.

``python -m tests.readme_keys`` writes it from where keys are declared;
tests/test_docs.py fails while it is not what stands there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from textwrap import fill, indent

from pypicloud_tw.config.key import Key
from pypicloud_tw.config.keys import SECTIONS, document_keys

REFERENCE = Path(__file__).absolute().parents[1] / "docs/reference/keys.rst"

BEGIN = ".. keys: what follows is written by python -m tests.readme_keys\n"
END = ".. end of keys\n"

_WIDTH = 84

#: These stand in [server:main], as pypicloud 1.x had them.
_OF_SERVER = {"server.host": "host", "server.port": "port"}


def keys_text() -> str:
    """Write every key as an object of Sphinx, to which every page can link."""
    return "\n" + "\n".join(_parts()) + "\n"


def _parts() -> Iterator[str]:
    keys = document_keys()
    for section, made_of in SECTIONS.items():
        title = (made_of.__doc__ or "").partition(". ")[0].rstrip(".")
        yield f"{title}\n{'-' * len(title)}\n"
        for key in keys:
            if key.section == section:
                yield _object(key)


def _object(key: Key) -> str:
    options = f":default: {_default(key)}\n"
    body = f"{options}\n{_paragraph(key)}"
    return f".. confval:: {key.name}\n{indent(body, '   ')}\n"


def _paragraph(key: Key) -> str:
    doc = key.doc
    if key.name in _OF_SERVER:
        doc += f" Also ``{_OF_SERVER[key.name]}`` in ``[server:main]``."
    if key.secret:
        doc += f" Or ``{key.name}_file``: a file that holds it."
    # The docs are written for an ini's comments: a star there is not emphasis.
    doc = re.sub(r"[\w-]*\*[\w-]*", r"``\g<0>``", doc)
    return fill(doc, _WIDTH - 4, break_long_words=False, break_on_hyphens=False)


def _default(key: Key) -> str:
    if key.default is None:
        return "not set"
    return f"``{key.default}``" if key.default else "empty"


def replaced(document: str) -> str:
    """Give a document's text with the part of the keys as it should be.

    :raises ValueError: the marks are not there.
    """
    head, begin, rest = document.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"The document needs the lines {BEGIN!r} and {END!r}.")
    return f"{head}{begin}{keys_text()}{end}{tail}"


if __name__ == "__main__":
    REFERENCE.write_text(replaced(REFERENCE.read_text("utf-8")), "utf-8")
