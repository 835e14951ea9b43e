"""Queries in OSV's form are answered as OSV answers them."""

from __future__ import annotations

import json
from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.projects.affected.osv import MOST_IDS, MOST_QUERIES
from tests.access.doubles import policy_of
from tests.projects.affected.doubles import Known, flaw, malware
from tests.web.doubles import HASH, Response, Web, basic

MODIFIED = "2026-03-01T09:30:00.5Z"


class OsvCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.known = Known(records={"GHSA-1": b'{"id": "GHSA-1", "details": "x"}'})
        self.known.add(
            evolve(flaw("acme"), modified=MODIFIED),
            malware("acme"),
            malware("mine-x"),
        )
        self.web = Web(policy=policy_of("pypi.private = mine-*"), known=self.known)

    def post(self, path: str, document: Any, **fields: str) -> Response:
        raw = isinstance(document, bytes)
        body = document if raw else json.dumps(document).encode()
        return self.web.request("POST", f"/osv/v1/{path}", fields, body)

    def batch(self, *queries: Any) -> Any:
        answer = self.post("querybatch", {"queries": queries})
        self.assertEqual(answer.status, 200, answer.text)
        return answer.json["results"]

    def refused(self, document: Any, path: str = "querybatch") -> str:
        answer = self.post(path, document)
        self.assertEqual(answer.status, 400)
        self.assertEqual(answer.json["code"], 3)
        return str(answer.json["message"])


def query(name: str = "acme", version: str | None = "1.1", **more: Any) -> Any:
    package = {"name": name, "ecosystem": "PyPI"}
    return {"package": package, "version": version, **more}


class BatchTests(OsvCase):
    def test_ids_and_when_they_changed(self) -> None:
        (found,) = self.batch(query("Acme"))
        self.assertEqual(
            found,
            {
                "vulns": [
                    {"id": "GHSA-1", "modified": MODIFIED},
                    {"id": "MAL-1", "modified": "1970-01-01T00:00:00Z"},
                ]
            },
        )

    def test_what_is_not_affected_has_nothing(self) -> None:
        self.assertEqual(self.batch(query(version="2.0"), query("x")), [{}, {}])

    def test_without_a_version_all_are_told(self) -> None:
        (found,) = self.batch(query(version=None))
        self.assertEqual(len(found["vulns"]), 2)

    def test_by_purl(self) -> None:
        purls = ("pkg:pypi/acme@1.1", "pkg:pypi/Acme@1.1?a=b", "pkg:npm/acme@1.1")
        results = self.batch(*({"package": {"purl": purl}} for purl in purls))
        self.assertEqual([len(r.get("vulns", ())) for r in results], [2, 2, 0])

    def test_of_others_nothing_is_known(self) -> None:
        npm = {"package": {"name": "acme", "ecosystem": "npm"}, "version": "1.1"}
        self.assertEqual(self.batch(npm, {"commit": "6879efc2"}), [{}, {}])

    def test_a_private_name_is_not_somebody_else_s(self) -> None:
        self.assertEqual(self.batch(query("mine-x")), [{}])

    def test_page_by_page(self) -> None:
        self.known.add(*(flaw("big", f"GHSA-{n:05}") for n in range(MOST_IDS + 5)))
        (first,) = self.batch(query("big"))
        self.assertEqual(len(first["vulns"]), MOST_IDS)
        token = first["next_page_token"]
        (second,) = self.batch(query("big", page_token=token))
        self.assertEqual(len(second["vulns"]), 5)
        self.assertNotIn("next_page_token", second)

    def test_a_batch_has_a_bound_of_its_own(self) -> None:
        self.known.add(*(flaw("big", f"GHSA-{n:05}") for n in range(MOST_IDS)))
        results = self.batch(*[query("big")] * 4)
        told = [len(result.get("vulns", ())) for result in results]
        self.assertEqual(told, [MOST_IDS] * 3 + [0])
        self.assertEqual(results[3]["next_page_token"], "0")


class QueryTests(OsvCase):
    def test_records_as_they_were_read(self) -> None:
        answer = self.post("query", query())
        self.assertEqual(answer.json, {"vulns": [{"id": "GHSA-1", "details": "x"}]})

    def test_nothing(self) -> None:
        self.assertEqual(self.post("query", query("x")).json, {})


class RecordTests(OsvCase):
    def test_as_it_was_read(self) -> None:
        answer = self.web.get("/osv/v1/vulns/GHSA-1")
        self.assertEqual(answer.body, b'{"id": "GHSA-1", "details": "x"}')
        self.assertEqual(answer["content-type"], "application/json")

    def test_none(self) -> None:
        answer = self.web.get("/osv/v1/vulns/GHSA-2")
        self.assertEqual(answer.status, 404)
        self.assertEqual(answer.json, {"code": 5, "message": "Bug not found."})


class RefusedTests(OsvCase):
    def test_what_is_no_batch(self) -> None:
        for document in (b"{", b"[]", b"{}", b'{"queries": {}}', b'{"queries": [1]}'):
            self.refused(document)

    def test_what_is_no_query(self) -> None:
        odd: list[Any] = [{}, {"package": 1}, {"package": {}}, query(page_token="x")]
        for document in (*odd, {**query(), "version": 1}):
            self.refused(document, "query")

    def test_too_many(self) -> None:
        said = self.refused({"queries": [query()] * (MOST_QUERIES + 1)})
        self.assertEqual(said, f"A batch has at most {MOST_QUERIES} queries.")

    def test_too_long(self) -> None:
        self.assertEqual(self.post("querybatch", b" " * 600_000).status, 413)

    def test_nothing_is_known_is_no_answer(self) -> None:
        answer = Web().request("POST", "/osv/v1/query", {}, b'{"commit": "x"}')
        self.assertEqual((answer.status, answer.json["code"]), (503, 14))
        self.assertEqual(answer["retry-after"], "60")

    def test_who_may_not_read_may_not_ask(self) -> None:
        web = Web(default_read="authenticated", users={"ann": HASH}, known=self.known)
        path, body = "/osv/v1/query", json.dumps(query()).encode()
        self.assertEqual(web.request("POST", path, {}, body).status, 401)
        self.assertEqual(web.request("POST", path, basic(), body).status, 200)
