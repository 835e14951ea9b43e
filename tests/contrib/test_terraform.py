"""contrib/terraform: what it makes is what the documents show and the server needs.

That the policy is enough for all that is sent to S3, and no more, is in
tests/store/s3/test_policy.py.
"""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from textwrap import dedent
from typing import Any

import hcl2
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.config.load import load
from pypicloud_tw.store.s3.endpoint import Endpoint
from pypicloud_tw.store.s3.explain import iam_policy
from pypicloud_tw.store.s3.objects import KMS_KEY
from tests.contrib.hcl import Blocks, references

CHECKOUT = Path(__file__).absolute().parents[2]
FOLDER = CHECKOUT / "contrib" / "terraform"
BUCKETS = (CHECKOUT / "docs" / "guide" / "buckets.rst").read_text("utf-8")

#: Who may take the role, by where servers run: the action, the kind of principal, and
#: the principal.
TRUST = {
    "ec2": (["sts:AssumeRole"], "Service", "ec2.amazonaws.com"),
    "irsa": (
        ["sts:AssumeRoleWithWebIdentity"],
        "Federated",
        "${data.aws_iam_openid_connect_provider.irsa[0].arn}",
    ),
    "pod_identity": (
        ["sts:AssumeRole", "sts:TagSession"],
        "Service",
        "pods.eks.amazonaws.com",
    ),
}


@cache
def blocks() -> Blocks:
    """Read the files; where the parser was never used it takes two seconds to begin."""
    unset = Blocks.read(FOLDER, {})
    defaults = {
        f"var.{name}": variable["default"]
        for name, variable in unset.named("variable").items()
        if "default" in variable
    }
    values = {
        **defaults,
        "var.bucket": "acme-pypi",
        "aws_s3_bucket.packages.arn": "arn:aws:s3:::acme-pypi",
        "aws_s3_bucket.packages.bucket": "acme-pypi",
        "aws_s3_bucket.packages.region": "eu-central-1",
    }
    return Blocks(unset.blocks, values)


def statement(block: Any) -> dict[str, Any]:
    """Write a statement as a policy has it, for which one thing is no list."""
    return {
        "Effect": block["effect"],
        "Action": block["actions"],
        "Resource": block["resources"][0],
    }


def rule(block: Any) -> dict[str, Any]:
    """Write a rule as S3's API has it."""
    camel: dict[str, Any] = {"ID": block["id"], "Status": block["status"]}
    for name in block.keys() - {"id", "status"}:
        [inner] = block[name]
        camel[_camel(name)] = {_camel(key): value for key, value in inner.items()}
    return camel


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


class PolicyTests(SynchronousTestCase):
    """The role's policy."""

    def setUp(self) -> None:
        self.document = blocks().one("data", "aws_iam_policy_document", "server")

    def test_what_the_documents_show(self) -> None:
        """Statement for statement."""
        [shown] = re.findall(r"^ {4}(\{\n(?: {4}.*\n)+ {4}\})$", BUCKETS, re.MULTILINE)
        made = [statement(block) for block in self.document["statement"]]
        self.assertEqual(made, json.loads(shown)["Statement"])

    def test_key(self) -> None:
        """With a key of one's own it has what the program says of such a key."""
        key = "arn:aws:kms:us-east-1:111122223333:key/1"
        endpoint = Endpoint("acme-pypi", "us-east-1", None, True)
        policy = json.loads(iam_policy(endpoint, "packages/", {KMS_KEY: key}))
        [dynamic] = self.document["dynamic"]
        made = dynamic["statement"]
        expected = "${var.kms_key_arn == null ? [] : [var.kms_key_arn]}"
        self.assertEqual(made["for_each"], expected)
        [content] = made["content"]
        self.assertEqual(content["resources"], ["${statement.value}"])
        content = {**content, "resources": [key]}
        self.assertEqual(statement(content), policy["Statement"][-1])

    def test_the_role_has_it(self) -> None:
        attached = blocks().one("resource", "aws_iam_role_policy", "server")
        document = "${data.aws_iam_policy_document.server.json}"
        self.assertEqual(attached["policy"], document)
        self.assertEqual(attached["role"], "${aws_iam_role.server.id}")


class TrustTests(SynchronousTestCase):
    """Who may take the role."""

    def document(self, name: str) -> Any:
        return blocks().one("data", "aws_iam_policy_document", name)

    def test_principals(self) -> None:
        for name, (actions, kind, principal) in TRUST.items():
            [only] = self.document(name)["statement"]
            self.assertEqual(only["effect"], "Allow")
            self.assertEqual(only["actions"], actions)
            [told] = only["principals"]
            self.assertEqual(told, {"type": kind, "identifiers": [principal]})

    def test_one_service_account(self) -> None:
        """A federated role without a condition is everybody's in the cluster."""
        [only] = self.document("irsa")["statement"]
        told = {
            condition["variable"].rpartition(":")[2]: condition["values"]
            for condition in only["condition"]
            if condition["test"] == "StringEquals"
        }
        account = "system:serviceaccount:pypicloud:pypicloud"
        self.assertEqual(told, {"sub": [account], "aud": ["sts.amazonaws.com"]})

    def test_each_is_there_in_one_case_alone(self) -> None:
        counts = {self.document(name)["count"] for name in TRUST}
        cases = {"ec2", "eks-irsa", "eks-pod-identity"}
        self.assertEqual(
            counts, {f'${{var.runs_on == "{case}" ? 1 : 0}}' for case in cases}
        )
        [check] = blocks().named("variable")["runs_on"]["validation"]
        self.assertEqual(set(re.findall(r'"([^"]+)"', check["condition"])), cases)
        role = blocks().one("resource", "aws_iam_role", "server")
        for name in TRUST:
            document = f"data.aws_iam_policy_document.{name}[*].json"
            self.assertIn(document, role["assume_role_policy"])


class BucketTests(SynchronousTestCase):
    """The bucket and its settings."""

    def resource(self, kind: str) -> Any:
        return blocks().one("resource", f"aws_s3_bucket{kind}", "packages")

    def test_lifecycle(self) -> None:
        """The rules of contrib/lifecycle.json, in their order."""
        made = self.resource("_lifecycle_configuration")
        rules = {"Rules": [rule(block) for block in made["rule"]]}
        text = (CHECKOUT / "contrib" / "lifecycle.json").read_text("utf-8")
        self.assertEqual(rules, json.loads(text))

    def test_nothing_is_public(self) -> None:
        block = self.resource("_public_access_block")
        flags = {name: value for name, value in block.items() if name != "bucket"}
        self.assertEqual(set(flags.values()), {True})
        self.assertEqual(len(flags), 4)
        [owners] = self.resource("_ownership_controls")["rule"]
        self.assertEqual(owners, {"object_ownership": "BucketOwnerEnforced"})

    def test_tls_only(self) -> None:
        """Of everybody, of all objects and of the bucket itself."""
        document = blocks().one("data", "aws_iam_policy_document", "bucket")
        [only] = document["statement"]
        self.assertEqual((only["effect"], only["actions"]), ("Deny", ["s3:*"]))
        arn = "arn:aws:s3:::acme-pypi"
        self.assertEqual(only["resources"], [arn, f"{arn}/*"])
        self.assertEqual(only["principals"], [{"type": "*", "identifiers": ["*"]}])
        secure = {
            "test": "Bool",
            "variable": "aws:SecureTransport",
            "values": ["false"],
        }
        self.assertEqual(only["condition"], [secure])
        policy = self.resource("_policy")["policy"]
        self.assertEqual(policy, "${data.aws_iam_policy_document.bucket.json}")

    def test_encryption(self) -> None:
        [made] = self.resource("_server_side_encryption_configuration")["rule"]
        [default] = made["apply_server_side_encryption_by_default"]
        algorithm = '${var.kms_key_arn == null ? "AES256" : "aws:kms"}'
        self.assertEqual(default["sse_algorithm"], algorithm)

    def test_it_stays(self) -> None:
        self.assertEqual(self.resource("")["lifecycle"], [{"prevent_destroy": True}])

    def test_all_settings_are_of_this_bucket(self) -> None:
        for kind, name, body in blocks().labelled("resource"):
            if kind.startswith("aws_s3_bucket_"):
                self.assertEqual(name, "packages")
                self.assertEqual(body["bucket"], "${aws_s3_bucket.packages.id}", kind)


class VariableTests(SynchronousTestCase):
    """What it asks, and what it gives."""

    def test_all_are_described(self) -> None:
        for kind in ("variable", "output"):
            found = blocks().named(kind)
            self.assertGreater(len(found), 3)
            for name, body in found.items():
                self.assertTrue(body.get("description"), f"{kind} {name}")

    def test_all_are_used(self) -> None:
        """And nothing is referred to that is not there."""
        read = blocks()
        declared = {f"var.{name}" for name in read.named("variable")}
        declared |= {f"{kind}.{name}" for kind, name, _ in read.labelled("resource")}
        data = {f"data.{kind}.{name}" for kind, name, _ in read.labelled("data")}
        bodies = [*read.blocks["resource"], *read.blocks["data"]]
        used = {
            ".".join(found.split(".")[: 3 if found.startswith("data.") else 2])
            for found in references([*bodies, *read.blocks["output"]])
        }
        self.assertEqual(used - declared - data, set())
        variables = {name for name in declared if name.startswith("var.")}
        self.assertEqual((variables | data) - used, set())

    def test_settings(self) -> None:
        """The server takes them as they are."""
        value = blocks().resolved(blocks().named("output")["settings"]["value"])
        aws = load(None, value).aws
        self.assertEqual(
            (aws.bucket, aws.prefix, aws.region),
            ("acme-pypi", "packages/", "eu-central-1"),
        )

    def test_documents(self) -> None:
        """What they set is a variable, and what has to be set they set."""
        text = BUCKETS.partition("Terraform\n---------\n")[2].partition("\nLinks to")[0]
        [example] = re.findall(r"^ {4}provider .*\n(?:(?: {4}.*)?\n)+", text, re.M)
        [found] = hcl2.loads(dedent(example))["module"]
        given = set(found['"pypicloud"']) - {"source", "__is_block__"}
        variables = blocks().named("variable")
        self.assertLessEqual(given, set(variables))
        required = {name for name, body in variables.items() if "default" not in body}
        self.assertLessEqual(required, given)
        outputs = set(re.findall(r"``module\.pypicloud\.(\w+)``", text))
        self.assertEqual(outputs, set(blocks().named("output")))
