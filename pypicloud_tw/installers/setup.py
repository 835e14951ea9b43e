"""The lines by which installers and upload clients use an index."""

from __future__ import annotations

import json
from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import quote, urlsplit

from attrs import frozen

#: What the index is called in their settings.
NAME = "private"


@frozen
class Setup:
    """What they are told.

    :ivar base: the index's address, without a final slash.
    :ivar log_in: whether reading takes a log-in.
    :ivar user: who logs in; None: a placeholder stands for the log-in.
    :ivar name: what the index is called in their settings.
    """

    base: str
    log_in: bool = False
    user: str | None = None
    name: str = NAME

    @property
    def simple(self) -> str:
        """The simple API's address, with whose log-in it takes, if it takes one."""
        if not self.log_in:
            return self.plain_simple
        who = "USER:PASSWORD" if self.user is None else quote(self.user, safe="")
        scheme, separator, rest = self.base.partition("://")
        return f"{scheme}{separator}{who}@{rest}/simple/"

    @property
    def plain_simple(self) -> str:
        """The simple API's address."""
        return f"{self.base}/simple/"

    @property
    def uploads(self) -> str:
        """Where uploads go."""
        return f"{self.base}/legacy/"

    @property
    def insecure_host(self) -> str | None:
        """The host that pip refuses until it is told to trust it; None if none.

        That is one without TLS, unless it is this machine.
        """
        try:
            address = urlsplit(self.base)
            host = address.hostname
        except ValueError:
            return None
        if address.scheme != "http" or not host or host == "localhost":
            return None
        try:
            return None if ip_address(host).is_loopback else host
        except ValueError:
            return host

    def client_config(self, tool: str) -> str:
        """The command of this program that writes a client's settings."""
        return f"pypicloud client-config {tool} --index {self.base} --write"

    # pip

    def pip_install(self, what: str) -> str:
        """The command that installs something once."""
        trusted = self.insecure_host
        option = f" --trusted-host {trusted}" if trusted else ""
        return f"pip install --index-url {self.simple}{option} {what}"

    @property
    def pip_settings(self) -> dict[str, str]:
        """What stands in the section ``[global]`` of ``pip.conf``."""
        trusted = self.insecure_host
        more = {"trusted-host": trusted} if trusted else {}
        return {"index-url": self.simple, **more}

    @property
    def pip_conf(self) -> str:
        """The lines of ``pip.conf``."""
        return ini_section("global", self.pip_settings)

    # uv

    def uv_install(self, what: str) -> str:
        """The command that installs something once."""
        return f"uv pip install --default-index {self.simple} {what}"

    def uv_add(self, what: str) -> str:
        """The command that adds something to a project."""
        return f"uv add --index {self.name}={self.plain_simple} {what}"

    def uv_settings(self, *, uploads: bool) -> dict[str, object]:
        """What stands in an entry of uv's list of indexes."""
        more = {"publish-url": self.uploads} if uploads else {}
        return {"name": self.name, "url": self.plain_simple, **more, "default": True}

    def uv_index(self, *, uploads: bool) -> str:
        """The lines of ``pyproject.toml``."""
        return toml_table("[[tool.uv.index]]", self.uv_settings(uploads=uploads))

    @property
    def uv_publish(self) -> str:
        """The command that uploads."""
        return f"uv publish --publish-url {self.uploads} dist/*"

    # Poetry

    def poetry_source_add(self, priority: str = "primary") -> str:
        """The command that adds the index to a project."""
        return (
            f"poetry source add --priority={priority} {self.name} {self.plain_simple}"
        )

    def poetry_add(self, what: str) -> str:
        """The commands that add something to a project."""
        source = self.poetry_source_add("explicit")
        return f"{source}\npoetry add --source {self.name} {what}"

    @property
    def poetry_log_in(self) -> str:
        """The command that keeps a log-in."""
        return f"poetry config http-basic.{self.name} USER PASSWORD"

    @property
    def poetry_publish(self) -> str:
        """The commands that upload."""
        return (
            f"poetry config repositories.{self.name} {self.uploads}\n"
            f"poetry publish -r {self.name}"
        )

    # twine

    @property
    def twine_upload(self) -> str:
        """The command that uploads."""
        return f"twine upload --repository-url {self.uploads} dist/*"

    def pypirc(self, *, log_in: bool) -> str:
        """The lines of ``.pypirc``.

        :param log_in: uploads take one.
        """
        servers = ini_section("distutils", {"index-servers": f"\n{self.name}"})
        own = ini_section(self.name, self.twine_settings(log_in=log_in))
        return f"{servers}\n\n{own}"

    def twine_settings(self, *, log_in: bool) -> dict[str, str]:
        """What stands in the index's own section of ``.pypirc``."""
        more = {"username": self.user or "USER"} if log_in else {}
        return {"repository": self.uploads, **more}


def ini_section(name: str, settings: Mapping[str, str]) -> str:
    """Write a section of an ini file."""
    return "\n".join([f"[{name}]", *ini_lines(settings)])


def ini_lines(settings: Mapping[str, str]) -> list[str]:
    """Write the keys of a section; more than one line of a value is indented."""
    lines = "\n".join(
        f"{name} = {value}".replace("\n", "\n    ") for name, value in settings.items()
    )
    return [line.rstrip() for line in lines.split("\n")]


def toml_table(head: str, settings: Mapping[str, object]) -> str:
    """Write a table of a TOML file.

    :param head: its header: ``[pypi]``, ``[[index]]``.
    """
    return "\n".join([head, *toml_lines(settings)])


def toml_lines(settings: Mapping[str, object]) -> list[str]:
    """Write the keys of a table; a text or a truth is written as JSON has it."""
    return [
        f"{name} = {json.dumps(value, ensure_ascii=False)}"
        for name, value in settings.items()
    ]
