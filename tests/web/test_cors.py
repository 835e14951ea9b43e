"""What other sites' scripts may read."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.config.addresses import origin
from pypicloud_tw.config.values import BadValueError
from pypicloud_tw.web.cors import ANY, Cors
from tests.builders import wheel
from tests.web.doubles import FORM_TYPE, Response, Web, basic, upload_form

APP = "https://app.example"
OTHER = "https://evil.example"
JSON = {"Accept": "application/vnd.pypi.simple.v1+json"}
PAGES = ("/simple/", "/simple/acme/", "/pypi/acme/json", "/namespaces", "/pypi/x/json")


class CorsCase(SynchronousTestCase):
    def web(self, *origins: str) -> Web:
        web = Web(cors=Cors(frozenset(origins)) if origins else None)
        web.publish("acme-1.0-py3-none-any.whl", wheel())
        return web

    def ask(self, web: Web, path: str, site: str | None, **more: str) -> Response:
        return web.get(path, {**JSON, **more, **({"Origin": site} if site else {})})

    def preflight(self, web: Web, path: str, site: str, method: str) -> Response:
        headers = {"Origin": site, "Access-Control-Request-Method": method}
        return web.request("OPTIONS", path, headers)


class OffTests(CorsCase):
    def test_nothing_is_said(self) -> None:
        web = self.web()
        for path in PAGES:
            answer = self.ask(web, path, APP)
            self.assertIsNone(answer["Access-Control-Allow-Origin"])
            self.assertNotIn("Origin", answer["Vary"] or "")
            self.assertEqual(self.preflight(web, path, APP, "GET").status, 405, path)


class NamedTests(CorsCase):
    def test_a_site_that_is_named(self) -> None:
        web = self.web(APP)
        for path in PAGES:
            for _ in range(2):  # made, and known
                answer = self.ask(web, path, APP)
                self.assertEqual(answer["Access-Control-Allow-Origin"], APP, path)
                self.assertEqual(answer["Access-Control-Allow-Credentials"], "true")
                self.assertIn("Origin", answer["Vary"] or "", path)

    def test_whoever_else_asks(self) -> None:
        web = self.web(APP)
        for path in PAGES:
            for site in (OTHER, None, "null", f"{APP}.evil.example"):
                answer = self.ask(web, path, site)
                self.assertIsNone(answer["Access-Control-Allow-Origin"], path)
                # Else a cache would give them what it keeps of the other's.
                self.assertIn("Origin", answer["Vary"] or "", path)

    def test_not_modified(self) -> None:
        web = self.web(APP)
        etag = self.ask(web, "/simple/acme/", APP)["ETag"] or ""
        answer = self.ask(web, "/simple/acme/", APP, **{"If-None-Match": etag})
        self.assertEqual(answer.status, 304)
        self.assertEqual(answer["Access-Control-Allow-Origin"], APP)

    def test_preflight(self) -> None:
        web = self.web(APP)
        answer = self.preflight(web, "/simple/acme/", APP, "GET")
        self.assertEqual(answer.status, 204)
        self.assertEqual(answer["Access-Control-Allow-Methods"], "GET, HEAD")
        self.assertIn("Authorization", answer["Access-Control-Allow-Headers"] or "")
        refused = self.preflight(web, "/simple/acme/", OTHER, "GET")
        self.assertIsNone(refused["Access-Control-Allow-Methods"])
        self.assertIsNone(refused["Access-Control-Allow-Origin"])

    def test_nothing_is_changed(self) -> None:
        web = self.web(APP)
        self.assertEqual(self.preflight(web, "/legacy/", APP, "POST").status, 405)
        form = upload_form("acme-2.0-py3-none-any.whl", wheel(version="2.0"))
        headers = FORM_TYPE | basic() | {"Origin": APP}
        answer = web.request("POST", "/legacy/", headers, form)
        self.assertEqual(answer.status, 403)
        self.assertIsNone(answer["Access-Control-Allow-Origin"])


class AnyTests(CorsCase):
    def test_never_with_a_log_in(self) -> None:
        web = self.web(ANY)
        answer = self.ask(web, "/simple/acme/", OTHER)
        self.assertEqual(answer["Access-Control-Allow-Origin"], "*")
        self.assertIsNone(answer["Access-Control-Allow-Credentials"])
        asked = self.preflight(web, "/simple/acme/", OTHER, "GET")
        self.assertNotIn("Authorization", asked["Access-Control-Allow-Headers"] or "")


class OriginTests(SynchronousTestCase):
    def test_good(self) -> None:
        for text in ("https://app.example", "http://localhost:8080", "*"):
            self.assertEqual(origin(text), text)
        self.assertEqual(origin("https://App.Example"), "https://app.example")

    def test_bad(self) -> None:
        for text in (
            "app.example",
            "https://app.example/",
            "https://app.example:443",
            "https://u@app.example",
            "ftp://app.example",
            "https://*.example",
            "https://",
            "https://x:y",
            "null",
        ):
            self.assertRaises(BadValueError, origin, text)
