"""Rules that administrators change at run time, over the real HTTP edge."""

from __future__ import annotations

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.document import AccessDocument, StoredUser
from pypicloud_tw.access.document_format import KEY, TITLE
from pypicloud_tw.access.documents import DocumentChange
from pypicloud_tw.config.rights import EVERYONE, Action, RightLine
from pypicloud_tw.errors import StoreError
from tests.builders import wheel
from tests.web.doubles import (
    FORM_TYPE,
    HASH,
    Web,
    basic,
    request_bytes,
    upload_form,
)

WHEEL = "acme-1.0-py3-none-any.whl"
PAGE = "/simple/acme/"


def close(document: AccessDocument) -> AccessDocument:
    """Have the project be read by bob alone."""
    line = RightLine("acme", "user", "bob", frozenset({Action.READ}), TITLE)
    return evolve(document, rights=(line,))


def add_bob(document: AccessDocument) -> AccessDocument:
    return evolve(document, users={"bob": StoredUser(HASH)})


def away(operation: str, key: str) -> None:
    raise StoreError("The store is away.")


class TwoServersTests(SynchronousTestCase):
    """Two servers of one store; an administrator changes something on the other."""

    def setUp(self) -> None:
        self.one = Web()
        self.other = Web(domain=self.one.domain.beside())
        self.store, self.clock = self.one.store, self.one.domain.clock
        self.one.publish(WHEEL, wheel())
        for web in (self.one, self.other):
            self.assertEqual(web.get(PAGE).status, 200)

    def change(self, *changes: DocumentChange) -> None:
        for change in changes:
            work = Deferred.fromCoroutine(self.other.documents.change(change))
            self.other.domain.settle(work)
            self.successResultOf(work)

    def test_both_obey_within_fresh_for(self) -> None:
        self.change(add_bob, close)
        self.assertEqual(self.other.get(PAGE).status, 401)
        self.clock.advance(1)
        for web in (self.one, self.other):
            self.assertEqual(web.get(PAGE).status, 401)
            self.assertEqual(web.get(PAGE, basic("bob")).status, 200)
            self.assertEqual(web.get(PAGE, basic("ann")).status, 404)

    def test_a_warm_page_costs_no_request(self) -> None:
        self.change(add_bob, close)
        self.clock.advance(1)
        self.assertEqual(self.one.get(PAGE, basic("bob")).status, 200)
        before = list(self.store.calls)
        for _ in range(3):
            self.assertEqual(self.one.get(PAGE, basic("bob")).status, 200)
            self.assertEqual(self.one.get(PAGE).status, 401)
        self.assertEqual(self.store.calls, before)

    def test_a_page_that_is_a_moment_old_costs_the_marker(self) -> None:
        self.change(add_bob, close)
        self.clock.advance(1)
        self.one.get(PAGE, basic("bob"))
        self.clock.advance(1)
        before = len(self.store.calls)
        self.assertEqual(self.one.get(PAGE, basic("bob")).status, 200)
        self.assertEqual(self.store.calls[before:], [("get", ".marker")])

    def test_a_user_who_was_removed_cannot_log_in(self) -> None:
        self.change(add_bob, close)
        self.clock.advance(1)
        self.assertEqual(self.one.get(PAGE, basic("bob")).status, 200)
        self.change(lambda document: evolve(document, users={}))
        self.clock.advance(1)
        self.assertEqual(self.one.get(PAGE, basic("bob")).status, 401)

    def test_a_right_that_ends_during_an_upload(self) -> None:
        form = upload_form(WHEEL.replace("1.0", "2.0"), wheel(version="2.0"))
        connection = self.one.connect()
        head = {**FORM_TYPE, **basic(), "Content-Length": str(len(form))}
        connection.send(request_bytes("POST", "/legacy/", head) + form[:-10])
        self.change(close)
        self.clock.advance(1)
        connection.send(form[-10:])
        response = connection.response("POST")
        assert response is not None
        self.assertEqual(response.status, 403)

    def test_the_inis_user_of_that_name_wins(self) -> None:
        other = StoredUser(HASH.replace("$1$", "$2$"))
        self.change(lambda document: evolve(document, users={"ann": other}))
        self.clock.advance(1)
        form = self.one.get("/simple/", basic("ann"))
        self.assertEqual(form.status, 200)

    def test_what_was_known_holds_while_the_store_is_away(self) -> None:
        self.change(add_bob, close)
        self.clock.advance(1)
        self.assertEqual(self.one.get(PAGE, basic("bob")).status, 200)
        self.store.before = away
        self.clock.advance(100)
        self.assertEqual(self.one.get(PAGE, basic("bob")).status, 200)
        self.assertEqual(self.one.get(PAGE).status, 401)

    def test_an_upload_asks_a_store_that_is_back_a_moment_later(self) -> None:
        self.clock.advance(1)
        self.store.before = away
        self.assertEqual(self.one.get("/simple/other/").status, 503)
        form = upload_form(
            WHEEL.replace("1.0", "2.0"), wheel(version="2.0"), version="2.0"
        )
        self.assertEqual(self.one.post(form).status, 503)
        self.store.before = lambda operation, key: None
        response = self.one.post(form)
        self.assertEqual(response.status, 200, response.text)

    def test_nothing_is_allowed_before_the_rules_are_known(self) -> None:
        third = Web(domain=self.one.domain.beside())
        self.store.before = away
        self.assertEqual(third.get("/health").status, 200)
        self.assertEqual(third.get("/metrics").status, 200)
        for path in (PAGE, "/simple/", "/pypi/acme/json"):
            response = third.get(path)
            self.assertEqual(response.status, 503)
            self.assertIn("not known who may do what", response.text)


class UnusableTests(SynchronousTestCase):
    """A document that cannot be read any more."""

    def setUp(self) -> None:
        self.web = Web()
        work = Deferred.fromCoroutine(self.web.documents.change(close))
        self.successResultOf(work)
        self.web.publish(WHEEL, wheel())
        self.assertEqual(self.web.get(PAGE).status, 401)
        del self.web.store.objects[KEY]
        self.web.domain.clock.advance(60)

    def test_what_was_known_holds_and_ready_says_so(self) -> None:
        self.assertEqual(self.web.get(PAGE).status, 401)
        ready = self.web.get("/ready")
        self.assertEqual(ready.status, 200)
        self.assertIn("The access document is gone", ready.text)
        self.assertIn("What was known of it before holds", ready.text)

    def test_nothing_is_published_by_what_was_known(self) -> None:
        form = upload_form(WHEEL.replace("1.0", "2.0"), wheel(version="2.0"))
        response = self.web.post(form)
        self.assertEqual(response.status, 503)
        self.assertIn("nothing is changed. The access document is gone", response.text)

    def test_a_server_that_never_read_it_is_not_ready(self) -> None:
        fresh = Web(domain=self.web.domain.beside())
        for path in ("/ready", PAGE):
            response = fresh.get(path)
            self.assertEqual(response.status, 503)
            self.assertIn("The access document is gone", response.text)

    def test_nothing_of_it_is_changed(self) -> None:
        line = RightLine("other", "group", EVERYONE, frozenset({Action.READ}), "x")
        work = Deferred.fromCoroutine(
            self.web.documents.change(lambda d: evolve(d, rights=(line,)))
        )
        self.failureResultOf(work)
        self.assertEqual(self.web.get(PAGE).status, 401)
