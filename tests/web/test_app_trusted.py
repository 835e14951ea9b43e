"""What a CI job does with the token that it got for its identity."""

from __future__ import annotations

import json
from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.config.rights import TrustedPublisher
from tests.access.oidc.doubles import JOB, publisher
from tests.builders import wheel
from tests.web.doubles import (
    FORM_TYPE,
    Response,
    Web,
    basic,
    stored_project,
    upload_form,
)

WHEEL = "acme-1.0-py3-none-any.whl"
OTHER = "other-1.0-py3-none-any.whl"
MINT = "/_/oidc/mint-token"


class JobTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.web = Web(
            default_read="authenticated",
            publishers={
                "tool": publisher(projects="acme", acts="upload"),
                "reader": publisher(
                    "reader", claims="repository_id:1001", projects="acme", acts="read"
                ),
            },
        )

    def token(self, **changes: Any) -> str:
        body = json.dumps({"token": self.web.issuer.token(**changes)}).encode()
        response = self.web.request("POST", MINT, body=body)
        self.assertEqual(response.status, 200, response.text)
        token: str = response.json["token"]
        return token

    def upload(
        self, token: str, filename: str = WHEEL, web: Web | None = None
    ) -> Response:
        name = filename.partition("-")[0]
        form = upload_form(filename, wheel(name), name=name)
        fields = FORM_TYPE | basic("__token__", token)
        return (web or self.web).post(form, "/legacy/", fields)

    def change(self, *publishers: TrustedPublisher) -> None:
        """Have another ini, as SIGHUP does."""
        access = self.web.application.access
        settings = evolve(
            access.policy.settings, publishers={one.name: one for one in publishers}
        )
        access.policy = access.policy.with_settings(settings)

    def test_upload(self) -> None:
        self.assertEqual(self.upload(self.token()).status, 200)
        (file,) = stored_project(self.web.store).files
        self.assertEqual(file.uploader, "publisher reader, tool")
        assert file.publisher is not None
        self.assertEqual(file.publisher["repository"], JOB["repository"])
        self.assertEqual(file.publisher["commit"], JOB["sha"])
        shown = self.web.get("/pypi/acme/json", basic())
        self.assertEqual(shown.json["urls"][0]["publisher"], dict(file.publisher))
        # It is no part of what installers read.
        page = self.web.get("/simple/acme/", basic())
        self.assertNotIn("refs/tags", page.text)

    def test_many_files_with_one_token(self) -> None:
        """PEP 807: the feature multi-use-token."""
        token = self.token()
        self.assertEqual(self.upload(token).status, 200)
        second = self.upload(token, "acme-1.0-py2-none-any.whl")
        self.assertEqual(second.status, 200)

    def test_other_projects(self) -> None:
        response = self.upload(self.token(), OTHER)
        self.assertEqual(response.status, 403)
        self.assertIn("as publisher reader, tool", response.text)

    def test_reading(self) -> None:
        self.web.publish(WHEEL, wheel())
        self.web.publish(OTHER, wheel("other"))
        token = self.token(ref="refs/heads/dev")
        for fields in (
            basic("__token__", token),
            {"Authorization": f"Bearer {token}"},
        ):
            self.assertEqual(self.web.get("/simple/acme/", fields).status, 200)
            self.assertEqual(self.web.get("/simple/other/", fields).status, 404)
        # Its publisher is for reading alone.
        self.assertEqual(self.upload(token, "acme-2.0-py3-none-any.whl").status, 403)

    def test_removed(self) -> None:
        token = self.token()
        self.change()
        self.assertEqual(self.upload(token).status, 403)

    def test_narrowed(self) -> None:
        token = self.token()
        self.assertEqual(self.upload(token).status, 200)
        narrower = publisher(claims="repository_id:1001, environment:production")
        self.change(evolve(narrower, projects=("acme",)))
        refused = self.upload(token, "acme-1.0-py2-none-any.whl")
        self.assertEqual(refused.status, 403)
        self.assertIn("does not trust this job any more", refused.text)

    def test_at_its_end(self) -> None:
        token = self.token()
        self.web.domain.clock.advance(899)
        self.assertEqual(self.upload(token).status, 200)
        self.web.domain.clock.advance(1)
        self.assertEqual(self.upload(token, "acme-1.0-py2-none-any.whl").status, 401)

    def test_burnt_on_another_server(self) -> None:
        token = self.token()
        other = Web(
            self.web.domain.beside(),
            default_read="authenticated",
            publishers=self.web.publishers,
        )
        self.assertEqual(self.upload(token, web=other).status, 200)
        body = json.dumps({"token": token}).encode()
        self.web.request("POST", "/_/oidc/burn-token", body=body)
        self.web.domain.clock.advance(1)
        refused = self.upload(token, "acme-1.0-py2-none-any.whl", other)
        self.assertEqual(refused.status, 401)
