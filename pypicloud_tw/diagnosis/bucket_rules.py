"""What a bucket does to objects by itself: lifecycle rules, and versions."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator
from typing import TypeVar

from attrs import frozen

from pypicloud_tw.diagnosis.permissions import line_for
from pypicloud_tw.diagnosis.values import Finding, fault, note, ok, unseen, warning
from pypicloud_tw.maintenance.sweep import PROBE
from pypicloud_tw.store.s3.explain import explain
from pypicloud_tw.store.s3.faults import S3Error, S3Fault
from pypicloud_tw.store.s3.store import S3Store
from pypicloud_tw.store.s3.xml import LifecycleRule

T = TypeVar("T")

#: Storage classes out of which nothing is read at once.
_ARCHIVES = frozenset({"GLACIER", "DEEP_ARCHIVE"})

#: What a rule may delete: kept files of other indexes come again.
_EXPENDABLE = (".cache/", PROBE)

#: Asks for rules, and for versions; the policy of a server need allow neither.
_RULES, _VERSIONS = "s3:GetLifecycleConfiguration", "s3:GetBucketVersioning"


@frozen
class BucketRules:
    """Looks at what a bucket does."""

    store: S3Store

    async def lifecycle(self) -> list[Finding]:
        """Look for rules that delete or move away what manifests name."""
        client = self.store.client
        rules = await self._optional(_RULES, client.get_lifecycle())
        if isinstance(rules, Finding):
            return [rules]
        ours = [rule for rule in rules if self._is_about_us(rule)]
        found = [finding for rule in ours for finding in self._judged(rule)]
        if not any(rule.aborts for rule in ours):
            found.append(
                note(
                    "No rule aborts unfinished uploads, whose parts are paid for.",
                    "Set those of pypicloud contrib lifecycle.json, or let pypicloud "
                    "sweep do it.",
                )
            )
        if found:
            return found
        return [ok(f"Its {len(ours)} rules delete nothing that is named.")]

    def _is_about_us(self, rule: LifecycleRule) -> bool:
        ours = self.store.prefix
        overlaps = rule.prefix.startswith(ours) or ours.startswith(rule.prefix)
        return rule.enabled and overlaps

    def _judged(self, rule: LifecycleRule) -> Iterator[Finding]:
        below = rule.prefix.removeprefix(self.store.prefix)
        if rule.prefix.startswith(self.store.prefix) and below.startswith(_EXPENDABLE):
            return
        subject = rule.name or f"the rule of {rule.prefix or 'all keys'}"
        where = f"below {rule.prefix!r}" if rule.prefix else "in the bucket"
        if rule.narrowed:
            where += ", of certain tags or sizes"
        if rule.expires:
            yield fault(
                f"It deletes every object {where} {rule.expires}, also those that "
                "manifests name.",
                "Take Expiration out of it; pypicloud contrib lifecycle.json shows "
                "what it may delete.",
                subject,
            )
        archives = sorted(_ARCHIVES.intersection(rule.archived))
        if archives:
            yield fault(
                f"It moves objects {where} to {', '.join(archives)}, out of which "
                "nobody can read.",
                "Move them to STANDARD_IA, GLACIER_IR or INTELLIGENT_TIERING.",
                subject,
            )

    async def versioning(self) -> list[Finding]:
        """Look whether old versions are kept, and for how long."""
        client = self.store.client
        status = await self._optional(_VERSIONS, client.get_versioning())
        if isinstance(status, Finding):
            return [status]
        if status != "Enabled":
            return [
                note(
                    "Old versions are not kept: what is overwritten or deleted by "
                    "mistake is gone.",
                    "Turn versioning on, with the rules of pypicloud contrib "
                    "lifecycle.json.",
                )
            ]
        rules = await self._optional(_RULES, client.get_lifecycle())
        if isinstance(rules, Finding):
            return [ok("Old versions are kept."), rules]
        if any(rule.noncurrent and self._is_about_us(rule) for rule in rules):
            return [ok("Old versions are kept, and deleted after a while.")]
        return [
            warning(
                "Old versions are kept for ever: a manifest has one for each change, "
                "and the marker one for each change of any.",
                "Set the rules of pypicloud contrib lifecycle.json.",
            )
        ]

    async def _optional(self, action: str, work: Awaitable[T]) -> T | Finding:
        """Ask for what the policy of a server need not allow."""
        try:
            return await work
        except S3Error as error:
            if error.status == 403:
                return note(
                    f"It may not be looked at: {action} is not allowed.",
                    f"A server does not need it. To have it looked at, allow "
                    f"{line_for(action, self.store)}.",
                )
            if error.status in (400, 404, 405, 501):
                return note("This S3 server does not tell.")
            return unseen(explain(error, self.store.client.endpoint).message)
        except S3Fault as error:
            return unseen(str(error))
