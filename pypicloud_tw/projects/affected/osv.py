"""Answers in the form of the OSV API, out of memory, for clients that cannot reach it.

The form is that of https://google.github.io/osv.dev/api/; uv asks by it for malware,
and audits. Only PyPI is known here: of other ecosystems, and of commits, nothing is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from attrs import frozen
from packaging.utils import NormalizedName, canonicalize_name

from pypicloud_tw.advisories.values import Advisory
from pypicloud_tw.concurrency.pieces import Pieces
from pypicloud_tw.concurrency.steps import Steps
from pypicloud_tw.errors import BadRequest, NotFound, Unavailable
from pypicloud_tw.projects.affected.interface import IRecords
from pypicloud_tw.projects.affected.records import modified_of

#: Queries of a batch; ids of one query's answer, and of a batch's, and records of a
#: query's answer, before another page is needed.
MOST_QUERIES, MOST_IDS, MOST_IDS_OF_BATCH, MOST_RECORDS = 1000, 1000, 3000, 100

#: Bytes of records after which another page is needed.
_MOST_BYTES = 4 * 2**20

_PURL = re.compile(r"pkg:pypi/([^@?#/]+)(?:@([^?#]+))?(?:[?#].*)?", re.IGNORECASE)
_TOKEN = re.compile(r"[0-9]{1,9}")
_LONGEST = 512


@frozen
class Query:
    """What is asked of one package.

    :ivar name: None: it is none of PyPI's, or a commit's.
    :ivar version: None: all advisories of it are asked for.
    :ivar begin: how many were answered before.
    """

    name: NormalizedName | None
    version: str | None = None
    begin: int = 0

    @classmethod
    def of(cls, document: object) -> Query:
        """Understand one.

        :raises BadRequest: it is none.
        """
        if not isinstance(document, Mapping):
            raise BadRequest("A query is a JSON object.")
        package = document.get("package")
        if package is None:
            if _text(document, "commit") is None:
                raise BadRequest("A query names a package or a commit.")
            return cls(None)
        if not isinstance(package, Mapping):
            raise BadRequest("The package is a JSON object.")
        name, version = _package(package, _text(document, "version"))
        token = _text(document, "page_token") or "0"
        if _TOKEN.fullmatch(token) is None:
            raise BadRequest("That page_token is none that was given here.")
        return cls(name, version, int(token))


def read_batch(document: object) -> list[Query]:
    """Understand the body of a batch.

    :raises BadRequest: it is none, or has too many queries.
    """
    queries = document.get("queries") if isinstance(document, Mapping) else None
    if not isinstance(queries, list):
        raise BadRequest('A batch is a JSON object with a list "queries".')
    if len(queries) > MOST_QUERIES:
        raise BadRequest(f"A batch has at most {MOST_QUERIES} queries.")
    return list(map(Query.of, queries))


def _nothing_private(name: str) -> bool:
    """Have no private name."""
    return False


@frozen
class Osv:
    """Answers queries.

    :ivar is_private: tells whether a normalized name is private here: a public record
        of it speaks of somebody else's project, and is not told.
    """

    advisories: IRecords
    pieces: Pieces
    is_private: Callable[[str], bool] = _nothing_private

    async def batch(self, queries: Sequence[Query]) -> dict[str, Any]:
        """Answer a batch with the ids of what affects each.

        :raises Unavailable: nothing is known; "no malware" would be a guess.
        """
        self._check_known()
        return await self.pieces.finish(self._batch(queries))

    def _batch(self, queries: Sequence[Query]) -> Steps[dict[str, Any]]:
        results: list[dict[str, Any]] = []
        left = MOST_IDS_OF_BATCH
        for query in queries:
            yield
            found = self._affecting(query)[query.begin :]
            told = found[: min(left, MOST_IDS)]
            left -= len(told)
            result: dict[str, Any] = {}
            if told:
                result["vulns"] = [_summary(one) for one in told]
            if len(told) < len(found):
                result["next_page_token"] = str(query.begin + len(told))
            results.append(result)
        return {"results": results}

    async def query(self, query: Query) -> dict[str, Any]:
        """Answer a query with the records of what affects it; errors as of a batch."""
        self._check_known()
        found = self._affecting(query)[query.begin :]
        records: list[Any] = []
        size = looked_at = 0
        for one in found[:MOST_RECORDS]:
            if size >= _MOST_BYTES:
                break
            looked_at += 1
            data = await self.advisories.find(one.id)
            if data is not None:  # they may change meanwhile
                size += len(data)
                records.append(json.loads(data))
        answer: dict[str, Any] = {"vulns": records} if records else {}
        if looked_at < len(found):
            answer["next_page_token"] = str(query.begin + looked_at)
        return answer

    async def record(self, identity: str) -> bytes:
        """Return a record.

        :raises NotFound: there is none.
        :raises Unavailable: nothing is known.
        """
        self._check_known()
        data = None
        if len(identity) <= _LONGEST:
            data = await self.advisories.find(identity)
        if data is None:
            raise NotFound("Bug not found.")  # in OSV's own words
        return data

    def _check_known(self) -> None:
        if not self.advisories.names():
            raise Unavailable(
                "This index knows no advisories: advisories.source is not set, or has "
                "not been read yet.",
                60,
            )

    def _affecting(self, query: Query) -> list[Advisory]:
        if query.name is None or self.is_private(query.name):
            return []
        known = self.advisories.of(query.name).advisories
        found = (
            one for one in known if query.version is None or one.affects(query.version)
        )
        return sorted(found, key=lambda one: one.id)


def _summary(one: Advisory) -> dict[str, str]:
    return {"id": one.id, "modified": modified_of(one)}


def _package(
    package: Mapping[str, Any], version: str | None
) -> tuple[NormalizedName | None, str | None]:
    purl = _text(package, "purl")
    if purl is not None:
        if (found := _PURL.fullmatch(purl)) is None:
            return None, None  # another ecosystem's
        inside = None if found[2] is None else unquote(found[2])
        return canonicalize_name(unquote(found[1])), version or inside
    name = _text(package, "name")
    if name is None:
        raise BadRequest("The package has a name and an ecosystem, or a purl.")
    ecosystem = _text(package, "ecosystem") or ""
    if ecosystem.partition(":")[0] != "PyPI":
        return None, None
    return canonicalize_name(name), version


def _text(document: Mapping[str, Any], name: str) -> str | None:
    """Return a text that may be missing; an empty one is, as in OSV."""
    text = document.get(name)
    if text is None or text == "":
        return None
    if not isinstance(text, str) or len(text) > _LONGEST:
        raise BadRequest(f"The {name} is a text of at most {_LONGEST} characters.")
    return text
