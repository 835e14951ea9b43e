"""``contrib/kubernetes``: rendered, held to Kubernetes' schemas and to our settings."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from shutil import copytree
from textwrap import dedent
from typing import Any

from OpenSSL.crypto import FILETYPE_PEM
from packaging.version import Version
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.cli.main import main
from pypicloud_tw.config.configuration import Config
from pypicloud_tw.config.load import load
from pypicloud_tw.config.sections.upstream import COOLDOWN, OSV_OF_PYPI
from pypicloud_tw.config.values import seconds
from pypicloud_tw.errors import StoreError
from pypicloud_tw.index.index import PING_PATIENCE
from pypicloud_tw.offload import limits
from pypicloud_tw.workers.supervisor import STOP_PATIENCE
from tests.certificates import certificate
from tests.integration import apart
from tests.integration.kustomize import Objects, kubectl, size
from tests.integration.rig import CHECKOUT, IntegrationTestCase
from tests.web.doubles import Web

FOLDER = CHECKOUT / "contrib" / "kubernetes"
GUIDE = (CHECKOUT / "docs" / "guide" / "kubernetes.rst").read_text("utf-8")

OVERLAYS = ("folder", "bucket", "several")

#: The oldest version that knows all that is used (preStop.sleep), and one of today.
VERSIONS = ("1.30", "1.37")

#: Kinds that are not Kubernetes' own, so that its schemas do not have them.
FOREIGN = {"ServiceMonitor"}

#: What the guide has people make by hand.
SECRETS = {"pypicloud", "pypi-tls", "metrics-reader"}

#: The user of the image.
UID = 6543


@cache
def rendered(overlay: str) -> Objects:
    return Objects.rendered(FOLDER / "overlays" / overlay)


def every() -> Iterator[tuple[str, Objects]]:
    for overlay in OVERLAYS:
        yield overlay, rendered(overlay)


def with_components(folder: Path, overlay: str, *components: str) -> Objects:
    """Render an overlay with components, as somebody does in a folder of theirs."""
    copytree(FOLDER, folder / "kubernetes", dirs_exist_ok=True)
    lines = [
        "apiVersion: kustomize.config.k8s.io/v1beta1",
        "kind: Kustomization",
        f"resources: [kubernetes/overlays/{overlay}]",
        "components:",
        *(f"  - kubernetes/components/{component}" for component in components),
    ]
    (folder / "kustomization.yaml").write_text("\n".join(lines))
    return Objects.rendered(folder)


def invalid(one: Any, version: str) -> str | None:
    """Say what Kubernetes would not take of an object."""
    from kubernetes_validate import ValidationError, validate

    try:
        validate(one, version, strict=True)
    except ValidationError as e:
        return f"{one['kind']}: {e.message}"
    return None


def away(_operation: str, _key: str) -> None:
    raise StoreError("It is away.")


class SchemaTests(SynchronousTestCase):
    """Kubernetes takes them."""

    def test_every_object(self) -> None:
        for overlay, objects in every():
            self.assertGreater(len(objects.all), 6)
            for version in VERSIONS:
                wrong = [invalid(one, version) for one in objects.all]
                self.assertEqual(set(wrong), {None}, f"{overlay}, {version}")

    def test_a_mistake_is_found(self) -> None:
        """The schemas are strict."""
        service = rendered("folder").one("Service")
        for key, value in (("selektor", {}), ("ports", 80)):
            changed = {**service, "spec": {**service["spec"], key: value}}
            self.assertIsNotNone(invalid(changed, VERSIONS[-1]), key)

    def test_all_are_in_one_namespace(self) -> None:
        for _, objects in every():
            namespace = objects.one("Namespace")["metadata"]["name"]
            others = [one for one in objects.all if one["kind"] != "Namespace"]
            told = {one["metadata"]["namespace"] for one in others}
            self.assertEqual(told, {namespace})


class ReferenceTests(SynchronousTestCase):
    """What an object names is there."""

    def test_selectors(self) -> None:
        """Each finds the pods."""
        for _, objects in every():
            found = [
                objects.one("Deployment")["spec"]["selector"]["matchLabels"],
                objects.one("Service")["spec"]["selector"],
                objects.one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
            ]
            found += [
                one["labelSelector"]["matchLabels"]
                for one in objects.pod.get("topologySpreadConstraints", [])
            ]
            found += [
                one["spec"]["selector"]["matchLabels"]
                for one in objects.of("PodDisruptionBudget")
            ]
            for labels in found:
                self.assertNotEqual(labels, {})
                self.assertLessEqual(labels.items(), objects.labels.items())

    def test_ports(self) -> None:
        """They are named, and the names are there."""
        for _, objects in every():
            ports = {port["name"] for port in objects.container["ports"]}
            service = objects.one("Service")["spec"]["ports"]
            self.assertLessEqual({port["targetPort"] for port in service}, ports)
            probed = {probe["httpGet"]["port"] for probe in objects.probes.values()}
            self.assertLessEqual(probed, ports)
            [let_in] = objects.one("NetworkPolicy")["spec"]["ingress"]
            self.assertEqual({port["port"] for port in let_in["ports"]}, ports)
            [rule] = objects.one("Ingress")["spec"]["rules"]
            [path] = rule["http"]["paths"]
            backend = path["backend"]["service"]
            self.assertIn(backend["name"], objects.names("Service"))
            self.assertIn(backend["port"]["name"], {port["name"] for port in service})

    def test_names(self) -> None:
        for _, objects in every():
            pod = objects.pod
            self.assertIn(pod["serviceAccountName"], objects.names("ServiceAccount"))
            maps = {one["configMapRef"]["name"] for one in objects.container["envFrom"]}
            self.assertEqual(maps, set(objects.names("ConfigMap")))
            for volume in pod["volumes"]:
                if claim := volume.get("persistentVolumeClaim"):
                    claims = objects.names("PersistentVolumeClaim")
                    self.assertIn(claim["claimName"], claims)
                if secret := volume.get("secret"):
                    self.assertIn(secret["secretName"], SECRETS)
            for one in objects.one("Ingress")["spec"]["tls"]:
                self.assertIn(one["secretName"], SECRETS)
            for scaler in objects.of("HorizontalPodAutoscaler"):
                target = scaler["spec"]["scaleTargetRef"]
                self.assertIn(target["name"], objects.names(target["kind"]))

    def test_the_ini_is_where_the_server_looks(self) -> None:
        for _, objects in every():
            *command, argument = objects.container["command"]
            self.assertEqual(command, ["pypicloud", "serve"])
            ini = Path(argument.removeprefix("--config="))
            self.assertIn("secret", objects.volumes[str(ini.parent)])
            self.assertIn(f"--from-file={ini.name}", GUIDE)

    def test_every_volume_is_used(self) -> None:
        for _, objects in every():
            used = {volume["name"] for volume in objects.volumes.values()}
            self.assertEqual(used, {one["name"] for one in objects.pod["volumes"]})


class SettingsTests(IntegrationTestCase):
    """What the server makes of its environment."""

    def load(self, environ: dict[str, str]) -> Config:
        """Read it, with an ini that says nothing."""
        ini = self.folder / "pypicloud.ini"
        ini.write_text("[pypicloud]\n")
        return load(ini, environ)

    def configs(self) -> Iterator[tuple[str, Objects, Config]]:
        for overlay, objects in every():
            yield overlay, objects, self.load(objects.environment)

    def test_all_are_settings(self) -> None:
        """None is unknown, ignored or of no use."""
        for overlay, _, config in self.configs():
            self.assertEqual(config.notices, (), overlay)

    def test_service_links(self) -> None:
        """The variables that Kubernetes makes of our service change nothing.

        They are switched off here; whoever leaves that out starts as well.
        """
        for overlay, objects in every():
            self.assertIs(objects.pod["enableServiceLinks"], False)
            links = dict(objects.service_links())
            self.assertIn("PYPICLOUD_PORT", links)
            both = {**objects.environment, **links}
            self.assertEqual(self.load(both), self.load(objects.environment), overlay)

    def test_protection(self) -> None:
        """What a server without an ini has by itself."""
        for _, _, config in self.configs():
            self.assertEqual(config.upstream.min_age, seconds()(COOLDOWN))
            self.assertEqual(config.advisories.source, OSV_OF_PYPI)

    def test_store(self) -> None:
        for overlay, objects, config in self.configs():
            if overlay == "folder":
                self.assertIsNone(config.aws.bucket)
                [path] = [
                    path
                    for path, volume in objects.volumes.items()
                    if "persistentVolumeClaim" in volume
                ]
                self.assertTrue(config.storage.dir.is_relative_to(path))
            else:
                self.assertEqual(config.aws.bucket, "acme-pypi")
                self.assertEqual(objects.of("PersistentVolumeClaim"), [])

    def test_port(self) -> None:
        """It listens where it is looked for, and not on the pod itself alone."""
        for _, objects, config in self.configs():
            [port] = objects.container["ports"]
            listen = f"tcp:{port['containerPort']}:interface=0.0.0.0"
            self.assertEqual(config.server.listen, listen)

    def test_end(self) -> None:
        """It is not killed while uploads and downloads finish."""
        for _, objects, config in self.configs():
            pause = objects.container["lifecycle"]["preStop"]["sleep"]["seconds"]
            needed = pause + config.server.grace + STOP_PATIENCE
            self.assertGreaterEqual(
                objects.pod["terminationGracePeriodSeconds"], needed
            )

    def test_temporary_files(self) -> None:
        """There is room for two of the largest files."""
        for _, objects, config in self.configs():
            self.assertIsNone(config.storage.temp_dir)
            folder = objects.volumes[objects.environment["TMPDIR"]]["emptyDir"]
            self.assertGreater(size(folder["sizeLimit"]), 2 * config.pypi.max_upload)

    def test_memory(self) -> None:
        """Caches, Python and two helpers at the most that they may have."""
        python, helpers = 300 * 2**20, (limits.PAGES, limits.ARCHIVES)
        for _, objects, config in self.configs():
            caches = (
                config.index.memory
                + config.upstream.cache_memory
                + config.aws.buffer_memory
            )
            needed = caches + python + sum(one.memory for one in helpers)
            limit = size(objects.container["resources"]["limits"]["memory"])
            self.assertGreater(limit, needed)


class ProbeTests(SynchronousTestCase):
    """What is asked of a server, and what it answers."""

    def setUp(self) -> None:
        self.web = Web()

    def statuses(self, objects: Objects) -> dict[str, int]:
        return {
            kind: self.web.get(probe["httpGet"]["path"]).status
            for kind, probe in objects.probes.items()
        }

    def test_all_is_well(self) -> None:
        for _, objects in every():
            self.assertEqual(set(self.statuses(objects).values()), {200})

    def test_store_is_away(self) -> None:
        """Nothing is sent to it any more, and it is not killed for it."""
        self.web.store.before = away
        for _, objects in every():
            self.assertEqual(
                self.statuses(objects),
                {"startup": 200, "liveness": 200, "readiness": 503},
            )

    def test_patience(self) -> None:
        """Who asks hears what the server has to say of a store that hangs."""
        for _, objects in every():
            patience = objects.probes["readiness"]["timeoutSeconds"]
            self.assertGreater(patience, PING_PATIENCE)

    def test_metrics(self) -> None:
        """The monitor's address is answered."""
        folder = Path(self.mktemp())
        folder.mkdir()
        objects = with_components(folder, "several", "service-monitor")
        monitor = objects.one("ServiceMonitor")
        [endpoint] = monitor["spec"]["endpoints"]
        service = objects.one("Service")
        labels = monitor["spec"]["selector"]["matchLabels"]
        self.assertLessEqual(labels.items(), service["metadata"]["labels"].items())
        ports = {port["name"] for port in service["spec"]["ports"]}
        self.assertIn(endpoint["port"], ports)
        self.assertEqual(self.web.get(endpoint["path"]).status, 200)
        self.assertEqual(
            monitor["metadata"]["namespace"], service["metadata"]["namespace"]
        )
        secrets = {one["name"] for one in endpoint["basicAuth"].values()}
        self.assertLessEqual(secrets, SECRETS)
        self.assertEqual(objects.environment["PYPICLOUD_METRICS_READ"], "authenticated")

    def test_metrics_are_nobodys_otherwise(self) -> None:
        """Addresses tell little behind an ingress: all may come from a node."""
        for _, objects in every():
            self.assertNotIn("PYPICLOUD_METRICS_READ", objects.environment)


class SecurityTests(SynchronousTestCase):
    """What the pods may do."""

    def test_restricted(self) -> None:
        """They keep to the strictest of Kubernetes' pod security standards."""
        for _, objects in every():
            labels = objects.one("Namespace")["metadata"]["labels"]
            self.assertEqual(labels["pod-security.kubernetes.io/enforce"], "restricted")
            pod, inner = objects.pod, objects.container["securityContext"]
            context = pod["securityContext"]
            self.assertIs(context["runAsNonRoot"], True)
            self.assertEqual(context["seccompProfile"], {"type": "RuntimeDefault"})
            self.assertIs(inner["allowPrivilegeEscalation"], False)
            self.assertEqual(inner["capabilities"], {"drop": ["ALL"]})
            self.assertEqual(
                set(pod) & {"hostNetwork", "hostPID", "hostIPC", "initContainers"},
                set(),
            )
            kinds = {kind for volume in pod["volumes"] for kind in volume}
            allowed = {"name", "emptyDir", "secret", "persistentVolumeClaim"}
            self.assertLessEqual(kinds, allowed)

    def test_user_of_the_image(self) -> None:
        for _, objects in every():
            context = objects.pod["securityContext"]
            for name in ("runAsUser", "runAsGroup", "fsGroup"):
                self.assertEqual(context[name], UID)

    def test_nothing_of_the_image_is_written(self) -> None:
        for _, objects in every():
            inner = objects.container["securityContext"]
            self.assertIs(inner["readOnlyRootFilesystem"], True)
            mounts = objects.container["volumeMounts"]
            kept = {one["mountPath"] for one in mounts if one.get("readOnly")}
            self.assertEqual(kept, {"/etc/pypicloud"})

    def test_no_token_of_the_cluster(self) -> None:
        for _, objects in every():
            for one in (objects.pod, objects.one("ServiceAccount")):
                self.assertIs(one["automountServiceAccountToken"], False)

    def test_role(self) -> None:
        """By an annotation; EKS Pod Identity needs none, but a way to its agent."""
        name = "eks.amazonaws.com/role-arn"
        for overlay in ("bucket", "several"):
            account = rendered(overlay).one("ServiceAccount")
            self.assertRegex(account["metadata"]["annotations"][name], "^arn:aws:iam:")
        folder = Path(self.mktemp())
        folder.mkdir()
        objects = with_components(folder, "several", "pod-identity")
        metadata = objects.one("ServiceAccount")["metadata"]
        self.assertNotIn(name, metadata.get("annotations", {}))
        agent = objects.one("NetworkPolicy")["spec"]["egress"][-1]
        self.assertEqual(agent["to"][0]["ipBlock"]["cidr"], "169.254.170.23/32")
        self.assertIsNone(invalid(objects.one("NetworkPolicy"), VERSIONS[-1]))

    def test_ways_out(self) -> None:
        """Names and TLS alone, and not what would lend them the node's role."""
        for _, objects in every():
            names, tls = objects.one("NetworkPolicy")["spec"]["egress"]
            self.assertEqual({port["port"] for port in names["ports"]}, {53})
            self.assertEqual([port["port"] for port in tls["ports"]], [443])
            kept = [cidr for to in tls["to"] for cidr in to["ipBlock"]["except"]]
            self.assertIn("169.254.0.0/16", kept)


class IngressTests(SynchronousTestCase):
    """What ingress-nginx is told."""

    def test_as_nginx_is_told(self) -> None:
        """``contrib/nginx.conf`` has the same, and is tried with a real nginx."""
        text = (CHECKOUT / "contrib" / "nginx.conf").read_text("utf-8")
        for _, objects in every():
            annotations = objects.one("Ingress")["metadata"]["annotations"]
            told = {name.partition("/")[2]: of for name, of in annotations.items()}
            self.assertEqual(told.pop("proxy-body-size"), "0")
            self.assertIn("client_max_body_size 0;", text)
            self.assertGreaterEqual(len(told), 4)
            for name, value in told.items():
                # Times are seconds here, which nginx is told.
                unit = "s" if name.endswith("-timeout") else ""
                self.assertIn(f"{name.replace('-', '_')} {value}{unit};", text)


class ScaleTests(SynchronousTestCase):
    """One server, or several."""

    def test_one_has_the_volume(self) -> None:
        spec = rendered("folder").one("Deployment")["spec"]
        self.assertEqual(spec["replicas"], 1)
        self.assertEqual(spec["strategy"], {"type": "Recreate"})

    def test_no_number_beside_the_autoscaler(self) -> None:
        objects = rendered("several")
        self.assertNotIn("replicas", objects.one("Deployment")["spec"])
        scaler = objects.one("HorizontalPodAutoscaler")["spec"]
        self.assertGreaterEqual(scaler["minReplicas"], 2)
        # It divides by what is asked for.
        self.assertIn("cpu", objects.container["resources"]["requests"])

    def test_one_at_a_time_is_moved(self) -> None:
        """Where there is one alone, nodes could not be emptied by that."""
        budget = rendered("several").one("PodDisruptionBudget")["spec"]
        self.assertEqual(budget["maxUnavailable"], 1)
        for overlay in ("folder", "bucket"):
            self.assertEqual(rendered(overlay).of("PodDisruptionBudget"), [])

    def test_never_fewer_while_one_is_replaced(self) -> None:
        for overlay in ("bucket", "several"):
            strategy = rendered(overlay).one("Deployment")["spec"]["strategy"]
            self.assertEqual(strategy["rollingUpdate"]["maxUnavailable"], 0)


class GuideTests(IntegrationTestCase):
    """``docs/guide/kubernetes.rst``."""

    def example(self) -> Objects:
        """Render the folder that it has people make, beside the manifests."""
        pattern = r"^\.\. code-block:: yaml\n\n((?:(?: {4}.*)?\n)+)"
        [block] = [
            block
            for block in re.findall(pattern, GUIDE, re.MULTILINE)
            if "kind: Kustomization" in block
        ]
        text = re.sub(r"^ {4}", "", block, flags=re.MULTILINE)
        (self.folder / "kustomization.yaml").write_text(text)
        copytree(FOLDER, self.folder / "pypicloud")
        return Objects.rendered(self.folder)

    def test_example(self) -> None:
        objects = self.example()
        ours = [one for one in objects.all if one["kind"] not in FOREIGN]
        self.assertEqual({invalid(one, VERSIONS[-1]) for one in ours}, {None})
        self.assertEqual({one["kind"] for one in objects.all} & FOREIGN, FOREIGN)
        image = objects.container["image"]
        self.assertRegex(image, r"^registry\.acme\.example/pypicloud:")
        hosts = {rule["host"] for rule in objects.one("Ingress")["spec"]["rules"]}
        hosts |= {h for t in objects.one("Ingress")["spec"]["tls"] for h in t["hosts"]}
        self.assertEqual(hosts, {"pypi.example.com"})
        ini = self.folder / "pypicloud.ini"
        ini.write_text("[pypicloud]\n")
        config = load(ini, objects.environment)
        self.assertEqual(config.notices, ())
        self.assertEqual(config.pypi.public_url, "https://pypi.example.com")
        self.assertNotEqual(config.aws.bucket, "acme-pypi")
        self.assertEqual(config.metrics.read, "authenticated")
        # What is not changed is still there.
        self.assertEqual(config.advisories.source, OSV_OF_PYPI)

    def test_secrets(self) -> None:
        """Its commands make those that the objects name."""
        for name in ("pypicloud.ini", "aws_secret_key"):
            (self.folder / name).write_text("secret")
        made = certificate()
        (self.folder / "chain.pem").write_bytes(made.dumpPEM())
        (self.folder / "key.pem").write_bytes(made.privateKey.dump(FILETYPE_PEM))
        keys: dict[str, set[str]] = {}
        pattern = r"^ +(kubectl -n pypicloud create secret [^\\\n]*(?:\\\n[^\\\n]*)*)"
        for command in re.findall(pattern, GUIDE, re.MULTILINE):
            line = command.replace("\\\n", " ").partition("--dry-run")[0]
            words = shlex.split(line)[1:]
            secret = kubectl(self.folder, *words, "--dry-run=client")
            keys.setdefault(secret["metadata"]["name"], set()).update(secret["data"])
        self.assertEqual(
            keys,
            {
                "pypicloud": {"pypicloud.ini", "aws_secret_key"},
                "pypi-tls": {"tls.crt", "tls.key"},
                "metrics-reader": {"username", "password"},
            },
        )
        self.assertEqual(set(keys), SECRETS)

    def test_keys_in_place_of_a_role(self) -> None:
        """The ini of a secret has them; the rest are variables."""
        [lines] = re.findall(r"the ini has::\n\n((?: {4}.*\n)+)", GUIDE)
        ini = self.folder / "pypicloud.ini"
        ini.write_text(f"[pypicloud]\n{dedent(lines)}")
        (self.folder / "aws_secret_key").write_text("secret")
        config = load(ini, rendered("several").environment)
        self.assertEqual(config.notices, ())
        self.assertEqual(config.aws.secret_key, "secret")
        self.assertEqual(config.aws.endpoint_url, "https://s3.example.com")

    def test_commands(self) -> None:
        """What is run in a pod is a command of ours."""
        names = re.findall(r" -- pypicloud ([a-z-]+)", GUIDE)
        self.assertIn("user", names)
        self.assertLessEqual(set(names), set(main.commands))

    def test_overlays_and_components(self) -> None:
        for kind in ("overlays", "components"):
            for folder in (FOLDER / kind).iterdir():
                self.assertIn(f"``{folder.name}``", GUIDE)

    def test_image(self) -> None:
        """The version of this checkout."""
        text = (CHECKOUT / "pyproject.toml").read_text("utf-8")
        version = Version(tomllib.loads(text)["project"]["version"])
        for _, objects in every():
            tag = objects.container["image"].partition(":")[2]
            self.assertEqual(tag, version.base_version)


test_suite = apart(__name__)
