"""Documents of runs that nobody made."""

from __future__ import annotations

from typing import Any


def document(of_nginx: float, **more: Any) -> dict[str, Any]:
    """Make a run's document: a row that nginx has part in, and one that it has not."""
    page = {"median": 100.0, "lowest": 90.0, "highest": 110.0, "rate": 50.0}
    waited = {"p50": 1.0, "p99": 2.0, "rounds": [100.0]}
    return {
        "date": "2026-01-01T00:00:00Z",
        "commit": "abc1234",
        "machine": {
            "processor": "One & <Only>",
            "cores": 2,
            "memory_gb": 8,
            "system": "Linux",
            "python": "3.11.7",
        },
        "load": "0.00 0.00 0.00",
        "quick": False,
        "rounds": 3,
        "seconds": 3,
        "ours": ["ours"],
        "versions": {"ours": "1.0", "nginx": "1.22.1", "fast": "2"},
        "promises": {"ours": "all is synced"},
        "missing": ["slow: --install fetches it"],
        "rows": [
            {
                "row": "page-20",
                "title": "page of 20 files",
                "unit": "per CPU second",
                "lower_is_better": False,
                "servers": {
                    "ours": {
                        **(page | waited),
                        "of_nginx": of_nginx,
                        "of_best_peer": 2.0,
                        "best_peer": "fast",
                    },
                    "nginx": {**page, **waited, "of_nginx": 1.0},
                    "fast": {**page, **waited, "of_nginx": 0.5},
                },
            },
            {
                "row": "upload-8",
                "title": "small uploads, 8 at a time",
                "unit": "per CPU second",
                "lower_is_better": False,
                "servers": {
                    "ours": {
                        **(page | waited),
                        "of_best_peer": 0.6,
                        "best_peer": "fast",
                    },
                    "nginx": {"why_not": "it takes no uploads"},
                },
            },
        ],
    } | more
