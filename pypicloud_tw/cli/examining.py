"""Makes diagnoses; each call runs a reactor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from attrs import field, frozen

from pypicloud_tw import __version__
from pypicloud_tw.access.basic import Login
from pypicloud_tw.assembly.index import make_index, make_process
from pypicloud_tw.cli.running import run
from pypicloud_tw.client.address import IndexAddress
from pypicloud_tw.client.agent import ca_file, make_agent
from pypicloud_tw.config.configuration import Config
from pypicloud_tw.diagnosis import installed
from pypicloud_tw.diagnosis.configured import examined
from pypicloud_tw.diagnosis.machine import Machine
from pypicloud_tw.diagnosis.outside.asking import Visitor
from pypicloud_tw.diagnosis.outside.front import Front
from pypicloud_tw.diagnosis.outside.pages import Pages
from pypicloud_tw.diagnosis.outside.uploads import Uploads
from pypicloud_tw.diagnosis.outside.visited import Visited, connector
from pypicloud_tw.diagnosis.running import run_checks
from pypicloud_tw.diagnosis.values import Diagnosis, Looked, fault, lines_of
from pypicloud_tw.errors import ConfigError
from pypicloud_tw.offload.service import Offload

_CORRECT = "Correct it; pypicloud check reads the settings alone."


@frozen
class ReactorExaminer:
    """See :class:`~.base.Examiner`."""

    machine: Machine = field(factory=Machine)

    def unusable(self, of: str, problems: Sequence[str]) -> Diagnosis:
        """See :class:`~.base.Examiner`; what needs no settings is looked at, too."""
        today = datetime.now(UTC).date()
        found = [
            *lines_of("ini", [fault(problem, _CORRECT) for problem in problems]),
            *lines_of("libraries", installed.libraries(self.machine)),
            *lines_of("python", installed.python(self.machine, today)),
        ]
        return Diagnosis.made(__version__, of, found)

    def settings(
        self, of: str, config: Config, environ: Mapping[str, str], *, deep: bool
    ) -> Diagnosis:
        """See :class:`~.base.Examiner`."""

        async def main(reactor: Any) -> list[Looked]:
            process = make_process(reactor)
            index = make_index(config, process, environ)
            made = examined(
                config, process, index, environ, deep=deep, machine=self.machine
            )
            process.start()
            try:
                return await run_checks(made.checks(), reactor)
            finally:
                await index.close()
                await process.stop()

        try:
            return Diagnosis.made(__version__, of, run(main))
        except ConfigError as e:
            return self.unusable(of, e.problems)

    def server(
        self,
        address: IndexAddress,
        login: Login | None,
        environ: Mapping[str, str],
        *,
        deep: bool,
    ) -> Diagnosis:
        """See :class:`~.base.Examiner`."""

        async def main(reactor: Any) -> list[Looked]:
            offload = Offload(reactor)
            agent = make_agent(reactor, address.scheme, environ)
            visitor = Visitor(address, login, agent, reactor)
            uploads = Uploads(address, connector(address, reactor, environ), reactor)
            front = Front(visitor, self.machine, offload, ca_file(environ))
            made = Visited(front, Pages(visitor, deep), uploads)
            offload.startService()  # type: ignore[no-untyped-call]  # Twisted's
            try:
                return await run_checks(made.checks(), reactor)
            finally:
                await offload.stopService()

        return Diagnosis.made(__version__, address.base, run(main))
