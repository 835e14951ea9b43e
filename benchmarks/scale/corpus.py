"""Many projects, in a folder or a bucket, written as a server would have left them.

What a start reads is there: the manifests, the folders that files lie in (in a bucket
the files themselves, a byte each), the shards of what is derived. The files' bodies are
not: nothing that is measured here reads one.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from hashlib import md5, sha256
from pathlib import Path
from random import Random
from typing import Protocol

from attrs import define, evolve, field, frozen
from twisted.internet.defer import Deferred

from benchmarks.bucket import Filler, settings
from benchmarks.lists import make_names
from benchmarks.search import describe
from pypicloud_tw.concurrency.steps import at_once
from pypicloud_tw.index.manifest import encode, manifest_key
from pypicloud_tw.index.model import File, Project
from pypicloud_tw.index.names import NormalizedName
from pypicloud_tw.projects.derived.shards import (
    SHARDS,
    Shard,
    Shards,
    merging,
    shard_key,
    shard_of,
)
from pypicloud_tw.projects.derived.values import DescribedProject
from pypicloud_tw.store.folder.tree import etag
from pypicloud_tw.store.memory import MemoryStore
from tests.doubles import InlineOffload
from tests.integration.s3_rig import Bucket

#: Teams whose names begin the projects' names.
TEAMS = 200

_PUBLISHED = datetime(2026, 1, 1, tzinfo=UTC)
_TEMPLATE = NormalizedName("the-name-of-a-project")


@frozen
class Corpus:
    """So many projects of so many files each."""

    projects: int
    each: int

    @property
    def names(self) -> tuple[NormalizedName, ...]:
        """The projects, sorted."""
        return make_names(self.projects, TEAMS)

    def manifests(self) -> Iterator[tuple[NormalizedName, bytes]]:
        """Write every project's manifest."""
        # One that is encoded, with other names put in: encoding all takes minutes.
        text = encode(Project(_TEMPLATE, _TEMPLATE, tuple(self._files())))
        under = _TEMPLATE.replace("-", "_").encode()
        for name in self.names:
            renamed = text.replace(_TEMPLATE.encode(), name.encode())
            yield name, renamed.replace(under, name.replace("-", "_").encode())

    def objects(self) -> Iterator[str]:
        """Return the keys of all files and of their core metadata."""
        for name in self.names:
            for number in range(self.each):
                key = _key(name, number)
                yield key
                yield f"{key}.metadata"

    def _files(self) -> Iterator[File]:
        for number in range(self.each):
            key = _key(_TEMPLATE, number)
            digests = (sha256(f"{number}{what}".encode()).hexdigest() for what in "ab")
            yield File(
                filename=key.rpartition("/")[2],
                version=f"1.{number}.0",
                key=key,
                size=100_000 + number,
                sha256=next(digests),
                upload_time=_PUBLISHED,
                requires_python=">=3.9",
                metadata_key=f"{key}.metadata",
                metadata_sha256=next(digests),
                uploader="benchmark",
            )


def _key(name: str, number: int) -> str:
    filename = f"{name.replace('-', '_')}-1.{number}.0-py3-none-any.whl"
    return f"{name}/{number:032x}/{filename}"


@define
class Described:
    """Makes the shards of what is derived of a corpus."""

    _random: Random = field(factory=lambda: Random(1))
    _by_shard: dict[int, list[DescribedProject]] = field(
        factory=lambda: {number: [] for number in range(SHARDS)}
    )
    _count: int = 0

    def add(self, name: NormalizedName, etag: str) -> None:
        """Describe a project.

        :param etag: of its manifest.
        """
        one = describe(self._count, self._random)
        entry = evolve(one.entry, name=name, display_name=name)
        described = evolve(one, entry=entry, etag=etag, serial=0)
        self._by_shard[shard_of(name)].append(described)
        self._count += 1

    def objects(self) -> Iterator[tuple[str, bytes]]:
        """Write the shards."""
        store = MemoryStore(InlineOffload())
        shards = Shards(store, InlineOffload())
        for number, some in self._by_shard.items():
            written = at_once(merging(Shard(number, "absent"), some))
            work = shards.write(Shard(number, "absent"), written)
            Deferred.fromCoroutine(work)
            yield shard_key(number), store.objects[shard_key(number)].data


class Place(Protocol):
    """A store with a corpus in it."""

    @property
    def settings(self) -> dict[str, str]:
        """Return the ini's keys for it."""

    def fill(self, corpus: Corpus) -> None:
        """Put a corpus there."""


@frozen
class FolderPlace:
    """A folder."""

    path: Path

    @property
    def settings(self) -> dict[str, str]:
        """See :class:`Place`."""
        return {"storage.dir": str(self.path)}

    def fill(self, corpus: Corpus) -> None:
        """See :class:`Place`."""
        described = Described()
        (self.path / ".index").mkdir(parents=True)
        for name, data in corpus.manifests():
            path = self.path / manifest_key(name)
            path.write_bytes(data)
            described.add(name, etag(path.stat()))
            os.mkdir(self.path / name)
            for number in range(corpus.each):
                os.mkdir(f"{self.path}/{name}/{number:032x}")
        for key, data in described.objects():
            path = self.path / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)


@frozen
class BucketPlace:
    """A bucket of the S3 server of the tests."""

    bucket: Bucket = field(factory=Bucket.make)

    @property
    def settings(self) -> dict[str, str]:
        """See :class:`Place`."""
        return settings(self.bucket)

    def fill(self, corpus: Corpus) -> None:
        """See :class:`Place`."""
        described = Described()

        def manifests() -> Iterable[tuple[str, bytes]]:
            for name, data in corpus.manifests():
                described.add(name, md5(data, usedforsecurity=False).hexdigest())
                yield manifest_key(name), data

        filler = Filler(self.bucket)
        filler.fill(manifests())
        filler.fill(described.objects())
        filler.fill((key, b"x") for key in corpus.objects())
