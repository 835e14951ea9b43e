"""Servers of two versions share a store while they are upgraded, one after the other.

What the newer one writes, the older one serves, changes and keeps, or leaves alone. The
newer one is played by what it would have written.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.document_format import KEY as ACCESS
from pypicloud_tw.index.manifest import manifest_key
from pypicloud_tw.index.marker import KEY as MARKER
from pypicloud_tw.index.model import FORMAT
from pypicloud_tw.index.names import project_name
from pypicloud_tw.maintenance.sweep import Sweeper
from pypicloud_tw.store.interfaces import IfMatch
from tests.builders import wheel
from tests.web.api.doubles import AccessWeb
from tests.web.doubles import ACME, Response, basic, upload_form

#: What no version knows yet.
LATER = {"_later": {"a": [1]}, "later": "b"}

JSON = {"Accept": "application/vnd.pypi.simple.v1+json"}


class TwoVersionsCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.web = AccessWeb()
        self.upload("1.0")
        self.upload("1.1")

    def upload(self, version: str, name: str = "acme") -> Response:
        filename = f"{name}-{version}-py3-none-any.whl"
        data = wheel(name, version)
        return self.web.post(upload_form(filename, data, name=name, version=version))

    def act(
        self, method: str, path: str = "releases/1.0/yanked", body: object = None
    ) -> Response:
        headers = basic() | {"Content-Type": "application/json"}
        data = b"" if body is None else json.dumps(body).encode()
        return self.web.request(method, f"/api/v1/projects/acme/{path}", headers, data)

    def read(self, key: str) -> Any:
        return json.loads(self.web.store.objects[key].data)

    def rewrite(self, key: str, change: Callable[[Any], None]) -> Any:
        """Have the newer server write an object, and the marker tell of it."""
        document = self.read(key)
        change(document)
        found = self.web.store.objects[key].info.etag
        data = json.dumps(document).encode()
        self.web.wait(self.web.store.put(key, data, condition=IfMatch(found)))
        told = ACME if key == manifest_key(ACME) else ".access"
        self.web.wait(self.web.domain.beside().catalog.watch.tell(told))
        self.web.domain.clock.advance(5)
        return document


class NewerFormatTests(TwoVersionsCase):
    """A number that is higher than this version knows."""

    def setUp(self) -> None:
        super().setUp()

        def newer(document: Any) -> None:
            document["_format"] = FORMAT + 1

        self.written = self.rewrite(manifest_key(ACME), newer)

    def test_served(self) -> None:
        page = self.web.get("/simple/acme/", JSON)
        self.assertEqual(page.status, 200)
        self.assertEqual(page.json["versions"], ["1.0", "1.1"])
        for file in page.json["files"]:
            address = "/" + file["url"].removeprefix("../../")
            self.assertEqual(self.web.get(address).status, 200)

    def test_not_changed(self) -> None:
        for answer in (
            self.upload("2.0"),
            self.act("PUT", body={"reason": "broken"}),
            self.act("DELETE", "releases/1.0"),
        ):
            self.assertEqual(answer.status, 503, answer.text)
            self.assertIn("was written by a newer server", answer.text)
            self.assertIn("upgrade this one", answer.text)
        self.assertEqual(self.read(manifest_key(ACME)), self.written)

    def test_others_are_changed(self) -> None:
        self.assertEqual(self.upload("1.0", "other").status, 200)


class SameFormatTests(TwoVersionsCase):
    """More in it than this version knows: it is kept whatever this one changes."""

    def test_manifest(self) -> None:
        self.act("PUT", body={"reason": "broken"})
        self.act("DELETE", "releases/1.1")

        def later(document: Any) -> None:
            document |= LATER
            for part in ("files", "_tombstones", "_history"):
                for entry in document[part]:
                    entry |= LATER
            document["files"][0]["hashes"]["later"] = "00"
            document["project-status"]["later"] = "x"

        self.rewrite(manifest_key(ACME), later)
        for answer in (
            self.upload("2.0"),
            self.act("DELETE"),
            self.act("POST", "restore", {"version": "1.1"}),
        ):
            self.assertEqual(answer.status, 200, answer.text)
        after = self.read(manifest_key(ACME))
        self.assertLessEqual(LATER.items(), after.items())
        by_name = {file["filename"]: file for file in after["files"]}
        first = by_name["acme-1.0-py3-none-any.whl"]
        self.assertLessEqual(LATER.items(), first.items())
        self.assertNotIn("yanked", first)
        self.assertEqual(first["hashes"]["later"], "00")
        self.assertEqual(after["project-status"]["later"], "x")
        for entry in after["_history"][:2]:
            self.assertLessEqual(LATER.items(), entry.items())
        page = self.web.get("/simple/acme/", JSON).json
        self.assertEqual(page["later"], "b")
        self.assertNotIn("_later", json.dumps(page))

    def test_tombstone(self) -> None:
        self.act("DELETE", "releases/1.0")

        def later(document: Any) -> None:
            document["_tombstones"][0] |= LATER
            document["_tombstones"][0]["file"] |= LATER

        self.rewrite(manifest_key(ACME), later)
        self.assertEqual(self.upload("2.0").status, 200)
        [tombstone] = self.read(manifest_key(ACME))["_tombstones"]
        self.assertLessEqual(LATER.items(), tombstone.items())
        self.assertLessEqual(LATER.items(), tombstone["file"].items())
        self.assertEqual(self.act("POST", "restore", {}).status, 200)
        restored = self.read(manifest_key(ACME))["files"][0]
        self.assertLessEqual(LATER.items(), restored.items())

    def test_access(self) -> None:
        self.assertEqual(
            self.web.ask("PUT", "users/bob", {"password": "a good word"}).status, 201
        )

        def later(document: Any) -> None:
            document |= LATER
            document["users"]["bob"] |= LATER

        self.rewrite(ACCESS, later)
        self.assertEqual(
            self.web.ask("PUT", "groups/dev", {"members": ["bob"]}).status, 201
        )
        after = self.read(ACCESS)
        self.assertLessEqual(LATER.items(), after.items())
        self.assertLessEqual(LATER.items(), after["users"]["bob"].items())

    def test_marker(self) -> None:
        """It only says what changed: one that is not understood costs questions."""

        def later(document: Any) -> None:
            document["recent"] = [[*entry, "later"] for entry in document["recent"]]

        before = self.read(MARKER)
        later(before)
        data = json.dumps(before).encode()
        found = self.web.store.objects[MARKER].info.etag
        self.web.wait(self.web.store.put(MARKER, data, condition=IfMatch(found)))
        other = AccessWeb(domain=self.web.domain.beside())
        self.assertEqual(other.get("/simple/acme/").status, 200)
        self.assertEqual(self.upload("2.0").status, 200)
        other.domain.clock.advance(5)
        self.assertIn("acme-2.0", other.get("/simple/acme/").text)


class NewerAccessTests(TwoVersionsCase):
    """An access document that this version does not understand may forbid something."""

    def test_known_and_not_changed(self) -> None:
        self.web.ask("PUT", "users/bob", {"password": "a good word"})

        def newer(document: Any) -> None:
            document["_format"] = 99

        self.rewrite(ACCESS, newer)
        login = basic("bob", "a good word")
        self.assertEqual(self.web.get("/simple/acme/", login).status, 200)
        for answer in (
            self.web.ask("PUT", "groups/dev", {"members": []}),
            self.upload("2.0"),
        ):
            self.assertEqual(answer.status, 503, answer.text)
        # One that starts now believes nothing.
        other = AccessWeb(domain=self.web.domain.beside())
        self.assertEqual(other.get("/simple/acme/", login).status, 503)


class OtherProjectTests(TwoVersionsCase):
    """What an older version finds of a newer one's other objects."""

    def test_unknown_objects_are_left(self) -> None:
        """Of a kind that this version does not know: no project, and not swept."""
        store = self.web.store
        self.web.wait(store.put(".later/acme/1", b"{}"))
        self.web.domain.clock.advance(400 * 86_400)
        manifests = self.web.domain.manifests
        swept = self.web.wait(Sweeper(store, manifests, 86_400, False).run())
        self.assertEqual(swept.removed, [])
        self.assertIn(".later/acme/1", store.objects)
        name = project_name("later")
        self.assertEqual(self.web.get(f"/simple/{name}/").status, 404)
