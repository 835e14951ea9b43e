"""Whether pages and files come whole through what stands in front."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from attrs import define, field, frozen

from pypicloud_tw.client.api import Answer, Unanswered
from pypicloud_tw.diagnosis.outside.asking import (
    HTML_PAGE,
    JSON_PAGE,
    PROXY,
    Visitor,
    document,
    split,
)
from pypicloud_tw.diagnosis.values import Finding, fault, note, ok, warning
from pypicloud_tw.outbound.origins import host_and_port

#: Projects that are tried until one has a file.
_TRIED = 5

_LOG_IN = (
    "Log in as somebody who may (PYPICLOUD_USERNAME, PYPICLOUD_PASSWORD, .pypirc or "
    "netrc)."
)

_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@frozen
class Sample:
    """A project's page, by which the others are judged.

    :ivar path: of the page.
    """

    path: str
    page: Mapping[str, Any]

    @property
    def file(self) -> Mapping[str, Any] | None:
        """The smallest of its files."""
        files = self.page.get("files")
        sized = [
            file
            for file in (files if isinstance(files, list) else [])
            if isinstance(file, dict)
            and isinstance(file.get("size"), int)
            and isinstance(file.get("url"), str)
        ]
        return min(sized, key=lambda file: int(file["size"]), default=None)


class NoSample(Exception):
    """There is no page to look at; the finding says why."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding)
        self.finding = finding


@define(eq=False)
class Pages:
    """Looks at pages and files.

    :ivar deep: fetch a file whole.
    """

    visitor: Visitor
    deep: bool = False
    _sample: Sample | None = field(default=None, init=False)

    # -- pages ------------------------------------------------------------------------

    async def pages(self) -> list[Finding]:
        """Ask for the list of projects and for one page, in both forms."""
        try:
            sample = await self._find()
        except NoSample as e:
            return [e.finding]
        return [finding async for finding in self._of_page(sample)]

    async def _find(self) -> Sample:
        """Find a page, of a project with files if there is one."""
        if self._sample is None:
            self._sample = await self._look()
        return self._sample

    async def _look(self) -> Sample:
        listed = await self._page("/simple/")
        told = document(listed)
        if not isinstance(told, dict) or not isinstance(told.get("projects"), list):
            raise NoSample(
                fault(
                    "/simple/ does not answer in the JSON form that was asked for "
                    f"(PEP 691), but with {_kind(listed) or 'nothing'}.",
                    "What stands in front must pass on Accept, and keep answers apart "
                    f"by it (Vary). {PROXY}",
                )
            )
        # Of its own alone: what comes from elsewhere it might keep.
        first = told["projects"][:_TRIED]
        names = [str(one.get("name")) for one in first if isinstance(one, dict)]
        samples = [await self._sampled(name) for name in names]
        found = [sample for sample in samples if sample is not None]
        with_files = [sample for sample in found if sample.file is not None]
        if not found:
            raise NoSample(ok("The list of projects comes whole; there is no project."))
        return (with_files or found)[0]

    async def _sampled(self, name: str) -> Sample | None:
        path = f"/simple/{quote(name, safe='', errors='replace')}/"
        answer = await self.visitor.ask(path, fields={"Accept": JSON_PAGE})
        told = document(answer)
        if answer.status != 200 or not isinstance(told, dict):
            return None
        return Sample(path, told)

    async def _page(self, path: str) -> Answer:
        answer = await self.visitor.ask(path, fields={"Accept": JSON_PAGE})
        if answer.status in (401, 403):
            raise NoSample(note("Who asks may not read the list.", _LOG_IN))
        if answer.status != 200:
            raise NoSample(
                fault(f"{path} answers {answer.status}.", "See the server's log.")
            )
        return answer

    async def _of_page(self, sample: Sample) -> AsyncIterator[Finding]:
        as_json = await self._page(sample.path)
        as_html = await self.visitor.ask(sample.path, fields={"Accept": HTML_PAGE})
        yield ok(f"{sample.path} comes in JSON (PEP 691).")
        if HTML_PAGE not in _kind(as_html):
            yield fault(
                f"Asked for HTML, it comes as {_kind(as_html)}: one form is given for "
                "the other.",
                f"A cache in front must mind Vary: Accept, or be told of it. {PROXY}",
            )
        etag = as_json.header("etag")
        if not etag:
            yield warning(
                "Its ETag is lost, so that clients fetch every page whole.",
                "nginx drops it where it changes an answer (sub_filter, gzip of its "
                "own): leave pages as they are.",
            )
        else:
            yield await self._unchanged(sample.path, etag, JSON_PAGE)
        yield await self._head(sample.path, as_json, JSON_PAGE)

    async def _unchanged(self, path: str, etag: str, accept: str) -> Finding:
        fields = {"Accept": accept, "If-None-Match": etag}
        again = await self.visitor.ask(path, fields=fields)
        if again.status == 304:
            return ok("What has not changed is answered 304.")
        return warning(
            f"Asked for again by its ETag, it is answered {again.status}, and not 304.",
            "What stands in front must pass on If-None-Match.",
        )

    async def _head(self, path: str, whole: Answer, accept: str) -> Finding:
        answer = await self.visitor.ask(path, method="HEAD", fields={"Accept": accept})
        if answer.status != whole.status or answer.body:
            return warning(
                f"HEAD is answered {answer.status}, and GET {whole.status}.",
                "What stands in front must let HEAD through.",
            )
        return ok("HEAD is answered as GET is.")

    # -- files ------------------------------------------------------------------------

    async def files(self) -> list[Finding]:
        """Ask for a piece of a file, and for its core metadata."""
        try:
            sample = await self._find()
        except NoSample:
            return [note("There is no page to take a file from; see pages.")]
        file = sample.file
        if file is None:
            return [note("No project that was looked at has a file.")]
        url = self.visitor.joined(sample.path, str(file["url"])).partition("#")[0]
        return [finding async for finding in self._of_file(url, file)]

    async def _of_file(
        self, url: str, file: Mapping[str, Any]
    ) -> AsyncIterator[Finding]:
        name = str(file.get("filename"))
        answer = await self.visitor.ask(url, fields=_PIECE)
        if answer.status in _REDIRECTS:
            there = self.visitor.joined(url, answer.header("location"))
            host = host_and_port(split(there)) or "nowhere"
            try:
                answer = await self.visitor.ask(there, fields=_PIECE)
            except Unanswered as e:
                yield fault(
                    f"Clients are sent to {host} for files: {e.message}",
                    "Where they cannot reach it, set aws.link = stream.",
                )
                return
            yield ok(f"Files are at {host}, which can be reached from here.")
        for finding in _of_piece(name, answer):
            yield finding
        if self.deep and answer.status in (200, 206):
            yield await self._whole(url, file)
        wanted = file.get("core-metadata")
        if isinstance(wanted, dict) and "sha256" in wanted:
            yield await self._metadata(f"{url}.metadata", str(wanted["sha256"]))

    async def _whole(self, url: str, file: Mapping[str, Any]) -> Finding:
        answer = await self.visitor.ask(url)
        if answer.status in _REDIRECTS:
            there = self.visitor.joined(url, answer.header("location"))
            answer = await self.visitor.ask(there)
        hashes = file.get("hashes")
        wanted = hashes.get("sha256") if isinstance(hashes, dict) else None
        if sha256(answer.body).hexdigest() == wanted:
            return ok(f"{file.get('filename')} comes whole, with its digest.")
        return fault(
            f"{file.get('filename')} has another digest than its page says.",
            "Run pypicloud verify --deep; what stands in front must not change it.",
        )

    async def _metadata(self, url: str, wanted: str) -> Finding:
        answer = await self.visitor.ask(url)
        if answer.status != 200:
            return fault(
                f"Its core metadata is answered {answer.status}.",
                "What stands in front must let /packages/ through, .metadata too.",
            )
        if sha256(answer.body).hexdigest() != wanted:
            return fault(
                "Its core metadata has another digest than the page says.",
                "What stands in front must not change it (compress, convert).",
            )
        return ok("Its core metadata comes whole.")


#: A piece of a file, as pip and uv ask for the end of a wheel.
_PIECE = {"Range": "bytes=0-1", "Accept-Encoding": "identity"}


def _of_piece(name: str, answer: Answer) -> Iterator[Finding]:
    if answer.status == 206 and len(answer.body) == 2:
        yield ok(f"A piece of {name} comes as one (Range).")
    elif answer.status == 200:
        yield warning(
            f"Asked for a piece of {name}, all of it comes: Range is lost.",
            "What stands in front must pass on Range; for nginx: no proxy_cache here, "
            "or slice.",
        )
    elif answer.status in (401, 403):
        yield note(f"Who asks may not fetch {name}.", _LOG_IN)
    else:
        yield fault(
            f"{name} is answered {answer.status}.",
            "See the server's log, and whether what stands in front lets /packages/ "
            "through.",
        )


def _kind(answer: Answer) -> str:
    return answer.header("content-type").partition(";")[0][:60]
