"""Which page is asked for, told from a request before any route sees it."""

from __future__ import annotations

from pypicloud_tw.index.names import MAX_FILENAME, NormalizedName
from pypicloud_tw.web.http.conditions import requires
from pypicloud_tw.web.http.site import Request

_SIMPLE = b"/simple/"

#: Bytes of the longest path of a page: the longest name, and what stands around it.
_LONGEST = len(_SIMPLE) + MAX_FILENAME + len(b"/")


def page_asked(request: Request) -> NormalizedName | None:
    """Return whose page an ordinary request asks for; None: it is none of these.

    Whether the name is a normalized one has not been looked at.
    """
    path = request.path
    if not (path.startswith(_SIMPLE) and path.endswith(b"/")):
        return None
    if len(path) > _LONGEST:
        return None  # what has been asked of a name may be remembered
    if request.method not in (b"GET", b"HEAD") or request.args:
        return None
    if requires(request):
        return None
    return NormalizedName(path[len(_SIMPLE) : -1].decode("latin-1"))
