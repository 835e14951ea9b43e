"""The parts of the documents that tell of every key, written from its declaration.

``python -m tests.readme_keys`` writes them into README.rst and
docs/reference/keys.rst; tests/test_readme.py and tests/test_docs.py fail while they
are not what stands there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from textwrap import fill, indent

from pypicloud_tw.config.keys import SECTIONS, Key, document_keys

CHECKOUT = Path(__file__).absolute().parents[1]
README = CHECKOUT / "README.rst"
REFERENCE = CHECKOUT / "docs/reference/keys.rst"

BEGIN = ".. keys: what follows is written by python -m tests.readme_keys\n"
END = ".. end of keys\n"

_WIDTH = 84

#: These stand in [server:main], as the first program had them.
_OF_SERVER = {"server.host": "host", "server.port": "port"}


def keys_text() -> str:
    """Write every key as a definition list: its name, its default, what it is for."""
    return _by_section(lambda title: f"**{title}**", _definition)


def reference_text() -> str:
    """Write every key as an object of Sphinx, to which every page can link."""
    return _by_section(lambda title: f"{title}\n{'-' * len(title)}", _object)


def _by_section(heading: Callable[[str], str], entry: Callable[[Key], str]) -> str:
    return "\n" + "\n".join(_parts(heading, entry, document_keys())) + "\n"


def _parts(
    heading: Callable[[str], str], entry: Callable[[Key], str], keys: Iterable[Key]
) -> Iterator[str]:
    for section, made_of in SECTIONS.items():
        title = (made_of.__doc__ or "").partition(". ")[0].rstrip(".")
        yield f"{heading(title)}\n"
        for key in keys:
            if key.section == section:
                yield entry(key)


def _definition(key: Key) -> str:
    return f"``{key.name}`` : {_default(key)}\n{indent(_paragraph(key), '    ')}\n"


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


#: The documents, and what writes their part.
WRITTEN: Mapping[Path, Callable[[], str]] = {
    README: keys_text,
    REFERENCE: reference_text,
}


def replaced(document: str, part: str) -> str:
    """Give a document's text with the part of the keys as it should be.

    :raises ValueError: the marks are not there.
    """
    head, begin, rest = document.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"The document needs the lines {BEGIN!r} and {END!r}.")
    return f"{head}{begin}{part}{end}{tail}"


if __name__ == "__main__":
    for path, write in WRITTEN.items():
        path.write_text(replaced(path.read_text("utf-8"), write()), "utf-8")
