"""The root resource of the site: what comes before the routes."""

from __future__ import annotations

from collections.abc import Callable

from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET
from werkzeug.exceptions import BadHost

from pypicloud_tw.web.answers import ErrorAnswers
from pypicloud_tw.web.cors import Cors
from pypicloud_tw.web.http.paths import is_canonical
from pypicloud_tw.web.http.site import Request


class Root(Resource):
    """Sends what is known at once, and leaves everything else to the routes.

    :param send_known: answers a request if that needs no waiting, and says whether.
    :param cors: what scripts of other sites may read; None: nothing.
    """

    isLeaf = True

    def __init__(
        self,
        send_known: Callable[[Request], bool],
        routes: IResource,
        errors: ErrorAnswers,
        cors: Cors | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's
        self._send_known = send_known
        self._routes = routes
        self._errors = errors
        self._cors = cors

    def render(self, request: Request) -> object:
        """Answer a request."""
        if self._cors is not None and self._cors.answers(request):
            return NOT_DONE_YET
        if self._send_known(request):
            return NOT_DONE_YET
        segments = request.postpath or [b""]
        try:
            b"/".join(segments).decode()
        except UnicodeDecodeError:
            # Klein would log a traceback of it.
            return self._errors.nothing_there(request)
        if not is_canonical(request.path, segments):
            return self._errors.nothing_there(request)
        try:
            return self._routes.render(request)
        except BadHost:
            # An empty or overlong label, which werkzeug finds although no route asks.
            return self._errors.bad_host(request)
