"""Real servers and real clients: minutes, ports and processes, so run apart.

``trial tests`` passes these over; ``trial tests.integration`` (which needs the extra
``integration``) runs them, as does ``PYPICLOUD_INTEGRATION=1 trial tests``.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable

from twisted.trial.runner import TestLoader, TestSuite

#: Why ``trial tests`` runs none of them.
APART = (
    "tests/integration starts real servers and clients and takes minutes: "
    "pip install -e '.[test,integration]', then trial tests.integration"
)


def asked_for() -> bool:
    """Whether this run is to start real servers: by name, or by the environment."""
    named = any("integration" in argument for argument in sys.argv[1:])
    return named or bool(os.environ.get("PYPICLOUD_INTEGRATION"))


def apart(module: str) -> Callable[[], TestSuite]:
    """Make a module's ``test_suite``, which is empty unless it was asked for.

    Every module of this package ends in ``test_suite = apart(__name__)``; trial asks
    that for the module's tests (twisted.trial.runner.TestLoader.loadModule).
    """

    def test_suite() -> TestSuite:
        loader, suite = TestLoader(), TestSuite()
        if asked_for():
            _hear_interrupts()
            for case in loader.findTestClasses(sys.modules[module]):
                suite.addTest(loader.loadClass(case))
        return suite

    return test_suite


def _hear_interrupts() -> None:
    # A shell's script has what it runs in the background ignore SIGINT, and so would
    # the servers that the tests interrupt.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
