"""The permissions of a bucket's credentials, tried one by one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import suppress
from secrets import token_hex

from attrs import define, evolve, field

from pypicloud_tw.diagnosis.values import Finding, fault, note, ok, unseen
from pypicloud_tw.maintenance.sweep import PROBE
from pypicloud_tw.outbound.sending import BytesBody
from pypicloud_tw.store.interfaces import ByteRange
from pypicloud_tw.store.s3.client import S3Client
from pypicloud_tw.store.s3.explain import explain, named_permission, policy_line
from pypicloud_tw.store.s3.faults import S3Error, S3Fault, S3Unreachable
from pypicloud_tw.store.s3.objects import ACL
from pypicloud_tw.store.s3.store import S3Store

#: Where the policy stands.
_POLICY = "docs/guide/buckets.rst, Policy"

#: What is written to try it.
_DATA = b"pypicloud doctor"


async def permissions(store: S3Store) -> list[Finding]:
    """Try each action of the policy by itself, below the prefix."""
    tries = _Tries(store, f"{store.prefix}{PROBE}{token_hex(8)}/")
    try:
        return [finding async for finding in tries.all()]
    finally:
        await tries.clean_up()


def line_for(action: str, store: S3Store) -> str:
    """Name what the policy must have for an action; see :func:`.policy_line`."""
    client = store.client
    return policy_line(action, client.endpoint, store.prefix, client.common)


@define
class _Tries:
    """The actions of the policy, one after another, on objects of a folder."""

    store: S3Store
    folder: str
    _begun: list[tuple[str, str]] = field(factory=list, init=False)

    @property
    def _client(self) -> S3Client:
        return self.store.client

    async def all(self) -> AsyncIterator[Finding]:
        """Try all; whichever is refused, the others are tried."""
        client, tried = self._client, self._tried
        key = f"{self.folder}doctor"
        yield await tried("s3:ListBucket", client.get_bucket(self.folder, max_keys=1))
        async for put in self._put(key):
            yield put
        # Of an object that is not there it is refused, too, where it is not allowed.
        yield await tried("s3:GetObject", self._get(key), absent=True)
        yield await tried("s3:PutObject by parts", self._put_by_parts(f"{key}.parts"))
        yield await tried(
            "s3:ListBucketMultipartUploads", client.list_multipart_uploads(self.folder)
        )
        yield await tried("s3:AbortMultipartUpload", self._abort(f"{key}.aborted"))
        yield await tried("s3:DeleteObject", client.delete_object(key), absent=True)

    async def _put(self, key: str) -> AsyncIterator[Finding]:
        client, tried = self._client, self._tried
        common = {name: text for name, text in client.common.items() if name != ACL}
        plain = evolve(client, common=common)
        yield await tried("s3:PutObject", plain.put_object(key, _DATA))
        if ACL in client.common:
            yield await tried("s3:PutObjectAcl", client.put_object(key, _DATA))

    async def _get(self, key: str) -> None:
        whole = await self._client.get_object(key, limit=len(_DATA))
        piece = await self._client.get_object(
            key, byte_range=ByteRange(1, 3), limit=len(_DATA)
        )
        if (whole.data, piece.data) != (_DATA, _DATA[1:3]):
            raise S3Unreachable("It answers with other bytes than were written.")

    async def _put_by_parts(self, key: str) -> None:
        upload = await self._begin(key)
        part = await self._client.upload_part(key, upload, 1, BytesBody(_DATA))
        await self._client.complete_multipart_upload(key, upload, [part])
        self._begun.remove((key, upload))

    async def _abort(self, key: str) -> None:
        upload = await self._begin(key)
        await self._client.abort_multipart_upload(key, upload)
        self._begun.remove((key, upload))

    async def _begin(self, key: str) -> str:
        upload = await self._client.init_multipart_upload(key)
        self._begun.append((key, upload))
        return upload

    async def clean_up(self) -> None:
        """Remove what was made; what cannot be is left for a sweep."""
        for begun in self._begun:
            with suppress(S3Fault):
                await self._client.abort_multipart_upload(*begun)
        for name in ("doctor", "doctor.parts"):
            with suppress(S3Fault):
                await self._client.delete_object(f"{self.folder}{name}")

    async def _tried(
        self, action: str, work: Awaitable[object], *, absent: bool = False
    ) -> Finding:
        """Say whether an action is allowed.

        :param absent: that there is no such object shows that it may be asked for.
        """
        try:
            await work
        except S3Error as error:
            if absent and error.status == 404:
                return ok("Allowed.", action)
            if error.status == 501:
                return note("This S3 server does not know it.", "", action)
            return self._refusal(action, error)
        except S3Fault as error:
            return unseen(str(error), "", action)
        return ok("Allowed.", action)

    def _refusal(self, action: str, error: S3Error) -> Finding:
        name = named_permission(error) or action.partition(" ")[0]
        said = explain(error, self._client.endpoint).message
        if error.status != 403:
            return fault(said, "See what the S3 server logs.", action)
        return fault(said, f"Allow {line_for(name, self.store)} ({_POLICY}).", action)
