"""Our own JSON documents in the store: written shortly, read without trust."""

from __future__ import annotations

import json

#: What looking for something raises in a document that is not as it was written. Only
#: the kind of such an error may be told: its text may have in it what the document has.
DAMAGED = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


def compact(document: object) -> bytes:
    """Write a document, in UTF-8 and with no blanks between its parts.

    :raises UnicodeEncodeError: a text in it has half of a pair of surrogates.
    """
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
