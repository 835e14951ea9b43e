"""What stands in front of a server: is it there, and does it say what it must?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from attrs import frozen

from pypicloud_tw import __version__
from pypicloud_tw.client.api import Answer, Unanswered
from pypicloud_tw.diagnosis.certificates import Remote, ends_at, trusted_here, utc
from pypicloud_tw.diagnosis.machine import Machine
from pypicloud_tw.diagnosis.outside.asking import (
    HTML_PAGE,
    PATIENCE,
    PROXY,
    Visitor,
    document,
    split,
)
from pypicloud_tw.diagnosis.values import Finding, fault, note, ok, unseen, warning
from pypicloud_tw.offload.service import IOffload
from pypicloud_tw.outbound.origins import without_userinfo
from pypicloud_tw.upstream.statuses import told_date

#: Seconds that a clock may be off: signed addresses and tokens are judged by it.
_OFF = 60.0

#: Addresses that nobody has (RFC 5737, RFC 2606): what a proxy must not pass on.
_STRANGER, _NOWHERE = "203.0.113.77", "doctor.invalid"

_HTTPS = 443


@frozen
class Front:
    """Looks at a server's address, and at what stands there.

    :ivar ca_file: the only authorities that are trusted; None: the system's are.
    """

    visitor: Visitor
    machine: Machine
    offload: IOffload
    ca_file: Path | None = None

    async def answers(self) -> list[Finding]:
        """Ask whether it lives."""
        clock = self.visitor.clock
        began = clock.seconds()
        try:
            answer = await self.visitor.ask("/health", as_nobody=True, whole=PATIENCE)
        except Unanswered as e:
            return [fault(e.message, await self._advice("Nothing works before this."))]
        took = clock.seconds() - began
        if answer.status == 200 and answer.body.strip() == b"ok":
            return [ok(f"It answers, in {took * 1000:.0f} ms.")]
        return [
            fault(
                f"/health answers {answer.status}, and not as this program's server "
                "does.",
                await self._advice(
                    "Give the address that clients have, and see where what stands in "
                    "front passes requests on to."
                ),
            )
        ]

    async def _advice(self, otherwise: str) -> str:
        """Say what to do about an address that is not answered as it should be.

        :param otherwise: where it is not TLS that is forgotten.
        """
        address = self.visitor.address
        if address.scheme == "http":
            with suppress(OSError):  # no TLS, or nobody at all
                await self.offload.in_thread(
                    lambda: self.machine.certificate_at(address.host, address.port)
                )
                return f"It speaks TLS: give https://{urlsplit(address.base).netloc}."
        return otherwise

    async def ready(self) -> list[Finding]:
        """Ask whether it is ready, and what is wrong."""
        answer = await self.visitor.ask("/ready")
        first, *problems = answer.body.decode("utf-8", "replace").splitlines() or [""]
        if answer.status != 200 or first != "ready":
            said = first[:500] or f"/ready answers {answer.status}."
            return [fault(said, "pypicloud doctor --config, on the server, says more.")]
        if not problems:
            return [ok("It is ready.")]
        advice = "pypicloud doctor --config, on the server, says more."
        return [warning(problem[:500], advice) for problem in problems]

    async def version(self) -> list[Finding]:
        """Compare its version with this one's, and where it takes itself to be."""
        answer = await self.visitor.ask("/api/v1/openapi.json", as_nobody=True)
        told = document(answer)
        info = told.get("info") if isinstance(told, dict) else None
        if answer.status != 200 or not isinstance(info, dict):
            return [unseen("It does not show its API.", PROXY)]
        version = str(info.get("version", ""))[:40]
        found = [
            ok(f"It has {version}, and so has this command.")
            if version == __version__
            else note(f"It has {version}, and this command {__version__}.")
        ]
        mounted = _mounted(told.get("servers"))
        wanted = urlsplit(self.visitor.address.base).path
        if mounted != wanted:
            found.append(
                fault(
                    f"It takes itself to be at {mounted or '/'!s} and not at "
                    f"{wanted or '/'}: its links lead elsewhere.",
                    f"Have the proxy send X-Forwarded-Prefix: {wanted or '(empty)'}, "
                    f"or set pypi.public_url. {PROXY}",
                )
            )
        return found

    async def tls(self) -> list[Finding]:
        """Look at its certificate, or at that there is none."""
        address = self.visitor.address
        if address.scheme != "https":
            if is_local(address.host):
                return [ok("There is none, and none is needed on this machine.")]
            return [
                warning(
                    "There is none: passwords and packages travel as they are.",
                    f"Put a proxy with TLS in front. {PROXY}",
                )
            ]
        remote = Remote("the index", address.host, address.port)
        now = utc(self.visitor.clock.seconds())
        return await self.offload.in_thread(lambda: self._of_certificate(remote, now))

    def _of_certificate(self, remote: Remote, now: datetime) -> list[Finding]:
        found = list(ends_at(remote, self.machine, now))
        if all(one.level in ("ok", "warning") for one in found):
            found += trusted_here(remote, self.machine, self.ca_file)
        return found

    async def plain_http(self) -> list[Finding]:
        """Look whether who comes by http is sent to https, and never back."""
        found = [await self._of_redirect()]
        base = self.visitor.address.base
        parts = urlsplit(base)
        if parts.scheme != "https" or self.visitor.address.port != _HTTPS:
            return found
        host = parts.netloc.removesuffix(f":{_HTTPS}")
        plain = f"http://{host}{parts.path}/simple/"
        try:
            answer = await self.visitor.ask(plain, as_nobody=True)
        except Unanswered:
            return [*found, ok("Nothing answers by http.")]
        location = self.visitor.joined(plain, answer.header("location"))
        if answer.status in _MOVED and location.startswith("https://"):
            return [*found, ok("Who comes by http is sent to https.")]
        return [
            *found,
            warning(
                f"{plain} answers {answer.status}, without TLS.",
                "Redirect it to https: whoever forgets the s sends a password openly.",
            ),
        ]

    async def _of_redirect(self) -> Finding:
        answer = await self.visitor.ask("/simple", as_nobody=True)
        location = self.visitor.joined("/simple", answer.header("location"))
        wanted = self.visitor.url("/simple/")
        if answer.status in _MOVED and location != wanted:
            return fault(
                f"{self.visitor.url('/simple')} redirects to {location[:200]}.",
                "What is in front rewrites Location; for nginx: proxy_redirect off.",
            )
        return ok("Its redirects lead where they should.")

    async def clock(self) -> list[Finding]:
        """Compare its clock with this one."""
        clock = self.visitor.clock
        before = clock.seconds()
        answer = await self.visitor.ask("/health", as_nobody=True)
        told = told_date(answer.header("date"))
        if told is None:
            return [note("It does not tell the time (Date).")]
        theirs = told.timestamp()
        after = clock.seconds()
        off = max(0.0, theirs - after) - max(0.0, before - 1.0 - theirs)
        if abs(off) < _OFF:
            return [ok("Its clock and this one are the same.")]
        which = "ahead of" if off > 0 else "behind"
        return [
            warning(
                f"Its clock is {abs(off):.0f} s {which} this one.",
                "Let ntp or chrony set both.",
            )
        ]

    # -- what it takes us, and itself, for --------------------------------------------

    async def addresses(self) -> list[Finding]:
        """Look whether it knows its own address, and that of its clients."""
        if self.visitor.login is None:
            return await self._on_the_page()
        forged = {
            "X-Forwarded-For": _STRANGER,
            "X-Forwarded-Host": _NOWHERE,
            "X-Forwarded-Prefix": f"/{_NOWHERE}",
        }
        plain = await self.visitor.ask("/api/v1/status")
        if plain.status != 200:
            found = await self._on_the_page()
            said = "Who is no administrator is not told what the server takes it for."
            return [*found, note(said, "Log in as an administrator.")]
        if is_local(self.visitor.address.host):
            # Whoever asks from this machine is a proxy of its own.
            return list(self._of_own(plain))
        deceived = await self.visitor.ask("/api/v1/status", fields=forged)
        return [*self._of_own(plain), *self._of_forged(plain, deceived)]

    def _of_own(self, answer: Answer) -> Iterator[Finding]:
        own, client = _asked(answer)
        if not own:
            yield unseen("It does not tell: it is of an older version.", "Update it.")
            return
        if own == self.visitor.address.base:
            yield ok("It knows its address.")
        else:
            yield _other_address(own, self.visitor.address.base)
        if not client:
            yield fault(
                "It takes us for nobody: its proxy does not say who asks.",
                f"Have it send X-Forwarded-For. {PROXY}",
            )
        elif is_local(client) and not is_local(self.visitor.address.host):
            yield warning(
                f"It takes us for {client}, which is its proxy: all clients count as "
                "one, and those whom metrics.read names may be anybody.",
                f"Set pypi.trusted_proxies = {client}.",
            )
        else:
            yield ok(f"It takes us for {client}.")

    def _of_forged(self, plain: Answer, deceived: Answer) -> Iterator[Finding]:
        _, first = _asked(plain)
        own, second = _asked(deceived)
        if second == _STRANGER != first:
            yield warning(
                "It believes whoever we say that we are (X-Forwarded-For).",
                "If this machine is none of its proxies: let the proxy append to that "
                "field, and name only proxies in pypi.trusted_proxies.",
            )
        if _NOWHERE in own:
            yield warning(
                "It believes which address we say that it has (X-Forwarded-Host or "
                "-Prefix).",
                "If this machine is none of its proxies: let the proxy set these "
                f"fields, or empty them. {PROXY}",
            )

    async def _on_the_page(self) -> list[Finding]:
        """Read its address off its first page, which shows people how to use it."""
        answer = await self.visitor.ask("/", fields={"Accept": HTML_PAGE})
        text = answer.body.decode("utf-8", "replace")
        found = _SHOWN.search(text)
        if answer.status != 200 or found is None:
            return [
                note(
                    "What it takes its address for is not shown to everybody.",
                    "Log in as an administrator (PYPICLOUD_USERNAME, "
                    "PYPICLOUD_PASSWORD).",
                )
            ]
        # It shows who is logged in how to say so.
        own = without_userinfo(split(found[1]).geturl())
        if own == self.visitor.address.base:
            return [ok("It knows its address.")]
        return [_other_address(own, self.visitor.address.base)]


#: Its address, as the first page has it.
_SHOWN = re.compile(r"(https?://[^\s\"'<>&]+?)/simple/")

_MOVED = frozenset({301, 302, 303, 307, 308})


def _asked(answer: Answer) -> tuple[str, str]:
    """Read which address a server takes for its own, and for ours; empty: neither."""
    told = document(answer)
    if not isinstance(told, dict):
        return "", ""
    return str(told.get("asked_as") or ""), str(told.get("asked_from") or "")


def _mounted(servers: object) -> str:
    """Read the path below which a server's API says that it is."""
    first = servers[0] if isinstance(servers, list) and servers else None
    return str(first.get("url", "")).rstrip("/") if isinstance(first, dict) else ""


def _other_address(own: str, base: str) -> Finding:
    theirs, ours = split(own), urlsplit(base)
    lost = [
        field
        for field, is_lost in (
            ("X-Forwarded-Proto", theirs.scheme != ours.scheme),
            ("Host or X-Forwarded-Host", theirs.netloc != ours.netloc),
            ("X-Forwarded-Prefix", theirs.path != ours.path),
        )
        if is_lost
    ]
    return fault(
        f"It takes its address for {own[:200]}, and clients have {base}.",
        f"Lost on the way: {', '.join(lost)}. Have the proxy send it, name the proxy "
        f"in pypi.trusted_proxies, or set pypi.public_url = {base}. {PROXY}",
    )


def is_local(host: str) -> bool:
    """Return whether a host, or an address, is this machine's own."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
