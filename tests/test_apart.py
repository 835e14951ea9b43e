"""The integration tests are run apart, all of them, and a run without them says so."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.integration import APART, asked_for

HERE = Path(__file__).parent / "integration"


class ApartTests(SynchronousTestCase):
    def test_every_module_is_run_apart(self) -> None:
        """A module that forgets its last line would start servers in every run."""
        modules = sorted(HERE.rglob("test_*.py"))
        self.assertTrue(modules)
        for module in modules:
            lines = module.read_text().splitlines()
            self.assertIn("test_suite = apart(__name__)", lines, module.name)

    def test_integration(self) -> None:
        """Shows in the summary that there is more to run."""
        if not asked_for():
            raise SkipTest(APART)
