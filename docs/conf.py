"""Sphinx's configuration: ``sphinx-build -W -n -b html docs build/docs``."""

from __future__ import annotations

from pypicloud_tw import __version__

project = "pypicloud-tw"
author = "the pypicloud-tw developers"
version = release = __version__

extensions = [
    "sphinx.ext.autosectionlabel",
    "sphinx.ext.doctest",
    "sphinx_click",
]
html_theme = "furo"
html_title = f"pypicloud-tw {__version__}"

# A heading's own name is its target: :ref:`guide/operate:backup`.
autosectionlabel_prefix_document = True
autosectionlabel_maxdepth = 2

# Only what is marked as a test is one; examples of shells are none.
doctest_test_doctest_blocks = ""
# A command line is not Python, and an unmarked block is most often one.
highlight_language = "text"
# `aws.bucket` in a command's help is code.
default_role = "code"
