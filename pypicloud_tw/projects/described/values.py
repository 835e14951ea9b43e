"""What a release and its files say of themselves: values.

Every text was cleaned for display and bounded, and none of it may be trusted: a
template escapes it. Only :attr:`RenderedDescription.html` is markup.
"""

from __future__ import annotations

from typing import Literal

from attrs import field, frozen

#: Where what is said of a release was read.
Source = Literal["metadata", "upstream", "archive", "manifest"]

#: Where a rendering came to its end.
Rendering = Literal["rendered", "plain", "failed", "none"]

#: What a member of an archive is.
MemberKind = Literal["file", "folder", "link"]


@frozen
class ProjectLink:
    """A link of a project, always to http or https.

    :ivar label: as it is shown.
    :ivar kind: the well-known label that it is (``homepage``, ``source``, ...), or "".
    """

    label: str
    url: str
    kind: str = ""


@frozen
class Person:
    """An author or a maintainer; one of the two texts may be empty."""

    name: str
    email: str = ""


@frozen
class Dependency:
    """One Requires-Dist.

    :ivar name: normalized (PEP 503); empty: it could not be understood, and
        :attr:`text` is all there is.
    :ivar text: as it stands.
    :ivar extras: what of it is needed, such as ``("s3",)`` of ``acme[s3]``.
    :ivar specifier: such as ``>=1,<2``; of a direct reference its address, as text.
    :ivar marker: where it is needed, such as ``python_version < "3.11"``.
    :ivar extra: it is needed only for this extra of the project.
    """

    name: str
    text: str
    extras: tuple[str, ...] = ()
    specifier: str = ""
    marker: str = ""
    extra: str = ""


@frozen
class ReleaseMetadata:
    """What a release says of itself (core metadata).

    :ivar description: as it stands, up to 2 MiB, but for what is no text; see
        :meth:`.Described.description`.
    :ivar description_type: its content type as told; empty where it is not.
    :ivar licence: an SPDX expression, or what older fields and classifiers say.
    :ivar links: the well-known ones first.
    :ivar unlinked: labels and texts of what is no link to http or https.
    :ivar source: ``metadata``: the core metadata that lies beside a file; ``upstream``:
        the other index's JSON; ``archive``: the PKG-INFO in a source archive, which may
        leave out what it needs (PEP 643); ``manifest``: no more than what the index
        keeps of every file.
    """

    name: str
    version: str
    summary: str = ""
    description: str = field(default="", repr=False)
    description_type: str = ""
    requires_python: str = ""
    licence: str = ""
    authors: tuple[Person, ...] = ()
    maintainers: tuple[Person, ...] = ()
    links: tuple[ProjectLink, ...] = ()
    unlinked: tuple[tuple[str, str], ...] = ()
    keywords: tuple[str, ...] = ()
    classifiers: tuple[str, ...] = ()
    dependencies: tuple[Dependency, ...] = field(default=(), repr=False)
    extras: tuple[str, ...] = ()
    source: Source = "metadata"


@frozen
class RenderedDescription:
    """A description as it is put into a page.

    :ivar html: markup that is safe as it is, at most :data:`.markup.MOST` bytes.
    :ivar how: ``rendered``; ``plain``: it is plain text, by its own word or for lack of
        one; ``failed``: it is shown as that because it could not be rendered; ``none``:
        there is none.
    :ivar partial: it is longer than what is shown.
    :ivar note: a sentence on why it is shown as it is; empty where it is as meant.
    """

    html: str = field(repr=False)
    how: Rendering
    partial: bool = False
    note: str = ""


@frozen
class ArchiveMember:
    """A member of an archive.

    :ivar path: exactly as it is called, to ask for it.
    :ivar shown: the same with marks for what would deceive a reader.
    :ivar size: bytes that it unpacks to.
    :ivar target: where a link leads, as text, if that is known.
    """

    path: str
    shown: str
    size: int
    kind: MemberKind
    target: str = ""


@frozen
class Contents:
    """A part of what an archive has in it, in the order of paths.

    :ivar total: members in all.
    :ivar unpacked: bytes of all of them together.
    :ivar cursor: asks for what comes next; None: nothing does.
    """

    filename: str
    members: tuple[ArchiveMember, ...]
    total: int
    unpacked: int
    cursor: str | None = None


@frozen
class MemberText:
    """What is in a member of an archive.

    :ivar text: its beginning; empty of one that is no text.
    :ivar is_text: whether it is text, by its first bytes.
    :ivar partial: there is more of it than :attr:`text`.
    :ivar replaced: it is not UTF-8 throughout, and U+FFFD stands for what is not.
    """

    filename: str
    path: str
    shown: str
    size: int
    text: str = field(repr=False)
    is_text: bool = True
    partial: bool = False
    replaced: bool = False


@frozen
class ChangedDependency:
    """A dependency that both versions have, and not alike."""

    old: Dependency
    new: Dependency


@frozen
class DependencyChanges:
    """What an upgrade changes of what a project needs.

    :ivar requires_python: the old and the new text, if they differ.
    """

    old_version: str
    new_version: str
    added: tuple[Dependency, ...] = ()
    removed: tuple[Dependency, ...] = ()
    changed: tuple[ChangedDependency, ...] = ()
    requires_python: tuple[str, str] | None = None
    added_extras: tuple[str, ...] = ()
    removed_extras: tuple[str, ...] = ()

    @property
    def nothing(self) -> bool:
        """Whether nothing changes."""
        return not (
            self.added
            or self.removed
            or self.changed
            or self.requires_python
            or self.added_extras
            or self.removed_extras
        )
