"""OSV records for tests."""

from __future__ import annotations

from typing import Any


def record(identifier: str, name: str = "acme", **more: Any) -> dict[str, Any]:
    """Make a record of one project, of all its versions unless *affected* says more."""
    affected = more.pop("affected", {"ranges": [events({"introduced": "0"})]})
    return {
        "schema_version": "1.7.0",
        "id": identifier,
        "modified": "2026-01-02T00:00:00Z",
        "published": "2026-01-01T00:00:00Z",
        "summary": "Something is wrong",
        "affected": [{"package": {"ecosystem": "PyPI", "name": name}, **affected}],
        **more,
    }


def events(*told: dict[str, str], kind: str = "ECOSYSTEM") -> dict[str, Any]:
    """Make a range."""
    return {"type": kind, "events": list(told)}
