"""Provenance objects of another index, as they are read before they are verified."""

from __future__ import annotations

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.index.attestations.provenance import MAX_BUNDLES, read_bundles

GITHUB = {"kind": "GitHub", "repository": "acme/tool", "workflow": "release.yml"}


def provenance(*bundles: dict[str, Any], version: int = 1) -> bytes:
    return json.dumps({"version": version, "attestation_bundles": bundles}).encode()


def bundle(*attestations: Any, **publisher: Any) -> dict[str, Any]:
    return {
        "publisher": publisher or GITHUB,
        "attestations": list(attestations or ({"version": 1},)),
    }


class ReadTests(SynchronousTestCase):
    def lines(self, *bundles: dict[str, Any]) -> list[str]:
        return [one.signer.line for one in read_bundles(provenance(*bundles))]

    def test_each_publisher(self) -> None:
        gitlab = bundle(
            kind="GitLab", repository="a/b/c", workflow_filepath="ci/x.yml", claims={}
        )
        circle = bundle(kind="CircleCI", project_id="1", pipeline_definition_id="2")
        google = bundle(kind="Google", email="bot@acme.example")
        self.assertEqual(
            self.lines(bundle(), gitlab, google, circle),
            [
                "github:acme/tool:release.yml",
                "gitlab:a/b/c:ci/x.yml",
                "google:bot@acme.example",
                "circleci:1:2",
            ],
        )

    def test_other_publishers_are_left_out(self) -> None:
        for publisher in (
            {"kind": "Gitea", "repository": "a/b"},
            {**GITHUB, "workflow": "re\u200blease.yml"},
            {**GITHUB, "workflow": ""},
            {**GITHUB, "repository": "acme"},
            {**GITHUB, "repository": "acme/tool:x"},
            {"kind": "CircleCI", "project_id": "1:2", "pipeline_definition_id": "3"},
        ):
            self.assertEqual(self.lines(bundle(**publisher)), [], publisher)

    def test_bounds(self) -> None:
        many = [bundle(*({} for _ in range(9))) for _ in range(9)]
        found = read_bundles(provenance(*many))
        self.assertEqual(len(found), MAX_BUNDLES)
        self.assertEqual({len(one.attestations) for one in found}, {2})

    def test_what_is_none(self) -> None:
        for data in (
            b"",
            b"[]",
            b"{}",
            b"[" * 100_000,
            b"\xff",
            provenance(version=2),
            provenance({"publisher": GITHUB}),
            provenance(bundle(7)),
            provenance({"publisher": 3, "attestations": []}),
            b'{"version": 1, "attestation_bundles": {}}',
        ):
            error = self.assertRaises(ValueError, read_bundles, data)
            self.assertEqual(str(error), "it is not a provenance object of PEP 740")
