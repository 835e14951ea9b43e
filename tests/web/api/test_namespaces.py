"""Namespaces over HTTP (PEP 752)."""

from __future__ import annotations

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.policy import Policy
from pypicloud_tw.config.namespaces import Namespaces
from pypicloud_tw.web.views import Views
from tests.access.doubles import policy_of
from tests.builders import wheel
from tests.web.doubles import FORM_TYPE, USERS, Web, basic, upload_form

PRIVATE = "pypi.private = acme acme-* acme-web acme-web-* beta-*"
RULES = f"""
{PRIVATE}
pypi.default_read = everyone
pypi.default_write = dev
group.dev = dev1
package.other.user.ann = rw
"""
JSON = {"Accept": "application/vnd.pypi.simple.v1+json"}


class NamespaceTests(SynchronousTestCase):
    def setUp(self) -> None:
        users = dict.fromkeys(("ann", "dev1"), USERS["ann"])
        self.policy: Policy = policy_of(RULES)
        self.web = Web(policy=self.policy, users=users)

    def upload(self, name: str, user: str | None) -> tuple[int, str]:
        module = name.replace("-", "_")
        filename = f"{module}-1.0-py3-none-any.whl"
        form = upload_form(filename, wheel(module), name=name)
        headers = FORM_TYPE | (basic(user) if user else {})
        answer = self.web.request("POST", "/legacy/", headers, form)
        return answer.status, answer.text

    def test_list(self) -> None:
        answer = self.web.request("GET", "/namespaces")
        self.assertEqual(answer.json, [{"name": "acme"}, {"name": "acme-web"}])

    def test_one(self) -> None:
        answer = self.web.request("GET", "/namespace/Acme")
        self.assertEqual(
            answer.json, {"name": "acme", "parent": None, "children": ["acme-web"]}
        )
        child = self.web.request("GET", "/namespace/acme-web").json
        self.assertEqual((child["parent"], child["children"]), ("acme", []))

    def test_what_is_none(self) -> None:
        for name in ("beta", "acme-web-ui", "other"):
            answer = self.web.request("GET", f"/namespace/{name}")
            self.assertEqual(answer.status, 404, name)

    def test_upload_without_the_right(self) -> None:
        status, text = self.upload("acme-new", "ann")
        self.assertEqual(status, 409)
        self.assertIn("The namespace acme is reserved.", text)
        self.assertIn("Ask an administrator", text)
        # The same of a project that is there: nothing is told of it.
        self.assertEqual(self.upload("acme-new", "dev1")[0], 200)
        self.assertEqual(self.upload("acme-new", "ann"), (409, text))

    def test_uploads_elsewhere_are_refused_as_ever(self) -> None:
        self.assertEqual(self.upload("beta-new", "ann")[0], 403)
        self.assertEqual(self.upload("acme-new", None)[0], 401)

    def test_pages(self) -> None:
        catalog = self.web.domain.catalog
        spaces = Namespaces.of(self.policy.settings.private)
        catalog.render = Views(spaces)
        self.upload("acme-web", "dev1")
        page = self.web.request("GET", "/simple/acme-web/", JSON).json
        self.assertEqual(page["meta"]["api-version"], "1.5")
        self.assertEqual(
            page["namespaces"],
            [{"name": "acme", "owned": True}, {"name": "acme-web", "owned": True}],
        )
        self.assertNotIn("namespace", self.web.request("GET", "/simple/acme-web/").text)


class PolicyTests(SynchronousTestCase):
    def test_a_reload_keeps_them(self) -> None:
        settings = policy_of(PRIVATE).settings
        self.assertEqual(
            evolve(settings, read_only="x").namespaces.names, ("acme", "acme-web")
        )
