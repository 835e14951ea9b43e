"""What is told of refusals and downloads, over the real HTTP edge; no secret is."""

from __future__ import annotations

import base64
import json
import re
from hashlib import sha256
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.audit.downloads import DownloadLog
from pypicloud_tw.access.audit.trail import Trail
from pypicloud_tw.access.policy import Policy
from pypicloud_tw.access.settings import AccessSettings
from pypicloud_tw.config.rights import Action, RightLine
from pypicloud_tw.index.audit import Act, Proof
from pypicloud_tw.metrics import Metrics
from tests.builders import wheel
from tests.web.doubles import (
    FORM_TYPE,
    HASH,
    Domain,
    Response,
    Web,
    basic,
    form_bytes,
    upload_form,
)

WHEEL = "acme-1.0-py3-none-any.whl"


class RecordCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.web = Web()
        self.acts: list[Act] = []
        self.web.domain.publisher.audit = self.acts.append

    def upload(self, headers: dict[str, str] | None = None) -> Response:
        form = upload_form(WHEEL, wheel())
        return self.web.request(
            "POST", "/legacy/", {**FORM_TYPE, **(headers or {})}, form
        )


class RefusalTests(RecordCase):
    def test_a_wrong_password(self) -> None:
        headers = {**basic("ann", "wrong"), "User-Agent": "twine/7"}
        self.assertEqual(self.upload(headers).status, 401)
        [act] = self.acts
        self.assertEqual((act.act, act.outcome), ("log-in", "refused"))
        self.assertEqual(act.actor.name, "ann")
        self.assertEqual(dict(act.actor.proof.details), {"tried": "password"})
        self.assertEqual(act.actor.user_agent, "twine/7")
        self.assertIsNotNone(act.actor.address)
        self.assertEqual(act.reason, "The user name or the password is wrong.")

    def test_a_password_in_the_place_of_the_name(self) -> None:
        """What is nobody's name is not written down."""
        self.upload(basic("correct horse battery", ""))
        [act] = self.acts
        self.assertIsNone(act.actor.name)
        self.assertNotIn("horse", repr(act))

    def test_a_wrong_token(self) -> None:
        for headers in (
            basic("__token__", "pypi-twu_ABCD2345"),
            {"Authorization": "Bearer pypi-twu_ABCD2345"},
        ):
            self.acts.clear()
            self.upload(headers)
            [act] = self.acts
            self.assertEqual(dict(act.actor.proof.details), {"tried": "token"})
            self.assertNotIn("ABCD2345", repr(act))

    def test_slowed_down(self) -> None:
        for _ in range(11):
            answer = self.upload(basic("ann", "wrong"))
        self.assertEqual(answer.status, 429)
        self.assertEqual(len(self.acts), 11)
        self.assertIn("Too many wrong passwords", self.acts[-1].reason or "")

    def test_an_upload_without_a_login(self) -> None:
        self.assertEqual(self.upload().status, 401)
        [act] = self.acts
        self.assertEqual((act.act, act.actor.name), ("upload", None))

    def test_reading_without_a_login_is_how_clients_begin(self) -> None:
        self.web = Web(default_read="authenticated")
        self.web.domain.publisher.audit = self.acts.append
        self.assertEqual(self.web.get("/simple/").status, 401)
        self.assertEqual(self.acts, [])
        self.assertIn(
            'pypicloud_refusals_total{action="read",reason="unauthorized"} 1.0',
            self.web.get("/metrics").text,
        )

    def test_another_sites_form(self) -> None:
        headers = {**basic(), "Origin": "https://evil.example"}
        self.assertEqual(self.upload(headers).status, 403)
        [act] = self.acts
        self.assertEqual((act.act, act.outcome), ("change", "refused"))

    def test_what_is_not_there_is_no_refusal(self) -> None:
        self.assertEqual(self.web.get("/simple/acme/").status, 404)
        self.assertEqual(self.web.get("/packages/acme/abc/x.whl").status, 404)
        self.assertEqual(self.acts, [])

    def test_an_upload_that_is_wrong_is_no_refusal(self) -> None:
        form = form_bytes([(":action", "file_upload")])
        self.web.request("POST", "/legacy/", {**FORM_TYPE, **basic()}, form)
        self.assertEqual(self.acts, [])

    def test_log_ins_are_counted_once(self) -> None:
        for headers in (basic(), basic(), basic("ann", "wrong"), basic()):
            self.upload(headers)
        text = self.web.get("/metrics").text
        counts = dict(re.findall(r"^pypicloud_logins_total(\{.+\}) (\S+)$", text, re.M))
        self.assertEqual(
            counts,
            {
                '{kind="password",outcome="done"}': "1.0",
                '{kind="password",outcome="unauthorized"}': "1.0",
            },
        )


class RightTests(RecordCase):
    """Somebody who is known, and may not."""

    def setUp(self) -> None:
        super().setUp()
        self.web.publish(WHEEL, wheel())
        settings = AccessSettings(
            rights=(
                RightLine("acme", "user", "bob", frozenset(), "a test"),
                RightLine("zope", "user", "ann", frozenset({Action.UPLOAD}), "a test"),
            ),
            users=frozenset({"ann", "bob"}),
            has_users=True,
        )
        self.web = Web(
            self.web.domain, {"ann": HASH, "bob": HASH}, policy=Policy(settings)
        )
        self.acts.clear()

    def refused(self) -> Act:
        [act] = self.acts
        self.assertEqual(act.outcome, "refused")
        self.assertEqual((act.actor.name, act.actor.proof), ("ann", Proof("password")))
        return act

    def test_an_upload(self) -> None:
        self.assertEqual(self.upload(basic()).status, 403)
        act = self.refused()
        self.assertEqual((act.act, act.project), ("upload", "acme"))

    def test_a_page_that_is_told_not_to_be_there(self) -> None:
        self.assertEqual(self.web.get("/simple/acme/", basic()).status, 404)
        act = self.refused()
        self.assertEqual((act.act, act.project), ("read", "acme"))

    def test_a_file(self) -> None:
        self.assertEqual(self.web.get(PATH, basic()).status, 404)
        self.assertEqual(self.refused().act, "read")
        self.assertEqual(self.web.downloads, [])

    def test_what_is_not_there(self) -> None:
        self.assertEqual(self.web.get("/simple/other/", basic()).status, 404)
        self.assertEqual(self.acts, [])


class DownloadTests(RecordCase):
    def setUp(self) -> None:
        super().setUp()
        self.web.publish(WHEEL, wheel())
        self.size = len(wheel())

    def get(self, path: str | None = None, **headers: str) -> Response:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.web.request("GET", path or PATH, fields)

    def test_streamed(self) -> None:
        self.get(User_Agent="pip/26.3", **basic())
        [download] = self.web.downloads
        self.assertEqual(
            (download.project, download.version, download.file, download.how),
            ("acme", "1.0", WHEEL, "streamed"),
        )
        self.assertEqual((download.status, download.sent), (200, self.size))
        # What everyone may read is given without asking who it is.
        self.assertIsNone(download.actor.name)
        self.assertEqual(download.actor.user_agent, "pip/26.3")

    def test_who_where_it_is_known(self) -> None:
        self.web = Web(domain=self.web.domain, default_read="authenticated")
        self.get(**basic())
        [download] = self.web.downloads
        self.assertEqual(download.actor.name, "ann")

    def test_a_range(self) -> None:
        self.assertEqual(self.get(Range="bytes=0-9").status, 206)
        [download] = self.web.downloads
        self.assertEqual((download.range, download.sent), ("bytes=0-9", 10))

    def test_by_its_former_address(self) -> None:
        self.get(f"/api/package/acme/{WHEEL}")
        self.assertEqual(len(self.web.downloads), 1)

    def test_what_hands_nothing_out(self) -> None:
        etag = self.get()["ETag"] or ""
        self.web.downloads.clear()
        self.assertEqual(self.get(If_None_Match=etag).status, 304)
        self.assertEqual(self.get(f"{PATH}.metadata").status, 200)
        self.assertEqual(self.get(f"{PATH}x").status, 404)
        self.assertEqual(self.get(Range="bytes=99999999-").status, 416)
        self.web.request("HEAD", PATH)
        self.assertEqual(self.web.downloads, [])


#: The address of the wheel.
PATH = f"/packages/acme/{sha256(wheel()).hexdigest()[:16]}/{WHEEL}"

#: Whatever may stand in a header field.
FIELDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=40)
SECRETS = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", min_size=12, max_size=40)


class SecretTests(SynchronousTestCase):
    """Whatever is sent, no secret gets into either log."""

    def setUp(self) -> None:
        self.domain = Domain()
        self.written: list[bytes] = []
        clock: Clock = self.domain.clock
        log: Any = Lines(self.written)
        self.trail = Trail(clock, Metrics(clock), log, tell=lambda act: None)
        self.domain.publisher.audit = self.trail
        download_log = DownloadLog(log, clock.seconds)
        self.web = Web(self.domain, download_log=download_log)
        self.web.publish(WHEEL, wheel())

    def test_a_range_that_is_cut(self) -> None:
        """A secret's end, by which it would be known, is not there any more."""
        for field, kept in (
            ("bytes=0-1,https://" + "0" * 60 + ":" + "2" * 40 + "@host/", False),
            ("bytes=0-1, 3-4", True),
        ):
            self.written.clear()
            self.web.request("GET", PATH, {"Range": field})
            text = b"".join(self.written).decode()
            self.assertIn('"sent"', text)
            self.assertEqual("bytes=0-1" in text, kept)
            self.assertNotIn("2222222", text)

    @settings(max_examples=60)
    @given(SECRETS, FIELDS, st.data())
    def test_none(self, secret: str, other: str, data: st.DataObject) -> None:
        token = data.draw(st.sampled_from((f"pypi-twu_{secret}", f"pypi-twm_{secret}")))
        login = base64.b64encode(f"{other or 'x'}:{secret}".encode()).decode()
        shapes = (
            token,
            f"Basic {login}",
            f"Bearer {secret}",
            f"https://{other.replace('/', '')}:{secret}@host/",
            f"https://host/x?X-Amz-Signature={secret}&a=b",
            f"eyJhbGciOiJSUzI1NiJ9.{secret}.{secret}",
            f"$argon2id$v=19${secret}",
        )
        agent = " ".join(data.draw(st.lists(st.sampled_from(shapes), max_size=3)))
        authorization = data.draw(
            st.sampled_from(
                (
                    basic("ann", secret)["Authorization"],
                    basic(secret, "x")["Authorization"],
                    basic("__token__", token)["Authorization"],
                    f"Bearer {token}",
                    f"Basic {secret}",
                    secret,
                )
            )
        )
        headers = {"Authorization": authorization, "User-Agent": f"a/1 {agent}"}
        path = data.draw(st.sampled_from((f"/simple/{token}/", PATH, "/")))
        self.written.clear()
        self.web.request("GET", path, {**headers, "Range": f"bytes=0-1,{agent}"})
        form = upload_form(WHEEL, wheel(), comment=secret, name=token)
        self.web.request("POST", "/legacy/", {**FORM_TYPE, **headers}, form)
        self.domain.clock.advance(60)
        text = b"".join(self.written).decode()
        for line in text.splitlines():
            json.loads(line)
        self.assertIn('"log-in"', text)
        for hidden in (secret, secret.lower(), login, authorization, HASH):
            self.assertNotIn(hidden, text)


class Lines:
    """Stands for a log's file."""

    lost = 0

    def __init__(self, written: list[bytes]) -> None:
        self.add = written.append
