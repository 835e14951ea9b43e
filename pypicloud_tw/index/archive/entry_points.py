"""A wheel's entry_points.txt, from which installers make scripts."""

from __future__ import annotations

import re
from configparser import ConfigParser, Error

from pypicloud_tw.index.archive.bounds import MAX_ENTRY_POINTS, MAX_GROUPS
from pypicloud_tw.index.archive.findings import Findings, quoted, refuse

#: The groups of which installers make scripts; what others hold is their readers' own.
_SCRIPTS = ("console_scripts", "gui_scripts")

#: "Entry points specification": an object reference, which a script needs whole.
_OBJECT = re.compile(
    r"[\w.-]+[ \t]*:[ \t]*[\w.-]+[ \t]*(?:\[[^\[\]\n]*\])?[ \t]*",
)

_AGAIN = "Installers fail on it; correct the project's entry points and build it again."


def judge_entry_points(data: bytes | None, findings: Findings) -> None:
    """Judge the file, if there is one.

    :raises BadRequest: it would make a script outside of the folder for scripts.
    """
    if data is None:
        return
    parser = _parse(data, findings)
    groups = parser.sections()
    count = sum(len(parser[group]) for group in groups)
    if count > MAX_ENTRY_POINTS or len(groups) > MAX_GROUPS:
        refuse(
            f"The wheel has more than {MAX_ENTRY_POINTS} entry points, or {MAX_GROUPS} "
            "groups of them."
        )
    for group in filter(parser.has_section, _SCRIPTS):
        for name, value in parser[group].items():
            _judge_script(name, value, findings)


def _parse(data: bytes, findings: Findings) -> ConfigParser:
    """Read the file; what cannot be read has no entry points."""
    parser = ConfigParser(
        delimiters=("=",), strict=True, interpolation=None, default_section="\0"
    )
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # documented so
    try:
        text = data.decode("utf-8")
        parser.read_string(text)
        if text.startswith("\ufeff") or any(map(_is_default, parser.sections())):
            raise ValueError
        if any(map(_is_open, text.splitlines())):
            raise ValueError
    except (ValueError, Error):
        findings.fall_short(
            "The wheel's entry_points.txt is not UTF-8 (without a byte order mark), or "
            "has lines that are neither [group] nor name = value, or a name twice, or "
            "the group DEFAULT. "
            f"{_AGAIN}"
        )
        parser.clear()
    return parser


def _is_default(group: str) -> bool:
    """Tell the group of which INI readers give everything to all others."""
    return group.lower() == "default"


def _is_open(line: str) -> bool:
    """Tell a group with more behind it, which pip takes for another one than uv."""
    line = line.strip()
    return line.startswith("[") and not line.endswith("]")


def _judge_script(name: str, value: str, findings: Findings) -> None:
    if "/" in name or "\\" in name or name in (".", ".."):
        refuse(
            f"The script {quoted(name)} of the wheel's entry_points.txt would be "
            "written to another folder than that of scripts."
        )
    if not _OBJECT.fullmatch(value):
        findings.fall_short(
            f"The script {quoted(name)} of the wheel's entry_points.txt is not "
            f"module:function, but {quoted(value)}. {_AGAIN}"
        )
