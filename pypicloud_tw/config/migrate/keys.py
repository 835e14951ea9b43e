"""What becomes of each old key that takes more than a new name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType

from attrs import define, field

from pypicloud_tw.config.key import show_value
from pypicloud_tw.config.keys import KEYS
from pypicloud_tw.config.sections.storage import LONGEST_SIGNATURE
from pypicloud_tw.config.values import BadValueError, flag


@define
class Translation:
    """One translation under way.

    :ivar old: every setting of the old file.
    :ivar settings: texts by our keys, so far.
    :ivar users: hashes by name.
    :ivar grants: groups and rights: texts by their whole keys.
    :ivar notes: what could not be carried over, and what changes; a sentence each.
    :ivar lost: permissions among that.
    :ivar incomplete: users and rights were kept where they cannot be read from here.
    :ivar unneeded: what nothing needs any more.
    """

    old: Mapping[str, str] = field(repr=False)
    settings: dict[str, str] = field(factory=dict, repr=False)
    users: dict[str, str] = field(factory=dict, repr=False)
    grants: dict[str, str] = field(factory=dict)
    notes: list[str] = field(factory=list)
    lost: list[str] = field(factory=list)
    incomplete: bool = False
    unneeded: dict[str, None] = field(factory=dict)

    def carry(self, old: str, new: str, text: str) -> None:
        """Set one of our keys, if the text is a value of its kind."""
        if not text:
            return
        try:
            KEYS[new].parse(text)
        except BadValueError as e:
            shown = KEYS[new].show(text)
            self.notes.append(f"{old} is left out: {new} = {shown} {e}")
        else:
            self.settings[new] = text


def is_true(text: str) -> bool:
    """Return whether a text is one of the words for yes."""
    try:
        return flag(text)
    except BadValueError:
        return False


def _ignore(work: Translation, key: str, text: str) -> None:
    """Nothing: it is looked at elsewhere."""


def _expire_after(work: Translation, key: str, text: str) -> None:
    if text.isdecimal() and int(text) > LONGEST_SIGNATURE:
        work.settings["aws.expire_after"] = str(LONGEST_SIGNATURE)
        work.notes.append(
            f"{key} = {text} is longer than S3 allows; aws.expire_after is "
            f"{LONGEST_SIGNATURE} (7 days) now. Links to files last longer than that: "
            "they are this server's own."
        )
    else:
        work.carry(key, "aws.expire_after", text)


def _host(work: Translation, key: str, text: str) -> None:
    section = key.partition(".")[0]
    secure = work.old.get(f"{section}.is_secure", "true")
    scheme = "https" if is_true(secure) else "http"
    url = text if "://" in text else f"{scheme}://{text}"
    work.carry(key, "aws.endpoint_url", url)


def _calling_format(work: Translation, key: str, text: str) -> None:
    if text.endswith("OrdinaryCallingFormat"):
        work.settings["aws.addressing"] = "path"
    elif text != "SubdomainCallingFormat":
        work.notes.append(f"{key} is left out: {show_value(text)} has no place here.")


def _verify(work: Translation, key: str, text: str) -> None:
    if text.lower() in {"false", "0", "no"}:
        work.notes.append(f"{key} is left out: certificates are always verified.")
    elif text.lower() not in {"true", "1", "yes"}:
        work.carry(key, "aws.ca_file", text)


def _encryption(work: Translation, key: str, text: str) -> None:
    if is_true(text):
        text = "AES256"
    if text.lower() not in {"false", "none", "0", "no"}:
        work.carry(key, "aws.server_side_encryption", text)


def _fallback(work: Translation, key: str, text: str) -> None:
    if text in {"mirror", "cache redirect"}:
        work.notes.append(f"{key} = {text} has become cache.")
        text = "cache"
    work.carry(key, "pypi.fallback", text)


def _use_fallback(work: Translation, key: str, text: str) -> None:
    # Where both were given, the other was used.
    if "pypi.fallback" not in work.old:
        work.carry(key, key, text)


def _fallback_url(work: Translation, key: str, text: str) -> None:
    if "pypi.fallback_base_url" not in work.old:
        work.carry(key, key, text)


def _fallback_base_url(work: Translation, key: str, text: str) -> None:
    work.carry(key, "pypi.fallback_url", f"{text.rstrip('/')}/simple/")


def _always_show_upstream(work: Translation, key: str, text: str) -> None:
    if is_true(text):
        work.notes.append(
            f"{key} is left out: a project that exists here is not asked for upstream, "
            "for anybody could add files to it there. Name those that should be in "
            "upstream.merge."
        )


def _redirect_urls(work: Translation, key: str, text: str) -> None:
    if not is_true(text):
        work.notes.append(
            f"{key} = {show_value(text)} has changed: links are this server's own, and "
            "last. aws.link = signed puts signed URLs into the pages again."
        )


def _stream_files(work: Translation, key: str, text: str) -> None:
    if is_true(text):
        work.settings["aws.link"] = "stream"


def _download_url(work: Translation, key: str, text: str) -> None:
    url = re.sub(r"/(simple|pypi)/?$", "", text)
    work.carry(key, "pypi.public_url", url)


def _cache_update(work: Translation, key: str, text: str) -> None:
    work.notes.append(f"{key} is left out: whoever may read causes files to be cached.")


def _ldap_url(work: Translation, key: str, text: str) -> None:
    work.carry(key, key, text)
    if "ldap://" in text:
        work.notes.append(
            f"{key}: connections begin with StartTLS now. If the directory has none, "
            "auth.ldap.start_tls = false sends passwords as they are, as before."
        )


def _ignore_cert(work: Translation, key: str, text: str) -> None:
    if is_true(text):
        work.notes.append(
            f"{key} is left out: the directory's certificate is always checked. Give "
            "its authority's file as auth.ldap.ca_file."
        )


#: What to do with a key, by its name.
HANDLERS: Mapping[str, Callable[[Translation, str, str], None]] = MappingProxyType(
    {
        "pypi.storage": _ignore,
        "storage.is_secure": _ignore,
        "aws.is_secure": _ignore,
        "aws.expire_after": _expire_after,
        "storage.expire_after": _expire_after,
        "aws.host": _host,
        "storage.host": _host,
        "storage.calling_format": _calling_format,
        "storage.verify": _verify,
        "storage.server_side_encryption": _encryption,
        "storage.redirect_urls": _redirect_urls,
        "pypi.fallback": _fallback,
        "pypi.use_fallback": _use_fallback,
        "pypi.fallback_url": _fallback_url,
        "pypi.fallback_base_url": _fallback_base_url,
        "pypi.always_show_upstream": _always_show_upstream,
        "pypi.default_read": _ignore,
        "pypi.admins": _ignore,
        "pypi.cache_update": _cache_update,
        "pypi.zero_security_mode": _ignore,
        "auth.zero_security_mode": _ignore,
        "pypi.stream_files": _stream_files,
        "pypi.download_url": _download_url,
        "pypi.auth": _ignore,
        "pypi.access_backend": _ignore,
        "pypi.allow_delete": _ignore,
        "auth.ldap.url": _ldap_url,
        "auth.ldap.ignore_cert": _ignore_cert,
    }
)

_TOLD = (
    (r"pypi\.realm", "the realm is always 'pypicloud'."),
    (r"(storage|aws)\.cloud_front_.+", "CloudFront is not used."),
    (r"storage\.public_url", "files are handed out by signed URLs."),
    (r"(storage|auth)\.profile_name", "set AWS_PROFILE in the environment."),
    (r"auth\.(db|uri)\..+", "users are kept in the ini."),
    (r"auth\.(backend_server|user|password)", "users are kept in the ini."),
    (r"auth\.(signing_key|token_expire)", "there are no registration tokens here."),
)


def leave_out(work: Translation, key: str) -> None:
    """Say that a key has no place here, and why."""
    why = next((why for form, why in _TOLD if re.fullmatch(form, key)), None)
    work.notes.append(f"{key[:80]} is left out: {why or 'it is not known here.'}")
