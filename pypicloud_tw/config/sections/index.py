"""What is set of the index: what it takes, and how fresh its pages are."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from pypicloud_tw.config import addresses, names, values
from pypicloud_tw.config.addresses import Network
from pypicloud_tw.config.key import key, show_url


@frozen
class PypiSection:
    """The index: what it takes, who may read, and what it asks elsewhere."""

    default_read: tuple[str, ...] = key(
        names.groups,
        "everyone",
        "Who may read projects that have no rights of their own: everyone, users who "
        "log in (authenticated), or groups. Empty: administrators alone.",
        empty=(),
    )
    default_write: tuple[str, ...] | None = key(
        names.groups,
        None,
        "Who may upload to projects that have no rights of their own, and yank and "
        "delete there: everyone (without logging in, too), authenticated, or groups. "
        "Empty: administrators alone. Not set: every user, until there is a group, an "
        "administrator or a right.",
        empty=(),
        example="authenticated",
    )
    max_upload: int = key(values.size(), "6GiB", "The largest file that is taken.")
    allow_overwrite: bool = key(
        values.flag,
        "false",
        "Let an upload replace a file of the same name, however that is spelled: "
        "whoever may upload may do so.",
    )
    allow_overwrite_groups: tuple[str, ...] = key(
        names.groups,
        "",
        "Or let only these groups do so, where they may upload: everyone, "
        "authenticated, or groups; admin means the administrators, who may not "
        "unless they are named.",
    )
    allow_delete_groups: tuple[str, ...] = key(
        names.groups,
        "authenticated",
        "Who may delete what they may write: everyone, authenticated, or groups; admin "
        "means the administrators. Empty: nobody.",
        empty=(),
    )
    allow_reupload_deleted: bool = key(
        values.flag, "false", "Let a deleted file's name be taken again by other bytes."
    )
    legacy_formats: bool = key(
        values.flag,
        "false",
        "Take .egg, .exe, .zip, .tar, .tgz, .tar.bz2, .tar.xz and .tar.Z files, too, "
        "and with a warning what falls short of the rules for core metadata and for a "
        "wheel's RECORD, WHEEL, entry points and .data.",
    )
    public_url: str | None = key(
        addresses.service_url,
        None,
        "The address that clients use, if it is not the one that they ask for: "
        "https://pypi.example.com/root",
        show=show_url,
        # Without it a client's Host field says which site's forms are our own.
        empty_is_laxer=True,
    )
    trusted_proxies: tuple[Network, ...] = key(
        values.words(addresses.network),
        "",
        "The networks of the proxies whose X-Forwarded-* fields are believed; those of "
        "whoever connects to a unix: endpoint always are.",
        # Without it every client has the proxy's address, which metrics.read may allow.
        empty_is_laxer=True,
    )
    use_fallback: bool = key(
        values.flag, "true", "Ask another index for projects that are not here."
    )
    fallback: str = key(
        values.one_of("proxy", "redirect", "cache", "kept", "none"),
        "proxy",
        "How: proxy serves the other index's pages as our own; redirect sends the "
        "client there; cache keeps each file that is downloaded; kept gives what the "
        "cache has and asks nobody; none asks nobody.",
    )
    fallback_url: tuple[str, ...] = key(
        values.words(addresses.index_url),
        "https://pypi.python.org/simple/",
        "The other index; several are asked in order.",
        secret=True,
        show=show_url,
    )
    fallback_files: str = key(
        values.one_of("upstream", "relay"),
        "upstream",
        "Where its files come from in proxy mode: upstream, by its own links, or "
        "relay, through this server.",
    )
    private: tuple[str, ...] = key(
        values.words(names.pattern),
        "",
        "Names that are never asked for elsewhere, whether or not they exist here; "
        "acme-* reserves every name that begins so.",
        empty_is_laxer=True,
    )
    read_only: str | None = key(
        values.reason,
        None,
        "Refuse every change for now, and tell clients this reason: We move to a new "
        "bucket until noon.",
        empty_is_laxer=True,
    )


@frozen
class IndexSection:
    """How fresh pages are. Times are in seconds."""

    fresh_for: float = key(
        values.seconds(0, 60),
        "1s",
        "How long what other servers changed may stay unseen; 0 asks the store at "
        "every request.",
    )
    verify_every: float = key(
        values.seconds(1, 3600),
        "60s",
        "Every page in use is asked of the store again after so long, come what may.",
    )
    sweep_age: float = key(
        values.seconds(2),
        "1d",
        "A sweep removes what nothing names after so long; the same on every server, "
        "for an upload that takes half of it is refused.",
    )
    restore_for: float = key(
        values.seconds(0),
        "7d",
        "How long what was deleted can be restored; a sweep keeps its bytes so long, "
        "and for index.sweep_age at least. 0: it cannot be.",
    )
    memory: int = key(
        values.size(), "512MiB", "Pages take at most so much memory, roughly."
    )


@frozen
class AttestationsSection:
    """Attestations of uploads (PEP 740). Need pypicloud-tw[attestations]."""

    trust_root: Path | None = key(  # noqa: RUF009  a field, and a Path is immutable
        values.path,
        None,
        "The trusted_root.json of the Sigstore that signs them: its certificate "
        "authorities, logs and time stamps. Not set: that of the public one, as it "
        "comes with the library. The file is read at each upload that needs it.",
    )
