"""What kind of log-in was tried, and what an error's cause says of it."""

from __future__ import annotations

from base64 import b64encode

from attrs import frozen
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.access.access import Access
from pypicloud_tw.access.audit.witness import LogInFailedError, claimed
from pypicloud_tw.access.principal import Credentials, Principal
from pypicloud_tw.errors import Unauthorized
from tests.builders import simple_policy
from tests.web.doubles import started


def basic(text: str) -> bytes:
    return b"Basic " + b64encode(text.encode())


class ClaimTests(SynchronousTestCase):
    def test_kinds(self) -> None:
        for credentials, kind, user in (
            (Credentials(None, "c"), "none", None),
            (Credentials(basic("ann:x"), "c"), "password", "ann"),
            (Credentials(b"Basic !", "c"), "password", None),
            (Credentials(b"Digest x", "c"), "password", None),
            (Credentials(basic("__token__:x"), "c"), "token", None),
            (Credentials(b"Bearer x", "c"), "token", None),
            (Credentials(None, "c", b"ann"), "proxy", None),
            (Credentials(b"Negotiate x", "c", b"ann"), "proxy", None),
            (Credentials(basic("bob:x"), "c", b"ann"), "password", "bob"),
            (Credentials(None, "c", certificate=b"der"), "certificate", None),
        ):
            self.assertEqual(claimed(credentials), (kind, user), repr(credentials))


@frozen
class Refusing:
    """Refuses whoever comes, at once or after a check."""

    at_once: bool

    def takes(self, credentials: Credentials) -> bool:
        return True

    def recall(self, credentials: Credentials) -> Principal | None:
        if self.at_once:
            raise Unauthorized("No.")
        return None

    def find_recall(self, credentials: Credentials) -> None:
        """Whoever comes, nothing is remembered."""

    async def authenticate(self, credentials: Credentials) -> Principal:
        raise Unauthorized("No.")


class CauseTests(SynchronousTestCase):
    def test_a_refusal_says_what_was_tried(self) -> None:
        credentials = Credentials(None, "c", certificate=b"der")
        for at_once in (True, False):
            access = Access(simple_policy(), (Refusing(at_once),))
            failure = self.failureResultOf(
                started(access.authenticate(credentials)), Unauthorized
            )
            cause = failure.value.__cause__
            assert isinstance(cause, LogInFailedError)
            self.assertEqual(cause.kind, "certificate")

    def test_no_secret_in_it(self) -> None:
        error = LogInFailedError(Credentials(basic("hunter2:x"), "c"))
        self.assertNotIn("hunter2", f"{error!r} {error}")
