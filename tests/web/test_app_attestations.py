"""Uploads with attestations, and what pages and the integrity API tell of them."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.errors import BadRequest, StoreError, Unavailable
from pypicloud_tw.index.attestations.question import MAX_ATTESTATIONS, PREDICATES
from pypicloud_tw.index.attestations.service import Attestations
from pypicloud_tw.index.attestations.stored import is_about
from pypicloud_tw.index.manifests import Change
from pypicloud_tw.index.model import Project, Selection
from pypicloud_tw.index.names import NormalizedName, project_name
from pypicloud_tw.web.http.proxies import Proxies
from tests.access.oidc.doubles import publisher
from tests.builders import wheel
from tests.index.attestations.doubles import SIGNER, Verifier, attestation
from tests.web.doubles import (
    FORM_TYPE,
    Domain,
    Response,
    Web,
    basic,
    damage,
    data_keys,
    form_bytes,
    named,
    stored_project,
    upload_form,
)

WHEEL = "acme-1.0-py3-none-any.whl"
DATA = wheel()
DIGEST = sha256(DATA).hexdigest()
INTEGRITY = "application/vnd.pypi.integrity.v1+json"
ADDRESS = f"/integrity/acme/1.0/{WHEEL}/provenance"
JSON = {"Accept": "application/vnd.pypi.simple.v1+json"}
HTML = {"Accept": "text/html"}


def attested(*predicates: str) -> str:
    kinds = predicates or PREDICATES[:1]
    return json.dumps([attestation(WHEEL, DIGEST, kind) for kind in kinds])


class AttestationCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.verifier = Verifier()
        self.web = self.make(Attestations(self.verifier, lambda project: (SIGNER,)))

    def make(self, attestations: Attestations, **more: Any) -> Web:
        return Web(domain=Domain(attestations=attestations), **more)

    def upload(self, text: str | None = None, web: Web | None = None) -> Response:
        more = {} if text is None else {"attestations": text}
        return (web or self.web).post(upload_form(WHEEL, DATA, **more))

    def file(self, path: str = "/simple/acme/", **fields: str) -> dict[str, Any]:
        page = self.web.get(path, {**JSON, **fields}).json
        (file,) = page["files"]
        return dict(file)

    def assert_tidy(self) -> None:
        self.assertEqual(damage(self.web.store), [])
        self.assertEqual(data_keys(self.web.store), named(self.web.store))


class UploadTests(AttestationCase):
    def test_it_is_stored_beside_the_file(self) -> None:
        self.assertEqual(self.upload(attested()).status, 200)
        (file,) = stored_project(self.web.store).files
        self.assertEqual(file.provenance_key, f"{file.key}.provenance")
        stored = self.web.store.objects[f"{file.key}.provenance"].data
        self.assertTrue(is_about(stored, DIGEST))
        (question,) = self.verifier.questions
        self.assertEqual((question.filename, question.sha256), (WHEEL, DIGEST))
        steps = self.web.domain.steps
        self.assertLess(
            steps.index("publish:provenance"), steps.index("publish:swapped")
        )
        self.assert_tidy()

    def test_a_field_behind_the_file(self) -> None:
        fields: list[tuple[str, Any]] = [
            (":action", "file_upload"),
            ("name", "acme"),
            ("version", "1.0"),
            ("content", (WHEEL, DATA)),
            ("attestations", attested()),
        ]
        self.assertEqual(self.web.post(form_bytes(fields)).status, 200)
        self.assertEqual(self.web.get(ADDRESS).status, 200)

    def test_what_does_not_hold(self) -> None:
        self.verifier.refuses = BadRequest("Attestation 1 of 1 was refused: why.")
        refused = self.upload(attested())
        self.assertEqual(refused.status, 400)
        self.assertIn("Attestation 1 of 1 was refused", refused.reason)
        self.assertEqual(self.web.store.objects, {})

    def test_no_attestation_at_all(self) -> None:
        for text in ("[]", "{}", "nonsense", "[" * 50_000):
            refused = self.upload(text)
            self.assertEqual(refused.status, 400, text[:10])
            self.assertIn("--no-attestations", refused.text)
        self.assertEqual(self.web.store.objects, {})

    def test_two_fields(self) -> None:
        fields: list[tuple[str, Any]] = [
            (":action", "file_upload"),
            ("name", "acme"),
            ("version", "1.0"),
            ("attestations", attested()),
            ("attestations", "[]"),
            ("content", (WHEEL, DATA)),
        ]
        refused = self.web.post(form_bytes(fields))
        self.assertEqual(refused.status, 400)
        self.assertIn("'attestations' has two different values", refused.text)

    def test_the_verifier_is_away(self) -> None:
        self.verifier.refuses = Unavailable("The trust root cannot be read.")
        self.assertEqual(self.upload(attested()).status, 503)
        self.assertEqual(self.web.store.objects, {})

    def test_too_long(self) -> None:
        refused = self.upload("[" + " " * MAX_ATTESTATIONS + "]")
        self.assertEqual(refused.status, 413)
        self.assertIn(f"longer than {MAX_ATTESTATIONS} bytes", refused.text)
        self.assertEqual(self.verifier.questions, [])

    def test_as_long_as_may_be(self) -> None:
        text = attested()
        room = MAX_ATTESTATIONS - len(text) - 200
        self.assertEqual(self.upload(text[:-1] + " " * room + "]").status, 200)

    def test_without_the_extra(self) -> None:
        web = self.make(Attestations())
        refused = self.upload(attested(), web)
        self.assertEqual(refused.status, 400)
        self.assertIn("uv publish --no-attestations", refused.text)
        self.assertEqual(web.store.objects, {})
        self.assertEqual(self.upload(web=web).status, 200)

    def test_it_is_said_before_the_file_has_come(self) -> None:
        web = self.make(Attestations(self.verifier))
        form = upload_form(WHEEL, DATA, attestations=attested())
        connection = web.connect()
        head = (
            "POST /legacy/ HTTP/1.1\r\nHost: pypi.example\r\n"
            f"Content-Type: {FORM_TYPE['Content-Type']}\r\n"
            f"Authorization: {basic()['Authorization']}\r\n"
            f"Content-Length: {len(form)}\r\n\r\n"
        )
        connection.send(head.encode() + form[: form.index(DATA[:4]) + 4])
        response = connection.response("POST")
        assert response is not None
        self.assertEqual(response.status, 400)
        self.assertIn("nobody whose attestations count", response.text)
        connection.leave()

    def test_the_store_fails_at_it(self) -> None:
        def before(asked: str, key: str) -> None:
            if asked == "put" and key.endswith(".provenance"):
                raise StoreError("away")

        self.web.store.before = before
        self.assertEqual(self.upload(attested()).status, 503)
        self.assertEqual(self.web.get("/simple/acme/").status, 404)
        self.web.store.before = lambda operation, key: None
        self.assertEqual(self.upload(attested()).status, 200)
        self.assertEqual(damage(self.web.store), [])


class AgainTests(AttestationCase):
    """The same bytes once more."""

    def test_with_the_same_attestations(self) -> None:
        self.upload(attested())
        (file,) = stored_project(self.web.store).files
        again = self.upload(attested())
        self.assertEqual(again.status, 200)
        self.assertIn("keeps the attestations that it has", again.text)
        self.assertEqual(stored_project(self.web.store).files, (file,))
        self.assert_tidy()

    def test_without_any(self) -> None:
        self.upload(attested())
        self.assertEqual(self.upload().body, b"")
        self.assertEqual(self.web.get(ADDRESS).status, 200)

    def test_a_file_that_had_none_gets_them(self) -> None:
        acts: list[str] = []
        self.web.domain.publisher.audit = lambda act: acts.append(act.act)
        self.upload()
        (plain,) = stored_project(self.web.store).files
        self.assertEqual(self.web.get(ADDRESS).status, 404)
        again = self.upload(attested())
        self.assertEqual((again.status, again.body), (200, b""))
        (file,) = stored_project(self.web.store).files
        self.assertEqual(file.key, plain.key)
        self.assertEqual(self.web.get(ADDRESS).status, 200)
        self.assertEqual(acts, ["published", "attested"])
        self.assert_tidy()

    def test_they_are_verified_first(self) -> None:
        self.upload()
        self.verifier.refuses = BadRequest("No.")
        self.assertEqual(self.upload(attested()).status, 400)
        self.assertEqual(self.web.get(ADDRESS).status, 404)
        self.assert_tidy()


class PageTests(AttestationCase):
    def test_absolute_addresses(self) -> None:
        self.upload(attested())
        for host in ("pypi.example:6543", "other.example", "pypi.example:6543"):
            whole = f"http://{host}{ADDRESS}"
            self.assertEqual(self.file(Host=host)["provenance"], whole)
            page = self.web.get("/simple/acme/", {**HTML, "Host": host}).text
            self.assertIn(f'data-provenance="{whole}"', page)
        # The file's own stay relative.
        self.assertTrue(self.file()["url"].startswith("../../packages/acme/"))

    def test_the_public_address(self) -> None:
        proxies = Proxies(public_url="https://pypi.corp/root/")
        self.web = self.make(
            Attestations(self.verifier, lambda project: (SIGNER,)), proxies=proxies
        )
        self.upload(attested())
        for host in ("a.example", "b.example"):
            whole = f"https://pypi.corp/root{ADDRESS}"
            self.assertEqual(self.file(Host=host)["provenance"], whole)

    def test_few_origins_are_remembered(self) -> None:
        self.upload(attested())
        for number in range(20):
            host = f"h{number}.example"
            whole = f"http://{host}{ADDRESS}"
            self.assertEqual(self.file(Host=host)["provenance"], whole)
        page = self.web.application.projects.known_page(_name())
        assert page is not None
        self.assertLessEqual(len(page._at), 2)

    def test_etags_differ_and_are_known_again(self) -> None:
        self.upload(attested())
        tags = [
            self.web.get("/simple/acme/", {**JSON, "Host": host})["etag"] or ""
            for host in ("a.example", "b.example")
        ]
        self.assertNotEqual(*tags)
        known = {**JSON, "Host": "a.example", "If-None-Match": tags[0]}
        self.assertEqual(self.web.get("/simple/acme/", known).status, 304)

    def test_a_reason_that_looks_like_one(self) -> None:
        """What somebody wrote is no address of ours."""
        self.upload(attested())
        reason = '","provenance":"../../evil'
        self.web.wait(self.web.domain.publisher.change(_name(), _yanked(reason)))
        self.assertEqual(self.file()["yanked"], reason)

    def test_without_any_nothing_is_told(self) -> None:
        self.upload()
        self.assertNotIn("provenance", self.file())
        page = self.web.application.projects.known_page(_name())
        assert page is not None
        self.assertFalse(page.relative)


class IntegrityTests(AttestationCase):
    def setUp(self) -> None:
        super().setUp()
        self.upload(attested(*PREDICATES))

    def test_the_object(self) -> None:
        response = self.web.get(ADDRESS)
        self.assertEqual(response.status, 200)
        self.assertEqual(response["content-type"], INTEGRITY)
        (bundle,) = response.json["attestation_bundles"]
        self.assertEqual(bundle["publisher"]["repository"], "acme/tool")
        self.assertEqual(len(bundle["attestations"]), 2)
        tag = response["etag"] or ""
        known = self.web.get(ADDRESS, {"If-None-Match": tag})
        self.assertEqual((known.status, known["etag"]), (304, tag))
        head = self.web.head(ADDRESS)
        self.assertEqual((head.status, head.body), (200, b""))

    def test_negotiation(self) -> None:
        for accept, form in (
            (INTEGRITY, INTEGRITY),
            ("*/*", INTEGRITY),
            ("application/*", INTEGRITY),
            ("application/json", "application/json"),
            (f"application/json, {INTEGRITY};q=0.5", "application/json"),
            ("text/html, application/json;q=0.1", "application/json"),
        ):
            response = self.web.get(ADDRESS, {"Accept": accept})
            self.assertEqual((response.status, response["content-type"]), (200, form))
        refused = self.web.get(ADDRESS, {"Accept": "text/html"})
        self.assertEqual(refused.status, 406)
        self.assertIn(INTEGRITY, refused.text)

    def test_other_addresses(self) -> None:
        self.web.publish("acme-2.0-py3-none-any.whl", wheel(version="2.0"))
        for path, sentence in (
            (f"/integrity/acme/2.0/{WHEEL}/provenance", "no such file"),
            ("/integrity/acme/1.0/other.whl/provenance", "no such file"),
            (f"/integrity/other/1.0/{WHEEL}/provenance", "no project"),
            (
                "/integrity/acme/2.0/acme-2.0-py3-none-any.whl/provenance",
                "No provenance available for acme-2.0-py3-none-any.whl",
            ),
        ):
            for form in (INTEGRITY, "application/json"):
                response = self.web.get(path, {"Accept": form})
                self.assertEqual(response.status, 404, path)
                self.assertIn(sentence, response.json["message"])
        spelled = f"/integrity/Acme/1.0.0/{WHEEL}/provenance"
        self.assertEqual(self.web.get(spelled).status, 200)

    def test_odd_versions(self) -> None:
        """What stands in an address is escaped, and understood."""
        filename = "acme-1!2.0+local.1-py3-none-any.whl"
        data = wheel(version="1!2.0+local.1")
        text = json.dumps([attestation(filename, sha256(data).hexdigest())])
        form = upload_form(filename, data, version="1!2.0+local.1", attestations=text)
        self.assertEqual(self.web.post(form).status, 200)
        page = self.web.get("/simple/acme/", JSON).json
        told = {file["filename"]: file["provenance"] for file in page["files"]}
        address = told[filename].removeprefix("http://pypi.example:6543")
        self.assertIn("/1%212.0%2Blocal.1/", address)
        self.assertEqual(self.web.get(address).status, 200)

    def test_deleted_and_restored(self) -> None:
        acts, what = self.web.domain.index.acts, Selection(file=WHEEL)
        self.web.wait(acts.delete(_name(), what))
        self.assertEqual(self.web.get(ADDRESS).status, 404)
        self.web.wait(acts.restore(_name(), what))
        self.assertEqual(self.web.get(ADDRESS).status, 200)
        self.assertEqual(
            self.file()["provenance"], f"http://pypi.example:6543{ADDRESS}"
        )
        self.assert_tidy()

    def test_in_quarantine(self) -> None:
        acts = self.web.domain.index.acts
        (before,) = stored_project(self.web.store).files
        self.web.wait(acts.set_status(_name(), "quarantined"))
        self.assertEqual(self.web.get(ADDRESS).status, 403)
        self.assertEqual(self.web.get("/simple/acme/", JSON).json["files"], [])
        self.web.wait(acts.set_status(_name(), "active"))
        (after,) = stored_project(self.web.store).files
        self.assertNotEqual(after.provenance_key, before.provenance_key)
        self.assertEqual(self.web.get(ADDRESS).status, 200)
        self.assert_tidy()

    def test_lost(self) -> None:
        (file,) = stored_project(self.web.store).files
        del self.web.store.objects[f"{file.key}.provenance"]
        response = self.web.get(ADDRESS)
        self.assertEqual(response.status, 503)
        self.assertIn("has lost this file's provenance", response.text)
        # The file itself is served.
        self.assertEqual(self.file()["filename"], WHEEL)

    def test_who_may_read_it(self) -> None:
        web = Web(domain=self.web.domain, default_read="authenticated")
        self.assertEqual(web.get(ADDRESS).status, 401)
        allowed = web.get(ADDRESS, basic())
        self.assertEqual(allowed.status, 200)
        self.assertIn("private", allowed["cache-control"] or "")


class JobTests(AttestationCase):
    """Trusted publishing: the job's own identity is what is verified."""

    def test_its_own_signature(self) -> None:
        self.web = self.make(
            Attestations(self.verifier),
            publishers={"tool": publisher(projects="acme", acts="upload")},
        )
        body = json.dumps({"token": self.web.issuer.token()}).encode()
        minted = self.web.request("POST", "/_/oidc/mint-token", body=body)
        fields = FORM_TYPE | basic("__token__", minted.json["token"])
        form = upload_form(WHEEL, DATA, attestations=attested())
        self.assertEqual(self.web.post(form, "/legacy/", fields).status, 200)
        (question,) = self.verifier.questions
        (signer,) = question.signers
        self.assertEqual(signer.kind, "github")
        told = {"repository": "acme/tool", "workflow": "release.yml"}
        self.assertEqual(signer.told_by, told)
        self.assertEqual(signer.kept["environment"], "pypi")


def _name() -> NormalizedName:
    return project_name("acme")


def _yanked(reason: str) -> Change:
    def change(project: Project) -> Project:
        files = tuple(evolve(file, yanked=reason) for file in project.files)
        return evolve(project, files=files)

    return change
