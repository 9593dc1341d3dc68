"""Order-preserving map over threads for work that releases the GIL."""

import sys
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from functools import lru_cache
from typing import TypeVar

from threadpoolctl import ThreadpoolController

__all__ = ["map_nogil"]

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def map_nogil(function: Callable[[_Item], _Result], items: Iterable[_Item], n_workers: int = 1) -> list[_Result]:
    """Apply a function to each item on `n_workers` threads and return the results in the order of the items.

    BLAS is held to one thread meanwhile, whatever `n_workers` is: threads in threads are slow, and a sum split
    otherwise would round otherwise. So results do not depend on `n_workers` when `function` is pure.

    Parameters
    ----------
    function
        Pure function of one item; gains from threads only where it releases the GIL (compiled kernels, numpy).
    items
        Arguments, one for each call.
    n_workers
        Threads, at least 1; with 1 everything runs in the caller's thread.

    Raises
    ------
    ValueError
        If `n_workers` is below 1. What `function` raises passes through, the earliest item's first; then no further
        item is begun, and those that are at work are waited for.
    """
    if n_workers < 1:
        raise ValueError(f"n_workers must be at least 1, not {n_workers}.")
    with _libraries(len(sys.modules)).limit(limits=1, user_api="blas"):
        if n_workers == 1:
            return [function(item) for item in items]
        with ThreadPoolExecutor(max_workers=n_workers, thread_name_prefix="classify") as pool:
            futures = [pool.submit(function, item) for item in items]
            if wait(futures, return_when=FIRST_EXCEPTION).not_done:
                pool.shutdown(cancel_futures=True)
            return [future.result() for future in futures if not future.cancelled()]


@lru_cache(maxsize=1)
def _libraries(n_modules: int) -> ThreadpoolController:  # noqa: ARG001 - what was imported since may have brought a BLAS
    """Return the libraries with threads. To look for them takes milliseconds, in which no other thread runs."""
    return ThreadpoolController()
