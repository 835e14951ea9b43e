"""What scripts of other sites' pages may read here (the Fetch standard, "CORS").

Off unless the ini names origins. It concerns reading alone: a change that another
site's page asks for is refused all the same.
"""

from __future__ import annotations

from attrs import frozen

from pypicloud_tw.web.http.site import Request

#: Stands for every origin; none is named by it, so that none gets what needs a log-in.
ANY = "*"

#: Where addresses begin that have a JSON form, or what such forms link to.
_FORMS = (
    b"/simple/",
    b"/pypi/",
    b"/namespace",
    b"/integrity/",
    b"/packages/",
    b"/api/v1/",
)
_METHODS = frozenset({b"GET", b"HEAD"})

#: Header fields of requests that a script may set beside those that it always may.
_ASKED = b"Accept, If-Match, If-Modified-Since, If-None-Match, Range"
#: Those of answers that it may read likewise.
_SHOWN = b"ETag, Content-Range, X-PyPI-Last-Serial, Warning"
#: Seconds for which a browser need not ask again whether it may.
_MAX_AGE = b"600"

Fields = tuple[tuple[bytes, bytes], ...]


@frozen
class Cors:
    """Tells browsers what other sites may read.

    :ivar origins: as browsers send them, ``https://app.example``; or :data:`ANY`.
    """

    origins: frozenset[str]

    def answers(self, request: Request) -> bool:
        """Answer a preflight, or add to the answer that a request will get.

        :returns: whether it was answered.
        """
        if not request.path.startswith(_FORMS) and request.path != b"/simple":
            return False
        preflight = request.method == b"OPTIONS"
        if not preflight and request.method not in _METHODS:
            return False
        request.added = self._fields(request)
        if preflight:
            request.added += self._preflight(request)
            request.send_whole(204, b"", b"")
        return preflight

    def _fields(self, request: Request) -> Fields:
        if ANY in self.origins:
            return (
                (b"Access-Control-Allow-Origin", b"*"),
                (b"Access-Control-Expose-Headers", _SHOWN),
            )
        # Whoever asks: a cache must not give one's answer to another.
        vary = ((b"Vary", b"Origin"),)
        origin = request.getHeader(b"Origin")
        if origin is None or origin.decode("latin-1") not in self.origins:
            return vary
        return (
            (b"Access-Control-Allow-Origin", origin),
            (b"Access-Control-Allow-Credentials", b"true"),
            (b"Access-Control-Expose-Headers", _SHOWN),
            *vary,
        )

    def _preflight(self, request: Request) -> Fields:
        allow = ((b"Allow", b"GET, HEAD, OPTIONS"),)
        if not request.added or request.added[0][0] == b"Vary":
            return allow
        named = ANY not in self.origins
        return (
            *allow,
            (b"Access-Control-Allow-Methods", b"GET, HEAD"),
            (
                b"Access-Control-Allow-Headers",
                _ASKED + (b", Authorization" if named else b""),
            ),
            (b"Access-Control-Max-Age", _MAX_AGE),
        )
