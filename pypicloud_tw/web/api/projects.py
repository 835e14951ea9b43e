"""The routes of /api/v1/ that are about projects, and about the server."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, get_args

from attrs import define, evolve
from klein import Klein
from twisted.python.failure import Failure
from twisted.web.resource import Resource

from pypicloud_tw.access.access import Access
from pypicloud_tw.access.principal import Principal
from pypicloud_tw.config.rights import Action
from pypicloud_tw.index.model import LONGEST_REASON, Selection
from pypicloud_tw.index.names import asked_project
from pypicloud_tw.json_values import ONE_LINE
from pypicloud_tw.maintenance.reports.values import DailyReport
from pypicloud_tw.projects.administered import AdministeredProjects
from pypicloud_tw.projects.affected.stored import (
    AdministeredAdvisories,
    StoredAdvisories,
)
from pypicloud_tw.projects.affected.values import AffectedPage
from pypicloud_tw.projects.search import LONGEST_QUERY, NAME
from pypicloud_tw.projects.stored import StoredProjects
from pypicloud_tw.projects.values import (
    MOST,
    USUAL,
    Done,
    FileDetail,
    FoundPage,
    HistoryPage,
    Origin,
    OwnRight,
    ProjectDetail,
    ProjectFiles,
    ProjectsPage,
    ReleaseDetail,
    ServerStatus,
    StatusChange,
    Undo,
    Yank,
)
from pypicloud_tw.web.answers import measured
from pypicloud_tw.web.api import advisories as advisories_api
from pypicloud_tw.web.api import audit as audit_api
from pypicloud_tw.web.api.declared import (
    Routes,
    cursor_parameter,
    limit_parameter,
    text_parameter,
)
from pypicloud_tw.web.api.json_api import (
    number,
    parameter,
    read_json,
    required,
    send_done,
    send_long,
    send_value,
    word,
)
from pypicloud_tw.web.api.openapi import DOCUMENT, Described
from pypicloud_tw.web.authorization import (
    authenticate,
    authorize,
    authorize_list,
    authorize_reader,
    refuse_other_sites,
)
from pypicloud_tw.web.http.site import Request
from pypicloud_tw.web.requester import Requester

T = TypeVar("T")

_PROJECT = "/projects/<name>"
_RELEASE = f"{_PROJECT}/releases/<version>"
_FILE = f"{_PROJECT}/files/<filename>"

_REASON = text_parameter(
    "reason",
    "Why, in one line, for the project's history.",
    longest=LONGEST_REASON,
    pattern=ONE_LINE,
)


@define(eq=False)
class ProjectsApi:
    """Authenticates, judges, reads the request, and calls what does the work.

    Whoever may not is refused by the name alone, before anything is looked up.

    :ivar advisories: what is asked of advisories, and the daily reports.
    :ivar described: the document of the whole API.
    :ivar answer_failure: answers what a route raised, or what no route takes.
    """

    access: Access
    administered: AdministeredProjects
    advisories: AdministeredAdvisories
    described: Described
    answer_failure: Callable[[Request, Failure], bytes]

    router = Klein()
    router.url_map.merge_slashes = False
    routes = Routes("/api/v1", router)

    def resource(self) -> Resource:
        """Make the resource of ``/api/v1/``."""
        resource: Resource = self.router.resource()
        return resource

    # -- what there is --------------------------------------------------------------

    @routes.get(
        "/projects",
        ProjectsPage,
        asks=Action.READ,
        query=(
            cursor_parameter(NAME),
            limit_parameter(),
            text_parameter(
                "q", "Words that all must be in the name.", longest=LONGEST_QUERY
            ),
        ),
    )
    async def projects(self, request: Request) -> bytes:
        """List the projects that one may read, by name."""
        doer = await self._lister(request)
        page = await doer.projects(
            parameter(request, "cursor"), _limit(request), parameter(request, "q")
        )
        return send_value(request, page)

    @routes.get(
        "/search",
        FoundPage,
        asks=Action.READ,
        query=(
            text_parameter(
                "q",
                "Words that all must be in the name, the summary or the keywords.",
                longest=LONGEST_QUERY,
                pattern=r"\S",
                required=True,
            ),
            limit_parameter(),
            text_parameter("origin", "Only those.", enum=list(get_args(Origin))),
            text_parameter(
                "right",
                "Only those of ours with which one may do that.",
                enum=list(get_args(OwnRight)),
            ),
        ),
    )
    async def search(self, request: Request) -> bytes:
        """Find projects by words, the best first."""
        doer = await self._lister(request)
        found = await doer.search(
            parameter(request, "q") or "",
            _limit(request),
            word(request, "origin", Origin),
            word(request, "right", OwnRight),
        )
        return send_value(request, found)

    @routes.get(_PROJECT, ProjectDetail, asks=Action.READ)
    async def project(self, request: Request, name: str) -> bytes:
        """Show a project and its releases."""
        doer = await self._reader(request, name)
        found = await doer.project(name)
        return await self._send_long(request, found, found.state)

    @routes.get(f"{_PROJECT}/files", ProjectFiles, asks=Action.READ)
    async def files(self, request: Request, name: str) -> bytes:
        """Show all files of a project, whatever release they are of."""
        doer = await self._reader(request, name)
        state = await doer.state(name)
        return await self._send_long(request, await doer.files(name), state)

    @routes.get(_RELEASE, ReleaseDetail, asks=Action.READ)
    async def release(self, request: Request, name: str, version: str) -> bytes:
        """Show a release and its files."""
        doer = await self._reader(request, name)
        # First: of a state that is older than what is shown nothing can be required.
        state = await doer.state(name)
        return await self._send_long(request, await doer.release(name, version), state)

    @routes.get(_FILE, FileDetail, asks=Action.READ)
    async def file(self, request: Request, name: str, filename: str) -> bytes:
        """Show a file."""
        doer = await self._reader(request, name)
        state = await doer.state(name)
        return send_value(request, await doer.file(name, filename), state)

    @routes.get(
        f"{_PROJECT}/history",
        HistoryPage,
        asks=Action.MANAGE,
        query=(cursor_parameter("^[!-~]+$"), limit_parameter()),
    )
    async def history(self, request: Request, name: str) -> bytes:
        """Show who did what with a project, the newest first."""
        project = asked_project(name)
        principal = await authorize(request, self.access, Action.MANAGE, project)
        doer = self._doer(request, principal)
        cursor = parameter(request, "cursor")
        page = await doer.history(name, cursor, _limit(request))
        return await self._send_long(request, page, "")

    # -- acts -----------------------------------------------------------------------

    @routes.put(f"{_RELEASE}/yanked", Done, asks=Action.MANAGE, body=Yank)
    async def yank_release(self, request: Request, name: str, version: str) -> bytes:
        """Yank a release (PEP 592), or give another reason."""
        return await self._yank(request, name, Selection(version=version))

    @routes.delete(f"{_RELEASE}/yanked", Done, asks=Action.MANAGE)
    async def unyank_release(self, request: Request, name: str, version: str) -> bytes:
        """Take back that a release is yanked."""
        doer = await self._changer(request, Action.MANAGE, name)
        what = Selection(version=version)
        return _send(request, await doer.unyank(name, what, required(request)))

    @routes.put(f"{_FILE}/yanked", Done, asks=Action.MANAGE, body=Yank)
    async def yank_file(self, request: Request, name: str, filename: str) -> bytes:
        """Yank a file (PEP 592), or give another reason."""
        return await self._yank(request, name, Selection(file=filename))

    @routes.delete(f"{_FILE}/yanked", Done, asks=Action.MANAGE)
    async def unyank_file(self, request: Request, name: str, filename: str) -> bytes:
        """Take back that a file is yanked."""
        doer = await self._changer(request, Action.MANAGE, name)
        what = Selection(file=filename)
        return _send(request, await doer.unyank(name, what, required(request)))

    @routes.delete(_PROJECT, Done, asks=Action.DELETE, query=(_REASON,))
    async def delete_project(self, request: Request, name: str) -> bytes:
        """Delete every file of a project; its name stays taken."""
        return await self._delete(request, name, Selection())

    @routes.delete(_RELEASE, Done, asks=Action.DELETE, query=(_REASON,))
    async def delete_release(self, request: Request, name: str, version: str) -> bytes:
        """Delete a release; the names of its files stay taken."""
        return await self._delete(request, name, Selection(version=version))

    @routes.delete(_FILE, Done, asks=Action.DELETE, query=(_REASON,))
    async def delete_file(self, request: Request, name: str, filename: str) -> bytes:
        """Delete a file; its name stays taken."""
        return await self._delete(request, name, Selection(file=filename))

    @routes.post(f"{_PROJECT}/restore", Done, asks=Action.DELETE, body=Selection)
    async def restore(self, request: Request, name: str) -> bytes:
        """Publish again what was deleted: a file, a release, or all that there was."""
        doer, what = await self._with_body(request, Selection, Action.DELETE, name)
        return _send(request, await doer.restore(name, what, required(request)))

    @routes.put(f"{_PROJECT}/status", Done, asks=Action.MANAGE, body=StatusChange)
    async def set_status(self, request: Request, name: str) -> bytes:
        """Set what has become of a project (PEP 792)."""
        doer, change = await self._with_body(request, StatusChange, Action.MANAGE, name)
        return _send(request, await doer.set_status(name, change, required(request)))

    @routes.post(f"{_PROJECT}/undo", Done, asks=Action.MANAGE, body=Undo)
    async def undo(self, request: Request, name: str) -> bytes:
        """Undo an act, or the last one that can be undone.

        What deleted or restored something takes the right to delete.
        """
        doer, undo = await self._with_body(request, Undo, Action.MANAGE, name)
        return _send(request, await doer.undo(name, undo, required(request)))

    # -- who did what ---------------------------------------------------------------

    @routes.get(
        "/audit",
        audit_api.PAGE,
        asks=Action.MANAGE,
        query=audit_api.PARAMETERS,
        conditional=False,
    )
    async def audit(self, request: Request) -> bytes:
        """Give records of changes, the oldest first.

        Of one project to those who manage it; else to administrators.
        """
        asked = audit_api.PageQuestion.of(request)
        project = asked.one_project
        right = Action.ADMINISTER if project is None else Action.MANAGE
        await authorize(request, self.access, right, project)
        index = self.administered.index
        page = await audit_api.answer(asked, index.store, index.clock)
        request.setHeader(b"Content-Type", b"application/json")
        request.setHeader(b"Cache-Control", b"no-store")
        return measured(request, page)

    # -- what is known of what was taken ---------------------------------------------

    @routes.get(
        "/advisories",
        AffectedPage,
        asks=Action.MANAGE,
        query=advisories_api.PARAMETERS,
    )
    async def affected(self, request: Request) -> bytes:
        """List what this index has or gave out that advisories affect, the worst first.

        Administrators see all of it, others what they may manage.
        """
        question = advisories_api.question_of(request)
        doer = await self._advised(request)
        page = await doer.affected(question)
        return await send_long(request, page, "", self.administered.pieces)

    @routes.get(
        "/report", DailyReport, asks=Action.ADMINISTER, query=(advisories_api.DATE,)
    )
    async def report(self, request: Request) -> bytes:
        """Show the report of a day."""
        doer = await self._advised(request)
        report = await doer.report(parameter(request, "date"))
        return await send_long(request, report, "", self.administered.pieces)

    # -- the server -----------------------------------------------------------------

    @routes.get("/status", ServerStatus, asks=Action.ADMINISTER)
    async def status(self, request: Request) -> bytes:
        """Show how the server stands."""
        # Not as one who changes something: it is of use while the store is away.
        principal = await authenticate(request, self.access)
        status = await self._doer(request, principal).server()
        seen = evolve(
            status,
            asked_from=request.client_address or None,
            asked_as=request.origin.base_url,
        )
        return send_value(request, seen)

    @routes.get("/openapi.json", DOCUMENT, asks=None, conditional=False)
    async def openapi(self, request: Request) -> bytes:
        """Describe the API, in OpenAPI 3.1."""
        return self.described.send(request)

    # -- errors ---------------------------------------------------------------------

    @router.handle_errors(Exception)  # type: ignore[arg-type]  # Site makes our Request
    def failed(self, request: Request, failure: Failure) -> bytes:
        """Answer with an error."""
        return self.answer_failure(request, failure)

    # -- parts ----------------------------------------------------------------------

    async def _send_long(self, request: Request, value: object, state: str) -> bytes:
        return await send_long(request, value, state, self.administered.pieces)

    async def _yank(self, request: Request, name: str, what: Selection) -> bytes:
        doer, yank = await self._with_body(request, Yank, Action.MANAGE, name)
        return _send(request, await doer.yank(name, what, yank, required(request)))

    async def _delete(self, request: Request, name: str, what: Selection) -> bytes:
        doer = await self._changer(request, Action.DELETE, name)
        reason = parameter(request, "reason")
        return _send(request, await doer.delete(name, what, required(request), reason))

    async def _with_body(
        self, request: Request, kind: type[T], action: Action, name: str
    ) -> tuple[StoredProjects, T]:
        """Return what does the work, and what the request's body says.

        Whoever asks is judged before the body is read, and again behind it: it may have
        taken hours to come.
        """
        await self._changer(request, action, name)
        value = await read_json(request, kind)
        return await self._changer(request, action, name), value

    async def _changer(
        self, request: Request, action: Action, name: str
    ) -> StoredProjects:
        """Return what does the work for whoever may change a project.

        :raises Unauthorized: a log-in would help.
        :raises Forbidden: it would not; or another site's page asks.
        :raises ReadOnly: nothing may be changed now.
        """
        refuse_other_sites(request)
        principal = await authorize(request, self.access, action, asked_project(name))
        self.access.refuse_while_read_only()
        return self._doer(request, principal)

    async def _reader(self, request: Request, name: str) -> StoredProjects:
        principal = await authorize_reader(request, self.access, asked_project(name))
        return self._doer(request, principal)

    async def _lister(self, request: Request) -> StoredProjects:
        return self._doer(request, await authorize_list(request, self.access))

    async def _advised(self, request: Request) -> StoredAdvisories:
        principal = await authenticate(request, self.access)
        who = Requester.of(request, self.access, principal)
        return StoredAdvisories(self.advisories, who.authority)

    def _doer(self, request: Request, principal: Principal) -> StoredProjects:
        who = Requester.of(request, self.access, principal)
        return StoredProjects(self.administered, who.actor, who.authority)


def _limit(request: Request) -> int:
    return number(request, "limit", USUAL, MOST)


def _send(request: Request, done: Done) -> bytes:
    return send_done(request, done, done.state)
