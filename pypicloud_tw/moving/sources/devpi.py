"""devpi: one index of a user, or all of them, by its JSON API.

Projects of an index's bases are taken if that is asked for, those of mirrors never:
they are the other index's. What devpi tells of a file is its digests, and who uploaded
it and when.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from attrs import define, field, frozen

from pypicloud_tw.concurrency.asked_once import AskedOnce
from pypicloud_tw.errors import BadRequest, NotFound, UpstreamError
from pypicloud_tw.index.names import project_name
from pypicloud_tw.json_documents import DAMAGED
from pypicloud_tw.moving.http import HttpBody, SourceHttp
from pypicloud_tw.moving.kinds import Tools
from pypicloud_tw.moving.source import Note, Source, SourceFile, SourceProject
from pypicloud_tw.moving.sources.simple import folder
from pypicloud_tw.outbound.origins import is_web, shown

_SIMPLE = "/+simple/"


@frozen
class DevpiPlace:
    """What an address of devpi names.

    :ivar root: the server's address, with a final slash.
    :ivar user: whose indexes.
    :ivar index: which of them; None: all.
    """

    root: str
    user: str
    index: str | None

    @classmethod
    def of(cls, place: str, login: str) -> DevpiPlace:
        """Read an address.

        :param login: where its server says that one logs in. The server may take itself
            to be at another address, whose path tells how much of ours is its own.
        :raises BadRequest: it names no user.
        """
        parts = urlsplit(folder(place).removesuffix(_SIMPLE.lstrip("/")))
        above = urlsplit(login).path.removesuffix("+login")
        above = above if parts.path.startswith(above) else "/"
        below = parts.path[len(above) :].strip("/").split("/")
        if not below[0] or len(below) > 2:
            raise BadRequest(
                f"{folder(place)} is devpi; say whose packages are meant: "
                f"{shown(place)}{above}USER/INDEX, or without the index for all of a "
                "user's."
            )
        root = f"{parts.scheme}://{parts.netloc}{above}"
        return cls(root, unquote(below[0]), unquote(below[1]) if below[1:] else None)


@frozen
class Stage:
    """An index of devpi that people upload to."""

    user: str
    index: str

    @classmethod
    def parse(cls, name: str) -> Stage:
        """Read ``user/index``."""
        user, _, index = name.partition("/")
        return cls(user, index)

    @property
    def path(self) -> str:
        """Its address below the server's."""
        return f"{quote(self.user, safe='')}/{quote(self.index, safe='')}"

    def __str__(self) -> str:
        return f"{self.user}/{self.index}"


@define(eq=False)
class DevpiSource:
    """See :class:`~.source.Source`.

    :ivar bases: projects that the indexes inherit from others are taken, too.
    """

    http: SourceHttp
    place: DevpiPlace
    bases: bool = False
    _stages: AskedOnce[tuple[Stage, ...]] = field(init=False)

    @_stages.default
    def _once(self) -> AskedOnce[tuple[Stage, ...]]:
        return AskedOnce(self._find_stages)

    @property
    def description(self) -> str:
        """See :class:`~.source.Source`."""
        which = "all indexes" if self.place.index is None else self.place.index
        return f"devpi at {self.place.root}, {which} of {self.place.user}"

    async def names(self) -> Sequence[str]:
        """See :class:`~.source.Source`."""
        found: set[str] = set()
        for stage in await self.stages():
            config = await self._get(stage.path, "indexconfig")
            found.update(_texts(config.get("projects", ())))
        return sorted(found)

    async def project(self, name: str) -> SourceProject:
        """See :class:`~.source.Source`.

        Of a file that several of the indexes have, the first one's is taken.
        """
        normal = project_name(name)
        files: dict[str, SourceFile] = {}
        notes: list[Note] = []
        for stage in await self.stages():
            for file in await self._files(stage, normal):
                first = files.setdefault(file.filename, file)
                if first.digests != file.digests:
                    notes.append(
                        Note(
                            f"{stage} has other bytes under this name; those of the "
                            "index before it are taken.",
                            file.filename,
                        )
                    )
        if not files:
            raise NotFound(f"{self.description} has no project {normal}.")
        return SourceProject(normal, tuple(files.values()), notes=tuple(notes))

    async def open(self, file: SourceFile) -> HttpBody:
        """See :class:`~.source.Source`."""
        return await self.http.open(file.location)

    async def provenance(self, file: SourceFile) -> bytes | None:
        """See :class:`~.source.Source`."""
        return None

    async def close(self) -> None:
        """See :class:`~.source.Source`."""

    async def stages(self) -> tuple[Stage, ...]:
        """Return the indexes whose projects are taken, those that count first."""
        return await self._stages.answer()

    async def _find_stages(self) -> tuple[Stage, ...]:
        user = self.place.user
        if self.place.index is not None:
            waiting = [Stage(user, self.place.index)]
        else:
            config = await self._get(quote(user, safe=""), "userconfig")
            waiting = [Stage(user, name) for name in _texts(config.get("indexes", ()))]
        asked: set[Stage] = set()
        found: list[Stage] = []
        while waiting:
            stage = waiting.pop(0)
            if stage in asked:
                continue
            asked.add(stage)
            config = await self._get(f"{stage.path}?no_projects=", "indexconfig")
            if config.get("type") != "stage":
                continue
            found.append(stage)
            if self.bases:
                waiting += map(Stage.parse, _texts(config.get("bases", ())))
        if not found:
            raise NotFound(
                f"{self.description}: there is no index that packages are uploaded to. "
                "Mirrors are not taken: what they have is another index's."
            )
        return tuple(found)

    async def _files(self, stage: Stage, name: str) -> list[SourceFile]:
        try:
            path = f"{stage.path}/{name}?ignore_bases="
            config = await self._get(path, "projectconfig")
        except NotFound:
            return []
        try:
            return list(self._links(stage, config))
        except DAMAGED:
            raise self._not_understood() from None

    def _links(self, stage: Stage, config: Mapping[str, Any]) -> Iterator[SourceFile]:
        for version in config.values():
            for link in version.get("+links", ()):
                # An older devpi tells what the bases have, too.
                _, found, rest = str(link["href"]).partition(f"/{stage.path}/+f/")
                if link.get("rel") != "releasefile" or not found:
                    continue
                location = f"{self.place.root}{stage.path}/+f/{rest}".partition("#")[0]
                uploader, uploaded = _uploaded(link.get("log", ()))
                yield SourceFile(
                    unquote(rest.rpartition("/")[2]),
                    location,
                    _digests(link),
                    uploaded=uploaded,
                    uploader=uploader,
                )

    async def _get(self, path: str, kind: str) -> Mapping[str, Any]:
        document = await self.http.json(f"{self.place.root}{path}")
        if isinstance(document, dict) and document.get("type") == kind:
            result = document.get("result")
            if isinstance(result, dict):
                return result
        raise self._not_understood()

    def _not_understood(self) -> UpstreamError:
        return UpstreamError(f"{shown(self.place.root)} does not answer as devpi does.")


def _texts(values: Iterable[object]) -> list[str]:
    return [value for value in values if isinstance(value, str)]


def _digests(link: Mapping[str, Any]) -> dict[str, str]:
    """Read a link's digests; an older devpi has one, as ``md5=...``."""
    told = link.get("hashes") or dict([str(link.get("hash_spec")).split("=", 1)])
    return {str(name).lower(): str(digest).lower() for name, digest in told.items()}


def _uploaded(log: Iterable[Mapping[str, Any]]) -> tuple[str | None, datetime | None]:
    """Read who uploaded a file, and when; it may have been pushed on since."""
    for entry in log:
        if entry.get("what") != "upload":
            continue
        year, month, day, hour, minute, second = map(int, entry["when"][:6])
        when = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
        who = entry.get("who")
        return who if isinstance(who, str) and who else None, when
    return None, None


@frozen
class DevpiKind:
    """See :class:`~.kinds.Kind`."""

    name: str = "devpi"
    title: str = "devpi"

    async def recognise(self, place: str, tools: Tools) -> bool:
        """See :class:`~.kinds.Kind`."""
        if not is_web(place):
            return False
        return await _login_of(place, tools.http(place)) is not None

    async def make(self, place: str, tools: Tools) -> Source:
        """See :class:`~.kinds.Kind`."""
        http = tools.http(place)
        login = await _login_of(place, http)
        if login is None:
            raise BadRequest(f"There is no devpi at {folder(place)}.")
        return DevpiSource(http, DevpiPlace.of(place, login), tools.bases)


async def _login_of(place: str, http: SourceHttp) -> str | None:
    """Return where one logs in at devpi; None: it is none."""
    url = f"{folder(place).removesuffix(_SIMPLE.lstrip('/'))}+api"
    page = await http.look(url, "application/json")
    try:
        return None if page is None else str(json.loads(page)["result"]["login"])
    except DAMAGED:
        return None
