"""Files of upstream projects that must be attested by who publishes them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.config.exemptions import Exemption
from pypicloud_tw.config.signers import Signer
from pypicloud_tw.errors import (
    PypicloudError,
    RefusedByRule,
    StoreError,
    Unavailable,
    UpstreamError,
)
from pypicloud_tw.index.attestations.provenance import Proved, ProvenanceQuestion
from pypicloud_tw.index.audit import Act
from pypicloud_tw.index.model import Document
from pypicloud_tw.index.standing import Standing
from pypicloud_tw.upstream.caching import CachingFiles
from pypicloud_tw.upstream.judgement.entries import RuleEntry
from pypicloud_tw.upstream.judgement.judges import FixedExemptions, Judges
from pypicloud_tw.upstream.judgement.rules import UpstreamRules
from pypicloud_tw.upstream.provenance.check import Provenance
from pypicloud_tw.upstream.provenance.interface import NoProvenance
from pypicloud_tw.upstream.provenance.pins import FOLDER, Pins
from pypicloud_tw.upstream.provenance.proofs import UNPROVED_FOR, Proofs
from pypicloud_tw.upstream.relay import Relay
from tests.upstream.doubles import FILES, START, page, started, status
from tests.upstream.test_pages import ACME_NAME
from tests.upstream.test_relay import (
    BODY,
    DIGEST,
    KEY,
    METADATA,
    NAME,
    URL,
    FilesBench,
    Sink,
    wheel,
)

PROVENANCE = f"{FILES}/integrity/{NAME}"
RULES = UpstreamRules(require_provenance=(RuleEntry.parse("acme*"),))
OURS = Signer.parse("github:acme/tool:release.yml")
THEIRS = Signer.parse("github:mallory/tool:release.yml")


@define
class Verifier:
    """Believes whom it is told to."""

    signers: tuple[Signer, ...] = (OURS,)
    why_not: str = ""
    raises: PypicloudError | None = None
    questions: list[ProvenanceQuestion] = field(factory=list)

    async def __call__(self, question: ProvenanceQuestion) -> Proved:
        self.questions.append(question)
        if self.raises is not None:
            raise self.raises
        return Proved(self.signers, self.why_not)


class ProvenanceBench(FilesBench):
    """A file whose page tells where its provenance is."""

    def __init__(
        self,
        told: Document | None = None,
        fixed: Mapping[str, Signer] | None = None,
        exemptions: tuple[Exemption, ...] = (),
        **options: Any,
    ) -> None:
        self.verifier = Verifier()
        self.acts: list[Act] = []
        self.fixed = fixed or {}
        super().__init__(
            told or wheel(provenance=PROVENANCE), **{"rules": RULES, **options}
        )
        self.upstream.on(PROVENANCE, page(b"{}", "application/json"))
        self.upstreams.judges = Judges(
            self.upstreams.judges.rules, FixedExemptions(exemptions)
        )

    def make(self) -> Any:
        kept = self.store if self.cached else None
        self.pins = Pins(self.store, self.clock, Standing(), self.fixed)
        self.upstreams.provenance = self.provenance = Provenance(
            self.client,
            self.pins,
            Proofs(self.clock, kept),
            self.verifier,
            self.acts.append,
        )
        if self.cached:
            return CachingFiles(self.upstreams, self.client, self.store, self.clock)
        return Relay(self.upstreams, self.client)

    def restart(self) -> None:
        """Forget all that is in memory."""
        self.upstreams = type(self)(store=self.store).upstreams
        self.upstreams.client = self.client
        self.files = self.make()

    def pinned(self) -> Document:
        """Return the pin in the store."""
        found: Document = json.loads(self.store.objects[f"{FOLDER}acme"].data)
        return found


class CachedBench(ProvenanceBench):
    """The same in cache mode."""

    cached = True


class CheckTests(SynchronousTestCase):
    """At the file's own address."""

    bench_type: type[ProvenanceBench] = ProvenanceBench

    def make(self, **options: Any) -> ProvenanceBench:
        return self.bench_type(**options)

    def given(self, bench: ProvenanceBench) -> None:
        sink = Sink()
        self.successResultOf(bench.get(sink))
        self.assertEqual(sink.data, BODY)

    def refused(self, bench: ProvenanceBench) -> str:
        error = self.failureResultOf(bench.locate(), RefusedByRule).value
        self.assertEqual(error.headers["X-Pypicloud-Refused"], "provenance")
        return str(error.message)

    def test_the_first_publisher_is_pinned(self) -> None:
        bench = self.make()
        self.given(bench)
        self.assertEqual(
            bench.verifier.questions, [ProvenanceQuestion(b"{}", NAME, DIGEST)]
        )
        pin = bench.pinned()
        self.assertEqual(pin["publisher"], "github:acme/tool:release.yml")
        self.assertEqual((pin["file"], pin["sha256"]), (NAME, DIGEST))
        self.assertEqual(pin["pinned"], "2023-11-14T22:13:20Z")
        (act,) = bench.acts
        self.assertEqual((act.act, act.project, act.version), ("pinned", "acme", "1.0"))
        self.assertIn("github:acme/tool:release.yml", act.reason or "")

    def test_a_second_file_is_not_pinned_again(self) -> None:
        bench = self.make()
        self.given(bench)
        self.given(bench)
        self.assertEqual(len(bench.acts), 1)
        self.assertEqual(bench.upstream.urls().count(PROVENANCE), 1)
        self.assertEqual(len(bench.verifier.questions), 1)

    def test_another_publisher_is_refused_and_told_once(self) -> None:
        bench = self.make()
        self.successResultOf(started(bench.pins.set(ACME_NAME, OURS, "root")))
        bench.verifier.signers = (THEIRS,)
        for _ in range(2):
            text = self.refused(bench)
        self.assertIn("attested by github:mallory/tool:release.yml", text)
        self.assertIn("acme is github:acme/tool:release.yml", text)
        self.assertIn("pypicloud pin set acme github:mallory/tool:release.yml", text)
        self.assertIn("pypicloud exempt add acme==1.0 --rule provenance", text)
        self.assertEqual([act.act for act in bench.acts], ["publisher-changed"])
        self.assertEqual(bench.provenance.refused, 2)
        pin = bench.pinned()
        self.assertEqual(pin["publisher"], OURS.line)
        self.assertEqual(pin["refused"]["publisher"], THEIRS.line)
        self.assertEqual(pin["refused"]["file"], NAME)

    def test_one_of_several_publishers_is_enough(self) -> None:
        bench = self.make(fixed={"acme": OURS})
        bench.verifier.signers = (THEIRS, OURS)
        self.given(bench)

    def test_an_administrator_accepts_another_at_once(self) -> None:
        bench = self.make()
        self.successResultOf(started(bench.pins.set(ACME_NAME, OURS, "root")))
        bench.verifier.signers = (THEIRS,)
        self.refused(bench)
        # On another server.
        others = Pins(bench.store, bench.clock, Standing())
        self.successResultOf(started(others.set(ACME_NAME, THEIRS, "root")))
        self.given(bench)
        self.assertIsNone(bench.pinned()["refused"])

    def test_the_publisher_of_the_ini_wins(self) -> None:
        bench = self.make(fixed={"acme": THEIRS})
        self.successResultOf(started(bench.pins.set(ACME_NAME, OURS, "root")))
        self.assertIn("acme is github:mallory", self.refused(bench))
        bench.pins.obey({"acme": Signer.parse("github:ACME/tool")})
        self.given(bench)

    def test_what_proves_nothing_is_refused_for_a_while(self) -> None:
        bench = self.make()
        bench.verifier.signers, bench.verifier.why_not = (), "it is about other bytes."
        for _ in range(2):
            text = self.refused(bench)
            self.assertIn("proves nothing: it is about other bytes.", text)
            self.assertIn("pypicloud exempt add acme==1.0 --rule provenance", text)
        self.assertEqual(len(bench.verifier.questions), 1)
        bench.verifier.signers = (OURS,)
        bench.wait(UNPROVED_FOR + 1)
        self.given(bench)

    def test_a_provenance_that_cannot_be_had(self) -> None:
        for behaviour, cause in (
            (status(404), "has no provenance"),
            (status(503), "status 503"),
            (page(b"x" * 2**20, "x/y"), "larger than"),
        ):
            bench = self.make()
            bench.upstream.on(PROVENANCE, behaviour)
            error = self.failureResultOf(bench.locate(), UpstreamError).value
            self.assertIn(cause, error.message)
            # That is not remembered.
            bench.upstream.on(PROVENANCE, page(b"{}", "x/y"))
            bench.wait(60)
            self.given(bench)

    def test_a_helper_that_cannot_verify(self) -> None:
        bench = self.make()
        bench.verifier.raises = Unavailable("Too many wait.")
        error = self.failureResultOf(bench.locate(), Unavailable).value
        self.assertEqual(error.message, "Too many wait.")
        bench.verifier.raises = None
        self.given(bench)

    def test_a_pin_that_cannot_be_read(self) -> None:
        """What is not known must not be taken for nobody."""
        for data in (b"{", b"{}", b'{"format": 9}'):
            bench = self.make()
            self.successResultOf(started(bench.store.put(f"{FOLDER}acme", data)))
            error = self.failureResultOf(bench.locate(), StoreError).value
            self.assertIn("Who publishes acme cannot be read", error.message)

    def test_without_a_digest(self) -> None:
        told = {**wheel(provenance=PROVENANCE), "hashes": {}}
        bench = self.make(told=told)
        self.assertIn("does not tell its sha256", self.refused(bench))

    def test_without_provenance(self) -> None:
        """Its page hides it; its address says why."""
        bench = self.make(told=wheel())
        self.assertEqual(self.successResultOf(bench.ask()).page["files"], [])
        self.assertIn("has no provenance", self.refused(bench))
        self.assertEqual(bench.verifier.questions, [])

    def test_exempt(self) -> None:
        until = datetime.fromtimestamp(START, UTC) + timedelta(days=1)
        one = Exemption.parse(f"acme==1.0 rule:provenance until {until:%Y-%m-%d} why")
        bench = self.make(told=wheel(), exemptions=(one,))
        self.assertEqual(len(self.successResultOf(bench.ask()).page["files"]), 1)
        self.given(bench)
        self.assertEqual(bench.verifier.questions, [])

    def test_others_are_not_judged(self) -> None:
        bench = self.make(rules=UpstreamRules())
        self.given(bench)
        self.assertNotIn(PROVENANCE, bench.upstream.urls())

    def test_metadata_is_as_its_file(self) -> None:
        told = {**wheel(provenance=PROVENANCE), "core-metadata": True}
        bench = self.make(told=told, fixed={"acme": THEIRS})
        bench.upstream.on(f"{URL}.metadata", page(METADATA, "x/y"))
        self.failureResultOf(bench.locate(f"{NAME}.metadata"), RefusedByRule)
        bench.pins.obey({"acme": OURS})
        self.successResultOf(bench.locate(f"{NAME}.metadata"))
        (question,) = bench.verifier.questions
        self.assertEqual(question.filename, NAME)

    def test_asked_for_by_many_at_once(self) -> None:
        bench = self.make()
        waiting: Deferred[Proved] = Deferred()

        async def verify(question: ProvenanceQuestion) -> Proved:
            bench.verifier.questions.append(question)
            return await waiting

        bench.provenance.verify = verify
        asked = [bench.locate() for _ in range(5)]
        bench.upstream.flush()
        waiting.callback(Proved((OURS,)))
        for one in asked:
            self.successResultOf(one)
        self.assertEqual(len(bench.verifier.questions), 1)

    def test_where_nothing_is_verified(self) -> None:
        bench = self.make()
        bench.upstreams.provenance = NoProvenance()
        self.assertIn("nothing is verified here", self.refused(bench))


class CachedCheckTests(CheckTests):
    """In cache mode."""

    bench_type = CachedBench

    def fill(self, bench: ProvenanceBench) -> None:
        self.given(bench)
        bench.wait(1)
        self.assertIn(KEY, bench.store.objects)

    def test_a_kept_file_needs_no_upstream(self) -> None:
        bench = self.make()
        self.fill(bench)
        bench.restart()
        bench.upstream.asked.clear()
        self.given(bench)
        self.assertEqual(bench.upstream.urls(), [])
        self.assertEqual(len(bench.verifier.questions), 1)

    def test_who_is_told_no_name_is_known(self) -> None:
        bench = self.make()
        self.fill(bench)
        address = ACME_NAME, DIGEST[:16], NAME
        self.assertTrue(bench.files.knows(*address))
        bench.restart()
        self.assertFalse(bench.files.knows(*address))
        self.given(bench)
        self.assertTrue(bench.files.knows(*address))

    def test_a_kept_file_of_another_publisher(self) -> None:
        bench = self.make()
        self.fill(bench)
        self.successResultOf(started(bench.pins.set(ACME_NAME, THEIRS, "root")))
        self.assertIn("acme is github:mallory", self.refused(bench))

    def test_what_was_kept_before_the_rule(self) -> None:
        bench = self.make(rules=UpstreamRules())
        self.fill(bench)
        bench.upstreams.judges = Judges(RULES)
        self.given(bench)
        self.assertEqual(len(bench.verifier.questions), 1)
        self.assertEqual(bench.pinned()["publisher"], OURS.line)

    def test_a_damaged_proof_proves_nothing(self) -> None:
        bench = self.make()
        self.fill(bench)
        key = f".cache/.attested/acme/{DIGEST}/{NAME}"
        for data in (b"", b'{"publishers": ["x"]}', b'{"publishers": [], "format": 2}'):
            self.successResultOf(started(bench.store.put(key, data)))
            bench.restart()
            before = len(bench.verifier.questions)
            self.given(bench)
            self.assertEqual(len(bench.verifier.questions), before + 1)

    def test_proofs_are_no_projects(self) -> None:
        bench = self.make()
        self.fill(bench)
        names = self.successResultOf(started(bench.files.names()))
        self.assertEqual(names, {"acme"})
