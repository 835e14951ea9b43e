"""What a helper process loads for a small file: see also test_small_files."""

from __future__ import annotations

import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase


class LoadedTests(SynchronousTestCase):
    def test_no_part_of_the_server(self) -> None:
        """It is started amid the first upload, which waits for it."""
        modules = ("pypicloud_tw.index.taking", "pypicloud_tw.store.folder.placing")
        code = f"import sys, {', '.join(modules)}; print(*sys.modules)"
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        loaded = {name.split(".")[0] for name in done.stdout.split()}
        self.assertIn("packaging", loaded)
        heavy = {"asyncio", "prometheus_client", "twisted", "treq"}
        self.assertEqual(heavy & loaded, set())
