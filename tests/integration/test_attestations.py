"""Attestations that jobs of the public index's own projects signed, on real servers.

They lie, with their files, in the source archive of pypi-attestations.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
import signal
import sys
import tarfile
from base64 import b64decode, b64encode
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.config.signers import Signer
from pypicloud_tw.errors import BadRequest
from pypicloud_tw.index.attestations.question import (
    MAX_ATTESTATIONS,
    MAX_PROVENANCE,
    Question,
)
from pypicloud_tw.index.attestations.verification import verify
from tests.integration import apart
from tests.integration.clients.environments import once, run_here
from tests.integration.rig import (
    PASSWORD,
    USER,
    Answer,
    IntegrationTestCase,
    Server,
    basic,
    form,
    run,
    script,
    wait_until,
)

# Of the extra integration, without which this module is loaded, too.
if TYPE_CHECKING:
    from pypi_attestations import Provenance

SDIST = "pypi_attestations-0.0.19.tar.gz"
OTHER = "pypi_attestation_models-0.0.4a2.tar.gz"
GITLAB = "gitlab_oidc_project-0.0.3.tar.gz"
CIRCLECI = "circleci_sign_publish_example-0.0.1.dev137-py3-none-any.whl"
GOOGLE = "gcb_attestation_test-0.0.0.tar.gz"
#: Signed by a person, with the certificates of Sigstore's staging.
STAGING = "rfc8785-0.1.2-py3-none-any.whl"

PUBLISH, SLSA = ".publish.attestation", ".slsa.attestation"
RELEASE = {
    "kind": "github",
    "repository": "trailofbits/pypi-attestations",
    "workflow": "release.yml",
}
CI = {
    "project_id": "fdd9283f-e619-46af-8f9c-851f7d3e8b2b",
    "pipeline_definition_id": "8e4f8ab2-8d7c-4827-9f15-de076d6d647f",
}


def assets() -> Path:
    """Fetch the archive of the release that is installed, and unpack it; once."""

    def make(path: Path) -> None:
        name = f"pypi-attestations=={version('pypi-attestations')}"
        pip = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps")
        run_here(*pip, "--no-binary=pypi-attestations", f"--dest={path}", name)
        (archive,) = path.glob("*.tar.gz")
        with tarfile.open(archive) as tar:
            tar.extractall(path / "source", filter="data")

    (found,) = once("attestations", make).glob("source/*/test/assets")
    return found


def staging_root() -> str:
    """Read the trust root of Sigstore's staging, as the library has it."""
    folder = resources.files("sigstore._store")
    name = "https%3A%2F%2Ftuf-repo-cdn.sigstage.dev"
    return (folder / name / "trusted_root.json").read_text()


def signer(name: str, projects: str, told: dict[str, str]) -> dict[str, str]:
    """Write who signs, as an ini has it."""
    return {
        f"attestation.{name}.{key}": text
        for key, text in {"projects": projects, **told}.items()
    }


def flipped(item: dict[str, Any], part: str, name: str) -> dict[str, Any]:
    """Change a bit in the middle of something that is written in base64."""
    data = bytearray(b64decode(item[part][name]))
    data[len(data) // 2] ^= 1
    changed = b64encode(data).decode()
    return {**item, part: {**item[part], name: changed}}


class ChainTests(IntegrationTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.assets = assets()

    def attestation(self, name: str) -> dict[str, Any]:
        read: dict[str, Any] = json.loads((self.assets / name).read_text())
        return read

    def send(
        self, server: Server, filename: str, *items: dict[str, Any], data: bytes = b""
    ) -> Answer:
        name, version = filename.removesuffix(".tar.gz").split("-")[:2]
        fields = {":action": "file_upload", "name": name, "version": version}
        fields["attestations"] = json.dumps(items)
        content = data or (self.assets / filename).read_bytes()
        body, content_type = form(fields, filename, content)
        headers = {"Authorization": basic(), "Content-Type": content_type}
        return server.request("POST", "/legacy/", body, headers)

    def accepted(self, server: Server, filename: str, *suffixes: str) -> Provenance:
        items = [self.attestation(filename + suffix) for suffix in suffixes]
        answer = self.send(server, filename, *items)
        self.assertEqual(answer.status, 200, answer.text)
        return self.provenance(server, filename)

    def provenance(self, server: Server, filename: str) -> Provenance:
        """Read a file's provenance by the address that its page has for it."""
        project = filename.partition("-")[0].replace("_", "-")
        (told,) = server.document(project)["files"]
        address = told["provenance"]
        self.assertTrue(address.startswith(f"{server.url}/integrity/{project}/"))
        page = server.get(f"/simple/{project}/", Accept="text/html").text
        self.assertIn(f'data-provenance="{address}"', page)
        answer = server.get(address.removeprefix(server.url))
        self.assertEqual(answer.status, 200, answer.text)
        return read_provenance(answer.body)

    def refused(self, answer: Answer, sentence: str) -> None:
        self.assertEqual(answer.status, 400, answer.text)
        self.assertIn(sentence, answer.text)
        self.assertIn("--no-attestations", answer.text)

    def nothing_kept(self, server: Server) -> None:
        kept = [path for path in server.store.rglob("*") if "attest" in path.name]
        self.assertEqual(kept, [])

    def test_github(self) -> None:
        server = self.server(settings=signer("ci", "pypi-*", RELEASE))
        found = self.accepted(server, SDIST, PUBLISH, SLSA)
        (bundle,) = found.attestation_bundles
        self.assertEqual(bundle.publisher.kind, "GitHub")
        from pypi_attestations import Distribution

        distribution = Distribution.from_file(self.assets / SDIST)
        # As a client does; it has no Sigstore of its own to ask here.
        verified = [
            one.verify(bundle.publisher, distribution, offline=True)[0]
            for one in bundle.attestations
        ]
        self.assertEqual(len({*verified}), 2)
        self.assertNotIn("Traceback", server.log)

    def test_the_other_issuers(self) -> None:
        told = {"repository": "facutuesca/gitlab-oidc-project"}
        email = "919436158236-compute@developer.gserviceaccount.com"
        google = {"kind": "Google", "email": email}
        server = self.server(
            settings={
                **signer(
                    "lab",
                    "gitlab-oidc-project",
                    {"kind": "gitlab", **told, "workflow": ".gitlab-ci.yml"},
                ),
                **signer("circle", "circleci-*", {"kind": "circleci", **CI}),
                **signer("google", "gcb-*", {"kind": "google", "email": email}),
            }
        )
        for filename, kind in ((GITLAB, "GitLab"), (CIRCLECI, "CircleCI")):
            (bundle,) = self.accepted(server, filename, PUBLISH).attestation_bundles
            self.assertEqual(bundle.publisher.kind, kind)
        kept = self.attestation(f"{GOOGLE}.provenance")
        (item,) = kept["attestation_bundles"][0]["attestations"]
        answer = self.send(server, GOOGLE, item)
        self.assertEqual(answer.status, 200, answer.text)
        (bundle,) = self.provenance(server, GOOGLE).attestation_bundles
        self.assertEqual(bundle.publisher.model_dump(), google)
        self.installed(server, CIRCLECI)

    def installed(self, server: Server, wheel: str) -> None:
        """Have installers read a page that tells of provenance."""
        name, version = wheel.split("-")[:2]
        options = ("--no-deps", "--index-url", server.simple)
        target = self.folder / "target"
        pip = (sys.executable, "-m", "pip", "download", *options, "-d", target)
        self.run_client(*pip, f"{name}=={version}")
        self.assertEqual([one.name for one in target.iterdir()], [wheel])
        uv = (script("uv"), "pip", "install", *options, "--target", target / "uv")
        self.run_client(*uv, f"{name}=={version}")

    def test_another_trust_root(self) -> None:
        root = self.folder / "staging.json"
        root.write_text(staging_root())
        person = {
            "kind": "identity",
            "identity": "*@yossarian.net",
            "issuer": "https://github.com/login/oauth",
        }
        told = signer("person", "rfc8785", person)
        server = self.server(settings=told)
        self.refused(
            self.send(server, STAGING, self.attestation(STAGING + PUBLISH)),
            "signature, certificate or log entry do not hold",
        )
        server.stop()
        server.configure(**{"attestations.trust_root": str(root)})
        server.start()
        answer = self.send(server, STAGING, self.attestation(STAGING + PUBLISH))
        self.assertEqual(answer.status, 200, answer.text)
        address = f"/integrity/rfc8785/0.1.2/{STAGING}/provenance"
        (bundle,) = server.get(address).json()["attestation_bundles"]
        self.assertEqual(bundle["publisher"]["identity"], "william@yossarian.net")
        root.write_text("{}")
        shutil.copy(self.assets / STAGING, self.folder)
        again = self.send(server, STAGING, self.attestation(STAGING + PUBLISH))
        self.assertEqual(again.status, 503)
        self.assertIn("attestations.trust_root", again.text)

    def test_what_does_not_hold(self) -> None:
        server = self.server(settings=signer("ci", "pypi-*", RELEASE))
        good = self.attestation(SDIST + PUBLISH)
        for item in (
            flipped(good, "envelope", "signature"),
            flipped(good, "envelope", "statement"),
            flipped(good, "verification_material", "certificate"),
        ):
            self.refused(self.send(server, SDIST, item), "Attestation 1 of 1")
        entry = good["verification_material"]["transparency_entries"][0]
        moved = {**entry, "integratedTime": str(int(entry["integratedTime"]) + 1)}
        material = {**good["verification_material"], "transparency_entries": [moved]}
        late = {**good, "verification_material": material}
        self.refused(
            self.send(server, SDIST, late), "certificate or log entry do not hold"
        )
        many = {**material, "transparency_entries": [entry, entry]}
        self.refused(
            self.send(server, SDIST, {**good, "verification_material": many}),
            "several log entries",
        )
        self.refused(
            self.send(server, SDIST, {**good, "version": 2}), "form of PEP 740"
        )
        self.refused(self.send(server, SDIST, good, good), "the second one of the kind")
        self.refused(self.send(server, SDIST), "from one to 2 attestations")
        self.refused(
            self.send(server, OTHER, good), "it is about a file of another name"
        )
        self.nothing_kept(server)

    def test_other_bytes_of_that_name(self) -> None:
        server = self.server(settings=signer("ci", "pypi-*", RELEASE))
        repacked = self.folder / SDIST
        with (
            tarfile.open(self.assets / SDIST) as old,
            tarfile.open(repacked, "w:gz") as new,
        ):
            for member in old:
                new.addfile(member, old.extractfile(member))
        good = self.attestation(SDIST + PUBLISH)
        answer = self.send(server, SDIST, good, data=repacked.read_bytes())
        self.refused(answer, "it is about other bytes")
        self.nothing_kept(server)

    def test_another_signer(self) -> None:
        for told in (
            {**RELEASE, "workflow": "other.yml"},
            {**RELEASE, "repository": "trailofbits/other"},
            {"kind": "google", "email": "x@example.org"},
        ):
            server = self.server(settings=signer("ci", "pypi-*", told))
            answer = self.send(server, SDIST, self.attestation(SDIST + PUBLISH))
            self.refused(answer, "its certificate is not of who may sign")
            self.nothing_kept(server)

    def test_nobody_signs(self) -> None:
        server = self.server(settings=signer("ci", "acme-*", RELEASE))
        answer = self.send(server, SDIST, self.attestation(SDIST + PUBLISH))
        self.refused(answer, "nobody whose attestations count")
        server.configure(**signer("ci", "pypi-*", RELEASE))
        assert server.process is not None
        server.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "were read again" in server.log, lambda: server.log)
        self.accepted(server, SDIST, PUBLISH)

    def test_without_the_extra(self) -> None:
        module = self.folder / "without" / "pypi_attestations" / "__init__.py"
        module.parent.mkdir(parents=True)
        module.write_text("raise ModuleNotFoundError('No', name='it')\n")
        server = self.server(
            settings=signer("ci", "pypi-*", RELEASE),
            environment={"PYTHONPATH": str(module.parents[1])},
        )
        answer = self.send(server, SDIST, self.attestation(SDIST + PUBLISH))
        self.refused(answer, "pypicloud-tw[attestations]")
        self.assertNotIn("Traceback", server.log)
        self.nothing_kept(server)

    def dist(self, *suffixes: str) -> list[Path]:
        """Lay a file and its attestations side by side, as jobs leave them."""
        folder = self.folder / "dist"
        folder.mkdir(exist_ok=True)
        return [
            Path(shutil.copy(self.assets / f"{SDIST}{suffix}", folder))
            for suffix in ("", *suffixes)
        ]

    def uv(self, server: Server, *options: str) -> tuple[str | Path, ...]:
        return (
            *(script("uv"), "publish", "--trusted-publishing", "never", *options),
            *("--publish-url", f"{server.url}/legacy/"),
            *("--username", USER, "--password", PASSWORD),
            *self.dist(PUBLISH),
        )

    def test_uv(self) -> None:
        server = self.server(settings=signer("ci", "pypi-*", RELEASE))
        self.run_client(*self.uv(server))
        (bundle,) = self.provenance(server, SDIST).attestation_bundles
        self.assertEqual(len(bundle.attestations), 1)
        # Published again, it is as it was.
        self.run_client(*self.uv(server))

    def test_uv_where_nothing_is_verified(self) -> None:
        server = self.server()
        output = self.run_failing(*self.uv(server))
        self.assertIn("--no-attestations", output)
        self.run_client(*self.uv(server, "--no-attestations"))

    def test_twine(self) -> None:
        files = self.dist(PUBLISH, SLSA)
        server = self.server(settings=signer("ci", "pypi-*", RELEASE))
        self.run_client(
            *(script("twine"), "upload", "--non-interactive", "--attestations"),
            *("--repository-url", f"{server.url}/legacy/", "-u", USER, "-p", PASSWORD),
            *files,
        )
        (bundle,) = self.provenance(server, SDIST).attestation_bundles
        self.assertEqual(len(bundle.attestations), 2)


class OfflineTests(IntegrationTestCase):
    """Nobody is asked: not by the library either."""

    CODE = """
import sys, pickle
def hook(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname"):
        raise SystemExit(f"somebody is asked: {event} {arguments}")
    if event == "open" and "w" in str(arguments[1]):
        raise SystemExit(f"something is written: {arguments[0]}")
sys.addaudithook(hook)
sys.dont_write_bytecode = True
question = pickle.loads(open(sys.argv[1], "rb").read())
from pypicloud_tw.index.attestations.verification import verify
print(len(verify(question)))
"""

    def test_it(self) -> None:
        file = self.folder / "question"
        file.write_bytes(pickle.dumps(question()))
        code = (sys.executable, "-c", self.CODE, file)
        done = run(code, home=self.home)
        self.assertEqual(done.code, 0, done.output)
        self.assertGreater(int(done.output), 9000)


def question(text: str | None = None) -> Question:
    """Ask about a file whose attestation holds, or about another text."""
    folder = assets()
    item = json.loads((folder / (SDIST + PUBLISH)).read_text())
    digest = hashlib.sha256((folder / SDIST).read_bytes()).hexdigest()
    told = {"repository": RELEASE["repository"], "workflow": RELEASE["workflow"]}
    signers = (Signer("github", told),)
    return Question(text or json.dumps([item]), SDIST, digest, signers)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=10), inner, max_size=3)
    ),
    max_leaves=5,
)


class HostileTests(SynchronousTestCase):
    """Whatever is sent: it holds, or it is refused by a sentence."""

    def places(self, item: Any) -> list[tuple[Any, Any]]:
        """List where anything stands in an attestation."""
        keys = item if isinstance(item, dict) else range(len(item))
        found = [(item, key) for key in keys]
        for _, key in list(found):
            if isinstance(item[key], (dict, list)):
                found += self.places(item[key])
        return found

    @settings(
        max_examples=150,
        deadline=None,
        suppress_health_check=[HealthCheck.differing_executors],
    )
    @given(st.data())
    def test_anything_in_any_place(self, data: st.DataObject) -> None:
        items = json.loads(question().text)
        places = self.places(items)
        inside, key = places[data.draw(st.integers(0, len(places) - 1))]
        old = inside[key]
        inside[key] = data.draw(JSON)
        if isinstance(old, str) and data.draw(st.booleans()):
            at = data.draw(st.integers(0, max(0, len(old) - 1)))
            inside[key] = old[:at] + data.draw(st.text(max_size=3)) + old[at + 1 :]
        try:
            made = verify(question(json.dumps(items)))
        except BadRequest as e:
            self.assertIn("--no-attestations", str(e))
            self.assertTrue(str(e).isprintable(), e)
        else:
            # What was changed does not matter; what is kept is what was verified.
            self.verified(made)

    def test_nothing_is_kept_that_would_be_too_long_to_read(self) -> None:
        """A checkpoint may have text that is not signed; escaped, it is longer."""
        items = json.loads(question().text)
        (entry,) = items[0]["verification_material"]["transparency_entries"]
        entry["inclusionProof"]["checkpoint"]["envelope"] += "\u00e9" * 50_000 + "\n"
        text = json.dumps(items, ensure_ascii=False)
        self.assertLess(len(text.encode()), MAX_ATTESTATIONS)
        with self.assertRaises(BadRequest) as caught:
            verify(question(text))
        self.assertIn(f"{MAX_PROVENANCE} are the most", str(caught.exception))

    def verified(self, made: bytes) -> None:
        from pypi_attestations import Distribution

        (bundle,) = read_provenance(made).attestation_bundles
        distribution = Distribution.from_file(assets() / SDIST)
        for attestation in bundle.attestations:
            attestation.verify(bundle.publisher, distribution, offline=True)


class TrustRootTests(SynchronousTestCase):
    def test_what_was_installed_is_found(self) -> None:
        """It lies among the library's own files, which promises nothing."""
        from sigstore.models import TrustedRoot
        from sigstore.verify import Verifier

        folder = resources.files("sigstore._store")
        place = folder / "https%3A%2F%2Ftuf-repo-cdn.sigstore.dev"
        with resources.as_file(place / "trusted_root.json") as path:
            Verifier(trusted_root=TrustedRoot.from_file(str(path)))


def read_provenance(data: bytes) -> Provenance:
    """Read a provenance object as clients do."""
    from pypi_attestations import Provenance

    return Provenance.model_validate_json(data)


test_suite = apart(__name__)
