"""What the index needs of a store; every implementation passes tests/store_suite.py.

Keys are relative to the store's own prefix, use ``/`` as separator, and are what the
manifest remembers. Listings come in the order of the key's UTF-8 bytes.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Literal, Protocol

from attrs import Factory, frozen
from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    # They bring Twisted, which no helper process needs to load.
    from twisted.internet.interfaces import IConsumer

    from pypicloud_tw.store.spool import Spool


@frozen
class IfAbsent:
    """Write only if no object of that key exists (RFC 9110: ``If-None-Match: *``)."""


@frozen
class IfMatch:
    """Write only if the object still has this ETag (RFC 9110: ``If-Match``)."""

    etag: str


Condition = IfAbsent | IfMatch | None

#: What a store is made of.
StoreKind = Literal["folder", "bucket"]


@frozen
class ObjectInfo:
    """What a store knows of an object without its bytes.

    :ivar size: length in bytes.
    :ivar etag: opaque; changes whenever the bytes do. No quotes.
    :ivar modified: by the store's clock, aware, in UTC.
    :ivar metadata: user metadata, lower-case names.
    """

    key: str
    size: int
    etag: str
    modified: datetime
    metadata: Mapping[str, str] = Factory(dict)


@frozen
class StoredBytes:
    """A small object, whole."""

    info: ObjectInfo
    data: bytes


@frozen
class ByteRange:
    """Bytes ``start`` to ``stop`` (exclusive) of an object; ``0 <= start < stop``."""

    start: int
    stop: int


@frozen
class SignedUrl:
    """An address that the store itself serves.

    Instants are seconds since the epoch, by the clock of this machine.

    :ivar fresh_until: until then the same address is given again.
    :ivar ends: from then on the store refuses it.
    """

    url: str
    fresh_until: float
    ends: float


class Unlistable(Enum):
    """Why a listing cannot tell of what lies there."""

    FOLDER = "a folder that may not be read"
    DEEP = "a folder below more others than a key has"
    NAME = "a name that is no UTF-8"
    LINK = "a symbolic link, a pipe or the like"


@frozen
class Unlisted:
    """Something that lies where objects do and is none, or cannot be looked at.

    :ivar key: its name as well as can be told, with a slash at the end where it may be
        a folder.
    """

    key: str
    why: Unlistable


def enter(folder: str) -> bool:
    """Skip no folder."""
    return False


class IDownload(Interface):
    """An object that was opened; its bytes have not been asked for yet."""

    info: ObjectInfo = Attribute("What is being read: the whole object's info.")

    async def deliver(consumer: IConsumer) -> None:
        """Write the bytes to *consumer* with back-pressure, then return.

        The producer is unregistered when this returns, however it returns, except
        where the consumer itself let go of it by ``stopProducing``.

        :raises StoreError: the store failed half-way or delivered fewer bytes than it
            promised. What was written stays written.
        :raises CancelledError: the consumer went away (``stopProducing``), or whoever
            awaited this stopped waiting.
        """

    def abandon() -> None:
        """Let go of it unread. Harmless after :meth:`deliver`."""


@frozen
class Notice:
    """A small object that must be there before others are."""

    key: str
    data: bytes


class Placer(Protocol):
    """Makes the objects of a new folder exist, all of them or none, in any process."""

    def place(self, objects: Mapping[str, bytes], notice: Notice | None) -> object:
        """Place objects, by their names in the folder; durable when this returns.

        :param notice: written before them, durably.
        :returns: what is to be told to :meth:`IUpload.placed`.
        :raises StoreError: they may or may not exist.
        """


class IUpload(Interface):
    """One object on its way in. Nothing is visible under its key before commit."""

    spool: Spool = Attribute(
        "The bytes so far, seekable, with their digests; for checks before commit."
    )

    async def write(data: bytes) -> None:
        """Take more bytes; returns when the sender may go on (back-pressure).

        :raises InsufficientStorage: there is no room for them.
        :raises StoreError: the store failed for good.
        """

    async def commit() -> ObjectInfo:
        """Make the object exist, whole and durable, under its key.

        :raises StoreError: it may or may not exist; its key must not be used again.
        """

    places: bool = Attribute("Whether there is a :meth:`placer`.")

    def placer() -> Placer:
        """Give what does instead of :meth:`commit`, in a helper process; for one try.

        It can be pickled.
        """

    def placed(receipt: object) -> None:
        """Learn that it was done."""

    async def abort() -> None:
        """Forget it and free what it holds. Never fails; harmless after commit."""


class IObjectStore(Interface):
    """Objects by key, with conditional writes of the small ones.

    Every method may raise :class:`~pypicloud_tw.errors.StoreError` when the store does
    not answer, refuses, or answers nonsense; a key is only ever *absent*
    (:class:`~pypicloud_tw.errors.ObjectNotFound`) when the store has proved it.
    """

    async def prepare() -> None:
        """Create the folder or the bucket where that is asked for; idempotent."""

    async def ping() -> None:
        """Return if the store answers and lets itself be listed."""

    async def get(
        key: str, *, unless: str | None = None, limit: int = 64 * 2**20
    ) -> StoredBytes | None:
        """Read a small object whole; None if it still has the ETag *unless*.

        :param limit: more bytes than this are a StoreError, and are not read. The
            manifest of 43,000 files, as many as the largest project known, has 30 MB.
        :raises ObjectNotFound: there is no such object.
        """

    async def head(key: str) -> ObjectInfo:
        """Return what is known of an object.

        :raises ObjectNotFound: there is no such object.
        """

    async def put(
        key: str,
        data: bytes,
        *,
        condition: Condition = None,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
        durable: bool = True,
    ) -> ObjectInfo:
        """Write a small object whole; durable when this returns.

        :param durable: without it, everybody sees it when this returns, and a loss of
            power may bring back the one before, or leave one that is torn. A store for
            which that costs no less makes it durable all the same.
        :raises PreconditionFailed: *condition* does not hold; nothing was written.
        :raises AmbiguousWrite: *condition* does not hold any more, perhaps because this
            very write was carried out and its answer lost; look before trying again.
        :raises StoreError: it may or may not have been written.
        """

    async def begin(
        key: str,
        *,
        size_hint: int | None = None,
        small: bool = False,
        content_type: str = "application/octet-stream",
        metadata: Mapping[str, str] | None = None,
    ) -> IUpload:
        """Start to take a large object of a key that nobody else uses.

        :param size_hint: the length in bytes, where the sender told one; checked
            against the free space before the first byte is taken.
        :param small: no more than :data:`.small.SMALL` bytes will come, so that a store
            may keep them in memory.
        :param metadata: user metadata, kept where the store can keep it.
        :raises InsufficientStorage: it would not fit.
        """

    async def abandon_uploads(before: datetime, *, dry_run: bool = False) -> int | None:
        """Free what uploads hold that were begun before then and never ended.

        :param dry_run: only count them.
        :return: how many there were; None if the store cannot tell.
        """

    async def open(key: str, *, byte_range: ByteRange | None = None) -> IDownload:
        """Find an object and make ready to deliver it, or a range of it.

        :param byte_range: what of it; an end beyond the object's is the object's.
        :raises ObjectNotFound: there is no such object.
        :raises RangeNotSatisfiable: the range begins where the object has ended.
        """

    async def copy(source: str, target: str) -> ObjectInfo:
        """Make another object of an object's bytes, as its metadata is; durable when
        this returns.

        Its bytes do not pass through this process where the store can do it itself.

        :param target: a key that nobody uses, unless an earlier try wrote this very
            object there.
        :raises ObjectNotFound: there is no object to copy.
        :raises InsufficientStorage: there is no room for it.
        :raises StoreError: the copy may or may not be there.
        """

    async def delete(key: str) -> None:
        """Remove an object; not an error if it is not there."""

    def list(
        prefix: str,
        *,
        after: str = "",
        unlisted: Callable[[Unlisted], None] | None = None,
        skip: Callable[[str], bool] = enter,
    ) -> AsyncIterator[ObjectInfo]:
        """List every object whose key starts with *prefix* and is above *after*.

        :param unlisted: looks for packages: told of whatever lies there and is no
            object, and the listing goes on. A store may then leave out what *prefix*
            does not name and is hidden: folders whose names begin with a dot, and
            what begins so right below *prefix*.
            Without it a folder that may not be read is a StoreError, unless it is
            hidden so, and the rest is passed over. The one that *prefix* names is
            a StoreError in any case.
        :param skip: tells of a folder, by the beginning of its keys, whether nobody
            wants to know what is in it. A store for which that costs no less tells it
            all the same. It may be called in a thread.
        """

    def url(key: str, *, filename: str) -> SignedUrl | None:
        """An address that serves the object without this server, or None."""
