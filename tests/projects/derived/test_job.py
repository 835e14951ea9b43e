from __future__ import annotations

from io import StringIO

from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.index.manifest import manifest_key
from pypicloud_tw.index.names import project_name
from pypicloud_tw.projects.derived.job import rebuild_derived
from pypicloud_tw.projects.derived.shards import shard_key, shard_of
from tests.builders import wheel
from tests.web.doubles import Web


class JobTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.web = Web()
        for name in ("acme", "tool"):
            self.web.publish(f"{name}-1.0-py3-none-any.whl", wheel(name))
        self.out, self.err = StringIO(), StringIO()

    def run_job(self) -> int:
        index = self.web.domain.index
        return self.web.wait(rebuild_derived(index, self.out, self.err))

    def test_says_how_many(self) -> None:
        self.assertEqual(self.run_job(), 0)
        self.assertEqual(self.out.getvalue(), "2 projects are described anew.\n")
        self.assertEqual(self.err.getvalue(), "")
        for name in ("acme", "tool"):
            self.assertIn(shard_key(shard_of(name)), self.web.store.objects)

    def test_names_what_is_left_out(self) -> None:
        key = shard_key(shard_of("acme"))
        self.web.store.add(key, b'{"_format": 2}\n')
        self.web.store.add(manifest_key(project_name("tool")), b"{")
        self.assertEqual(self.run_job(), 1)
        said = self.err.getvalue()
        self.assertIn(f"{key} is of a newer version", said)
        self.assertIn("pypicloud: tool is left out: ", said)
