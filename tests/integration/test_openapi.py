"""The served document of the API, and the API held to it by schemathesis."""

from __future__ import annotations

import json

from tests.builders import wheel
from tests.integration import apart
from tests.integration.rig import (
    PASSWORD,
    USER,
    IntegrationTestCase,
    Server,
    basic,
    script,
)

#: Requests for each operation and kind of data, and what they are drawn from.
EXAMPLES, SEEDED = 10, 20261127

DOCUMENT = "/api/v1/openapi.json"

CONFIG = """
{parameters}
[checks]
positive_data_acceptance.expected-statuses = {accepted}
negative_data_rejection.expected-statuses = {refused}
"""

#: What is really there: else nearly all that is asked for is not.
THERE = """
[parameters]
"path.name" = "acme"
"path.version" = "1.0"
"path.filename" = "acme-1.0-py3-none-any.whl"
"""

#: What data that is as declared may be answered with: there is no such thing, or it is
#: not as If-Match requires; names of users and patterns are judged by rules that no
#: schema tells (400); who reports tokens that are none is slowed down.
ACCEPTED = ["2xx", "304", "400", "401", "403", "404", "409", "412", "429"]

#: What data that is not as declared may be answered with; 431: it was too long for that
#: to be found out.
REFUSED = ["400", "401", "403", "404", "409", "412", "413", "415", "429", "431"]


class OpenApiTests(IntegrationTestCase):
    def serve(self) -> Server:
        """Start a server with a project, whose user may do everything."""
        server = self.server(
            settings={
                "auth.admins": USER,
                "pypi.allow_delete_groups": "authenticated",
                "auth.max_failures": "100000",
            }
        )
        for version in ("1.0", "2.0"):
            path = self.folder / f"acme-{version}-py3-none-any.whl"
            path.write_bytes(wheel("acme", version))
            self.assertEqual(server.upload(path).status, 200)
        return server

    def test_the_document_is_one(self) -> None:
        server = self.serve()
        answer = server.get(DOCUMENT)
        self.assertEqual(answer.status, 200, answer.text)
        # Of the extra integration, without which this module is loaded, too.
        from openapi_spec_validator import OpenAPIV31SpecValidator

        OpenAPIV31SpecValidator(json.loads(answer.body)).validate()

    def test_the_api_does_what_it_says(self) -> None:
        self.hold_to_the_document("")

    def test_with_what_is_there(self) -> None:
        server = self.hold_to_the_document(THERE)
        history = "/api/v1/projects/acme/history?limit=1000"
        items = server.get(history, Authorization=basic()).json()["items"]
        done = {one["act"] for one in items}
        self.assertLessEqual({"yanked", "removed", "restored", "status"}, done)

    def hold_to_the_document(self, parameters: str) -> Server:
        """Run schemathesis with all of its checks."""
        server = self.serve()
        config = self.folder / "schemathesis.toml"
        config.write_text(
            CONFIG.format(
                parameters=parameters,
                accepted=json.dumps(ACCEPTED),
                refused=json.dumps(REFUSED),
            )
        )
        self.run_client(
            script("schemathesis"),
            "--config-file",
            config,
            "run",
            server.url + DOCUMENT,
            "--auth",
            f"{USER}:{PASSWORD}",
            "--max-examples",
            str(EXAMPLES),
            "--seed",
            str(SEEDED),
            "--checks",
            "all",
            "--warnings",
            "off",
            patience=600,
        )
        self.assertNotIn("Traceback", server.log)
        return server


test_suite = apart(__name__)
