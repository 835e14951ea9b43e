"""Reports of tokens that leaked, and tokens over HTTP."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.tokens.text import UserToken
from pypicloud_tw.access.tokens.tokens import NewToken
from pypicloud_tw.config.rights import Action
from pypicloud_tw.index.audit import Actor
from tests.builders import wheel
from tests.web.doubles import FORM_TYPE, Response, Web, basic, upload_form

PATH = "/api/v1/access/tokens/revealed"
JSON = {"Content-Type": "application/json"}
FOUND = "https://example.org/acme/tool/blob/main/ci.yml?token=x#L7"


class TokensOverHttpTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.web = Web(default_read="authenticated")

    def make(self, *actions: Action) -> NewToken:
        making = self.web.tokens.make("ann", Actor("ann"), "CI", actions or None)
        return self.successResultOf(Deferred.fromCoroutine(making))

    def get(self, text: str) -> Response:
        return self.web.get("/simple/", basic("__token__", text))


class TokenTests(TokensOverHttpTestCase):
    def test_it_reads_by_basic_and_by_bearer(self) -> None:
        text = self.make().text
        self.assertEqual(200, self.get(text).status)
        bearer = {"Authorization": f"Bearer {text}"}
        self.assertEqual(200, self.web.get("/simple/", bearer).status)
        self.assertEqual(401, self.web.get("/simple/").status)

    def test_a_damaged_one_is_told(self) -> None:
        answer = self.get(self.make().text[:-1])
        self.assertEqual(401, answer.status)
        self.assertIn("not a whole token", answer.text)
        self.assertIn("Basic", answer["WWW-Authenticate"] or "")

    def test_it_uploads_as_its_owner(self) -> None:
        self.assertEqual(200, self.upload(self.make(Action.UPLOAD).text).status)

    def test_but_not_if_it_is_for_reading(self) -> None:
        self.assertEqual(403, self.upload(self.make(Action.READ).text).status)

    def upload(self, text: str) -> Response:
        name = "acme-1.0-py3-none-any.whl"
        form = upload_form(name, wheel("acme", "1.0"))
        return self.web.post(form, headers=FORM_TYPE | basic("__token__", text))


class RevealedTests(TokensOverHttpTestCase):
    def report(self, *tokens: str) -> Response:
        items = [
            {"token": text, "type": "pypicloud", "url": FOUND, "source": "content"}
            for text in tokens
        ]
        return self.send(json.dumps(items).encode())

    def send(self, body: bytes) -> Response:
        return self.web.request("POST", PATH, JSON, body)

    def test_what_is_reported_is_revoked(self) -> None:
        leaked, other = self.make(), self.make()
        answer = self.report(leaked.text, "something else")
        self.assertEqual((200, {"received": 2}), (answer.status, answer.json))
        self.assertEqual(401, self.get(leaked.text).status)
        self.assertEqual(200, self.get(other.text).status)

    def test_the_answer_tells_nothing(self) -> None:
        leaked = self.make().text
        answers = [self.report(text) for text in (leaked, leaked, leaked[:-1], "x")]
        self.assertEqual(1, len({(a.status, a.body) for a in answers}))

    def test_who_revoked_it_is_whoever_knew_it(self) -> None:
        made = self.make()
        with capturedLogs() as events:
            self.report(made.text)
        lines = [str(formatEvent(event)) for event in events]
        told = [line for line in lines if "revoked a token" in line]
        self.assertEqual(1, len(told))
        self.assertIn(FOUND.partition("?")[0], told[0])
        self.assertNotIn("?token=", told[0])
        listing = Deferred.fromCoroutine(self.web.tokens.find(made.record.id))
        record = self.successResultOf(listing).record
        self.assertEqual("whoever knew it", record.revoked_by)

    def test_who_reports_nothing_but_nonsense_is_slowed(self) -> None:
        statuses = [self.report("x").status for _ in range(31)]
        self.assertEqual([200] * 30 + [429], statuses)

    def test_what_only_looks_like_tokens_is_asked_for_at_a_bounded_rate(self) -> None:
        leaked = self.make()
        before = len(self.web.store.calls)
        made_up = [UserToken.draw(f"u{number}").text for number in range(200)]
        self.assertEqual(200, self.report(*made_up[:99], made_up[0]).status)
        self.assertEqual(429, self.report(*made_up[100:]).status)
        asked = [call for call in self.web.store.calls[before:] if "tokens/" in call[1]]
        self.assertEqual(100, len(asked))
        self.web.domain.clock.advance(3)
        self.assertEqual(200, self.report(leaked.text).status)
        self.assertEqual(401, self.get(leaked.text).status)

    @settings(max_examples=20)
    @given(
        st.binary(max_size=50)
        | st.recursive(
            st.none() | st.integers() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
            max_leaves=5,
        ).map(lambda value: json.dumps(value).encode())
    )
    def test_what_is_no_report_is_refused(self, body: bytes) -> None:
        self.setUp()
        answer = self.send(body)
        self.assertIn(answer.status, (200, 400))
        if answer.status == 400:
            self.assertRegex(answer.text, "A report is a list|Each object of the list")

    def test_too_much_is_refused(self) -> None:
        self.assertEqual(413, self.send(b" " * 200_000).status)
        self.assertEqual(400, self.report(*["x"] * 101).status)
