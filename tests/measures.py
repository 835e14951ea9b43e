"""What a test can measure of itself."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable


def memory_kept(work: Callable[[], object]) -> int:
    """Tell how many bytes are held after *work* that were not before."""
    tracemalloc.start()
    try:
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        work()
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return after - before
