"""A project in quarantine in a bucket: addresses that were given out lead nowhere."""

from __future__ import annotations

import json

from tests.integration import apart
from tests.integration.dists import make_sdist, make_wheel
from tests.integration.rig import Server, basic, wait_until
from tests.integration.s3_rig import S3TestCase

LIB = "acme_lib-1.0-py3-none-any.whl"


class QuarantineTests(S3TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.wheel = make_wheel(self.dist, "acme_lib", "1.0")
        self.adopted = make_sdist(self.dist, "acme_lib", "0.9")
        self.bucket.put(f"old/{self.adopted.name}", self.adopted.read_bytes())

    def set_status(self, server: Server, status: str) -> None:
        body = json.dumps({"status": status, "reason": "malware"}).encode()
        answer = server.request(
            "PUT",
            "/api/v1/projects/acme-lib/status",
            body,
            {"Authorization": basic(), "Content-Type": "application/json"},
        )
        self.assertEqual(answer.status, 200, answer)

    def test_every_kind_of_address(self) -> None:
        redirecting = self.s3_server({"aws.link": "redirect"})
        signing = self.s3_server({"aws.link": "signed"})
        self.assertEqual(redirecting.upload(self.wheel).status, 200)
        wait_until(
            lambda: len(self.files(signing, "acme-lib")) == 2, lambda: signing.log
        )
        paths = [
            file["url"].removeprefix("../..")
            for file in self.files(redirecting, "acme-lib").values()
        ]
        given = [redirecting.get(path).headers["location"] for path in paths]
        given += [file["url"] for file in self.files(signing, "acme-lib").values()]
        self.assertEqual(len(given), 4)
        for url in given:
            self.assertEqual(self.ask_s3(url).status, 200)
        before = set(self.bucket.sizes()) - set(self.bucket.sizes("."))
        self.set_status(redirecting, "quarantined")
        for url in given:
            self.assertEqual(self.ask_s3(url).status, 404)
        now = set(self.bucket.sizes()) - set(self.bucket.sizes("."))
        self.assertEqual((len(now), now & before), (len(before), set()))
        wait_until(lambda: not self.files(signing, "acme-lib"), lambda: signing.log)
        for server in (redirecting, signing):
            for path in (*paths, f"{paths[-1]}.metadata"):
                answer = server.get(path)
                self.assertEqual(answer.status, 403)
                self.assertIn("acme-lib is quarantined (malware)", answer.text)
        self.set_status(signing, "active")
        wait_until(lambda: len(self.files(redirecting, "acme-lib")) == 2, str)
        files = self.files(redirecting, "acme-lib")
        self.assertEqual(self.fetch(redirecting, files[LIB]), self.wheel.read_bytes())
        self.assertEqual(
            self.fetch(redirecting, files[self.adopted.name]),
            self.adopted.read_bytes(),
        )
        self.verify(2)


test_suite = apart(__name__)
