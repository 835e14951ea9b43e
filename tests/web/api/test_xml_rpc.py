"""XML-RPC: ``pip search``, older tools, mirrors; and what is no call."""

from __future__ import annotations

from typing import Any
from xmlrpc.client import Fault, dumps, loads

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.index.changelog import EPOCH, serial_at
from pypicloud_tw.web.api import xml_rpc
from pypicloud_tw.web.api.xml_rpc import MAX_CALL, Call
from tests.builders import sdist, wheel
from tests.web.doubles import BEGINNING, Response, Web, basic, started

XML = {"Content-Type": "text/xml"}
BOMB = b"""<?xml version="1.0"?>
<!DOCTYPE bomb [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<methodCall><methodName>&b;</methodName><params></params></methodCall>"""


class CallCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.web = Web()

    def send(self, body: bytes) -> Response:
        return self.web.request("POST", "/pypi", XML, body)

    def call(self, method: str, *parameters: Any) -> Any:
        response = self.send(dumps(parameters, method).encode())
        self.assertEqual(response.status, 200, response.text)
        (value,), _ = loads(response.body)
        return value

    def fault(self, body: bytes) -> Fault:
        response = self.send(body)
        self.assertEqual(response.status, 200)
        error: Fault = self.assertRaises(Fault, loads, response.body)
        return error


class MethodTests(CallCase):
    def setUp(self) -> None:
        super().setUp()
        for version in ("1.0", "1.1", "1.10"):
            name = f"acme-{version}-py3-none-any.whl"
            self.web.publish(name, wheel(version=version))
        self.web.publish("beta_acme-2.0.tar.gz", sdist("beta_acme", "2.0"))

    def test_list_packages(self) -> None:
        self.assertEqual(self.call("list_packages"), ["acme", "beta-acme"])

    def test_package_releases(self) -> None:
        self.assertEqual(self.call("package_releases", "Acme"), ["1.10", "1.1", "1.0"])
        self.assertEqual(self.call("package_releases", "nothing"), [])
        self.assertEqual(self.call("package_releases", "no name!"), [])

    def test_what_is_yanked_is_hidden(self) -> None:
        self.successResultOf(started(self.web.domain.yank("1.1", "broken")))
        self.assertEqual(self.call("package_releases", "acme"), ["1.10", "1.0"])
        shown = self.call("package_releases", "acme", True)
        self.assertEqual(shown, ["1.10", "1.1", "1.0"])

    def test_release_urls(self) -> None:
        (file,) = self.call("release_urls", "acme", "1.1")
        self.assertEqual(file["filename"], "acme-1.1-py3-none-any.whl")
        self.assertEqual(file["packagetype"], "bdist_wheel")
        path = file["url"].removeprefix("http://pypi.example:6543")
        self.assertEqual(self.web.get(path).status, 200)
        self.assertEqual(self.call("release_urls", "acme", "3"), [])
        self.assertEqual(self.call("release_urls", "nothing", "1"), [])

    def test_release_data(self) -> None:
        data = self.call("release_data", "acme", "1.0")
        self.assertEqual((data["name"], data["version"]), ("acme", "1.0"))
        self.assertEqual(data["requires_dist"], [])
        self.assertEqual(self.call("release_data", "acme", "3"), {})

    def test_search(self) -> None:
        hits = self.call("search", {"name": ["acme"], "summary": ["acme"]}, "or")
        found = [(hit["name"], hit["version"]) for hit in hits]
        self.assertEqual(found, [("acme", "1.10"), ("beta_acme", "2.0")])
        self.assertEqual(len(self.call("search", {"name": "Beta_A"})), 1)
        self.assertEqual(self.call("search", {"name": "gamma"}), [])
        words = {"name": ["beta", "acme"]}
        self.assertEqual(len(self.call("search", words)), 1)
        self.assertEqual(len(self.call("search", words, "or")), 2)

    def test_serials(self) -> None:
        start = serial_at(BEGINNING)
        serials = self.call("list_packages_with_serial")
        self.assertEqual(set(serials), {"acme", "beta-acme"})
        last = self.call("changelog_last_serial")
        self.assertEqual(max(serials.values()), last)
        (change,) = self.call("changelog_since_serial", float(serials["acme"]))
        self.assertGreaterEqual(serials["acme"], start)
        expected = ["beta-acme", "", EPOCH + last, "change", last]
        self.assertEqual(change, expected)
        # What is not remembered may be anything.
        for serial in (1, float(last + 1), float("nan"), float("inf")):
            changes = self.call("changelog_since_serial", serial)
            self.assertEqual([one[0] for one in changes], ["acme", "beta-acme"])
        # As bandersnatch sends them.
        self.assertEqual(self.call("changelog_since_serial", float(last)), [])

    def test_each_page_is_as_new_as_the_list_says(self) -> None:
        serials = self.call("list_packages_with_serial")
        for name, serial in serials.items():
            response = self.web.get(f"/pypi/{name}/json")
            self.assertGreaterEqual(int(response["X-PyPI-Last-Serial"] or 0), serial)
            self.assertGreaterEqual(response.json["last_serial"], serial)


class FaultTests(CallCase):
    def test_methods_that_are_not_here(self) -> None:
        error = self.fault(dumps(("ann",), "user_packages").encode())
        self.assertEqual(error.faultCode, xml_rpc.NO_SUCH_METHOD)
        self.assertIn("it has list_packages, package_releases", error.faultString)

    def test_other_parameters(self) -> None:
        calls: tuple[tuple[str, tuple[Any, ...]], ...] = (
            ("package_releases", ()),
            ("package_releases", (5,)),
            ("release_urls", ("a",)),
            ("release_urls", ("a", "1", "2")),
            ("search", ("acme",)),
            ("search", ({"name": ""},)),
            ("search", ({"author": "ann"},)),
            ("search", ({"name": "acme"}, "nor")),
            ("search", ({"name": [f"a{n}" for n in range(17)]},)),
            ("changelog_since_serial", ("x",)),
        )
        for method, parameters in calls:
            error = self.fault(dumps(parameters, method).encode())
            self.assertEqual(error.faultCode, xml_rpc.INVALID_PARAMETERS, method)

    def test_what_is_no_call(self) -> None:
        for body in (
            b"",
            b"x",
            BOMB,
            b"<methodCall></methodCall>",
            b"<methodCall><params></params></methodCall>",
            b"<methodResponse><fault></fault></methodResponse>",
            dumps(Fault(1, "x")).encode(),
            dumps((1,), methodresponse=True).encode(),
            b"<methodCall><methodName>search</methodName><params><param><value><int>"
            + b"9" * 5000
            + b"</int></value></param></params></methodCall>",
            b"<methodCall><methodName>search</methodName><params><param><value>"
            b"<bigdecimal>x</bigdecimal></value></param></params></methodCall>",
            b'<?xml version="1.0" encoding="no-such"?><methodCall></methodCall>',
        ):
            error = self.fault(body)
            self.assertEqual(error.faultCode, xml_rpc.NOT_WELL_FORMED, body[:80])

    def test_a_long_call(self) -> None:
        self.assertEqual(self.send(b"x" * (MAX_CALL + 1)).status, 413)

    def test_another_site(self) -> None:
        headers = {**XML, "Origin": "https://evil.example"}
        body = dumps((), "list_packages").encode()
        response = self.web.request("POST", "/pypi", headers, body)
        self.assertEqual(response.status, 403)

    @settings(max_examples=50, deadline=None)
    @given(st.binary(max_size=200), st.integers(0, 200))
    def test_whatever_is_sent(self, noise: bytes, at: int) -> None:
        body = dumps(({"name": ["acme"]},), "search").encode()
        try:
            Call.read(body[:at] + noise + body[at + len(noise) :])
        except Fault as error:
            self.assertEqual(error.faultCode, xml_rpc.NOT_WELL_FORMED)


class RightsTests(SynchronousTestCase):
    def test_what_is_read_is_what_pages_show(self) -> None:
        web = Web(default_read="authenticated")
        web.publish("acme-1.0-py3-none-any.whl", wheel())
        body = dumps((), "list_packages").encode()
        self.assertEqual(web.request("POST", "/pypi", XML, body).status, 401)
        response = web.request("POST", "/pypi", XML | basic(), body)
        self.assertEqual(loads(response.body)[0], (["acme"],))


class ResultTests(SynchronousTestCase):
    def test_what_xml_cannot_hold(self) -> None:
        text = xml_rpc.result({"a\0": "b\x1b\ud800", "n": 2**40, "x": None})
        (value,), _ = loads(text)
        self.assertEqual(value, {"a?": "b??", "n": float(2**40), "x": None})
