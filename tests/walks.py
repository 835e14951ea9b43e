"""Which modules a request passes, found out by watching one.

``python -m tests.walks`` prints the walks that docs/architecture/walks.rst describes;
tests/test_docs.py fails where that page names a module that is not passed, or another
order. The store is the one in memory, and helpers run in the same thread.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType, MappingProxyType

import pypicloud_tw
from tests.builders import wheel
from tests.web.doubles import Response, Web, stored_project, upload_form
from tests.web.test_app_fallback import JSON, Front

_PACKAGE = Path(pypicloud_tw.__file__).parent
_WHEEL = "acme-1.0-py3-none-any.whl"
_PAGE = "/simple/acme/"


def modules_of(act: Callable[[], Response]) -> list[str]:
    """List the modules in which a function is called, each once, in order.

    :param act: asks for something; its answer must be a success.
    """
    found: dict[str, None] = {}
    root = f"{_PACKAGE}/"

    def profile(frame: FrameType, event: str, _argument: object) -> None:
        filename = frame.f_code.co_filename
        if event == "call" and filename.startswith(root):
            found[f"{_PACKAGE.name}/{filename.removeprefix(root)}"] = None

    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        response = act()
    finally:
        sys.setprofile(before)
    assert response.status == 200, response
    return list(found)


def install() -> list[str]:
    """Ask for a page that is in memory, as has been done before."""
    web = _with_a_file()
    web.get(_PAGE)  # from here on such heads are known
    return modules_of(lambda: web.get(_PAGE))


def first_install() -> list[str]:
    """Ask for a page that is in memory, by a head that was not seen before."""
    web = _with_a_file()
    return modules_of(lambda: web.get(_PAGE, {"Accept": "text/html"}))


def download() -> list[str]:
    """Ask for a file that a page links to."""
    web = _with_a_file()
    file = stored_project(web.store).files[0]
    address = f"/packages/acme/{file.sha256[:16]}/{_WHEEL}"
    return modules_of(lambda: web.get(address))


def upload() -> list[str]:
    """Publish a wheel."""
    web = Web()
    web.get("/ready")  # from here on it knows the rules
    form = upload_form(_WHEEL, wheel())
    return modules_of(lambda: web.post(form))


def cold_fallback_page() -> list[str]:
    """Ask for a project that is not here, for the first time."""
    front = Front(mode="proxy")
    front.have()
    return modules_of(lambda: front.web.get(_PAGE, JSON))


def _with_a_file() -> Web:
    web = Web()
    web.publish(_WHEEL, wheel())
    web.get(_PAGE)  # from here on it is in memory
    return web


#: By their headings in docs/architecture/walks.rst.
WALKS = MappingProxyType(
    {
        "Install: a page that is in memory": install,
        "Install: the ordinary way": first_install,
        "Download: a file": download,
        "Upload": upload,
        "Cold fallback page": cold_fallback_page,
    }
)


if __name__ == "__main__":
    for title, walk in WALKS.items():
        modules = walk()
        print(f"{title}: {len(modules)} modules")
        for module in modules:
            print(f"    {module}")
