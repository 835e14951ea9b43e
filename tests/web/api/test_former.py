"""What programs asked of pypicloud 1.x, and what they are answered."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.builders import sdist, wheel
from tests.web.api.test_projects import NEWER, SDIST, USERS, WHEEL, policy
from tests.web.doubles import (
    BEGINNING,
    FORM_TYPE,
    Response,
    Web,
    basic,
    form_bytes,
    stored_project,
)

DEV = "acme-2.1.dev1-py3-none-any.whl"


class FormerCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.web = Web(users=USERS, policy=policy())
        self.web.publish(WHEEL, wheel())
        self.web.publish(NEWER, wheel(version="2.0"))
        self.web.publish(DEV, wheel(version="2.1.dev1"))

    def get(self, path: str, user: str | None = "ann") -> Any:
        answer = self.web.get(f"/api/{path}", {} if user is None else basic(user))
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(answer["Content-Type"], "application/json")
        return answer.json

    def upload(self, filename: str, data: bytes, **more: str) -> Response:
        name = more.pop("called", filename)
        body = form_bytes([*more.items(), ("content", (name, data))])
        path = f"/api/package/acme/{filename}"
        return self.web.request("POST", path, {**basic("ann"), **FORM_TYPE}, body)


class ReadingTests(FormerCase):
    def test_names(self) -> None:
        self.assertEqual(self.get("package/"), {"packages": ["acme"]})

    def test_verbose(self) -> None:
        for value in ("true", "1", "True"):
            self.assertEqual(
                self.get(f"package/?verbose={value}"),
                {
                    "packages": [
                        {
                            "name": "acme",
                            "stable": "2.0",
                            "unstable": "2.0",
                            "last_modified": int(BEGINNING),
                            "summary": "A tool of Acme's",
                        }
                    ]
                },
            )
        self.assertEqual(self.get("package/?verbose=false"), {"packages": ["acme"]})

    def test_verbose_of_nothing(self) -> None:
        self.web = Web()
        self.assertEqual(self.get("package/?verbose=true"), {"packages": []})

    def test_redirects_to_the_final_slash(self) -> None:
        for path, place in (("package", "package/"), ("package/Acme", "acme/")):
            answer = self.web.get(f"/api/{path}")
            self.assertEqual((answer.status, answer["Location"]), (301, place))

    def test_a_project(self) -> None:
        found = self.get("package/acme/")
        self.assertTrue(found["write"])
        newest, *_, oldest = found["packages"]
        self.assertEqual((newest["filename"], oldest["filename"]), (DEV, WHEEL))
        self.assertEqual(oldest["name"], "acme")
        self.assertEqual(oldest["version"], "1.0")
        self.assertEqual(oldest["metadata"]["uploader"], "ann")
        path = oldest["url"].partition("pypi.example:6543")[2]
        self.assertEqual(self.web.get(path).body, wheel())

    def test_who_may_write(self) -> None:
        self.assertFalse(self.get("package/acme/", "bob")["write"])
        self.assertFalse(self.get("package/acme/", None)["write"])

    def test_a_project_that_is_not_here(self) -> None:
        self.assertEqual(self.get("package/other/", "boss")["packages"], [])

    def test_search(self) -> None:
        self.web.describe()
        found = {"name": "acme", "summary": "A tool of Acme's", "version": "2.0"}
        for path in ("search?query=tool", "search/?query=tool", "search?q=acme"):
            self.assertEqual(self.get(path), {"packages": [found]})


class ChangingTests(FormerCase):
    def test_upload_by_the_address_alone(self) -> None:
        answer = self.upload(SDIST, sdist())
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(answer.json["filename"], SDIST)
        file = stored_project(self.web.store).file(SDIST)
        assert file is not None
        self.assertEqual(file.uploader, "ann")

    def test_what_is_uploaded_is_judged_as_everywhere(self) -> None:
        for filename, data, more, status, word in (
            (SDIST, sdist(), {"called": "x-1.0.tar.gz"}, 400, "address ends in"),
            (SDIST, b"no archive", {}, 400, ""),
            (SDIST, sdist(), {"name": "other"}, 403, ""),
            (WHEEL, wheel(version="1.0", extra=[("a", b"b")]), {}, 409, "exists"),
            ("other-1.0.tar.gz", sdist("other"), {}, 403, ""),
        ):
            answer = self.upload(filename, data, **more)
            self.assertEqual(answer.status, status, (filename, more, answer.body))
            self.assertIn(word, answer.text)
        self.assertEqual(len(stored_project(self.web.store).files), 3)

    def test_a_form_without_a_file(self) -> None:
        body = form_bytes([("summary", "x")])
        path = f"/api/package/acme/{SDIST}"
        answer = self.web.request("POST", path, {**basic("ann"), **FORM_TYPE}, body)
        self.assertEqual(answer.status, 400)
        self.assertIn("no file", answer.text)

    def delete(self, filename: str, user: str) -> Response:
        return self.web.request("DELETE", f"/api/package/acme/{filename}", basic(user))

    def test_delete(self) -> None:
        self.assertEqual(self.delete(WHEEL, "ann").status, 403)
        self.assertEqual(self.delete(WHEEL, "boss").status, 200)
        project = stored_project(self.web.store)
        self.assertIsNone(project.file(WHEEL))
        self.assertIsNotNone(project.tombstone(WHEEL))
        missing = self.delete("acme-9.0.tar.gz", "boss")
        self.assertEqual(missing.status, 400)
        self.assertIn("no such file", missing.text)
