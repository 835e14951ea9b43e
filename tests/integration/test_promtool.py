"""contrib/prometheus and contrib/grafana, as Prometheus' own tool reads them."""

from __future__ import annotations

import re
from pathlib import Path
from shutil import copytree

import yaml

from tests.integration import apart
from tests.integration.debian import Program, find
from tests.integration.rig import CHECKOUT, IntegrationTestCase
from tests.test_monitoring import expressions

CONTRIB = CHECKOUT / "contrib" / "prometheus"


class PromtoolTests(IntegrationTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.program: Program = find("promtool", "prometheus")

    def promtool(self, *arguments: str | Path) -> str:
        program = self.program
        return self.run_client(program.path, *arguments, **program.environment)

    def test_rules_fire_as_they_should(self) -> None:
        said = self.promtool("test", "rules", CONTRIB / "alerts_test.yml")
        self.assertIn("SUCCESS", said)

    def test_configuration(self) -> None:
        """Also with what is commented out."""
        folder = self.folder / "prometheus"
        copytree(CONTRIB, folder)
        (folder / "alerts.yml").rename(folder / "pypicloud-alerts.yml")
        config = folder / "prometheus.yml"
        text = config.read_text()
        more, count = re.subn(r"(?m)^    #(?=\S|  \S)", "    ", text)
        self.assertGreater(count, 4)
        for some in (text, more):
            config.write_text(some)
            said = self.promtool("check", "config", "--syntax-only", config)
            self.assertIn("SUCCESS", said)

    def test_expressions_of_the_dashboard(self) -> None:
        """Each is one, whatever Grafana puts in the places of its variables."""
        rules = [
            {
                "record": f"a:b{number}",
                "expr": one.text.replace("$__rate_interval", "5m").replace(
                    "$__range", "6h"
                ),
            }
            for number, one in enumerate(expressions())
        ]
        self.assertGreater(len(rules), 80)
        path = self.folder / "rules.yml"
        path.write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": rules}]}))
        self.assertIn(
            f"{len(rules)} rules found", self.promtool("check", "rules", path)
        )


test_suite = apart(__name__)
