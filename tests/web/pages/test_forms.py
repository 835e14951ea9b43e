"""The door for forms of our pages, whatever proves who sends them."""

from __future__ import annotations

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from pypicloud_tw.access.proxy_login import ProxyLogin
from pypicloud_tw.config.addresses import network
from pypicloud_tw.errors import BadRequest, PypicloudError
from pypicloud_tw.web.authorization import authenticate
from pypicloud_tw.web.http.proxies import IdentityFields, Proxies
from pypicloud_tw.web.http.site import Request, Site
from pypicloud_tw.web.pages.forms import (
    LONGEST,
    MOST_FIELDS,
    Form,
    FormDoor,
    form_token,
)
from tests.web.doubles import Response, Web, basic
from tests.web.http.doubles import PEER
from tests.web.pages.browser import FORM_TYPE, OWN_SITE, Browser


class FormPage(Resource):
    """Shows the tokens of two forms, and tells who sent one with what in it."""

    isLeaf = True

    def __init__(self, web: Web) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's
        self.access = web.application.access

    def render(self, request: Request) -> object:
        answering = self._get if request.method == b"GET" else self._post
        Deferred.fromCoroutine(answering(request)).addCallback(self._send, request)
        return NOT_DONE_YET

    def _send(self, text: str, request: Request) -> None:
        request.setHeader(b"Content-Length", b"%d" % len(text.encode()))
        request.write(text.encode())
        request.finish()

    async def _get(self, request: Request) -> str:
        principal = await authenticate(request, self.access)
        return " ".join(form_token(request, principal) for _ in range(2))

    async def _post(self, request: Request) -> str:
        try:
            principal, form = await FormDoor(self.access).open(request)
        except PypicloudError as e:
            request.setResponseCode(e.status)
            return e.message
        return f"{principal.label} {form.all('x')}"


@frozen
class Pages:
    """A server that has nothing but that page."""

    web: Web

    @classmethod
    def of(cls) -> Pages:
        fields = IdentityFields.of("x-remote-user", None)
        proxies = Proxies([network(PEER.host)], None, fields)
        web = Web(proxies=proxies)
        access = web.application.access
        access.authenticators = (*access.authenticators, ProxyLogin())
        clock = web.domain.clock
        web.site = Site(
            FormPage(web), reactor=clock, limits=web.limits, proxies=proxies
        )
        return cls(web)

    def browser(self, **headers: str) -> Browser:
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return Browser(self.web, named)


class DoorTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.pages = Pages.of()
        self.ann = self.pages.browser(X_Remote_User="ann")

    def refused(self, answer: Response) -> None:
        self.assertEqual(answer.status, 403)
        self.assertIn("Reload the page and send the form again", answer.text)

    def test_where_a_proxy_signs_people_in(self) -> None:
        tokens = self.ann.get("/").text.split()
        (cookie,) = self.ann.set
        self.assertTrue(cookie.startswith("pypicloud-form="), cookie)
        self.assertTrue(cookie.endswith("; Path=/; HttpOnly; SameSite=Strict"), cookie)
        for token in tokens:
            answer = self.ann.post("/", token=token, x="1")
            self.assertEqual(answer.text, "ann ('1',)")

    def test_the_cookie_stays(self) -> None:
        first = self.ann.get("/").text.split()[0]
        self.ann.get("/")
        self.assertEqual(self.ann.set, [])
        self.assertEqual(self.ann.post("/", token=first).status, 200)

    def test_for_one_principal(self) -> None:
        token = self.ann.get("/").text.split()[0]
        bob = self.pages.browser(X_Remote_User="bob")
        bob.cookies.update(self.ann.cookies)
        self.refused(bob.post("/", token=token))
        nobody = self.pages.browser()
        nobody.cookies.update(self.ann.cookies)
        self.refused(nobody.post("/", token=token))

    def test_for_one_browser(self) -> None:
        token = self.ann.get("/").text.split()[0]
        other = self.pages.browser(X_Remote_User="ann")
        self.refused(other.post("/", token=token))
        other.get("/")
        self.refused(other.post("/", token=token))

    def test_none(self) -> None:
        self.ann.get("/")
        for token in ("", "x", "x" * 88):
            self.refused(self.ann.post("/", token=token))
        self.ann.cookies["pypicloud-form"] = "x"
        self.refused(self.ann.post("/", token="x" * 88))

    def test_where_the_browser_sends_the_password(self) -> None:
        ann = self.pages.browser(**basic())
        token = ann.get("/").text.split()[0]
        self.assertEqual(ann.post("/", token=token).text, "ann ()")
        self.refused(ann.post("/", token=""))

    def test_other_sites_are_refused_whatever_they_know(self) -> None:
        token = self.ann.get("/").text.split()[0]
        foreign = {"Origin": "https://evil.example"}
        answer = self.ann.post("/", foreign, token=token)
        self.assertEqual(answer.status, 403)
        self.assertIn("another site", answer.text)

    def send(self, kind: str, body: bytes) -> Response:
        headers = {**OWN_SITE, "Content-Type": kind, "X-Remote-User": "ann"}
        return self.pages.web.request("POST", "/", headers, body)

    def test_what_is_no_form(self) -> None:
        for kind, body, status, why in (
            ("application/json", b"{}", 415, "as a browser does"),
            ("text/plain", b"x=1", 415, "as a browser does"),
            (f"{FORM_TYPE}; charset=latin-1", b"x=1", 415, "as a browser does"),
            (FORM_TYPE, b"x=%ff", 400, "not UTF-8"),
            (FORM_TYPE, b"x=%ed%a0%80", 400, "not UTF-8"),
            (FORM_TYPE, b"token=a&token=a", 400, "more than once"),
            (FORM_TYPE, b"a&" * (MOST_FIELDS + 1), 400, "more than 2000 fields"),
            (FORM_TYPE, b"a" * (LONGEST + 1), 413, "longer than the 65536 bytes"),
        ):
            answer = self.send(kind, body)
            self.assertEqual(answer.status, status, body[:20])
            self.assertIn(why, answer.text)

    def test_what_is_one(self) -> None:
        token = self.ann.get("/").text.split()[0]
        (cookie,) = self.ann.cookies.items()
        headers = {
            **OWN_SITE,
            "Content-Type": f'{FORM_TYPE}; charset="UTF-8"',
            "X-Remote-User": "ann",
            "Cookie": "=".join(cookie),
        }
        body = f"x=a+b&x=%C3%A4%26&token={token}&x&&y=1".encode()
        answer = self.pages.web.request("POST", "/", headers, body)
        self.assertEqual(answer.text, "ann ('a b', 'ä&', '')")


class FormTests(SynchronousTestCase):
    def test_values(self) -> None:
        form = Form({"a": ("1",), "b": ("2", "3")})
        self.assertEqual((form.one("a"), form.one("c")), ("1", ""))
        self.assertEqual((form.all("b"), form.all("c")), (("2", "3"), ()))
        with self.assertRaisesRegex(BadRequest, "'b' more than once"):
            form.one("b")

    def test_what_is_in_it_is_not_shown(self) -> None:
        self.assertNotIn("secret", repr(Form({"password": ("secret",)})))
