"""Commands that are run beside a real server, or through it."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeAlias

from tests.integration.rig import (
    CLIENT_PATIENCE,
    IntegrationTestCase,
    clean_environment,
    script,
)

Running: TypeAlias = "subprocess.Popen[str]"

NOTHING: Mapping[str, str] = MappingProxyType({})


class CommandTestCase(IntegrationTestCase):
    """A home of its own for the commands, and a server."""

    def begin(
        self, *command: str, input: str = "", env: Mapping[str, str] = NOTHING
    ) -> Running:
        """Run a command to its end, beside others."""
        process = subprocess.Popen(
            [script("pypicloud"), *command],
            cwd=self.home,
            env=clean_environment(self.home, **env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(process.kill)
        assert process.stdin is not None
        process.stdin.write(input)
        process.stdin.close()
        process.stdin = None
        return process

    def end(self, process: Running, code: int = 0) -> tuple[str, str]:
        """Wait for a command and return what it printed and what it complained of."""
        out, err = process.communicate(timeout=CLIENT_PATIENCE)
        self.assertEqual(process.returncode, code, f"{process.args!r}: {out}{err}")
        return out, err

    def do(
        self,
        *command: str,
        code: int = 0,
        input: str = "",
        env: Mapping[str, str] = NOTHING,
    ) -> str:
        """Run a command; return what it printed, or complained of where it failed."""
        out, err = self.end(self.begin(*command, input=input, env=env), code)
        return err if code else out
