"""Wheel variants (PEP 817, 825): passed on as they are, refused in uploads."""

from __future__ import annotations

import json

from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.upstream.judgement.entries import RuleEntry
from pypicloud_tw.upstream.judgement.rules import UpstreamRules
from tests.builders import wheel
from tests.upstream.doubles import BASE, file, page, project, ranged
from tests.web.doubles import FORM_TYPE, Web, basic, upload_form
from tests.web.test_app_fallback import FRESH, Front

PLAIN = "acme-9.0-py3-none-any.whl"
VARIANT = "acme-9.0-py3-none-any-x86_64_v3.whl"
TABLE = "acme-9.0-variants.json"
#: In each mode: files are linked to the upstream, or to this server.
MODES = ("proxy", "relay", "cache")


class VariantCase(SynchronousTestCase):
    bodies = {  # noqa: RUF012  never changed
        PLAIN: wheel("acme", "9.0"),
        VARIANT: wheel("acme", "9.0", extra=[("acme/fast.py", b"")]),
        TABLE: json.dumps({"variants": {"x86_64_v3": {}}}).encode(),
    }

    def front(self, mode: str, **options: object) -> Front:
        front = Front(mode, judges=True, **options)  # type: ignore[arg-type]  # one of its own
        told = [file(name, body) for name, body in self.bodies.items()]
        front.upstream.on(f"{BASE}acme/", page(project("acme", *told), headers=FRESH))
        for one in told:
            front.upstream.on(one["url"], ranged(self.bodies[one["filename"]]))
        return front


class PassedOnTests(VariantCase):
    def test_page(self) -> None:
        for mode in MODES:
            files = self.front(mode).document()["files"]
            self.assertEqual(
                [(one["filename"], one["size"]) for one in files],
                [(name, len(body)) for name, body in self.bodies.items()],
            )
            html = self.front(mode).web.get("/simple/acme/").text
            for name in self.bodies:
                self.assertIn(f">{name}</a>", html, mode)

    def test_bytes(self) -> None:
        for mode in ("relay", "cache"):
            front = self.front(mode)
            for _ in range(2):  # asked for, and kept
                for one in front.document()["files"]:
                    answer = front.get(f"/{one['url'].removeprefix('../../')}")
                    self.assertEqual(answer.status, 200, (mode, one))
                    self.assertEqual(answer.body, self.bodies[one["filename"]])

    def test_rules_about_versions_hold_for_them(self) -> None:
        rules = UpstreamRules(deny=(RuleEntry.parse("acme<10"),))
        answer = self.front("proxy", rules=rules).web.get(
            "/simple/acme/", {"Accept": "application/vnd.pypi.simple.v1+json"}
        )
        self.assertNotIn(VARIANT, answer.text)
        self.assertNotIn(TABLE, answer.text)

    def test_the_cache_judges_them_as_wheels(self) -> None:
        self.bodies = {VARIANT: wheel("other", "9.0")}
        front = self.front("cache")
        (one,) = front.document()["files"]
        answer = front.get(f"/{one['url'].removeprefix('../../')}")
        self.assertEqual(answer.status, 403)


class RefusedTests(SynchronousTestCase):
    def test_uploads(self) -> None:
        web = Web()
        for name in (VARIANT, "acme-9.0-1-py3-none-any-cu126.whl", TABLE):
            form = upload_form(name, wheel("acme", "9.0"), version="9.0")
            answer = web.request("POST", "/legacy/", FORM_TYPE | basic(), form)
            self.assertEqual(answer.status, 400)
            self.assertIn("Wheel variants (PEP 817 and 825, drafts)", answer.text)
            self.assertIn("upload a wheel without a variant label", answer.text)
