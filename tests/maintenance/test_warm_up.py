"""Helpers that stand by for the upstream's large pages, and what they load."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any, TypeVar, TypeVarTuple

from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.config.sections.upstream import UpstreamSection
from pypicloud_tw.errors import Unavailable
from pypicloud_tw.offload.service import HELPERS
from pypicloud_tw.upstream.judgement.judges import Judges
from pypicloud_tw.upstream.prepare import stand_by
from pypicloud_tw.upstream.service import Upstreams
from pypicloud_tw.web.fallback import Fallback
from pypicloud_tw.web.simple import render_upstream, reread_upstream
from tests.doubles import InlineOffload

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

#: What every helper would pay for with half a second of processor time.
_HEAVY = "twisted", "klein", "treq", "botocore"

#: What takes a tenth of a second to load, and no page in JSON needs.
_RARE = "turbohtml", "email.message", "importlib.metadata", "pypicloud_tw.config.ini"


class NoHelpers(InlineOffload):
    """Cannot start any."""

    def in_process(self, function: Callable[[*Ts], T], *args: *Ts) -> Deferred[T]:
        super().in_process(function, *args)
        return fail(Unavailable("No process can be started."))


class WarmUpTests(SynchronousTestCase):
    """Before the first client comes."""

    def fallback(self, offload: InlineOffload, **options: Any) -> Fallback:
        client: Any = None  # nobody is asked
        upstreams = Upstreams(
            client,
            (),
            Judges(),
            render_upstream,
            reread_upstream,
            offload,
            Clock(),
            UpstreamSection(),
        )
        return Fallback(upstreams, **options)

    def warm_up(self, fallback: Fallback) -> None:
        self.successResultOf(Deferred.fromCoroutine(fallback.warm_up()))

    def test_helpers_stand_by(self) -> None:
        offload = InlineOffload()
        self.warm_up(self.fallback(offload))
        self.assertEqual(offload.processed, ["stand_by"] * HELPERS)

    def test_none_for_redirects(self) -> None:
        """Nothing is rendered there."""
        offload = InlineOffload()
        self.warm_up(self.fallback(offload, redirects=True))
        self.assertEqual(offload.processed, [])

    def test_without_a_helper(self) -> None:
        """The first page will have to wait for one, that is all."""
        offload = NoHelpers()
        self.warm_up(self.fallback(offload))
        self.assertEqual(offload.processed, ["stand_by"] * HELPERS)

    def test_what_a_helper_loads(self) -> None:
        """Neither a reactor nor a web server."""
        modules = f"{stand_by.__module__}, {render_upstream.__module__}"
        found = f"[name for name in {_HEAVY + _RARE} if name in sys.modules]"
        code = f"import sys, {modules}; print({found})"
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        self.assertEqual(done.stdout, "[]\n")
