"""Where credentials come from, and that nobody waits for them without need."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from attrs import define, field
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import CredentialRetrievalError
from botocore.session import Session
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from pypicloud_tw.config.sections.storage import AwsSection
from pypicloud_tw.errors import StoreError
from pypicloud_tw.store.s3.credentials import (
    ADVISORY,
    CREDENTIALS_TIMEOUT,
    AWSCredentials,
    BotocoreChain,
    CredentialKeeper,
    FixedCredentials,
    ICredentialSource,
    choose_credentials,
    written_credentials,
)
from tests.doubles import InlineOffload


@define
class Chain:
    """A chain that answers when told to."""

    questions: list[Deferred[AWSCredentials]] = field(factory=list)

    def load(self) -> Deferred[AWSCredentials]:
        self.questions.append(Deferred())
        return self.questions[-1]

    def answer(self, name: str, expires: float | None) -> AWSCredentials:
        fresh = AWSCredentials(name, "s3cr3t", "t0ken", expires)
        self.questions[-1].callback(fresh)
        return fresh

    def fail(self, error: type[Exception] = LookupError) -> None:
        self.questions[-1].errback(error("s3cr3t"))


class WrittenTests(SynchronousTestCase):
    """The ini, then the environment."""

    environ = {  # noqa: RUF012  # nobody changes it
        "AWS_ACCESS_KEY_ID": "env",
        "AWS_SECRET_ACCESS_KEY": "es",
        "AWS_SESSION_TOKEN": "et",
    }

    def test_ini_first(self) -> None:
        aws = AwsSection(access_key="ini", secret_key="s")
        found = written_credentials(aws, self.environ)
        self.assertEqual(found, AWSCredentials("ini", "s"))

    def test_environment_second(self) -> None:
        found = written_credentials(AwsSection(), self.environ)
        self.assertEqual(found, AWSCredentials("env", "es", "et"))

    def test_half_a_pair_is_none(self) -> None:
        self.assertIsNone(
            written_credentials(
                AwsSection(access_key="ini"), {"AWS_ACCESS_KEY_ID": "env"}
            )
        )

    def test_chain_last(self) -> None:
        def choose(environ: dict[str, str]) -> ICredentialSource:
            return choose_credentials(
                AwsSection(),
                environ,
                InlineOffload(),
                Clock(),
                float,
                float,
                "eu-west-1",
            )

        self.assertIsInstance(choose(self.environ), FixedCredentials)
        self.assertIsInstance(choose({}), CredentialKeeper)


class FixedTests(SynchronousTestCase):
    """Credentials that never change."""

    def test_interface(self) -> None:
        credentials = AWSCredentials("a", "b")
        source = FixedCredentials(credentials)
        verifyObject(ICredentialSource, source)
        source.start()
        source.stop()
        for coroutine in (source.get(), source.renew(credentials)):
            found = self.successResultOf(Deferred.fromCoroutine(coroutine))
            self.assertEqual(found, credentials)


class KeeperTests(SynchronousTestCase):
    """Credentials that end."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.chain = Chain()
        self.keeper = CredentialKeeper(
            self.chain.load, self.clock, lambda: 1000.0 + self.clock.seconds(), float
        )
        self.addCleanup(self.keeper.stop)

    def get(self) -> Deferred[AWSCredentials]:
        return Deferred.fromCoroutine(self.keeper.get())

    def started(self, life: float) -> AWSCredentials:
        self.keeper.start()
        return self.chain.answer("first", 1000.0 + life)

    def test_interface(self) -> None:
        verifyObject(ICredentialSource, self.keeper)

    def test_first_ones_are_waited_for_together(self) -> None:
        self.keeper.start()
        waiting = [self.get() for _ in range(3)]
        self.assertNoResult(waiting[0])
        fresh = self.chain.answer("first", None)
        for one in waiting:
            self.assertEqual(self.successResultOf(one), fresh)
        self.assertEqual(len(self.chain.questions), 1)

    def test_unstarted_asks_when_needed(self) -> None:
        waiting = self.get()
        fresh = self.chain.answer("first", None)
        self.assertEqual(self.successResultOf(waiting), fresh)

    def test_one_who_stops_waiting_stops_nobody_else(self) -> None:
        gone, stays = self.get(), self.get()
        gone.addErrback(lambda _: None)
        gone.cancel()
        fresh = self.chain.answer("first", None)
        self.assertEqual(self.successResultOf(stays), fresh)

    def test_replaced_before_the_end_and_nobody_waits(self) -> None:
        old = self.started(3600)
        self.clock.advance(3600 - ADVISORY)
        self.assertEqual(len(self.chain.questions), 2)
        self.assertEqual(self.successResultOf(self.get()), old)
        new = self.chain.answer("second", 9000.0)
        self.assertEqual(self.successResultOf(self.get()), new)

    def test_short_lives_are_replaced_at_half(self) -> None:
        self.started(600)
        self.clock.advance(299)
        self.assertEqual(len(self.chain.questions), 1)
        self.clock.advance(1)
        self.assertEqual(len(self.chain.questions), 2)

    def test_failing_refresh_keeps_the_old_and_says_so(self) -> None:
        old = self.started(3600)
        self.clock.advance(3600 - ADVISORY)
        with capturedLogs() as events:
            self.chain.fail()
        self.assertEqual(self.successResultOf(self.get()), old)
        self.assertIn("the present ones last 900 s", str(events[-1]["what"]))
        self.assertNotIn("s3cr3t", repr(events))
        self.clock.advance(10)
        self.assertEqual(len(self.chain.questions), 3)
        new = self.chain.answer("second", 9000.0)
        self.assertEqual(self.successResultOf(self.get()), new)

    def test_ended_ones_are_not_given_out(self) -> None:
        self.started(3600)
        self.clock.advance(3600 - ADVISORY)
        self.clock.advance(ADVISORY)
        self.assertIsNone(self.keeper.current())
        waiting = self.get()
        self.assertNoResult(waiting)
        new = self.chain.answer("second", 9000.0)
        self.assertEqual(self.successResultOf(waiting), new)

    def test_none_at_all_is_an_error_that_helps(self) -> None:
        waiting = self.get()
        self.chain.fail()
        error = self.failureResultOf(waiting, StoreError).value
        self.assertIn("aws.access_key", error.message)
        # ... and the chain is not asked again at once.
        self.failureResultOf(self.get(), StoreError)
        self.assertEqual(len(self.chain.questions), 1)

    def test_a_chain_that_breaks_is_told_from_one_that_finds_nothing(self) -> None:
        """Whoever uses SSO has to log in again, and not to write keys into the ini."""
        waiting = self.get()
        self.chain.fail(EOFError)
        error = self.failureResultOf(waiting, StoreError).value
        self.assertIn("chain ends in EOFError. Renew", error.message)
        self.assertNotIn("s3cr3t", error.message)

    def test_a_chain_that_hangs_is_not_waited_for_without_end(self) -> None:
        waiting = self.get()
        self.clock.advance(CREDENTIALS_TIMEOUT)
        error = self.failureResultOf(waiting, StoreError).value
        self.assertIn("does not answer", error.message)
        # Nobody asks twice at a time, and what it says in the end is taken.
        later = self.get()
        self.assertEqual(len(self.chain.questions), 1)
        new = self.chain.answer("late", 9000.0)
        self.assertEqual(self.successResultOf(later), new)

    def test_refused_ones_are_renewed_once_in_a_while(self) -> None:
        old = self.started(3600)
        again = Deferred.fromCoroutine(self.keeper.renew(old))
        self.assertEqual(self.successResultOf(again), old)
        self.clock.advance(61)
        again = Deferred.fromCoroutine(self.keeper.renew(old))
        self.assertNoResult(again)
        new = self.chain.answer("second", 9000.0)
        self.assertEqual(self.successResultOf(again), new)

    def test_all_that_were_refused_wait_for_the_same_renewal(self) -> None:
        """The parts of an upload, say, that were under way when the token ended."""
        old = self.started(3600)
        self.clock.advance(61)
        again = [Deferred.fromCoroutine(self.keeper.renew(old)) for _ in range(4)]
        new = self.chain.answer("second", 9000.0)
        for one in again:
            self.assertEqual(self.successResultOf(one), new)
        self.assertEqual(len(self.chain.questions), 2)

    def test_what_another_has_renewed_is_not_asked_again(self) -> None:
        new = self.started(3600)
        self.clock.advance(61)
        refused = AWSCredentials("older", "x")
        again = Deferred.fromCoroutine(self.keeper.renew(refused))
        self.assertEqual(self.successResultOf(again), new)

    def test_stop_leaves_nothing(self) -> None:
        self.started(3600)
        self.keeper.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class ChainTests(SynchronousTestCase):
    """botocore's chain, as far as a file shows it."""

    def patch_environ(self, name: str, value: str | None) -> Callable[[], None]:
        import os

        before = os.environ.get(name)
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value

        def undo() -> None:
            os.environ.pop(name, None)
            if before is not None:
                os.environ[name] = before

        return undo

    def test_profile(self) -> None:
        path = Path(self.mktemp())
        path.write_text(
            "[index]\naws_access_key_id = filed\naws_secret_access_key = s\n"
        )
        for name, value in (
            ("AWS_SHARED_CREDENTIALS_FILE", str(path)),
            ("AWS_CONFIG_FILE", str(path) + ".none"),
            ("AWS_ACCESS_KEY_ID", None),
        ):
            self.addCleanup(self.patch_environ(name, value))
        found = BotocoreChain("index").load()
        self.assertEqual(found, AWSCredentials("filed", "s"))

    def test_region(self) -> None:
        """Roles are had of a region's STS; the bucket's does where none is set."""
        asked: list[str | None] = []

        def get_credentials(session: Session) -> None:
            asked.append(session.get_config_variable("region"))

        self.patch(Session, "get_credentials", get_credentials)
        self.addCleanup(self.patch_environ("AWS_CONFIG_FILE", self.mktemp()))
        for region in (None, "eu-central-1"):
            self.addCleanup(self.patch_environ("AWS_DEFAULT_REGION", region))
            chain = BotocoreChain(region="cn-north-1")
            error = self.assertRaises(LookupError, chain.load)
            self.assertIn("found no credentials", str(error))
        self.assertEqual(asked, ["cn-north-1", "eu-central-1"])


class RefreshTests(SynchronousTestCase):
    """What botocore can refresh is kept, and refreshed by botocore."""

    def setUp(self) -> None:
        self.sessions = 0
        self.refreshes: list[timedelta] = []
        self.life = timedelta(hours=1)
        self.patch(Session, "get_credentials", lambda session: self.found())
        self.chain = BotocoreChain()

    def found(self) -> RefreshableCredentials:
        self.sessions += 1
        return RefreshableCredentials.create_from_metadata(
            self.metadata(), lambda: self.refresh(), "role"
        )

    def metadata(self) -> dict[str, str]:
        return {
            "access_key": f"key{len(self.refreshes)}",
            "secret_key": "s3cr3t",
            "token": "t0ken",
            "expiry_time": (datetime.now(UTC) + self.life).isoformat(),
        }

    def refresh(self) -> dict[str, str]:
        self.refreshes.append(self.life)
        return self.metadata()

    def test_what_is_due_is_refreshed(self) -> None:
        self.life = timedelta(seconds=ADVISORY - 1)
        self.assertEqual(self.chain.load().access_key, "key1")
        self.assertEqual(self.chain.load().access_key, "key2")
        self.assertEqual(self.sessions, 1)

    def test_what_is_not_due_was_refused(self) -> None:
        self.chain.load()
        self.chain.load()
        self.assertEqual((self.sessions, self.refreshes), (2, []))

    def test_a_refresh_that_brings_nothing_is_no_answer(self) -> None:
        self.life = timedelta(seconds=ADVISORY - 1)
        self.chain.load()
        self.refresh = self.fail_refresh  # type: ignore[method-assign]  # from now on
        self.chain.load()
        self.assertEqual(self.sessions, 2)

    def fail_refresh(self) -> dict[str, str]:
        raise CredentialRetrievalError(provider="role", error_msg="away")
