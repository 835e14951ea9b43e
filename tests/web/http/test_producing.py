"""What the transport says reaches the producer of the current answer."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field
from twisted.internet.interfaces import IPullProducer, IPushProducer
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from pypicloud_tw.web.http.producing import ProducerBridge
from pypicloud_tw.web.http.request import Request
from tests.web.http.doubles import Client
from tests.web.http.test_site import never


@implementer(IPushProducer)
@define
class Pushing:
    said: list[str] = field(factory=list)

    def pauseProducing(self) -> None:
        self.said.append("pause")

    def resumeProducing(self) -> None:
        self.said.append("resume")

    def stopProducing(self) -> None:
        self.said.append("stop")


@implementer(IPullProducer)
@define(eq=False)
class Pulled:
    """Answers with so many pieces."""

    request: Request
    after_first: Callable[[], None] = lambda: None
    left: int = 3
    stopped: bool = False

    def resumeProducing(self) -> None:
        self.left -= 1
        self.request.write(b"x")
        if self.left == 2:
            self.after_first()
        if not self.left:
            self.request.unregisterProducer()
            self.request.finish()

    def stopProducing(self) -> None:
        self.stopped = True


class PushTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.bridge = ProducerBridge(Clock())
        self.producer = Pushing()

    def test_passed_on(self) -> None:
        self.bridge.register(self.producer, True)
        self.bridge.pause()
        self.bridge.resume()
        self.bridge.stop()
        self.assertEqual(self.producer.said, ["pause", "resume", "stop"])

    def test_paused_from_the_start(self) -> None:
        self.bridge.pause()
        self.bridge.register(self.producer, True)
        self.assertEqual(self.producer.said, ["pause"])

    def test_not_after_its_end(self) -> None:
        self.bridge.register(self.producer, True)
        self.bridge.unregister()
        self.bridge.pause()
        self.bridge.stop()
        self.assertEqual(self.producer.said, [])

    def test_one_at_a_time(self) -> None:
        self.bridge.register(self.producer, True)
        with self.assertRaisesRegex(RuntimeError, "one producer at a time"):
            self.bridge.register(Pushing(), True)


class PullTests(SynchronousTestCase):
    """A producer that must be asked for each piece is, as fast as the client reads."""

    def setUp(self) -> None:
        self.client = Client(never)
        self.client.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        self.request = self.client.resource.requests[0]
        self.request.setHeader(b"Content-Length", b"3")
        self.producer = Pulled(self.request)

    def turn(self) -> None:
        self.client.clock.advance(0)

    def test_whole(self) -> None:
        self.request.registerProducer(self.producer, False)
        self.turn()
        self.assertTrue(self.client.received().endswith(b"\r\n\r\nxxx"))

    def test_a_client_that_does_not_read(self) -> None:
        self.producer.after_first = self.client.channel.pauseProducing
        self.request.registerProducer(self.producer, False)
        self.turn()
        self.assertEqual(self.producer.left, 2)
        self.client.channel.resumeProducing()
        self.turn()
        self.assertTrue(self.client.received().endswith(b"\r\n\r\nxxx"))

    def test_paused_from_the_start(self) -> None:
        self.client.channel.pauseProducing()
        self.request.registerProducer(self.producer, False)
        self.turn()
        self.assertEqual(self.producer.left, 3)

    def test_stopped(self) -> None:
        self.request.registerProducer(self.producer, False)
        self.client.channel.stopProducing()
        self.turn()
        self.assertTrue(self.producer.stopped)
        self.assertEqual(self.producer.left, 3)

    def test_resumed_twice(self) -> None:
        """It is asked once a turn all the same."""
        self.request.registerProducer(self.producer, False)
        before = len(self.client.clock.getDelayedCalls())
        self.client.channel.resumeProducing()
        self.assertEqual(len(self.client.clock.getDelayedCalls()), before)
