"""What readers and uploaders may, beside the table of every address."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access import changes
from pypicloud_tw.access.document import AccessDocument
from pypicloud_tw.access.settings import AccessSettings
from pypicloud_tw.index.audit import Actor
from pypicloud_tw.index.names import NormalizedName, project_name
from tests.access.doubles import policy_of
from tests.builders import sdist, wheel
from tests.web.doubles import (
    FORM_TYPE,
    HASH,
    Response,
    Web,
    basic,
    data_keys,
    form_bytes,
    named,
    request_bytes,
    stored_project,
    upload_form,
)
from tests.web.test_app_fallback import Front

USERS = dict.fromkeys(("bob", "dev1", "boss"), HASH)
JSON = {"Accept": "application/vnd.pypi.simple.v1+json"}
WHEEL = "acme-1.0-py3-none-any.whl"
REMOVAL = form_bytes([(":action", "remove_pkg"), ("name", "acme"), ("version", "1.0")])
OTHER = wheel(extra=[("acme/__init__.py", b"other = True\n")])


def web_of(text: str) -> Web:
    """A server with these lines in its ini; bob, dev1 and boss can log in."""
    return Web(users=USERS, policy=policy_of(text))


def put_in_force(web: Web, text: str) -> None:
    """Have other lines."""
    access = web.application.access
    access.policy = access.policy.with_settings(policy_of(text).settings)


def change_users(web: Web, change: Callable[..., AccessDocument], *of: Any) -> None:
    """Change the access document, as an administrator does."""
    web.wait(
        web.documents.change(lambda document: change(document, AccessSettings(), *of))
    )


class AnonymousUploadTests(SynchronousTestCase):
    """Where the ini lets everyone write."""

    def setUp(self) -> None:
        self.web = web_of("pypi.default_write = everyone")

    def upload(
        self, data: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Response:
        form = upload_form(WHEEL, data or wheel())
        fields = {**FORM_TYPE, **(headers or {})}
        return self.web.request("POST", "/legacy/", fields, form)

    def test_is_taken_and_is_nobodys(self) -> None:
        self.assertEqual(self.upload().status, 200)
        (stored,) = stored_project(self.web.store).files
        self.assertIsNone(stored.uploader)

    def test_whoever_logs_in_is_named(self) -> None:
        self.assertEqual(self.upload(headers=basic("bob")).status, 200)
        (stored,) = stored_project(self.web.store).files
        self.assertEqual(stored.uploader, "bob")

    def test_a_wrong_password_is_not_nobody(self) -> None:
        self.assertEqual(self.upload(headers=basic("bob", "wrong")).status, 401)
        self.assertEqual(self.web.store.objects, {})

    def test_nobody_in_particular_replaces_or_removes(self) -> None:
        self.upload()
        self.assertEqual(self.upload(OTHER).status, 409)
        fields = {":action": "remove_pkg", "name": "acme", "version": "1.0"}
        removal = form_bytes(fields.items())
        for headers, status in (({}, 401), (basic("bob"), 200)):
            answer = self.web.request("POST", "/", {**FORM_TYPE, **headers}, removal)
            self.assertEqual(answer.status, status, headers)


class UploadTests(SynchronousTestCase):
    RULES = """
    pypi.default_write = dev
    group.dev = dev1
    package.secret.user.bob = rw
    package.mine.user.bob = rw
    """

    def setUp(self) -> None:
        self.web = web_of(self.RULES)

    def begin(self, user: str, body: bytes, length: int = 10**6) -> Response | None:
        """Send a beginning, and no more; give the answer if there is one already."""
        fields = {**FORM_TYPE, **basic(user), "Content-Length": str(length)}
        connection = self.web.connect()
        connection.send(request_bytes("POST", "/legacy/", fields) + body)
        return connection.response("POST")

    def test_who_may_upload_nothing_is_refused_before_the_body(self) -> None:
        self.web = web_of("pypi.default_write = dev")
        answer = self.begin("bob", b"")
        assert answer is not None
        self.assertEqual(answer.status, 403)

    def test_who_may_not_upload_to_a_project_is_refused_before_its_bytes(self) -> None:
        form = upload_form(WHEEL, wheel())
        answer = self.begin("bob", form[: form.index(b"PK")])
        assert answer is not None
        self.assertEqual(answer.status, 403)
        self.assertIn("You may not upload to acme", answer.text)
        self.assertEqual([c for c in self.web.store.calls if c[0] == "begin"], [])

    def test_the_forms_name_is_asked_for_too(self) -> None:
        """Wherever it stands, and whatever the file's own name says."""
        content = ("content", (WHEEL, wheel()))
        action = (":action", "file_upload")
        names = ("name", "secret"), ("version", "1.0")
        for fields in ((action, *names, content), (action, content, *names)):
            answer = self.web.post(form_bytes(fields), headers=basic("dev1"))
            self.assertEqual(answer.status, 403, fields[1])
            self.assertIn("secret", answer.text)
        self.assertEqual(self.web.store.objects, {})

    def test_a_name_that_can_be_none_is_asked_of_nobody(self) -> None:
        """Names that were asked for are remembered, so they have an end."""
        content = ("content", ("mine-1.0.tar.gz", sdist("mine")))
        action, version = (":action", "file_upload"), ("version", "1.0")
        for text, why in (("x" * 10_000, "longer than 246"), ("\u017fecret", "ASCII")):
            name = ("name", text)
            for fields in ((action, name, version), (action, version)):
                after = () if name in fields else (name,)
                form = form_bytes((*fields, content, *after))
                answer = self.web.post(form, headers=basic("bob"))
                self.assertEqual(answer.status, 400, answer.text)
                self.assertIn(why, answer.text)

    def test_blanks_around_a_name_are_none_of_it(self) -> None:
        form = upload_form("mine-1.0.tar.gz", sdist("mine"), name=" mine ")
        self.assertEqual(self.web.post(form, headers=basic("bob")).status, 200)

    def test_who_may_do_so_to_both_hears_that_they_differ(self) -> None:
        form = upload_form("mine-1.0.tar.gz", sdist("mine"), name="secret")
        answer = self.web.post(form, headers=basic("bob"))
        self.assertEqual(answer.status, 400)
        self.assertIn("is not the project that the filename says", answer.text)

    def changing(
        self, change: Callable[[], object], body: bytes, headers: dict[str, str]
    ) -> Response:
        """Send a form, and have something change while it is on its way."""
        connection = self.web.connect()
        request = request_bytes("POST", "/", {**FORM_TYPE, **headers}, body)
        connection.send(request[:-50])
        change()
        connection.send(request[-50:])
        answer = connection.response("POST")
        assert answer is not None
        return answer

    def test_rights_that_end_amid_the_upload(self) -> None:
        rules = "pypi.default_write = others\ngroup.others = bob"
        form = upload_form(WHEEL, wheel())
        answer = self.changing(
            lambda: put_in_force(self.web, rules), form, basic("dev1")
        )
        self.assertEqual(answer.status, 403)
        self.assertEqual(self.web.store.objects, {})

    def test_a_log_in_that_ends_amid_the_upload(self) -> None:
        """What it began is not finished, even where every user may do it."""
        for form in (upload_form("acme-1.0.tar.gz", sdist()), REMOVAL):
            for how in ("removed", "other password", "revoked"):
                web = self.web = web_of("pypi.default_write = authenticated")
                web.publish(WHEEL, wheel())
                change_users(web, changes.put_user, "eve", HASH)
                token = web.wait(web.tokens.make("eve", Actor("eve"), "CI"))
                ends: dict[str, tuple[Callable[[], object], dict[str, str]]] = {
                    "removed": (
                        lambda: change_users(self.web, changes.remove_user, "eve"),
                        basic("eve"),
                    ),
                    "other password": (
                        lambda: change_users(
                            self.web, changes.set_password, "eve", None
                        ),
                        basic("eve"),
                    ),
                    "revoked": (
                        partial(self.revoke, token.record.id),
                        basic("__token__", token.text),
                    ),
                }
                end, headers = ends[how]
                answer = self.changing(end, form, headers)
                self.assertEqual(answer.status, 401, (how, answer.text))
                (stored,) = stored_project(web.store).files
                self.assertEqual(stored.filename, WHEEL)
                self.assertEqual(data_keys(web.store), named(web.store))

    def revoke(self, id: str) -> None:
        self.web.wait(self.web.tokens.revoke("eve", id, Actor("eve")))

    def test_a_token_that_ends_amid_the_upload(self) -> None:
        self.web = web_of("pypi.default_write = authenticated")
        change_users(self.web, changes.put_user, "eve", None)
        token = self.web.wait(
            self.web.tokens.make("eve", Actor("eve"), "short", life=30)
        )
        answer = self.changing(
            lambda: self.web.domain.clock.advance(31),
            upload_form(WHEEL, wheel()),
            basic("__token__", token.text),
        )
        self.assertEqual(answer.status, 401)
        self.assertIn("has ended", answer.text)

    def test_a_server_that_becomes_read_only_amid_the_upload(self) -> None:
        rules = f"{self.RULES}\npypi.read_only = We move."
        for form in (upload_form(WHEEL, wheel()), REMOVAL):
            self.web = web_of(self.RULES)
            answer = self.changing(
                lambda: put_in_force(self.web, rules), form, basic("dev1")
            )
            self.assertEqual(answer.status, 403)
            self.assertIn("We move.", answer.text)
            self.assertEqual(self.web.store.objects, {})

    def test_overwriting_is_asked_of_who_does_it(self) -> None:
        rules = f"{self.RULES}\nauth.admins = boss\npypi.allow_overwrite_groups = dev"
        self.web = web_of(rules)
        self.web.publish(WHEEL, wheel())
        form = upload_form(WHEEL, OTHER)
        for user, status in (("boss", 409), ("dev1", 200)):
            answer = self.web.post(form, headers=basic(user))
            self.assertEqual(answer.status, status, user)

    def test_deleting_takes_no_right_to_upload(self) -> None:
        self.web = web_of("pypi.default_write = dev\npackage.acme.user.bob = manage")
        self.web.publish(WHEEL, wheel())
        fields = {":action": "remove_pkg", "name": "acme", "version": "1.0"}
        form = form_bytes(fields.items())
        self.assertEqual(self.web.post(form, headers=basic("bob")).status, 200)
        upload = upload_form("acme-2.0.tar.gz", sdist(version="2.0"), version="2.0")
        self.assertEqual(self.web.post(upload, headers=basic("bob")).status, 403)


class PrivacyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.web = web_of("package.secret.user.bob = r")
        for name in ("acme", "secret"):
            self.web.publish(f"{name}-1.0.tar.gz", sdist(name))

    def test_what_not_everybody_may_read_is_private(self) -> None:
        """Of each project by itself; made anew, and warm."""
        for name, scope in (("acme", "public"), ("secret", "private")):
            stored = stored_project(self.web.store, name).files[0]
            for path in (
                f"/simple/{name}/",
                f"/simple/{name}/",
                f"/packages/{name}/{stored.sha256[:16]}/{stored.filename}",
                f"/api/package/{name}/{stored.filename}",
            ):
                answer = self.web.get(path, basic("bob"))
                self.assertEqual(answer.status, 200, path)
                self.assertIn(scope, answer["Cache-Control"] or "", path)
        for headers in ({}, basic("bob")):
            answer = self.web.get("/simple/", headers)
            self.assertEqual(answer["Cache-Control"], "no-cache, private")

    def test_a_list_is_public_where_all_is(self) -> None:
        put_in_force(self.web, "")
        answer = self.web.get("/simple/")
        self.assertEqual(answer["Cache-Control"], "no-cache, public")

    def test_a_stale_password_closes_nothing_that_is_open(self) -> None:
        stale = basic("bob", "stale")
        self.assertEqual(self.web.get("/simple/acme/", stale).status, 200)
        # Which list is meant only a right one tells.
        self.assertEqual(self.web.get("/simple/", stale).status, 401)
        put_in_force(self.web, "")
        for path in ("/", "/simple/", "/packages/"):
            self.assertEqual(self.web.get(path, stale).status, 200, path)

    def test_names_that_cannot_be_served(self) -> None:
        unserved = self.web.domain.index.unserved
        names = "broken", "secret-broken"
        unserved.find({project_name(name): "It is damaged." for name in names})
        put_in_force(self.web, "package.secret-broken.user.bob = r")
        count = "2 project(s) in the store cannot be served."
        mine = "secret-broken: It is damaged."
        everybody = self.web.get("/ready").text
        self.assertIn(count, everybody)
        self.assertIn("\nbroken: It is damaged.", everybody)
        self.assertNotIn(mine, everybody)
        self.assertIn(mine, self.web.get("/ready", basic("bob")).text)
        self.web.application.reload(metrics_read=lambda principal, client: False)
        self.assertEqual(self.web.get("/ready").text, f"ready\n1{count[1:]}\n")

    def test_names_of_the_cache(self) -> None:
        """What is kept of the upstream is no more to be heard of than what is here."""
        front = Front("cache")
        front.web = Web(
            front.domain, users=USERS, policy=policy_of("package.beta.user.bob = r")
        )
        front.web.application.projects.fallback = front.fallback

        async def kept() -> frozenset[NormalizedName]:
            return frozenset({project_name("acme"), project_name("beta")})

        front.fallback.kept_names = kept
        self.assertEqual(self.listed(front.web, {}), ["acme"])
        self.assertEqual(self.listed(front.web, basic("bob")), ["acme", "beta"])

    def listed(self, web: Web, headers: dict[str, str]) -> list[str]:
        document: Any = web.get("/simple/", {**JSON, **headers}).json
        return [one["name"] for one in document["projects"]]


class HomeTests(SynchronousTestCase):
    """The front page says what its reader can do."""

    def home(self, text: str, user: str | None = None) -> str:
        headers = basic(user) if user is not None else {}
        answer = web_of(text).get("/", headers)
        self.assertEqual(answer.status, 200)
        return answer.text

    def test_uploads(self) -> None:
        rules = "pypi.default_write = dev\ngroup.dev = dev1"
        for text, user, hint in (
            ("", None, True),
            (rules, None, True),
            (rules, "dev1", True),
            (rules, "bob", False),
            ("pypi.default_write = everyone", None, True),
            ("pypi.read_only = We move.", "bob", False),
        ):
            page = self.home(text, user)
            self.assertEqual("twine upload" in page, hint, (text, user))
            self.assertEqual("uv publish" in page, hint, (text, user))

    def test_nobody_can_upload(self) -> None:
        page = Web(users={}).get("/").text
        self.assertNotIn("twine upload", page)
        self.assertIn("Anyone may read this index.", page)

    def test_anyone_can(self) -> None:
        page = self.home("pypi.default_write = everyone")
        self.assertIn("Anyone may read this index, and upload to it.", page)
        self.assertNotIn("username", page)

    def test_a_part(self) -> None:
        rules = "package.secret.user.bob = r"
        self.assertIn("Anyone may read a part of this index", self.home(rules))
        self.assertNotIn("USER:PASSWORD", self.home(rules))
        self.assertIn("USER:PASSWORD@", self.home(rules, "bob"))

    def test_read_only(self) -> None:
        page = self.home("pypi.read_only = We <move>.")
        self.assertIn(
            "Nothing can be changed here now:</strong> We &lt;move&gt;.", page
        )


class ReadOnlyTests(SynchronousTestCase):
    def test_reading_goes_on_and_uploads_are_told_why(self) -> None:
        web = web_of("pypi.read_only = We move until noon.")
        web.publish(WHEEL, wheel())
        self.assertEqual(web.get("/simple/acme/").status, 200)
        connection = web.connect()
        fields = {**FORM_TYPE, **basic("bob"), "Content-Length": "1000000"}
        connection.send(request_bytes("POST", "/legacy/", fields))
        answer = connection.response("POST")
        assert answer is not None  # before the body
        self.assertEqual(answer.status, 403)
        sentence = "Nothing can be changed here now: We move until noon."
        self.assertEqual(answer.text, f"{sentence}\n")
        self.assertEqual(answer.reason, sentence)

    def test_whoever_may_not_is_not_told(self) -> None:
        web = web_of("pypi.read_only = We move until noon.")
        answer = web.request("POST", "/legacy/", FORM_TYPE, b"")
        self.assertEqual(answer.status, 401)
        self.assertNotIn("noon", answer.text)

    def test_for_a_while(self) -> None:
        web = web_of("")
        form = upload_form(WHEEL, wheel())
        for text, status in (("pypi.read_only = We move.", 403), ("", 200)):
            put_in_force(web, text)
            self.assertEqual(web.post(form, headers=basic("bob")).status, status)
