"""One change of the access document: conditions, record, and what is to be told."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from attrs import evolve, frozen

from pypicloud_tw.access.access import Access
from pypicloud_tw.access.administration.states import Part, check_required, state_of
from pypicloud_tw.access.administration.told import told
from pypicloud_tw.access.administration.values import Changed, Required
from pypicloud_tw.access.document import AccessDocument
from pypicloud_tw.access.documents import AccessDocuments
from pypicloud_tw.access.rules import Rules, listed
from pypicloud_tw.config.rights import AUTHENTICATED, EVERYONE, RightLine
from pypicloud_tw.index.audit import Act, Audit

Change = Callable[[AccessDocument], AccessDocument]

_CLOSED = (
    "From now on only administrators may write, and whom a right or a group of "
    "pypi.default_write names: until now nothing was said of rights, and every user "
    "could."
)
_OPENED = (
    "Nothing is said of rights any more, so that every user may write. Set "
    "pypi.default_write in the ini if that is not meant."
)

_NOBODY = (
    "Neither the ini nor the store names an administrator any more. A command on the "
    "store itself makes one: pypicloud user set --admin, with --config."
)


@frozen
class RecordedChange:
    """A change of one thing in the document, not made yet.

    :ivar part: and *name*: the thing.
    :ivar record: of it, but for what was changed.
    """

    part: Part
    name: str
    record: Act
    change: Change
    required: Required

    async def make(
        self, documents: AccessDocuments, access: Access, audit: Audit
    ) -> Changed:
        """Make it; durable when this returns.

        :raises ConditionFailed: the thing is not as is required.
        """
        await documents.learn()
        rules = access.policy.rules
        before = after = AccessDocument()

        def apply(document: AccessDocument) -> AccessDocument:
            nonlocal before, after
            before = document
            check_required(document, self.part, self.name, self.required)
            after = self.change(document)
            return after

        def record() -> None:
            reason = told(self.part, self.name, before, after)
            audit(evolve(self.record, reason=reason))

        # Made there, and not here: also if nobody waits for it any more, or if the
        # other servers cannot be told of it.
        await documents.change(apply, record)
        was, state = (state_of(one, self.part, self.name) for one in (before, after))
        notices = (
            *_notices(rules, access.policy.rules),
            *_of_projects(before, after),
        )
        return Changed(was is None and state is not None, notices, state)


def _notices(before: Rules, after: Rules) -> Iterator[str]:
    """Say what follows of a change that may surprise."""
    if before.open != after.open:
        yield _CLOSED if before.open else _OPENED
    if before.administrators and not after.administrators:
        yield _NOBODY


def _of_projects(before: AccessDocument, after: AccessDocument) -> Iterator[str]:
    """Say which projects have lines of their own now, and which none any more."""
    had, have = ({line.project for line in one.rights} for one in (before, after))
    gave, give = (
        {line.project for line in one.rights if line.actions} for one in (before, after)
    )
    open_to_all = {line.project for line in after.rights if _is_for_all(line)}
    if closed := have - had - open_to_all:
        yield (
            f"From now on {listed(closed)} is closed to everybody whom no line for it "
            "names, but for administrators. If others shall go on reading it, give r "
            "to the group authenticated, or everyone."
        )
    if opened := had - have:
        yield (
            f"There is no line for {listed(opened)} any more: the next pattern that "
            "fits, or the defaults (pypi.default_read, pypi.default_write), decide "
            "from now on."
        )
    if bare := (gave - give) & have:
        yield (
            f"Only administrators may do anything with {listed(bare)} now: its last "
            "line gives nothing, and keeps it closed. Remove that line if the defaults "
            "shall decide."
        )


def _is_for_all(line: RightLine) -> bool:
    return line.kind == "group" and line.name in (EVERYONE, AUTHENTICATED)
