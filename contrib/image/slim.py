"""Makes an installation small, for an image: what a server never uses is removed.

    python3 slim.py /opt/pypicloud

What is left runs as before. The sources of other projects' modules go, too, and byte
code takes their place: in tracebacks they have line numbers, and no text. Ours stay.
"""

from __future__ import annotations

import compileall
import gzip
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from py_compile import PycInvalidationMode

#: The package whose sources stay.
OURS = "pypicloud_tw"

#: Folders of tests, in whichever package they are.
TESTS = {"test", "tests"}

#: Packages that nothing here imports: protocols that are not spoken, a runner of tests,
#: and what compiles bindings for cffi (what was compiled stays).
UNUSED = (
    *(f"twisted/{name}" for name in ("conch", "mail", "pair", "positioning")),
    *(f"twisted/{name}" for name in ("runner", "trial", "words")),
    "cffi",
    "pycparser",
    *(f"docutils/writers/{name}" for name in ("latex2e", "odf_odt", "s5_html")),
)

#: Of botocore only the search for credentials is used: these services give some out.
CREDENTIAL_SERVICES = {"signin", "sso", "sso-oidc", "sts"}

#: What only compilers, type checkers and pip read. RECORD would not be true any more.
NOT_RUN = ("*.pyi", "*.c", "*.h", "*.pxd", "*.pyx", "RECORD", "zstandard/_cffi*.so")


def removable(site: Path) -> Iterator[Path]:
    """Find what a server does not need."""
    yield from (
        path for path in site.rglob("*") if path.is_dir() and path.name in TESTS
    )
    yield from (site / name for name in UNUSED)
    yield from (site / "twisted" / "plugins").glob("twisted_*.py")
    for service in (site / "botocore" / "data").iterdir():
        if service.is_dir() and service.name not in CREDENTIAL_SERVICES:
            yield service
    for pattern in NOT_RUN:
        yield from site.rglob(pattern)


def remove(path: Path) -> None:
    """Remove a file or a folder; it may have gone with another."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def pack(folder: Path) -> None:
    """Compress botocore's tables, which it reads so as well."""
    for table in folder.glob("*.json"):
        packed = gzip.compress(table.read_bytes(), mtime=0)
        table.with_name(f"{table.name}.gz").write_bytes(packed)
        table.unlink()


def compile_all(site: Path) -> None:
    """Compile everything, so that a read-only file system starts as fast."""
    for source in [*site.rglob("*.py")]:
        ours = source.relative_to(site).parts[0] == OURS
        compiled = compileall.compile_file(
            source,
            quiet=1,
            legacy=not ours,
            # A builder of images may change the times of files.
            invalidation_mode=PycInvalidationMode.UNCHECKED_HASH,
        )
        if not compiled:
            sys.exit(f"{source} cannot be compiled.")
        if not ours:
            source.unlink()


def main(prefix: Path) -> None:
    """Slim the environment at *prefix*."""
    (site,) = prefix.glob("lib/python*/site-packages")
    for path in [*removable(site)]:
        remove(path)
    pack(site / "botocore" / "data")
    libraries = site.rglob("*.so")
    subprocess.run(["strip", "--strip-unneeded", *libraries], check=True)  # noqa: S603, S607  in a build
    compile_all(site)
    files = (path for path in prefix.rglob("*") if not path.is_symlink())
    size = sum(path.stat().st_size for path in files if path.is_file())
    print(f"{prefix} has {size / 1e6:.1f} MB.")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
