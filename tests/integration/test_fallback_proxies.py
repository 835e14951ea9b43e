"""The fallback and the bucket behind a company's proxy; an upstream that is away."""

from __future__ import annotations

import ssl

from cryptography.hazmat.primitives import serialization

from tests.certificates import certificate
from tests.integration import apart
from tests.integration.dists import make_wheel
from tests.integration.fake_upstream import FakeUpstream
from tests.integration.forward_proxy import PASSWORD, ForwardProxy
from tests.integration.rig import IntegrationTestCase, Server, wait_until
from tests.integration.s3_rig import S3TestCase


class ProxyTests(IntegrationTestCase):
    """``http_proxy``, ``https_proxy`` and ``no_proxy``, as they are in reality."""

    def setUp(self) -> None:
        super().setUp()
        self.upstream = FakeUpstream()
        self.wheel = make_wheel(self.folder, "acme", "1.0")
        self.upstream.publish(self.wheel)
        self.proxy = ForwardProxy({"up.corp.invalid": self.upstream.port})
        self.proxy.start()
        self.addCleanup(self.proxy.stop)

    def front(self, url: str, **environment: str) -> Server:
        self.upstream.start()
        self.addCleanup(self.upstream.stop)
        settings = {
            "pypi.fallback_url": url,
            "pypi.use_fallback": "true",
            "pypi.fallback_files": "relay",
        }
        return self.server(settings=settings, environment=environment)

    def install(self, server: Server) -> None:
        """Ask for a page and its file, as an installer does."""
        (file,) = server.document("acme")["files"]
        answer = server.get(file["url"].removeprefix("../.."))
        self.assertEqual(answer.body, self.wheel.read_bytes())

    def test_http(self) -> None:
        """The proxy alone can resolve the upstream's name."""
        server = self.front("http://up.corp.invalid/simple/", http_proxy=self.proxy.url)
        self.assertEqual(server.document("acme")["name"], "acme")
        asked = "http://up.corp.invalid/simple/acme/"
        self.assertEqual(self.proxy.asked, [("GET", asked)])
        self.assertNotIn(PASSWORD, server.log)

    def test_https(self) -> None:
        made = certificate()
        pem = self.folder / "upstream.pem"
        key = made.privateKey.original.to_cryptography_key().private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        pem.write_bytes(key + made.dumpPEM())
        self.upstream.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.upstream.tls.load_cert_chain(pem)
        server = self.front(
            self.upstream.simple, HTTPS_PROXY=self.proxy.url, SSL_CERT_FILE=str(pem)
        )
        self.install(server)
        (asked, *_) = self.proxy.asked
        self.assertEqual(asked, ("CONNECT", f"127.0.0.1:{self.upstream.port}"))
        self.assertNotIn(PASSWORD, server.log)

    def test_without(self) -> None:
        server = self.front(
            self.upstream.simple, http_proxy=self.proxy.url, no_proxy="127.0.0.0/8"
        )
        self.install(server)
        self.assertEqual(self.proxy.asked, [])

    def test_what_the_log_says(self) -> None:
        """A wrong password of the proxy; then nobody listens; then all is well."""
        wrong = self.proxy.url.replace(PASSWORD, "wr0ng")
        server = self.front(self.upstream.simple, http_proxy=wrong)
        self.assertEqual(server.get("/simple/acme/").status, 502)
        self.assertIn("wants credentials (status 407)", server.log)
        self.assertNotIn("wr0ng", server.log)

    def test_an_upstream_that_is_away(self) -> None:
        url = self.upstream.simple.replace("://", "://u:s3cr3t@")
        server = self.front(url)
        self.upstream.stop()
        for _ in range(5):
            self.assertEqual(server.get("/simple/acme/").status, 502)
        at = f"127.0.0.1:{self.upstream.port}"
        told = f"The upstream index at {at} fails: 127.0.0.1 cannot be reached"
        self.assertEqual(server.log.count(told), 1)
        self.assertNotIn("s3cr3t", server.log)
        self.upstream.start()
        wait_until(
            lambda: server.get("/simple/acme/").status == 200, lambda: "the page"
        )
        self.assertIn(f"{at} is back, after", server.log)


class BucketTests(S3TestCase):
    """The same variables hold for the bucket."""

    def test_s3(self) -> None:
        proxy = ForwardProxy()
        proxy.start()
        self.addCleanup(proxy.stop)
        server = self.server(
            settings=self.settings(), environment={"http_proxy": proxy.url}
        )
        wheel = make_wheel(self.dist, "acme", "1.0")
        self.assertEqual(server.upload(wheel).status, 200)
        (file,) = self.files(server, "acme").values()
        self.assertEqual(self.fetch(server, file), wheel.read_bytes())
        methods = {method for method, _ in proxy.asked}
        self.assertLessEqual({"GET", "PUT"}, methods)
        self.assertNotIn(PASSWORD, server.log)


test_suite = apart(__name__)
