"""How a client's certificate names a user (``auth.certificate_user``)."""

from __future__ import annotations

import re

from attrs import field, frozen

from pypicloud_tw.config.values import BadValueError

#: The parts of a certificate that can name a user: the subject's common name, and of
#: its alternative names those of three kinds (RFC 5280, section 4.2.1.6).
KINDS = ("cn", "email", "dns", "uri")

#: In these, capitals make no difference (RFC 4343; for e-mail by custom).
_ANY_CASE = frozenset({"email", "dns"})

_USER = "{user}"


@frozen
class CertificatePattern:
    """One form of a name.

    :ivar kind: of :data:`KINDS`.
    :ivar form: text with ``{user}`` in it once.
    """

    kind: str
    form: str
    _pattern: re.Pattern[str] = field(init=False, eq=False, repr=False)

    @_pattern.default
    def _compile(self) -> re.Pattern[str]:
        before, _, behind = self._folded(self.form).partition(_USER)
        return re.compile(f"{re.escape(before)}([^@/]+){re.escape(behind)}")

    def user(self, name: str) -> str | None:
        """Find the user in a certificate's name; in small letters for email and dns."""
        match = self._pattern.fullmatch(self._folded(name))
        return None if match is None else match[1]

    def _folded(self, text: str) -> str:
        return text.lower() if self.kind in _ANY_CASE else text


def certificate_pattern(text: str) -> CertificatePattern:
    """Parse ``email:{user}@corp.example`` and the like."""
    kind, _, form = text.partition(":")
    if kind.lower() not in KINDS or form.count(_USER) != 1:
        raise BadValueError(
            "has something that is not as cn:{user}, email:{user}@corp.example, "
            "dns:{user}.corp.example or uri:spiffe://corp.example/{user}."
        )
    return CertificatePattern(kind.lower(), form)
