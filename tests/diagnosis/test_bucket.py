"""A bucket: each permission, conditions, clock, region, rules, and who may read it."""

from __future__ import annotations

import json
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, ClassVar

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from pypicloud_tw.config.configuration import Config
from pypicloud_tw.diagnosis.bucket import BucketChecks
from pypicloud_tw.diagnosis.bucket_rules import BucketRules
from pypicloud_tw.diagnosis.permissions import permissions
from pypicloud_tw.diagnosis.values import Finding
from pypicloud_tw.errors import StoreError
from pypicloud_tw.store.s3.credentials import FixedCredentials
from pypicloud_tw.store.s3.explain import iam_policy, policy_line
from pypicloud_tw.store.s3.objects import ACL, KMS_KEY
from pypicloud_tw.store.s3.sigv4 import AWSCredentials
from pypicloud_tw.store.s3.store import S3Store
from pypicloud_tw.store.s3.xml import parse_lifecycle
from tests.diagnosis.doubles import levels, the
from tests.doubles import InlineOffload
from tests.store.s3.doubles import CREDENTIALS, EPOCH, Drop, Harness, Refuse
from tests.store.s3.test_policy import PolicedHarness, without

CHECKOUT = Path(__file__).absolute().parents[2]

#: Those of the policy, in the order in which they are tried.
ACTIONS = (
    "s3:ListBucket",
    "s3:PutObject",
    "s3:GetObject",
    "s3:PutObject by parts",
    "s3:ListBucketMultipartUploads",
    "s3:AbortMultipartUpload",
    "s3:DeleteObject",
)


def rule(name: str, prefix: str, *what: str, status: str = "Enabled") -> str:
    """Write a rule of a lifecycle as S3 does."""
    return (
        f"<Rule><ID>{name}</ID><Filter><Prefix>{prefix}</Prefix></Filter>"
        f"<Status>{status}</Status>{''.join(what)}</Rule>"
    )


EXPIRES = "<Expiration><Days>30</Days></Expiration>"
ARCHIVES = "<Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition>"
ABORTS = (
    "<AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation>"
    "</AbortIncompleteMultipartUpload>"
)
NONCURRENT = (
    "<NoncurrentVersionExpiration><NoncurrentDays>14</NoncurrentDays>"
    "</NoncurrentVersionExpiration>"
)


class BucketCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.harness = Harness()
        self.fake = self.harness.fake
        self.store = S3Store(self.harness.client, InlineOffload(), "pre/fix/")
        self.config = Config()
        self.region: str | None = "us-east-1"

    @property
    def checks(self) -> BucketChecks:
        return BucketChecks(self.store, self.config, self.region)

    @property
    def rules(self) -> BucketRules:
        return BucketRules(self.store)

    def look(self, work: Coroutine[Any, Any, list[Finding]]) -> list[Finding]:
        """Look; nothing is left in the bucket, whatever comes of it."""
        found = self.successResultOf(self.harness.run(work))
        self.assertEqual((self.fake.objects, self.fake.uploads), ({}, {}))
        return found


class PermissionTests(BucketCase):
    def test_all_allowed(self) -> None:
        found = self.look(permissions(self.store))
        self.assertEqual(tuple(one.subject for one in found), ACTIONS)
        self.assertEqual(levels(found), ["ok"] * len(ACTIONS))

    def test_all_of_the_policy(self) -> None:
        """What the docs' policy lists is tried, and nothing else is asked for."""
        policy = json.loads(iam_policy(self.harness.client.endpoint, "pre/fix/"))
        listed = {action for one in policy["Statement"] for action in one["Action"]}
        self.assertEqual({action.partition(" ")[0] for action in ACTIONS}, listed)

    def test_each_is_told_by_name(self) -> None:
        """The others are tried all the same."""
        for operation, action in (
            ("ListObjects", "s3:ListBucket"),
            ("PutObject", "s3:PutObject"),
            ("GetObject", "s3:GetObject"),
            ("UploadPart", "s3:PutObject by parts"),
            ("ListMultipartUploads", "s3:ListBucketMultipartUploads"),
        ):
            self.fake.forbidden = {operation}
            found = self.look(permissions(self.store))
            self.assertEqual(len(found), len(ACTIONS))
            wrong = the("fault", found)
            self.assertEqual(wrong.subject, action)
            resource = "bucket" if "List" in action else "bucket/pre/fix/*"
            line = f"{action.partition(' ')[0]} on arn:aws:s3:::{resource}"
            self.assertIn(f"Allow {line}", wrong.advice)

    def test_the_policy_is_enough(self) -> None:
        """And where one of it is missing, that one is named."""
        for missing in (None, *sorted({one.partition(" ")[0] for one in ACTIONS})):
            harness = PolicedHarness()
            store = S3Store(harness.client, InlineOffload(), "pre/fix/")
            policy = json.loads(iam_policy(harness.client.endpoint, "pre/fix/"))
            harness.policed.policy = without(policy, missing or "")
            found = self.successResultOf(harness.run(permissions(store)))
            wrong = [one.subject for one in found if one.level != "ok"]
            if missing is None:
                self.assertEqual(wrong, [])
            else:
                self.assertEqual(wrong[0].partition(" ")[0], missing)
                named = {need.action for need in harness.policed.denied}
                self.assertEqual(named, {missing})

    def test_what_cannot_be_cleaned_up(self) -> None:
        """A sweep does it: it is below the prefix that sweeps look at."""
        self.fake.forbidden = {"DeleteObject"}
        found = self.successResultOf(self.harness.run(permissions(self.store)))
        self.assertEqual(the("fault", found).subject, "s3:DeleteObject")
        for key in self.fake.objects:
            self.assertTrue(key.startswith("pre/fix/.probe/"), key)

    def test_aborting_is_not_allowed(self) -> None:
        self.fake.forbidden = {"AbortMultipartUpload"}
        found = self.successResultOf(self.harness.run(permissions(self.store)))
        self.assertEqual(the("fault", found).subject, "s3:AbortMultipartUpload")

    def test_an_acl(self) -> None:
        """It needs a permission of its own, which S3 asks for by the header field."""
        self.store.client.common = {ACL: "bucket-owner-full-control"}
        found = self.look(permissions(self.store))
        self.assertIn("s3:PutObjectAcl", [one.subject for one in found])
        self.fake.fail("PutObject", Drop(done=True))  # tried again
        self.assertEqual(set(levels(self.look(permissions(self.store)))), {"ok"})

    def test_what_s3_names(self) -> None:
        """That is what is missing, though another was tried."""
        key = "arn:aws:kms:us-east-1:111122223333:key/1"
        self.store.client.common = {KMS_KEY: key}
        body = (
            b"<Error><Code>AccessDenied</Code><Message>User x is not authorized to "
            b"perform: kms:GenerateDataKey on resource y</Message></Error>"
        )
        self.fake.fail("PutObject", Refuse(403, "AccessDenied", body=body))
        found = the("fault", self.look(permissions(self.store)))
        self.assertIn("the permission kms:GenerateDataKey", found.found)
        self.assertIn(f"Allow kms:GenerateDataKey on {key}", found.advice)

    def test_a_small_server(self) -> None:
        """What it does not know is no fault."""
        self.fake.fail("ListMultipartUploads", Refuse(501, "NotImplemented"))
        found = the("note", self.look(permissions(self.store)))
        self.assertEqual(found.subject, "s3:ListBucketMultipartUploads")

    def test_other_troubles(self) -> None:
        self.fake.fail("CreateMultipartUpload", Refuse(400, "InvalidStorageClass"))
        found = the("fault", self.look(permissions(self.store)))
        self.assertIn("InvalidStorageClass", found.found)

    def test_lines_of_the_policy(self) -> None:
        endpoint = self.harness.client.endpoint
        for region, arn in (("us-east-1", "aws"), ("cn-north-1", "aws-cn")):
            there = endpoint.moved(region)
            line = policy_line("s3:GetObject", there, "p/", {})
            self.assertEqual(line, f"s3:GetObject on arn:{arn}:s3:::bucket/p/*")
        line = policy_line("s3:GetBucketVersioning", endpoint, "p/", {})
        self.assertEqual(line, "s3:GetBucketVersioning on arn:aws:s3:::bucket")


class ServerTests(BucketCase):
    def test_conditions(self) -> None:
        (found,) = self.look(self.checks.conditions())
        self.assertEqual(found.level, "ok")
        self.assertIn("honours conditional writes (If-Match quoted)", found.found)

    def test_conditions_are_not_honoured(self) -> None:
        """One process may live with it; several lose uploads."""
        self.fake.conditions = "ignored"
        (found,) = self.look(self.checks.conditions())
        self.assertEqual(found.level, "warning")
        self.assertIn("only ONE process", found.found)
        server = evolve(self.config.server, workers=2)
        self.config = evolve(self.config, server=server)
        self.assertEqual(levels(self.look(self.checks.conditions())), ["fault"])

    def test_away(self) -> None:
        """Whoever does the checks says so."""
        self.harness.agent.away = True
        for work in (self.checks.conditions, self.checks.clock, self.checks.region):
            self.failureResultOf(self.harness.run(work()), StoreError)
        found = self.successResultOf(self.harness.run(permissions(self.store)))
        self.assertEqual(set(levels(found)), {"unseen"})

    def test_clock(self) -> None:
        for off, level in (
            (0.0, "ok"),
            (20.0, "ok"),
            (-20.0, "ok"),
            (120.0, "warning"),
            (-120.0, "warning"),
            (3600.0, "fault"),
        ):
            self.fake.clock_offset = off
            (found,) = self.look(self.checks.clock())
            self.assertEqual(found.level, level, off)
            if level != "ok":
                self.assertIn(f"off by {off:.0f} s", found.found)

    def test_region(self) -> None:
        (found,) = self.look(self.checks.region())
        self.assertEqual(found.level, "ok")
        self.fake.region = "eu-west-1"
        (found,) = self.look(self.checks.region())
        self.assertEqual(found.level, "warning")
        self.assertIn("The bucket is in region eu-west-1, not us-east-1", found.found)
        self.region = None
        self.assertEqual(levels(self.look(self.checks.region())), ["ok"])

    def test_region_of_aws_that_nobody_set(self) -> None:
        requester = self.store.client.requester
        requester.endpoint = evolve(requester.endpoint, server=None)
        self.region = None
        self.assertEqual(levels(self.look(self.checks.region())), ["note"])

    def test_credentials(self) -> None:
        key = ("AKID", "hunter2")
        for credentials, level, words in (
            (AWSCredentials(*key, origin="the ini"), "ok", "from the ini, and do not"),
            (AWSCredentials(*key, "token"), "warning", "nobody renews them"),
            (AWSCredentials(*key, "t", EPOCH + 7500), "ok", "end in 2 h 5 min"),
            (AWSCredentials(*key, "t", EPOCH + 90), "ok", "end in 1 min"),
            (AWSCredentials(*key, "t", EPOCH - 1), "fault", "have ended"),
        ):
            requester = self.store.client.requester
            requester.credentials = FixedCredentials(credentials)
            (found,) = self.look(self.checks.credentials())
            self.assertEqual(found.level, level, words)
            self.assertIn(words, found.found)
            self.assertNotIn("hunter2", str(found))
        self.assertEqual(self.fake.seen, [])

    def test_public(self) -> None:
        (found,) = self.look(self.checks.public())
        self.assertEqual(found.level, "ok")
        for operations, words in (
            ({"GetObject"}, "Anybody can read here"),
            ({"ListObjects", "PutObject"}, "Anybody can list and write here"),
        ):
            self.fake.public = operations
            (found,) = self.look(self.checks.public())
            self.assertEqual(found.level, "fault")
            self.assertIn(words, found.found)


class LifecycleTests(BucketCase):
    OURS: ClassVar = rule("aborts", "pre/fix/", ABORTS, NONCURRENT)

    def lifecycle(self, *rules: str) -> list[Finding]:
        self.fake.lifecycle = "".join(rules)
        return self.look(self.rules.lifecycle())

    def test_harmless(self) -> None:
        for one in (
            rule("elsewhere", "other/", EXPIRES, ARCHIVES),
            rule("off", "", EXPIRES, status="Disabled"),
            rule("cache", "pre/fix/.cache/", EXPIRES),
            rule("probes", "pre/fix/.probe/", EXPIRES),
        ):
            self.assertEqual(levels(self.lifecycle(self.OURS, one)), ["ok"], one)

    def test_what_deletes_what_is_named(self) -> None:
        for prefix in ("", "pre/", "pre/fix/", "pre/fix/acme/", "pre/fix/.index/"):
            found = self.lifecycle(self.OURS, rule("bad", prefix, EXPIRES))
            wrong = the("fault", found)
            self.assertEqual(wrong.subject, "bad")
            self.assertIn("after 30 days", wrong.found)

    def test_archives(self) -> None:
        found = self.lifecycle(self.OURS, rule("cold", "pre/fix/", ARCHIVES))
        self.assertIn("GLACIER", the("fault", found).found)
        warm = ARCHIVES.replace("GLACIER", "STANDARD_IA")
        found = self.lifecycle(self.OURS, rule("warm", "pre/fix/", warm))
        self.assertEqual(levels(found), ["ok"])

    def test_nothing_aborts(self) -> None:
        self.fake.lifecycle = None
        found = the("note", self.look(self.rules.lifecycle()))
        self.assertIn("No rule aborts unfinished uploads", found.found)

    def test_not_allowed(self) -> None:
        """A server does not need it."""
        self.fake.forbidden = {"GetBucketLifecycle", "GetBucketVersioning"}
        for work, action in (
            (self.rules.lifecycle(), "s3:GetLifecycleConfiguration"),
            (self.rules.versioning(), "s3:GetBucketVersioning"),
        ):
            (found,) = self.look(work)
            self.assertEqual(found.level, "note")
            self.assertIn(f"{action} is not allowed", found.found)
            self.assertIn(f"{action} on arn:aws:s3:::bucket", found.advice)

    def test_a_small_server(self) -> None:
        self.fake.fail("GetBucketLifecycle", Refuse(501, "NotImplemented"))
        self.assertEqual(levels(self.look(self.rules.lifecycle())), ["note"])

    def test_versioning(self) -> None:
        for status, rules, expected in (
            ("", None, ["note"]),
            ("Suspended", None, ["note"]),
            ("Enabled", None, ["warning"]),
            ("Enabled", self.OURS, ["ok"]),
        ):
            self.fake.versioning, self.fake.lifecycle = status, rules
            found = self.look(self.rules.versioning())
            self.assertEqual(levels(found), expected, status)

    def test_our_own_rules(self) -> None:
        """contrib/lifecycle.json is all that is asked for."""
        text = (CHECKOUT / "contrib" / "lifecycle.json").read_text("utf-8")
        rules = json.loads(text.replace("packages/", "pre/fix/"))["Rules"]
        self.fake.versioning = "Enabled"
        written = "".join(map(_as_xml, rules))
        self.assertEqual(levels(self.lifecycle(written)), ["ok"])
        self.assertEqual(levels(self.look(self.rules.versioning())), ["ok"])

    def test_old_forms(self) -> None:
        """A prefix outside of a filter, and conditions together."""
        document = (
            "<LifecycleConfiguration>"
            f"<Rule><Prefix>a/</Prefix><Status>Enabled</Status>{EXPIRES}</Rule>"
            "<Rule><Filter><And><Prefix>b/</Prefix><Tag><Key>k</Key></Tag></And>"
            "</Filter><Status>Enabled</Status>"
            "<Expiration><Date>2030-01-01</Date></Expiration></Rule>"
            "</LifecycleConfiguration>"
        )
        first, second = parse_lifecycle(document.encode())
        self.assertEqual(
            (first.prefix, first.narrowed, first.expires),
            ("a/", False, "after 30 days"),
        )
        self.assertEqual(
            (second.prefix, second.narrowed, second.expires),
            ("b/", True, "on 2030-01-01"),
        )


def _as_xml(value: dict[str, Any]) -> str:
    """Write a rule of the command line's JSON as S3's XML has it."""

    def inner(one: Any) -> str:
        if isinstance(one, dict):
            return "".join(f"<{k}>{inner(v)}</{k}>" for k, v in one.items())
        return str(one).lower() if isinstance(one, bool) else str(one)

    return f"<Rule>{inner(value)}</Rule>"


class CredentialsOfTests(SynchronousTestCase):
    def test_no_secret_in_words(self) -> None:
        self.assertNotIn(CREDENTIALS.secret_key, repr(CREDENTIALS))
