"""A bucket: conditions, clock, region, credentials, and whether anybody may use it.

The client is asked, and not the store, which would hide which operation was refused.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, suppress
from secrets import token_hex

from attrs import frozen

from pypicloud_tw.config.configuration import Config
from pypicloud_tw.diagnosis.values import Finding, fault, note, ok, warning
from pypicloud_tw.maintenance.sweep import PROBE
from pypicloud_tw.store.s3.client import S3Client
from pypicloud_tw.store.s3.explain import explained
from pypicloud_tw.store.s3.faults import S3Fault
from pypicloud_tw.store.s3.probe import Conditional
from pypicloud_tw.store.s3.request import CLOCK_OFF, MOVED
from pypicloud_tw.store.s3.store import HONOURED, ONE_WRITER, S3Store

#: Seconds that a clock may be off before it is spoken of, and before S3 refuses
#: ("RequestTimeTooSkewed").
_OFF, _REFUSED = 30.0, 900.0


@frozen
class BucketChecks:
    """Looks at a bucket.

    :ivar configured: the region of the ini or the environment; None: neither says.
    """

    store: S3Store
    config: Config
    configured: str | None

    @property
    def _client(self) -> S3Client:
        return self.store.client

    async def conditions(self) -> list[Finding]:
        """Look whether conditions are honoured, as a server does when it starts."""
        abilities = await self.store.try_conditions()
        if abilities.conditional is not Conditional.NONE:
            return [ok(HONOURED.format(style=abilities.conditional.value))]
        said = ONE_WRITER.format(reason=abilities.reason)
        advice = "Run one server, with server.workers = 1, or take another S3 server."
        if self.config.server.workers > 1:
            return [fault(said, advice)]
        return [warning(said, advice)]

    async def clock(self) -> list[Finding]:
        """Compare this clock with the store's."""
        requester = self._client.requester
        key = f"{self.store.prefix}{PROBE}{token_hex(8)}/clock"
        before = requester.now()
        try:
            with self._explained():
                written = await self._client.put_object(key, b"")
            after = requester.now()
        finally:
            with suppress(S3Fault):
                await self._client.delete_object(key)
        theirs = written.date.timestamp()
        off = theirs - after if theirs > after else min(0.0, theirs - before)
        if abs(off) < _OFF:
            return [ok("This clock and S3's are the same.")]
        said = CLOCK_OFF.format(seconds=off)
        advice = "Let ntp or chrony set this machine's clock."
        return [(fault if abs(off) > _REFUSED else warning)(said, advice)]

    async def region(self) -> list[Finding]:
        """Compare the region of the settings with the bucket's."""
        with self._explained():
            await self._client.get_bucket(self.store.prefix, max_keys=1)
        there = self._client.endpoint.region
        if self._client.endpoint.server is not None and self.configured is None:
            return [ok(f"aws.endpoint_url says where it is; signed for {there}.")]
        if self.configured is None:
            return [
                note(
                    f"The bucket is in region {there}, which no setting says.",
                    f"aws.region = {there} saves asking for it at each start.",
                )
            ]
        if there != self.configured:
            said = MOVED.format(region=there, old=self.configured)
            return [warning(said, f"Set aws.region = {there}.")]
        return [ok(f"The bucket is in {there}, as set.")]

    async def credentials(self) -> list[Finding]:
        """Say where the credentials come from, and when they end."""
        requester = self._client.requester
        found = await requester.credentials.get()
        said = f"They come from {found.origin or 'the settings'}"
        if found.expires is not None:
            left = found.expires - requester.now()
            if left <= 0:
                advice = "Renew what they come from."
                return [fault(f"{said}, and have ended.", advice)]
            end = f"end in {_duration(left)}, and are renewed before"
            return [ok(f"{said}, {end}.")]
        if found.session_token is not None:
            return [
                warning(
                    f"{said}, and are temporary: they have a session token, and "
                    "nobody renews them.",
                    "Leave them out, so that a role or a profile is used, which is "
                    "renewed by itself.",
                )
            ]
        return [ok(f"{said}, and do not end.")]

    async def public(self) -> list[Finding]:
        """Try as anybody, without a signature, to list, read and write."""
        client, prefix = self._client, self.store.prefix
        key = f"{prefix}{PROBE}{token_hex(8)}/public"
        try:
            with self._explained():
                await client.put_object(key, b"")
                may = {
                    "list": await client.status_for_anybody("GET", None),
                    "read": await client.status_for_anybody("GET", key),
                    "write": await client.status_for_anybody("PUT", key, b"anybody"),
                }
        finally:
            with suppress(S3Fault):
                await client.delete_object(key)
        allowed = [what for what, status in may.items() if 200 <= status < 300]
        if not allowed:
            return [ok("Without credentials nothing is listed, read or written.")]
        return [
            fault(
                f"Anybody can {' and '.join(allowed)} here, without credentials: also "
                "who may do what, and hashes of passwords and tokens.",
                "Block public access to the bucket, and take it out of its policy.",
            )
        ]

    def _explained(self) -> AbstractContextManager[None]:
        return explained(self._client.endpoint)


def _duration(seconds: float) -> str:
    hours, minutes = divmod(int(seconds) // 60, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
