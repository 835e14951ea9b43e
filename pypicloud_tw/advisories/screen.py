"""Keeps known malware from being uploaded."""

from __future__ import annotations

from collections.abc import Callable

from attrs import frozen

from pypicloud_tw.advisories.values import Advisory, IAdvisories
from pypicloud_tw.config.exemptions import Exemption, Rule
from pypicloud_tw.errors import RefusedByRule
from pypicloud_tw.index.names import NormalizedName


@frozen
class MalwareScreen:
    """Refuses uploads of files that an advisory says are malware.

    By digest always. By version unless the name is reserved for this index: what is
    said of it in public is said of somebody else's project.

    :ivar is_private: whether a name is reserved (``pypi.private``).
    :ivar exemptions: of a project.
    :ivar seconds: tells the time, in seconds since the epoch.
    """

    advisories: IAdvisories
    is_private: Callable[[str], bool]
    exemptions: Callable[[str], tuple[Exemption, ...]]
    seconds: Callable[[], float]

    def __call__(self, project: NormalizedName, version: str, sha256: str) -> None:
        """Return if a file may be taken in.

        :raises RefusedByRule: it is malware.
        """
        known = self.advisories.of(project)
        found = known.malicious.id_of(sha256)
        if found is None and not self.is_private(project):
            found = _first(known.malware, version)
        if found is None or self._is_exempt(project, version, sha256):
            return
        raise RefusedByRule(
            f"{project} {version} is known malware ({found}), and is not taken here. "
            "If that speaks of another project of this name, who runs this index "
            "reserves the name (pypi.private), or an administrator exempts it: "
            f"pypicloud exempt add {project}=={version} --rule malware --for 7d "
            "--reason WHY",
            Rule.MALWARE.value,
            project=project,
        )

    def _is_exempt(self, project: str, version: str, sha256: str) -> bool:
        now = self.seconds()
        return any(
            one.rule is Rule.MALWARE and one.holds(version, sha256, now)
            for one in self.exemptions(project)
        )


def _first(malware: tuple[Advisory, ...], version: str) -> str | None:
    return next((one.id for one in malware if one.affects(version)), None)
