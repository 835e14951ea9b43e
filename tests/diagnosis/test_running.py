"""Checks run side by side, in their time, and none of them ends a diagnosis."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.diagnosis.running import AT_ONCE, run_checks
from pypicloud_tw.diagnosis.values import (
    Check,
    Diagnosis,
    Finding,
    Look,
    Looked,
    fault,
    note,
    ok,
    unseen,
    warning,
)
from pypicloud_tw.errors import StoreError


def finds(*findings: Finding) -> Look:
    async def look() -> Iterable[Finding]:
        return findings

    return look


def fails(error: Exception) -> Look:
    async def look() -> Iterable[Finding]:
        raise error

    return look


def waits(waiting: Awaitable[object], begun: list[object] | None = None) -> Look:
    async def look() -> Iterable[Finding]:
        if begun is not None:
            begun.append(waiting)
        await waiting
        return [ok("At last.")]

    return look


class RunningTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()

    def run_now(self, *checks: Check) -> list[Looked]:
        running = Deferred.fromCoroutine(run_checks(checks, self.clock))
        return self.successResultOf(running)

    def test_lines_are_in_order(self) -> None:
        """Whoever ends first."""
        slow: Deferred[None] = Deferred()
        checks = [
            Check("a", waits(slow)),
            Check("b", finds(note("One.", "Do.", "x"), ok("Two."))),
        ]
        running = Deferred.fromCoroutine(run_checks(checks, self.clock))
        self.assertNoResult(running)
        slow.callback(None)
        self.assertEqual(
            self.successResultOf(running),
            [
                Looked("a", "", "ok", "At last.", ""),
                Looked("b", "x", "note", "One.", "Do."),
                Looked("b", "", "ok", "Two.", ""),
            ],
        )

    def test_what_fails_could_not_look(self) -> None:
        """With the reason, where it is known to have no secret in it."""
        found = self.run_now(
            Check("ours", fails(StoreError("It is away."))),
            Check("systems", fails(PermissionError(13, "Permission denied", "/x"))),
            Check("bug", fails(ValueError("hunter2"))),
            Check("right", finds(ok("Fine."))),
        )
        self.assertEqual(
            [(line.level, line.found) for line in found],
            [
                ("unseen", "It is away."),
                ("unseen", "/x: Permission denied."),
                ("unseen", "The check itself failed (ValueError)."),
                ("ok", "Fine."),
            ],
        )
        (failure,) = self.flushLoggedErrors(ValueError)
        self.assertEqual(str(failure.value), "hunter2")

    def test_time(self) -> None:
        never: Deferred[None] = Deferred()
        checks = [Check("slow", waits(never), patience=5)]
        running = Deferred.fromCoroutine(run_checks(checks, self.clock))
        self.clock.advance(4.9)
        self.assertNoResult(running)
        self.clock.advance(0.1)
        (line,) = self.successResultOf(running)
        self.assertEqual(line.level, "unseen")
        self.assertEqual(line.found, "There was no answer within 5 s.")

    def test_given_up(self) -> None:
        """As where the command is interrupted; that is no failure, nor is it logged."""
        never: list[Deferred[None]] = [Deferred() for _ in range(AT_ONCE + 1)]
        checks = [Check(str(n), waits(one)) for n, one in enumerate(never)]
        checks.append(Check("second", finds(ok("Fine.")), "0"))
        running = Deferred.fromCoroutine(run_checks(checks, self.clock))
        running.cancel()
        levels = {line.level for line in self.successResultOf(running)}
        self.assertEqual(levels, {"unseen"})
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_what_makes_no_sense_is_not_looked_at(self) -> None:
        for ground, level in (
            (fault("No.", "Do."), "unseen"),
            (unseen("No."), "unseen"),
            (warning("Hm.", "Do."), "ok"),
            (ok("Yes."), "ok"),
        ):
            _, line, third = self.run_now(
                Check("first", finds(ground)),
                Check("second", finds(ok("Fine.")), "first"),
                Check("third", finds(ok("Fine.")), "second"),
            )
            self.assertEqual((line.level, third.level), (level, level))
            if level == "unseen":
                self.assertIn("before first is right", line.found)

    def test_no_more_than_some_at_once(self) -> None:
        begun: list[object] = []
        waiting: list[Deferred[None]] = [Deferred() for _ in range(AT_ONCE + 1)]
        checks = [Check(str(n), waits(one, begun)) for n, one in enumerate(waiting)]
        running = Deferred.fromCoroutine(run_checks(checks, self.clock))
        self.assertEqual(len(begun), AT_ONCE)
        waiting[0].callback(None)
        self.assertEqual(len(begun), AT_ONCE + 1)
        for one in waiting[1:]:
            one.callback(None)
        self.assertEqual(len(self.successResultOf(running)), AT_ONCE + 1)


class DiagnosisTests(SynchronousTestCase):
    def test_codes(self) -> None:
        """A note is nothing wrong; what could not be seen is less than what is."""
        for levels, code in (
            ([], 0),
            (["ok", "note"], 0),
            (["ok", "unseen"], 2),
            (["unseen", "warning"], 1),
            (["unseen", "fault", "warning"], 1),
        ):
            lines = [Looked("x", "", level, "", "") for level in levels]  # type: ignore[arg-type]  # they are
            self.assertEqual(Diagnosis.made("1", "x", lines).code, code, levels)
