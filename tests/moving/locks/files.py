"""Lock files as tools write them, of an index that does not exist."""

# ruff: noqa: E501  # lines of lock files are long

from __future__ import annotations

INDEX = "https://index.example/simple"
FILES = "https://files.example"

A, B, C, D = ("a" * 64, "b" * 64, "c" * 64, "d" * 64)

UV = f"""\
version = 1
revision = 3
requires-python = ">=3.11"
resolution-markers = ["sys_platform == 'win32'", "sys_platform != 'win32'"]

[[package]]
name = "colorama"
version = "0.4.6"
source = {{ registry = "{INDEX}" }}
sdist = {{ url = "{FILES}/colorama-0.4.6.tar.gz", hash = "sha256:{A}", size = 27697 }}
wheels = [
    {{ url = "{FILES}/colorama-0.4.6-py2.py3-none-any.whl", hash = "sha256:{B}", size = 25335 }},
]

[[package]]
name = "numpy"
version = "1.0"
source = {{ registry = "{INDEX}" }}
resolution-markers = ["sys_platform == 'win32'"]
wheels = [
    {{ url = "{FILES}/numpy-1.0-cp312-cp312-win_amd64.whl", hash = "sha256:{C}" }},
]

[[package]]
name = "numpy"
version = "2.0"
source = {{ registry = "{INDEX}" }}
resolution-markers = ["sys_platform != 'win32'"]
wheels = [
    {{ url = "{FILES}/numpy-2.0%2Blocal-cp312-cp312-manylinux_2_28_x86_64.whl", hash = "sha256:{D}" }},
]

[[package]]
name = "room"
version = "1.0"
source = {{ editable = "." }}
dependencies = [
    {{ name = "colorama", marker = "sys_platform == 'win32'" }},
    {{ name = "numpy", version = "1.0", source = {{ registry = "{INDEX}" }}, marker = "sys_platform == 'win32'" }},
    {{ name = "numpy", version = "2.0", source = {{ registry = "{INDEX}" }}, marker = "sys_platform != 'win32'" }},
    {{ name = "Forked" }},
]

[[package]]
name = "forked"
version = "3"
source = {{ git = "https://git.example/forked#0123" }}

[[package]]
name = "linked"
version = "3"
source = {{ url = "{FILES}/linked-3.tar.gz" }}
sdist = {{ hash = "sha256:{A}" }}

[[package]]
name = "beside"
version = "3"
source = {{ path = "../beside-3-py3-none-any.whl" }}
wheels = [{{ filename = "beside-3-py3-none-any.whl", hash = "sha256:{A}" }}]

[[package]]
name = "flat"
version = "3"
source = {{ registry = "../wheels" }}
wheels = [{{ path = "flat-3-py3-none-any.whl" }}]
"""

PYLOCK = f"""\
lock-version = "1.0"
created-by = "a test"
requires-python = ">=3.11"

[[packages]]
name = "colorama"
version = "0.4.6"
marker = "sys_platform == 'win32'"
index = "{INDEX}"
sdist = {{ url = "{FILES}/colorama-0.4.6.tar.gz", size = 27697, hashes = {{ sha256 = "{A}" }} }}
wheels = [
    {{ url = "{FILES}/colorama-0.4.6-py2.py3-none-any.whl", hashes = {{ sha256 = "{B}", md5 = "1" }} }},
]

[[packages]]
name = "extra"
version = "1"
marker = "'x' in extras"
wheels = [{{ name = "extra-1-py3-none-any.whl", path = "somewhere", hashes = {{ sha512 = "1" }} }}]

[[packages]]
name = "forked"
vcs = {{ type = "git", url = "https://git.example/forked", commit-id = "0123" }}
"""
