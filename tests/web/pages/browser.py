"""A browser, as far as cookies and forms are concerned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol
from urllib.parse import urlencode

from attrs import define, field

from tests.web.doubles import FORM_TYPE as MULTIPART
from tests.web.doubles import HOST_HEADER, Fields, Response, form_bytes
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
        return self.send(path, fields.items(), headers)

    def send(
        self,
        path: str,
        fields: Iterable[tuple[str, str]],
        headers: Mapping[str, str] = OWN_SITE,
    ) -> Response:
        """Send a form whose fields may come several times."""
        body = urlencode(list(fields)).encode()
        return self._ask("POST", path, {"Content-Type": FORM_TYPE, **headers}, body)

    def fill(
        self,
        path: str,
        fields: Mapping[str, str],
        headers: Mapping[str, str] = OWN_SITE,
    ) -> Response:
        """Send a form of these fields."""
        return self.send(path, fields.items(), headers)

    def send_files(
        self, path: str, fields: Fields, headers: Mapping[str, str] = OWN_SITE
    ) -> Response:
        """Send a form that has files."""
        return self._ask("POST", path, {**MULTIPART, **headers}, form_bytes(fields))

    def fields(self, path: str, action: str) -> dict[str, str]:
        """Return what stands hidden in the form on a page that leads somewhere."""
        return hidden_fields(self.get(path), action)

    def token(self, path: str = "/login") -> str:
        """Return the token of the form on a page."""
        page = Reader(self.get(path).body)
        token, *_ = (one for one in page.named("input") if one.get("name") == "token")
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


def hidden_fields(page: Response, action: str) -> dict[str, str]:
    """Return what stands hidden in the first form of a page that leads somewhere."""
    elements = iter(Reader(page.body).elements)
    for tag, attributes in elements:
        if tag == "form" and attributes.get("action") == action:
            break
    else:
        raise AssertionError(f"There is no form for {action}: {page.text}")
    found = {}
    for tag, attributes in elements:
        if tag == "form":
            break
        if tag == "input" and attributes.get("type") == "hidden":
            found[attributes["name"] or ""] = attributes["value"] or ""
    return found
