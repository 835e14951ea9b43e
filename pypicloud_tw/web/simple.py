"""The simple repository API: a document -> HTML and JSON bytes.

Documents are those of PEP 691: our manifests without their private keys, or an
upstream's. One that came from elsewhere is not trusted to be well formed: what cannot
be a file is left out, everything else that is known or unknown goes into the JSON.
"""

from __future__ import annotations

import json
from collections.abc import (
    Container,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from datetime import datetime
from html import escape
from itertools import chain
from typing import Any
from urllib.parse import quote

import msgspec

from pypicloud_tw.index.manifest import API_VERSION, in_version_order
from pypicloud_tw.index.model import Document
from pypicloud_tw.index.names import NormalizedName, file_identity
from pypicloud_tw.offload.limits import PAGES, limited
from pypicloud_tw.offload.packing import PackedResult, pack, unpacked
from pypicloud_tw.upstream.judgement.hidden import HIDDEN
from pypicloud_tw.web.representation import Page

#: PEP 833 freezes the HTML form at this version, whatever the JSON form says.
HTML_VERSION = "1.4"

#: Where a text will be put into markup. HTML cannot hold a NUL, so ours has none.
SLOT = "\0"

#: PEP 503: one that hashlib guarantees, and that pip knows; sha256 is recommended.
_HASHES = ("sha256", "sha512", "sha384", "sha224", "sha1", "md5")


def render_project(
    document: Document,
    modified: datetime | None = None,
    serial: int | None = None,
    *,
    relative: bool = False,
) -> Page:
    """Make a project's page.

    Files are shown in the order they come in; *document* is not changed, nor kept.

    :param modified: when the project last changed; aware.
    :param serial: of that change.
    :param relative: provenance has addresses that are relative to the page.
    :raises ValueError: there is a number in it that JSON has not (NaN, Infinity).
    """
    data = to_json(_served(document))
    return Page.of(data, project_html, modified, serial, relative=relative)


def file_json(file: Document) -> bytes:
    """Write the JSON of a file of ours, for :func:`render_around`."""
    return to_json(_served_file(file))


def render_around(
    document: Document,
    files: Iterable[bytes],
    modified: datetime | None = None,
    *,
    relative: bool = False,
) -> Page:
    """Make the page of a project of ours whose files have been written already.

    It is, byte for byte, what :func:`render_project` makes of the whole document.

    :param document: as it is served, with no files where they belong.
    :param files: what :func:`file_json` made of each that is offered.
    :param modified: see :func:`render_project`, as of *relative*.
    """
    # Copied as little as can be: of 5,000 files they are 2.4 MB.
    members = [b"%b:%b" % (to_json(n), to_json(v)) for n, v in document.items()]
    at = list(document).index("files")
    members[at] = b'"files":['
    begin, end = b",".join(members[: at + 1]), b",".join((b"]", *members[at + 1 :]))
    data = b"".join((b"{", begin, b",".join(files), end, b"}"))
    serial = document["meta"].get("_last-serial")
    return Page.of(data, project_html, modified, serial, relative=relative)


def render_upstream(document: Document) -> tuple[Page, int]:
    """Render an upstream's document, and tell the page's weight.

    It is here because helper processes do it: they import this module, and need no
    other, in a quarter of the time that those take which know a reactor.
    """
    # PEP 752: what is not ours is in no namespace of ours.
    served = _served({**document, "namespaces": None})
    page = Page.packed(_encoded(served), project_html)
    return page, page.weight


def reread_upstream(page: Page) -> Document:
    """Make the document again that :func:`render_upstream` has rendered."""
    document: Document = msgspec.json.decode(page.json)
    return document


def _encoded(document: Document) -> bytes:
    """Write JSON of what was JSON before, so that there is no NaN in it."""
    try:
        return msgspec.json.encode(document)
    except (ValueError, OverflowError):
        # Half a surrogate pair, or a number of more than 64 bits.
        return to_json(document)


def merge_projects(own: bytes, theirs: bytes, relative: bool = False) -> Page:
    """Make a page of ours that shows an upstream's files too; ours shadow equal ones.

    :param own: our page's JSON, as :func:`render_project` wrote it.
    :param theirs: the upstream's, likewise.
    :param relative: of our page, see :func:`render_project`.
    """
    document, others = json.loads(own), json.loads(theirs)
    shadowed = {file_identity(file["filename"]) for file in document["files"]}
    document["files"] = [
        *(f for f in others["files"] if file_identity(f["filename"]) not in shadowed),
        *document["files"],
    ]
    if HIDDEN in others:
        document[HIDDEN] = others[HIDDEN]
    versions = {*document["versions"], *others.get("versions", ())}
    document["versions"] = in_version_order(versions)
    return render_project(document, relative=relative)


@limited(PAGES)
def merge_elsewhere(
    pages: tuple[bytes, bytes, bool] | PackedResult,
) -> Page | PackedResult:
    """Do :func:`merge_projects` in a helper process."""
    question = unpacked(pages) if isinstance(pages, PackedResult) else pages
    return pack(merge_projects(*question))


def json_entries(
    names: Iterable[NormalizedName], strangers: Container[NormalizedName] = ()
) -> bytes:
    """Write entries of the JSON list of projects, for :func:`with_serials`.

    Nothing in a normalized name needs escaping.

    :param strangers: those that have no serial.
    """

    def entry(name: NormalizedName) -> str:
        if name in strangers:
            return f'{{"name":"{name}"}}'
        return f'{{"name":"{name}","_last-serial":{SLOT}}}'

    return ",".join(map(entry, names)).encode()


def with_serials(
    entries: bytes, floor: int, others: Iterable[tuple[str, int]] = ()
) -> bytes:
    """Put the projects' last serials into their entries.

    :param floor: that of most.
    :param others: names, and their own serials.
    """
    entries = entries.replace(SLOT.encode(), b"%d" % floor)
    for name, serial in others:
        entry = b'"%b","_last-serial":%d}'
        text = name.encode()
        entries = entries.replace(entry % (text, floor), entry % (text, serial), 1)
    return entries


def index_json(
    batches: Iterable[bytes], last_serial: int | None = None
) -> Iterator[bytes]:
    """Write the JSON list of projects.

    :param batches: of entries; some may be empty.
    """
    meta: Document = {"api-version": API_VERSION}
    if last_serial is not None:
        meta["_last-serial"] = last_serial
    yield b'{"meta":%b,"projects":[' % to_json(meta)
    between = b""
    for entries in batches:
        if entries:
            yield between + entries
            between = b","
        else:
            yield b""
    yield b"]}"


def html_entries(names: Iterable[NormalizedName]) -> bytes:
    """Write entries of the HTML list of projects.

    A normalized name is its own address (PEP 503): nothing in it needs quoting.
    """
    return "".join([f'<a href="{n}/">{n}</a><br>\n' for n in names]).encode()


def index_html(batches: Iterable[bytes]) -> Iterator[bytes]:
    """Write the HTML list of projects.

    :param batches: of entries.
    """
    page = _html("Simple index", (), "", ())
    end = page.index(b"</body>")
    yield page[:end]
    yield from batches
    yield page[end:]


def project_html(data: bytes) -> bytes:
    """Make a project's HTML out of its JSON as :func:`render_project` wrote it."""
    document = json.loads(data)
    name = document.get("name")
    title = f"Links for {name if isinstance(name, str) else 'a project'}"
    texts: list[str] = []
    rows = "".join([anchor(file, texts) + "<br>\n" for file in document["files"]])
    rows += _hidden_section(document.get(HIDDEN), texts)
    return _html(title, _project_metas(document), rows, texts)


def _hidden_section(hidden: object, texts: list[str]) -> str:
    """Write which files are not shown, and why; without a link, as pip reads those.

    :param hidden: see :func:`~pypicloud_tw.upstream.judgement.hidden.told_hidden`.
    """
    if not isinstance(hidden, list) or not hidden:
        return ""
    rows = ""
    for entry in hidden:
        rows += f"<dt>{SLOT}</dt>\n<dd>{SLOT}</dd>\n"
        version, files = entry["version"] or "Other versions", entry["files"]
        count = "1 file" if files == 1 else f"{files} files"
        texts += [
            f"{version}: {count} ({entry['rule']})",
            f"{entry['reason']} {entry['lifted_by']}".rstrip(),
        ]
    heading = '<section id="hidden">\n<h2>Not shown here</h2>\n'
    return f"{heading}<dl>\n{rows}</dl>\n</section>\n"


def to_json(document: object) -> bytes:
    """Write JSON in UTF-8.

    :raises ValueError: there is a number in it that JSON has not (NaN, Infinity).
    """
    text = json.dumps(
        document, ensure_ascii=False, allow_nan=False, separators=(",", ":")
    )
    # Half a surrogate pair is no character; as \udXXX strict parsers refuse the page.
    return text.encode(errors="replace")


def anchor(file: Mapping[str, Any], texts: list[str]) -> str:
    """Write the link of a file, with everything that HTML can say of it.

    That it was yanked is said a second time, behind the link, for people: installers
    read the attribute, and the link's text is the filename (PEP 503).

    :param file: has a ``url`` and a ``filename`` that are strings.
    :param texts: gets the text for each ``SLOT`` of the markup returned.
    """
    digest = _hash_of(file.get("hashes"))
    url: str = file["url"]
    texts.append(f"{url.partition('#')[0]}#{digest}" if digest else url)
    markup = f'<a href="{SLOT}"'
    for name, text in _attributes(file):
        markup += f' data-{name}="{SLOT}"'
        texts.append(text)
    texts.append(file["filename"])
    markup += f">{SLOT}</a>"
    if yanked := file.get("yanked"):
        markup += f' <span class="yanked">{SLOT}</span>'
        texts.append(f"yanked: {yanked}" if isinstance(yanked, str) else "yanked")
    return markup


def fill(markup: str, texts: Sequence[str]) -> str:
    """Put each text into its slot, escaped.

    All are escaped in one go: for each of the 25,000 texts of a large page on its own
    it takes ten times as long.
    """
    escaped = escape(SLOT.join(texts)).split(SLOT)
    if len(escaped) != len(texts):  # somebody's text has a NUL in it
        escaped = [escape(text) for text in texts]
    between = markup.split(SLOT)
    pairs = zip(between, (*escaped, ""), strict=True)
    return "".join(chain.from_iterable(pairs))


def _served(document: Document) -> Document:
    meta = document.get("meta")
    if not isinstance(meta, dict):
        meta = {}
    files = document.get("files")
    if not isinstance(files, list) or _status(document).get("status") == "quarantined":
        # PEP 792: "The index MUST NOT offer any distributions of the project".
        files = []
    return {
        **document,
        # PEP 629: a document that does not tell is of version 1.0.
        "meta": {"api-version": "1.0", **meta},
        "files": [_served_file(file) for file in files if _is_file(file)],
    }


def _is_file(file: object) -> bool:
    return (
        isinstance(file, dict)
        and isinstance(file.get("url"), str)
        and isinstance(file.get("filename"), str)
    )


def _served_file(file: Document) -> Document:
    if "dist-info-metadata" in file:
        # PEP 714, Recommendations: not in JSON, where pip 22.3 fails on it.
        renamed = {"core-metadata": file["dist-info-metadata"], **file}
        del renamed["dist-info-metadata"]
        return _served_file(renamed)
    if isinstance(file.get("hashes"), dict):
        return file
    # PEP 691: it "MUST be present, even if no hashes are available".
    return {**file, "hashes": {}}


def _attributes(file: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = []
    requires_python = file.get("requires-python")
    if requires_python and isinstance(requires_python, str):
        found.append(("requires-python", requires_python))
    yanked = file.get("yanked")
    if yanked:
        # PEP 592: "may have no value, or may have an arbitrary string".
        found.append(("yanked", yanked if isinstance(yanked, str) else ""))
    core_metadata = file.get("core-metadata")
    if core_metadata:
        # PEP 714: the old name "MUST match the value of" the new one.
        value = _hash_of(core_metadata) or "true"
        found += [("dist-info-metadata", value), ("core-metadata", value)]
    gpg_sig = file.get("gpg-sig")
    if isinstance(gpg_sig, bool):
        found.append(("gpg-sig", "true" if gpg_sig else "false"))
    provenance = file.get("provenance")
    if provenance and isinstance(provenance, str):
        found.append(("provenance", provenance))
    return found


def _hash_of(hashes: object) -> str | None:
    """Write the best digest as ``name=value`` (PEP 503); None if there is none."""
    if not isinstance(hashes, dict):
        return None
    for name in _HASHES:
        value = hashes.get(name)
        if value and isinstance(value, str):
            return f"{name}={_quoted(value)}"
    for name, value in hashes.items():
        if value and isinstance(value, str):
            return f"{_quoted(name)}={_quoted(value)}"
    return None


def _quoted(text: str) -> str:
    # A digest needs no quoting, and quote() is slow.
    return text if text.isascii() and text.isalnum() else quote(text, errors="replace")


def _project_metas(document: Document) -> Iterator[tuple[str, str]]:
    status = _status(document)
    if status.get("status", "active") != "active":
        # PEP 792: both may be left out where the project is active.
        yield "project-status", str(status["status"])
        if isinstance(status.get("reason"), str):
            yield "project-status-reason", status["reason"]


def _status(document: Document) -> Document:
    status = document.get("project-status")
    return status if isinstance(status, dict) else {}


def _html(
    title: str, metas: Iterable[tuple[str, str]], rows: str, texts: Sequence[str]
) -> bytes:
    """Write a page around *rows*, whose slots *texts* fill."""
    head, heads = "", [HTML_VERSION]
    for name, content in metas:
        head += f'<meta name="pypi:{name}" content="{SLOT}">\n'
        heads.append(content)
    page = (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="pypi:repository-version" content="{SLOT}">\n'
        f"{head}<title>{SLOT}</title>\n</head>\n<body>\n<h1>{SLOT}</h1>\n"
        f"{rows}</body>\n</html>\n"
    )
    # Half a surrogate pair is no character.
    return fill(page, [*heads, title, title, *texts]).encode(errors="replace")
