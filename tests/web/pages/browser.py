"""A browser, as far as cookies and forms are concerned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol
from urllib.parse import urlencode

from attrs import define, field

from tests.web.doubles import HOST_HEADER, Response
from tests.web.pages.doubles import Reader

FORM_TYPE = "application/x-www-form-urlencoded"
OWN_SITE = {"Origin": f"http://{HOST_HEADER}", "Sec-Fetch-Site": "same-origin"}


class Server(Protocol):
    """What answers it."""

    def request(
        self, method: str, path: str, headers: dict[str, str], body: bytes, /
    ) -> Response:
        """Ask, and wait for the answer."""


@define(eq=False)
class Browser:
    """Keeps what it is given, and sends it with every request.

    :ivar cookies: by their whole names.
    :ivar set: the fields that set them, of the last answer.
    :ivar headers: that it sends with every request.
    """

    web: Server
    headers: dict[str, str] = field(factory=dict)
    cookies: dict[str, str] = field(factory=dict)
    set: list[str] = field(factory=list)

    def get(self, path: str) -> Response:
        """Ask for a page."""
        return self._ask("GET", path, {}, b"")

    def post(
        self, path: str, headers: Mapping[str, str] = OWN_SITE, **fields: str
    ) -> Response:
        """Send a form as it is given."""
        body = urlencode(fields).encode()
        return self._ask("POST", path, {"Content-Type": FORM_TYPE, **headers}, body)

    def token(self, path: str = "/login") -> str:
        """Return the token of the form on a page."""
        page = Reader(self.get(path).body)
        (token,) = (one for one in page.named("input") if one.get("name") == "token")
        return token["value"] or ""

    def log_in(
        self, user: str = "ann", password: str = "secret", next: str = "/"
    ) -> Response:
        """Log in by the form."""
        token = self.token()
        return self.post("/login", user=user, password=password, next=next, token=token)

    def _ask(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> Response:
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        sent = {**self.headers, **headers}
        if cookies:
            sent["Cookie"] = cookies
        answer = self.web.request(method, path, sent, body)
        self.set = list(filter(None, (answer["Set-Cookie"] or "").split(", ")))
        for one in self.set:
            name, _, value = one.partition(";")[0].partition("=")
            self.cookies.pop(name, None)
            if value:
                self.cookies[name] = value
        return answer
