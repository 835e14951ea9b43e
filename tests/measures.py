"""What a test can measure of itself."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from time import thread_time


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


def least_cost(work: Callable[[], object], rounds: int = 5) -> float:
    """Tell how many seconds of a processor *work* took at the least.

    Once is not enough: a collection of all that thousands of other tests have left
    may fall into it, and a machine that is shared may run slower for a moment.
    """
    taken = []
    for _ in range(rounds):
        began = thread_time()
        work()
        taken.append(thread_time() - began)
    return min(taken)
